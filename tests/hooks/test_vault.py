from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError, MissingDependencyError
from airflow_provider_xbackup.hooks.vault import UnknownConnectionError, VaultHook
from airflow_provider_xbackup.vault.errors import MissingBucketError, VaultAccessError

KEY = base64.b64encode(b"a very secret key").decode()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


def aws(monkeypatch: pytest.MonkeyPatch, endpoint: str, **extra: Any) -> None:
    connect(
        monkeypatch,
        "store",
        conn_type="aws",
        login="the-key-id",
        password="the-secret",
        extra={"endpoint_url": endpoint, "region_name": "eu-west-1", **extra},
    )


def test_a_folder_needs_no_connection(tmp_path) -> None:
    vault = VaultHook(f"file://{tmp_path}").vault
    vault.prepare()
    assert list(vault.backups()) == []


@pytest.mark.parametrize(
    ("vault", "fields", "kind"),
    [
        pytest.param(
            "s3://store@b1b/p",
            {"conn_type": "aws", "extra": {"role_arn": "arn:aws:iam::1:role/r", "assume_role_method": "hope"}},
            "NotImplementedError",
            id="a way to assume a role that nobody knows",
        ),
        pytest.param(
            "abfs://store@b1b/p",
            {"conn_type": "wasb", "login": "i", "password": "a secret", "extra": {"tenant_id": "no tenant!"}},
            "ValueError",
            id="a tenant that is none",
        ),
    ],
)
def test_what_a_library_makes_of_a_connection_says_which_connection_it_is(
    monkeypatch: pytest.MonkeyPatch, vault: str, fields: dict[str, Any], kind: str
) -> None:
    connect(monkeypatch, "store", **fields)

    with pytest.raises(VaultAccessError, match="'store' of the vault") as raised:
        _ = VaultHook(vault).vault

    assert f"({kind})" in str(raised.value)
    assert raised.value.__context__ is None


def test_an_aws_connection_opens_a_vault_on_s3(monkeypatch: pytest.MonkeyPatch, s3_server: str) -> None:
    import boto3

    aws(monkeypatch, s3_server)
    boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    ).create_bucket(Bucket="backups")
    hook = VaultHook("s3://store@backups/a b")
    hook.vault.store.put("x", b"1")
    assert hook.vault.store.read("x") == b"1"
    assert hook.get_conn() is hook.vault
    assert "the-secret" not in repr(hook.vault.store)


def test_an_endpoint_without_a_scheme_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, "127.0.0.1:9000")
    with pytest.raises(InvalidArgumentError, match=r"endpoint_url in the connection 'store'.*http://"):
        _ = VaultHook("s3://store@backups/p").vault


def test_a_missing_bucket_names_the_connection(monkeypatch: pytest.MonkeyPatch, s3_server: str) -> None:
    aws(monkeypatch, s3_server)
    with pytest.raises(MissingBucketError, match="through the connection 'store'"):
        VaultHook("s3://store@nowhere/p").vault.prepare()


