"""boto3's client for what obstore cannot do: made when it is needed, once, and not before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from airflow_provider_xbackup.vault.connect import Access, open_store, s3_access
from airflow_provider_xbackup.vault.errors import VaultAccessError
from airflow_provider_xbackup.vault.url import VaultUrl


class CountingSession(boto3.Session):
    """A session that counts the clients it makes."""

    made = 0

    def client(self, *args: Any, **kwargs: Any) -> Any:
        self.made += 1
        return super().client(*args, **kwargs)


@pytest.fixture
def session(s3) -> CountingSession:
    return CountingSession(aws_access_key_id="testing", aws_secret_access_key="very-secret")


def to(s3, session: boto3.Session, endpoint: str | None) -> tuple[VaultUrl, Access]:
    url = VaultUrl.parse(s3.url)
    return url, s3_access(url, session, endpoint=endpoint)


def test_reading_and_writing_takes_no_client_where_the_store_is_named(s3, session: CountingSession) -> None:
    store = open_store(*to(s3, session, s3.endpoint))

    store.put("some/object", b"1")
    assert store.read("some/object") == b"1"
    assert [found.path for found in store.list()] == ["some/object"]
    assert session.made == 0
    assert list(store.leftovers("")) == []
    assert session.made == 1


def test_whoever_needs_the_client_at_the_same_time_shares_one(s3, session: CountingSession) -> None:
    _, access = to(s3, session, s3.endpoint)
    assert access.locks is not None
    assert access.uploads is not None

    with ThreadPoolExecutor(8) as pool:
        enabled = [pool.submit(access.locks.enabled) for _ in range(4)]
        found = [pool.submit(list, access.uploads.find("")) for _ in range(4)]

    assert not any(one.result() for one in (*enabled, *found))
    assert session.made == 1


def test_the_client_is_asked_where_the_store_is_when_nobody_names_it(s3, session: CountingSession) -> None:
    _, access = to(s3, session, None)

    assert access.endpoint == s3.endpoint  # from the environment
    assert session.made == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_region_that_nobody_names_is_the_first_one(s3, monkeypatch: pytest.MonkeyPatch, *, named: bool) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    _, access = to(s3, boto3.Session(), s3.endpoint if named else None)

    assert access.config["region"] == "us-east-1"


NO_STORES = [
    "http://user:very-secret@no host",
    "http://user:very-secret#1@127.0.0.1:9",
    "http://[::1",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:0",
    "ftp://127.0.0.1",
]


@pytest.mark.parametrize("endpoint", ["", "http://", "127.0.0.1:9000", *NO_STORES])
def test_an_address_that_is_none_is_said_at_once(s3, endpoint: str) -> None:
    with pytest.raises(VaultAccessError, match="endpoint_url is no address") as raised:
        to(s3, boto3.Session(), endpoint)

    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("endpoint", NO_STORES)
def test_nor_is_one_of_the_environment_taken(s3, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(
        VaultAccessError, match=r"endpoint_url is no address|cannot be used \(ValueError"
    ) as raised:
        to(s3, boto3.Session(), None)

    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "https://s3.example.com/", "http://[fd00::5]:9000"])
def test_an_address_is_taken_as_it_is_named(s3, endpoint: str) -> None:
    _, access = to(s3, boto3.Session(region_name="eu-west-1"), endpoint)

    assert access.endpoint == endpoint.rstrip("/")
    assert access.config["region"] == "eu-west-1"


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("profile", "config", "kind"),
    [
        pytest.param("typo", "", "ProfileNotFound", id="a profile that is not there"),
        pytest.param("default", "[default", "ConfigParseError", id="a file that cannot be read"),
        pytest.param("default", "[default]\nregion = us east 1\n", "InvalidRegionError", id="no region"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_said_at_once(
    s3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, config: str, kind: str, *, named: bool
) -> None:
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", profile)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    url = VaultUrl.parse(s3.url)

    with pytest.raises(VaultAccessError, match=rf"configuration cannot be used \({kind}\)"):
        s3_access(url, endpoint=s3.endpoint if named else None)


@pytest.mark.parametrize("call", ["uploads", "versions", "locks"])
def test_a_client_that_cannot_be_made_is_an_error_of_the_vault(
    s3, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULTS_MODE", "no such mode")
    _, access = to(s3, boto3.Session(), s3.endpoint)
    assert access.uploads is not None
    assert access.versions is not None
    assert access.locks is not None
    calls = {
        "uploads": lambda: list(access.uploads.find("")),
        "versions": lambda: access.versions.hidden("xray/"),
        "locks": access.locks.enabled,
    }

    with pytest.raises(VaultAccessError, match=r"configuration cannot be used .InvalidDefaultsMode.*Set AWS_"):
        calls[call]()

    assert not access.versions.hides("deleted")
