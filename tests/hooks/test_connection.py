"""What the fields of a connection mean, for both services."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Connection

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.exceptions import (
    XBackupCooldownError,
    XBackupError,
    XBackupFailError,
    airflow_errors,
)
from airflow_provider_xbackup.hooks.connection import (
    ConnectionForbiddenError,
    find_connection,
    find_connection_async,
    form_behaviour,
    read_endpoint,
    read_options,
)
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts
from airflow_provider_xbackup.http.errors import InsecureHostError
from airflow_provider_xbackup.provider_info import get_provider_info
from airflow_provider_xbackup.services.errors import CooldownError, JobFailedError, ServerFaultError

URL = "https://se.example"


@pytest.mark.parametrize(
    ("host", "port", "extra", "endpoint"),
    [
        pytest.param("se.example", None, {}, Endpoint(URL), id="a host alone"),
        pytest.param("se.example", 8443, {}, Endpoint(f"{URL}:8443"), id="a port"),
        pytest.param(
            "se.example",
            None,
            {"verify": "", "proxy": "", "read_timeout": "", "allow_http": None},
            Endpoint(URL),
            id="an empty form",
        ),
        pytest.param("se.example", None, {"verify": "false"}, Endpoint(URL, verify=False), id="no check"),
        pytest.param("se.example", None, {"verify": True}, Endpoint(URL), id="a check"),
        pytest.param(
            "se.example",
            None,
            {"proxy": " http://u:p@proxy:3128 "},
            Endpoint(URL, proxy="http://u:p@proxy:3128"),
            id="a proxy",
        ),
        pytest.param(
            "http://se.example",
            None,
            {"allow_http": "true"},
            Endpoint("http://se.example", allow_http=True),
            id="plain http",
        ),
        pytest.param(
            "se.example",
            None,
            {"connect_timeout": 1, "read_timeout": "2.5", "stall_timeout": 3},
            Endpoint(URL, timeouts=Timeouts(1, 2.5, 3)),
            id="timeouts",
        ),
    ],
)
def test_the_fields_describe_an_endpoint(host, port, extra, endpoint):
    assert read_endpoint(host, port, extra) == endpoint


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"verify": "perhaps"}, "'verify' must be true or false"),
        ({"verify": 3}, "'verify' must be true or false"),
        ({"verify": "/no/such/bundle.pem"}, "does not exist here"),
        ({"allow_http": "perhaps"}, "'allow_http'"),
        ({"read_timeout": "soon"}, "'read_timeout' must be a number of seconds"),
        ({"read_timeout": 0}, "'read_timeout'"),
        ({"stall_timeout": -1}, "'stall_timeout'"),
        ({"connect_timeout": "nan"}, "'connect_timeout'"),
        ({"connect_timeout": [1]}, "'connect_timeout'"),
        ({"proxy": "proxy.example:3128"}, "http://host:port"),
        ({"proxy": "socks5://u:s3cret@proxy"}, "http://host:port"),
        ({"proxy": "http://u:s3cret@"}, "http://host:port"),
        ({"proxy": "http://u:s3cret@proxy:99999"}, "http://host:port"),
        ({"proxy": "http://[s3cret"}, "http://host:port"),
        ({"proxy": ["s3cret"]}, "http://host:port"),
    ],
    ids=repr,
)
def test_an_option_that_cannot_be_meant_is_refused(extra, says):
    with pytest.raises(InvalidArgumentError, match=says) as caught:
        read_endpoint("se.example", None, extra)
    assert "s3cret" not in str(caught.value)


def test_a_bundle_must_be_readable_pem(tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    with pytest.raises(InvalidArgumentError, match="no readable CA bundle"):
        read_endpoint("se.example", None, {"verify": str(bundle)})
    assert read_endpoint("se.example", None, {"verify": str(tmp_path)}).verify == str(tmp_path)


def test_plain_http_to_another_machine_needs_a_word():
    with pytest.raises(InsecureHostError, match="allow_http"):
        read_endpoint("http://se.example", None, {})


@pytest.mark.parametrize("extra", ['["a"]', '"text"', "3", "{no json", "[]", "0"])
def test_an_extra_that_is_no_object_is_refused(extra):
    conn = Connection(conn_id="mine", conn_type="xray", extra=extra)
    with pytest.raises(InvalidArgumentError, match=r"'mine' is no JSON object"):
        read_options(conn, conn.extra_dejson)


@pytest.mark.parametrize(
    ("extra", "options"), [(None, {}), ("", {}), ("{}", {}), ("null", {}), ('{"proxy": "x"}', {"proxy": "x"})]
)
def test_an_extra_may_be_missing(extra, options):
    conn = Connection(conn_id="mine", conn_type="xray", extra=extra)
    assert read_options(conn, conn.extra_dejson) == options


class Forbidden(XrayHook):
    """A hook whose task may not read its connection."""

    @classmethod
    def get_connection(cls, conn_id):
        raise PermissionError(f"Access denied for connection {conn_id}")

    @classmethod
    async def aget_connection(cls, conn_id):
        raise PermissionError(f"Access denied for connection {conn_id}")


def test_a_connection_that_airflow_denies_is_final_and_said_so():
    hook = Forbidden("theirs")
    with pytest.raises(ConnectionForbiddenError, match="read the connection 'theirs'") as caught:
        find_connection(hook, "theirs", "Xray Cloud")
    assert not caught.value.retryable
    with pytest.raises(ConnectionForbiddenError, match="'theirs'"):
        asyncio.run(find_connection_async(hook, "theirs", "Xray Cloud"))
    with pytest.raises(XBackupFailError, match="'theirs'"):
        _ = hook.client


@pytest.mark.parametrize("hook", [XrayHook("nowhere"), XeniooHook("nowhere")], ids=["xray", "xenioo"])
def test_a_connection_that_is_not_there_is_named(hook):
    with pytest.raises(XBackupFailError, match=r"no connection 'nowhere'.*AIRFLOW_CONN_NOWHERE"):
        _ = hook.client
    ok, message = hook.test_connection()
    assert not ok
    assert "'nowhere'" in message


def test_a_connection_that_is_not_there_is_named_on_the_event_loop():
    with pytest.raises(XBackupFailError, match="no connection 'nowhere'"):
        asyncio.run(XrayHook("nowhere").aget_backup_status("x"))


@pytest.mark.parametrize("hook", [XrayHook, XeniooHook])
def test_both_descriptions_of_a_form_say_the_same(hook):
    form = hook.get_ui_field_behaviour()
    (described,) = (
        each["ui-field-behaviour"]
        for each in get_provider_info()["connection-types"]
        if each["connection-type"] == hook.conn_type
    )
    assert form["hidden_fields"] == described["hidden-fields"]
    assert form["relabeling"] == described["relabeling"]
    assert form["placeholders"].items() >= described["placeholders"].items()
    assert set(form) == {"hidden_fields", "relabeling", "placeholders"}


def test_the_form_of_airflow_3_1_shows_the_names_of_xenioos_keys():
    placeholder = XeniooHook.get_ui_field_behaviour()["placeholders"]["extra"]
    assert all(name in placeholder for name in ("account_api_key", "bot_api_key", "bot_api_secret"))
    assert form_behaviour("xenioo")["placeholders"].keys() == {"host"}


def test_no_key_is_promised_where_no_document_shows_it():
    for each in get_provider_info()["connection-types"]:
        for name, described in each["conn-fields"].items():
            assert "Developers" not in described.get("description", ""), name


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (ServerFaultError("it failed"), XBackupError),
        (JobFailedError("it failed"), XBackupFailError),
        (InvalidArgumentError("it failed"), XBackupFailError),
        (BackupError("it failed"), XBackupError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_name_the_account_and_whether_retries_help(error, becomes):
    with pytest.raises(XBackupError, match=r"^account 'a': it failed$") as caught, airflow_errors("account 'a'"):
        raise error
    assert type(caught.value) is becomes
    assert isinstance(caught.value, AirflowFailException) is not error.retryable
    assert caught.value.__suppress_context__


def test_a_cooldown_keeps_its_instant_through_translation_and_pickling():
    at = datetime(2026, 11, 23, tzinfo=UTC)
    with pytest.raises(XBackupCooldownError) as caught, airflow_errors("account 'a'"):
        raise CooldownError("not now", available_at=at, certain=False)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (str(error), error.available_at, error.certain) == ("account 'a': not now", at, False)