def test_an_object_storage_path_is_taken_with_its_connection(
    monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    from airflow.sdk import ObjectStoragePath

    aws(monkeypatch, s3_server)
    hook = VaultHook(ObjectStoragePath("s3://backups/p", conn_id="store"))
    assert str(hook.url) == "s3://store@backups/p"
    assert hook.vault


@pytest.mark.parametrize(
    ("path", "url"),
    [
        pytest.param("s3://backups/p", "s3://backups/p", id="without a connection"),
        pytest.param("s3://store@backups/p", "s3://store@backups/p", id="with one"),
        pytest.param("file:///srv/backups", "file:///srv/backups", id="on disk"),
        pytest.param("/srv/backups", "file:///srv/backups", id="on disk, without a scheme"),
    ],
)
def test_every_form_of_an_object_storage_path_is_taken(path: str, url: str) -> None:
    from airflow.sdk import ObjectStoragePath

    assert str(VaultHook(ObjectStoragePath(path)).url) == url


def test_an_unknown_connection_names_what_was_searched() -> None:
    with pytest.raises(UnknownConnectionError) as caught:
        _ = VaultHook("s3://nobody@bucket/p").vault
    assert "not defined or cannot be read" in str(caught.value)
    assert "AIRFLOW_CONN_NOBODY" in str(caught.value)
    assert isinstance(caught.value, BackupError)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "conn_type", "needed"),
    [
        ("s3://store@b1b/p", "wasb", "aws"),
        ("gs://store@b1b/p", "aws", "google_cloud_platform"),
        ("abfs://store@b1b/p", "aws", "wasb"),
        ("abfs://store@b1b/p", "xray", "wasb"),
    ],
)
def test_a_connection_of_another_type_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, conn_type: str, needed: str
) -> None:
    connect(monkeypatch, "store", conn_type=conn_type)
    with pytest.raises(InvalidArgumentError, match=rf"type {needed}.*'{conn_type}'"):
        _ = VaultHook(url).vault


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("boto3", "google.auth", "azure.identity", "airflow.providers.amazon.aws.hooks.base_aws"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("obstore.auth.boto3", "obstore.auth.google", "obstore.auth.azure"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    connect(monkeypatch, "store", conn_type="aws", login="a", password="b")
    for url, extra in (
        ("s3://b1b/p", "s3"),
        ("s3://store@b1b/p", "s3"),
        ("gs://b1b/p", "gcs"),
        ("abfs://b1b/p", "azure"),
    ):
        with pytest.raises(MissingDependencyError, match=rf"airflow-provider-xbackup\[{extra}\]"):
            _ = VaultHook(url).vault


# -- GCS and Azure: construction and errors only; no emulator here speaks what obstore does -------------------


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"conn_type": "wasb", "login": "account", "password": KEY}, id="wasb with key"),
        pytest.param(
            {
                "conn_type": "wasb",
                "host": "https://account.blob.core.windows.net",
                "extra": {"sas_token": "?sv=1&sig=s"},
            },
            id="wasb with SAS token",
        ),
        pytest.param(
            {"conn_type": "wasb", "extra": {"connection_string": f"AccountName=account;AccountKey={KEY}"}},
            id="connection string",
        ),
        pytest.param(
            {"conn_type": "adls", "host": "account", "login": "id", "password": "s", "extra": {"tenant_id": "t"}},
            id="adls with a service principal",
        ),
        pytest.param({"conn_type": "wasb", "login": "account"}, id="default credential"),
    ],
)
def test_azure_connections_are_understood(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
    connect(monkeypatch, "store", **fields)
    hook = VaultHook("abfs://store@container/p")
    access = hook._access()
    assert access.config["account_name"] == "account"
    assert KEY not in repr(access)
    assert hook.vault.store._connect()


def test_an_azure_endpoint_of_ones_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "store", conn_type="wasb", host="http://127.0.0.1:10000/devstoreaccount1", password=KEY)
    access = VaultHook("abfs://store@container/p")._access()
    assert access.config["account_name"] == "devstoreaccount1"
    assert access.endpoint == "http://127.0.0.1:10000/devstoreaccount1"


def test_an_azure_connection_without_an_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "store", conn_type="wasb")
    with pytest.raises(VaultAccessError, match="login or host of the connection 'store'"):
        _ = VaultHook("abfs://store@container/p").vault


def test_an_unreadable_azure_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "store", conn_type="wasb", login="account", password="not-base64!!")
    with pytest.raises(VaultAccessError, match="connection 'store'") as caught:
        VaultHook("abfs://store@container/p").vault.prepare()
    assert "not-base64" not in str(caught.value)


@pytest.mark.parametrize("keyfile", ["not json", "[]", {"type": "service_account"}])
def test_a_google_key_that_is_none_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, keyfile: object
) -> None:
    connect(monkeypatch, "store", conn_type="google_cloud_platform", extra={"keyfile_dict": keyfile})
    with pytest.raises(VaultAccessError, match="no usable service account key") as caught:
        _ = VaultHook("gs://store@bucket/p").vault
    assert caught.value.__context__ is None


def test_a_google_connection_with_what_is_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "store", conn_type="google_cloud_platform", extra={"impersonation_chain": "a@b"})
    with pytest.raises(VaultAccessError, match="impersonation_chain"):
        _ = VaultHook("gs://store@bucket/p").vault


def test_a_service_account_of_google_opens_a_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {
        "type": "service_account",
        "client_email": "a@b.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": pem.decode(),
    }
    connect(monkeypatch, "store", conn_type="google_cloud_platform", extra={"keyfile_dict": json.dumps(info)})
    assert VaultHook("gs://store@bucket/p").vault.store._connect()


def test_importing_the_hook_imports_nothing_heavy_of_vaults() -> None:
    script = (
        "import sys; import airflow.sdk; import airflow.providers.common.compat.sdk; before = set(sys.modules)\n"
        "import airflow_provider_xbackup.hooks.vault\n"
        "new = set(sys.modules) - before\n"
        "heavy = ('obstore', 'boto3', 'airflow_provider_xbackup.vault.manifest', 'zstandard')\n"
        "print([name for name in heavy if name in new])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
