"""What people write into the wrong place, and what stands in the way: no secret of theirs is told further."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows import FLOWS, create, prepare_job, store_bot, store_xray, trigger, try_keys, try_xray
from known_secrets import (
    ACCOUNT_KEY,
    AGE_SECRET,
    AWS_SECRET,
    BOT_KEY,
    BOT_SECRET,
    BOT_TOKEN,
    CLIENT_SECRET,
    PROXY_PASSWORD,
    SIGNATURE,
    URL_PASSWORD,
)

from airflow_provider_xbackup.cli.main import main

if TYPE_CHECKING:
    from conftest import Scene

REFUSED = "http://127.0.0.1:9"
XRAY = {"conn_type": "xray", "login": "demo-client", "password": CLIENT_SECRET}
KEYS = {"account_api_key": ACCOUNT_KEY, "bot_api_key": BOT_KEY, "bot_api_secret": BOT_SECRET}


def failed(scene: Scene) -> bool:
    return any(
        where.startswith(("error", "answer to the user", "trigger event")) for where, _ in scene.evidence.texts
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"password": CLIENT_SECRET + "x"}, id="wrong secret"),
        pytest.param({"password": None}, id="no secret"),
        pytest.param({"login": CLIENT_SECRET, "password": "demo-client"}, id="id and secret swapped"),
        pytest.param({"host": REFUSED}, id="nobody listens"),
        pytest.param({"host": "https://nobody.invalid"}, id="unknown host"),
        pytest.param({"host": "http://xray.example"}, id="plain http"),
        pytest.param({"host": f"https://me:{URL_PASSWORD}@xray.example"}, id="password in the host"),
        pytest.param(
            {"host": f"https://me:{URL_PASSWORD}/x@xray.example"}, id="password with a slash in the host"
        ),
        pytest.param({"host": f"me:{URL_PASSWORD}@xray.example:x"}, id="password before a broken port"),
        pytest.param({"host": f"https://xray.example?key={URL_PASSWORD}"}, id="key in the host's query"),
        pytest.param({"host": f"https://[{URL_PASSWORD}"}, id="host that is no URL"),
        pytest.param(
            {"extra": {"proxy": f"http://me:{PROXY_PASSWORD}@127.0.0.1:9"}}, id="proxy that is not there"
        ),
        pytest.param({"extra": {"proxy": f"socks5://me:{PROXY_PASSWORD}@proxy"}}, id="proxy of another kind"),
        pytest.param({"extra": {"proxy": f"http://me:{PROXY_PASSWORD}@proxy:x"}}, id="proxy that is no URL"),
        pytest.param({"extra": {"proxy": f"http://me:{PROXY_PASSWORD}@proxy.example"}}, id="proxy elsewhere"),
        pytest.param({"extra": {"verify": "/no/such/bundle.pem"}}, id="no CA bundle"),
        pytest.param({"conn_type": "http"}, id="another type of connection"),
    ],
)
@pytest.mark.parametrize("flow", ["create", "test Xray's connection", "trigger"])
def test_a_wrong_connection_of_xray_tells_no_secret(scene, change, flow):
    FLOWS[flow].prepare(scene)
    scene.connect("acme", **{**XRAY, "host": scene.sim.url, **change})

    scene.play(FLOWS[flow].run)

    assert failed(scene) or change == {"conn_type": "http"}
    without_name = {name: value for name, value in scene.evidence.secrets.items() if name != "URL_PASSWORD"}
    if change.get("host") == f"https://[{URL_PASSWORD}":
        # It stands where a host belongs, and nothing says that it is a password.
        scene.evidence.secrets = without_name
    assert scene.leaks() == []


@pytest.mark.parametrize("host", ["https://me:48213/9@xray.example", "me:48213/9@xray.example"])
def test_digits_before_a_slash_are_no_port_where_a_password_may_stand(scene, host):
    scene.connect("acme", **XRAY, host=host)

    scene.play(try_xray)

    assert failed(scene)
    # So few digits stand in addresses of objects and fractions of seconds as well.
    alone = re.compile(r"(?<![\w.])48213(?!\w)")
    assert [(where, text) for where, text in scene.evidence.texts if alone.search(text)] == []
    assert scene.leaks() == []


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"password": BOT_TOKEN + "x"}, id="wrong token"),
        pytest.param({"password": f"Bearer {BOT_TOKEN}"}, id="token with a word before it"),
        pytest.param({"password": f"{BOT_TOKEN}ü"}, id="token that cannot be sent"),
        pytest.param({"extra": {**KEYS, "bot_api_secret": f"{BOT_SECRET}x"}}, id="wrong keys"),
        pytest.param({"extra": {**KEYS, "account_api_key": [ACCOUNT_KEY]}}, id="key that is no text"),
        pytest.param({"extra": {"bot_api_key": BOT_KEY}}, id="half of the keys"),
        pytest.param({"password": BOT_TOKEN, "host": REFUSED}, id="nobody listens"),
        pytest.param({"password": BOT_TOKEN, "host": None}, id="no host"),
    ],
)
def test_a_wrong_connection_of_xenioo_tells_no_secret(scene, fields):
    for conn_id in ("bot", "keys"):
        scene.connect(conn_id, **{"conn_type": "xenioo", "host": scene.sim.xenioo_url("welcome"), **fields})

    scene.play(store_bot)
    scene.play(try_keys)

    assert failed(scene)
    assert scene.leaks() == []


@pytest.mark.parametrize("status", [200, 407, 502])
def test_a_proxy_that_repeats_what_it_was_sent_tells_no_password(scene, elsewhere, status):
    elsewhere.status, elsewhere.body = status, b"Not with {proxy-authorization}, {authorization}"
    proxy = elsewhere.url.replace("http://", f"http://me:{PROXY_PASSWORD}@")
    prepare_job(scene)
    for host in (scene.sim.url, "https://xray.example"):
        scene.connect("acme", **XRAY, host=host, extra={"proxy": proxy})
        scene.play(try_xray)
        scene.play(trigger)

    assert elsewhere.seen
    assert scene.leaks() == []


def test_a_certificate_that_is_not_trusted_tells_no_secret(scene, tls_elsewhere):
    scene.connect("acme", **XRAY, host=tls_elsewhere)

    scene.play(try_xray)
    scene.play(create)

    assert any("certificate" in text for _, text in scene.evidence.texts)
    assert scene.leaks() == []


def test_a_revoked_token_and_a_spent_link_tell_no_secret(scene):
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray import Artifact, file_request, read_redirect

    def spend(_: Scene) -> None:
        client = XrayHook("acme").client
        with client.open(file_request(Artifact.DATA)) as stream:
            location = read_redirect(stream.answer)
        for _ in range(2):
            with client.open_link(file_request(Artifact.DATA), location) as stream:
                scene.evidence.add_object("link", stream)
                scene.evidence.add_object("link", stream.answer)
        scene.sim.revoke_tokens()
        XrayHook("acme").get_backup_status(scene.job["job_id"])

    prepare_job(scene)
    scene.play(spend)
    scene.play(store_xray)

    assert scene.leaks() == []


VAULTS = {
    "password": f"s3://key:{URL_PASSWORD}@bucket/x",
    "password with a slash": f"s3://key:{URL_PASSWORD}/x@bucket/x",
    "password behind two at signs": f"s3://me@home:{URL_PASSWORD}@bucket/x",
    "key in a query": f"s3://bucket/x?secret={URL_PASSWORD}",
    "key in a fragment": f"s3://bucket/x#{URL_PASSWORD}",
    "password of another scheme": f"https://me:{URL_PASSWORD}@host/x",
    "password of a folder": f"file://me:{URL_PASSWORD}@host/x",
}


@pytest.mark.parametrize("name", VAULTS)
def test_a_password_in_a_vaults_url_is_told_nowhere(scene, capfd, name):
    prepare_job(scene)
    for flow in (store_xray, store_bot, create):
        scene.play(lambda scene, flow=flow: flow(scene, vault=VAULTS[name]))
    for command in (["list"], ["show"]):
        main([command[0], VAULTS[name], *(["20261123"] if command == ["show"] else [])])
    scene.evidence.add("output of the command", "".join(capfd.readouterr()))

    assert failed(scene)
    assert scene.leaks() == []


@pytest.mark.parametrize(
    "key",
    [AGE_SECRET, AGE_SECRET.lower(), f"age1x, {AGE_SECRET}", [AGE_SECRET]],
    ids=["", "lower", "second", "list"],
)
def test_a_private_key_for_a_public_one_is_told_nowhere(scene, key):
    prepare_job(scene)
    scene.evidence.secrets["lower"] = AGE_SECRET.lower()

    scene.play(lambda scene: store_xray(scene, encrypt_to=key))
    scene.play(lambda scene: store_bot(scene, encrypt_to=key))

    assert failed(scene)
    assert scene.leaks() == []


def a_file_in_the_way(folder: Path) -> str:
    folder.write_text("")
    return (folder / "vault").as_uri()


def no_folder(folder: Path) -> str:
    return "file:///proc/no/such/folder"


@pytest.mark.parametrize("place", [a_file_in_the_way, no_folder])
def test_a_vault_that_cannot_be_written_tells_no_secret(scene, tmp_path: Path, place: Callable[[Path], str]):
    prepare_job(scene)
    url = place(tmp_path / "place")

    for flow in (create, store_xray, store_bot):
        scene.play(lambda scene, flow=flow: flow(scene, vault=url))

    assert failed(scene)
    assert scene.leaks() == []


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Callable[[str], None]:
    """Point an AWS connection, and the environment, at a store."""

    def point(endpoint: str) -> None:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }.items():
            monkeypatch.setenv(name, value)
        scene.connect(
            "store",
            conn_type="aws",
            login="AKIAEXAMPLE",
            password=AWS_SECRET,
            extra={"endpoint_url": endpoint, "region_name": "us-east-1"},
        )

    return point


@pytest.fixture(scope="session")
def bucket() -> Any:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket="bucket")
    yield client, endpoint
    server.stop()


@pytest.mark.parametrize(
    "url", ["s3://bucket/vault", "s3://store@bucket/vault"], ids=["environment", "connection"]
)
def test_a_store_on_the_network_gets_no_secret(scene, aws, bucket, capfd, url):
    import pyrage

    client, endpoint = bucket
    aws(endpoint)
    prepare_job(scene)
    identity = pyrage.x25519.Identity.generate()
    scene.evidence.secrets["identity"] = str(identity)

    scene.play(lambda scene: create(scene, vault=url))
    scene.play(lambda scene: store_xray(scene, vault=url))
    scene.play(lambda scene: store_bot(scene, vault=url, encrypt_to=str(identity.to_public()), compress=True))
    main(["list", url])
    scene.evidence.add("output of the command", "".join(capfd.readouterr()))
    for found in client.list_objects_v2(Bucket="bucket")["Contents"]:
        object_ = client.get_object(Bucket="bucket", Key=found["Key"])
        scene.evidence.add("store: name", found["Key"])
        scene.evidence.add("store: about", {name: str(value) for name, value in object_.items() if name != "Body"})
        scene.evidence.add(f"store: {found['Key']}", object_["Body"].read())

    assert any("manifest.json" in where for where, _ in scene.evidence.texts)
    assert scene.leaks() == []


@pytest.mark.parametrize("status", [301, 400, 403, 404, 500, 503])
def test_a_store_that_repeats_what_it_was_sent_tells_no_secret(scene, aws, elsewhere, status, monkeypatch):
    from airflow_provider_xbackup.vault import connect

    monkeypatch.setattr(connect, "PROBING", connect.Patience(connect=1, request=1, retries=0, total=1))
    elsewhere.status = status
    elsewhere.body = (
        b"<Error><Code>SignatureDoesNotMatch</Code><Message>Not with {authorization}</Message></Error>"
    )
    aws(elsewhere.url)
    prepare_job(scene)

    for url in ("s3://bucket/vault", "s3://store@bucket/vault"):
        scene.play(lambda scene, url=url: store_xray(scene, vault=url))

    assert failed(scene)
    # What signs a request is good for that request only; it is no text for people all the same.
    scene.evidence.secrets |= {
        f"signature {number}": text for number, text in enumerate(_signatures(elsewhere.seen))
    }
    scene.evidence.texts = [each for each in scene.evidence.texts if not each[0].startswith("log of boto")]
    assert scene.leaks() == []


def _signatures(seen: list[str]) -> list[str]:
    return [
        line.split("Signature=")[1].strip() for text in seen for line in text.splitlines() if "Signature=" in line
    ]


def test_a_signature_in_the_address_of_a_store_is_not_shown(evidence):
    from airflow_provider_xbackup.vault.connect import azure_access
    from airflow_provider_xbackup.vault.url import VaultUrl

    endpoint = f"https://acme.blob.example/?sig={SIGNATURE}"
    access = azure_access(VaultUrl.parse("abfs://container/x"), "acme", key=AWS_SECRET, endpoint=endpoint)
    evidence.add_object("access", access)

    assert evidence.leaks() == []


def test_the_searched_for_is_found_where_it_is(scene):
    """The search itself is not blind: planted secrets are seen, in every channel and every spelling."""
    import base64
    import logging
    import urllib.parse

    class Shown:
        def __init__(self) -> None:
            self.token = CLIENT_SECRET

        def __repr__(self) -> str:
            return f"Shown({self.token})"

    Shown.__module__ = "airflow_provider_xbackup.planted"

    def plant(_: Scene) -> None:
        shown = Shown()
        logging.getLogger("urllib3.connectionpool").debug("%s", urllib.parse.quote(BOT_TOKEN))
        logging.getLogger("airflow_provider_xbackup.x").debug("%s", base64.b64encode(f"me:{BOT_SECRET}".encode()))
        try:
            raise ValueError(PROXY_PASSWORD)
        except ValueError:
            del shown
            raise RuntimeError("nothing to see") from None

    scene.play(plant)
    (scene.spool).mkdir()
    (scene.spool / "x.json").write_bytes(f'{{"key": "{ACCOUNT_KEY}"}}'.replace('"', '\\"').encode())
    scene.evidence.add_folder("spool", scene.spool)

    found = {leak.split(" in ")[0] for leak in scene.leaks()}
    assert found == {"CLIENT_SECRET", "BOT_TOKEN", "BOT_SECRET", "PROXY_PASSWORD", "ACCOUNT_KEY"}
