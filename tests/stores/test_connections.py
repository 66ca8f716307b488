"""Credentials as Airflow's connections hold them, and as the environment does: each reads and writes."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from kinds import AZURE_ACCOUNT, AZURE_KEY, CONN_ID, REGION, S3, Azure, Ceph, Google, Kind, policy, stores
from servers import emulators
from servers.authority import Authority
from servers.proxy import proxy
from servers.tokens import APPLICATION, APPLICATION_SECRET, IDENTITY_HEADER, TENANT, Tokens, tokens

from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import StoreUnavailableError, VaultAccessError

row = pytest.mark.row
Define = Callable[..., None]
_roles = itertools.count(1)


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", stores(*names), indirect=True)


def works(vault: Vault) -> bool:
    """Tell whether a vault can be written and read, also through what boto3 does beside obstore."""
    assert is_written_and_read(vault)
    assert list(vault.store.leftovers("x")) == []
    return vault.store.delete("x/y")


def is_written_and_read(vault: Vault) -> bool:
    """Tell it without a deletion: Azurite takes no batch with a SAS, not even from Azure's own client."""
    vault.prepare()
    vault.store.put("x/y", b"written")
    return vault.store.read("x/y") == b"written" and [found.path for found in vault.store.list()] == ["x/y"]


def opened(url: str) -> Vault:
    return VaultHook(url).vault


# -- aws ---------------------------------------------------------------------------------------------------


@row("aws: keys in login and password, or in the extra")
@on("signed moto", "ministack", "radosgw", "juicefs")
def test_keys_open_a_vault(kind: S3, bucket: str, define: Define) -> None:
    define(**kind.connection())
    assert works(opened(kind.url(bucket)))
    extra = kind.connection(aws_access_key_id=kind.login, aws_secret_access_key=kind.password)["extra"]
    define(conn_type="aws", extra=extra)
    assert works(opened(kind.url(bucket)))


@pytest.fixture
def nobody(kind: S3) -> dict[str, str]:
    """The key of a user who may do nothing but assume roles."""
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    return kind.make_user("nobody", *() if isinstance(kind, Ceph) else (may,))


@pytest.fixture
def role(kind: S3, nobody: dict[str, str]) -> str:
    """A role that may do everything with S3, and that this user may assume: its ARN."""
    name = f"role-{next(_roles)}"
    who = {"AWS": [kind.user("nobody")]}
    trust = policy({"Effect": "Allow", "Principal": who, "Action": ["sts:AssumeRole"]})
    may = policy({"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]})
    if isinstance(kind, Ceph):
        named = ("--role-name", name)
        kind.gateway.admin("role", "create", *named, "--path", "/", "--assume-role-policy-doc", trust)
        kind.gateway.admin("role-policy", "put", *named, "--policy-name", "s3", "--policy-doc", may)
    else:
        iam = kind.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=may)
    return f"arn:aws:iam::{kind.account}:role/{name}"


@row("aws: an assumed role")
@on("signed moto", "ministack", "radosgw")
def test_a_role_is_assumed(kind: S3, bucket: str, define: Define, nobody: dict[str, str], role: str) -> None:
    sts = {"service_config": {"sts": {"endpoint_url": kind.address}}}
    connection = kind.connection(**sts) | nobody
    define(**connection)
    with pytest.raises(VaultAccessError):
        opened(kind.url(bucket)).prepare()

    connection["extra"]["role_arn"] = role
    define(**connection)

    assert works(opened(kind.url(bucket)))


@row("aws: a role that may not be assumed: said so, without a secret")
@on("ministack", "radosgw")
def test_a_role_that_may_not_be_assumed_is_told_without_a_secret(
    kind: S3, bucket: str, define: Define, nobody: dict[str, str]
) -> None:
    connection = kind.connection(service_config={"sts": {"endpoint_url": kind.address}}) | nobody
    connection["extra"]["role_arn"] = "arn:aws:iam::000000000000:role/of-somebody-else"
    define(**connection)

    with pytest.raises(
        VaultAccessError, match=r"No credentials could be had .* Check the Airflow connection"
    ) as caught:
        opened(kind.url(bucket))

    assert nobody["password"] not in str(caught.value)
    assert caught.value.__cause__ is None


@row("aws: a session token")
@on("signed moto", "ministack", "radosgw")
def test_a_session_token_opens_a_vault(
    kind: S3, bucket: str, define: Define, nobody: dict[str, str], role: str
) -> None:
    keys = {"aws_access_key_id": nobody["login"], "aws_secret_access_key": nobody["password"]}
    given = kind.client("sts", **keys).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    connection = kind.connection(aws_session_token=given["SessionToken"])
    key = {"login": given["AccessKeyId"], "password": given["SecretAccessKey"]}
    define(**connection | key)
    assert works(opened(kind.url(bucket)))

    define(**kind.connection() | key)
    with pytest.raises(VaultAccessError):
        opened(kind.url(bucket)).prepare()


@row("aws: TLS with an authority of one's own; another's is refused; verify switched off")
@on("ministack", "radosgw")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_checked_as_the_connection_says(
    kind: S3, bucket: str, define: Define, authority: Authority, tmp_path: Path, short_of_patience: None
) -> None:
    with contextlib.ExitStack() as stack:
        if isinstance(kind, Ceph):
            address = f"https://127.0.0.1:{kind.gateway.tls_port}"
        else:
            upstream = int(kind.address.rpartition(":")[2])
            address = stack.enter_context(proxy(upstream, tls=authority.context)).address

        def vault(**extra: Any) -> Vault:
            define(**kind.connection(address, **extra))
            return opened(kind.url(bucket))

        others = Path(certifi.where()).read_bytes()
        assert works(vault(verify=str(authority.bundle(tmp_path))))
        assert works(vault(verify=str(authority.bundle(tmp_path, others=others))))
        assert works(vault(verify=False))
        for wrong in ({}, {"verify": True}, {"verify": str(Authority().bundle(tmp_path))}):
            with pytest.raises(StoreUnavailableError, match=r"is not trusted.* as verify in the connection"):
                vault(**wrong).prepare()
        with pytest.raises(VaultAccessError, match="cannot be read"):
            vault(verify=str(tmp_path / "nothing.pem")).prepare()


@row("aws: no keys in the connection, but a profile or the environment")
@on("signed moto", "ministack", "radosgw")
@pytest.mark.parametrize("how", ["environment", "profile"])
def test_a_connection_without_keys_takes_those_of_its_surroundings(
    kind: S3, bucket: str, define: Define, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    extra = kind.connection()["extra"]
    if how == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", kind.login)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", kind.password)
    else:
        file = tmp_path / "credentials"
        keys = f"aws_access_key_id = {kind.login}\naws_secret_access_key = {kind.password}\n"
        file.write_text(f"[backup]\n{keys}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        extra["profile_name"] = "backup"
    define(conn_type="aws", extra=extra)

    assert works(opened(kind.url(bucket)))


@row("no connection: the environment's credentials")
@on("signed moto", "ministack", "radosgw", "juicefs")
def test_the_environment_opens_a_vault_on_s3(kind: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", kind.login)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", kind.password)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", kind.address)

    assert works(Vault.open(f"s3://{bucket}/{kind.prefix}"))


@row("the environment changes nothing of what a connection says")
@on("signed moto", "ministack", "radosgw", "azurite", "google")
def test_the_environment_changes_nothing_of_what_a_connection_says(
    kind: Kind, bucket: str, open_vault: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = {
        "AWS_ACCESS_KEY_ID": "stranger",
        "AWS_SECRET_ACCESS_KEY": "of-a-stranger",
        "AWS_SESSION_TOKEN": "of-a-stranger",
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_REGION": "eu-west-9",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": "stranger",
        "AZURE_STORAGE_ACCOUNT_KEY": "b2YtYS1zdHJhbmdlcg==",
        "AZURE_STORAGE_SAS_KEY": "sig=of-a-stranger",
        "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1",
        "AZURE_STORAGE_USE_EMULATOR": "true",
        "AZURE_SKIP_SIGNATURE": "true",
        "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere",
        "GOOGLE_SKIP_SIGNATURE": "true",
        "GOOGLE_BUCKET": "stranger",
    }
    for name, value in strange.items():
        monkeypatch.setenv(name, value)

    assert works(open_vault(bucket))


# -- google_cloud_platform ---------------------------------------------------------------------------------


@row("google_cloud_platform: keyfile_dict, key_path, application default credentials")
@on("google")
@pytest.mark.parametrize("how", ["keyfile_dict", "key_path", "application default", "no connection"])
def test_a_service_account_opens_a_vault(
    kind: Google, bucket: str, define: Define, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", kind.front)
    keyfile = kind.tokens.keyfile()
    file = tmp_path / "key.json"
    file.write_text(json.dumps(keyfile))
    extras = {"keyfile_dict": {"keyfile_dict": keyfile}, "key_path": {"key_path": str(file)}}
    define(conn_type="google_cloud_platform", extra=extras.get(how, {}))
    if how not in extras:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    url = kind.url(bucket)

    assert works(Vault.open(url.replace(f"{CONN_ID}@", "")) if how == "no connection" else opened(url))


@row("google_cloud_platform: keyfile_dict, key_path, application default credentials")
@on("google")
def test_a_token_service_that_is_away_is_no_wrong_credential(
    kind: Google, bucket: str, define: Define, monkeypatch: pytest.MonkeyPatch, short_of_patience: None
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", kind.front)
    keyfile = kind.tokens.keyfile(token_uri="http://127.0.0.1:1/token")
    define(conn_type="google_cloud_platform", extra={"keyfile_dict": keyfile})

    with pytest.raises(StoreUnavailableError, match="what hands them out does not answer") as caught:
        opened(kind.url(bucket)).prepare()

    assert "PRIVATE KEY" not in str(caught.value)


# -- wasb, adls --------------------------------------------------------------------------------------------


def sas_token() -> str:
    """A token for the whole account, for an hour."""
    token: str = generate_account_sas(
        AZURE_ACCOUNT,
        AZURE_KEY,
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True, add=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    return token


def connection_string(kind: Azure, secret: str) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};{secret};BlobEndpoint={kind.address};"


AZURE_CONNECTIONS = [
    pytest.param(lambda kind: {"login": AZURE_ACCOUNT, "password": AZURE_KEY}, id="key as password"),
    pytest.param(lambda kind: {"extra": {"shared_access_key": AZURE_KEY}}, id="shared_access_key"),
    pytest.param(lambda kind: {"extra": {"account_key": AZURE_KEY}}, id="account_key"),
    pytest.param(lambda kind: {"extra": {"sas_token": sas_token()}}, id="SAS"),
    pytest.param(lambda kind: {"extra": {"sas_token": f"?{sas_token()}"}}, id="SAS with its question mark"),
    pytest.param(
        lambda kind: {
            "host": "",
            "extra": {"connection_string": connection_string(kind, f"AccountKey={AZURE_KEY}")},
        },
        id="connection string with key",
    ),
    pytest.param(
        lambda kind: {
            "host": "",
            "extra": {"connection_string": connection_string(kind, f"SharedAccessSignature={sas_token()}")},
        },
        id="connection string with SAS",
    ),
]


@row("wasb, adls: account key, SAS, connection string")
@on("azurite")
@pytest.mark.parametrize("conn_type", ["wasb", "adls"])
@pytest.mark.parametrize("fields", AZURE_CONNECTIONS)
def test_secrets_of_an_account_open_a_vault(
    kind: Azure, bucket: str, define: Define, fields: Callable[[Azure], dict[str, Any]], conn_type: str
) -> None:
    define(**{"conn_type": conn_type, "host": kind.address, **fields(kind)})

    assert is_written_and_read(opened(kind.url(bucket)))


@row("no connection: the environment's credentials")
@on("azurite")
@pytest.mark.parametrize("how", ["key", "SAS"])
def test_the_environment_opens_a_vault_on_azure(
    kind: Azure, bucket: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    secret = f"AccountKey={AZURE_KEY}" if how == "key" else f"SharedAccessSignature={sas_token()}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(kind, secret))

    assert is_written_and_read(Vault.open(kind.url(bucket).replace(f"{CONN_ID}@", "")))


@pytest.fixture(scope="module")
def bearer(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Azure]:
    """An Azurite that takes bearer tokens, as it does over https only."""
    folder = tmp_path_factory.mktemp("azurite-with-tokens")
    with (
        emulators.azurite(folder, oauth=authority.files(folder)) as port,
        proxy(port, to_https=True) as front,
    ):
        yield Azure(front.address, {})


@pytest.fixture
def directory(authority: Authority) -> Iterator[Tokens]:
    with tokens(authority.context) as service:
        yield service


def application(directory: Tokens, bundle: Path, secret: str = APPLICATION_SECRET) -> dict[str, Any]:
    """A service principal, and where its directory is."""
    where = {
        "authority": directory.address,
        "disable_instance_discovery": True,
        "connection_verify": str(bundle),
    }
    extra = {"tenant_id": TENANT, "client_secret_auth_config": where}
    return {"login": APPLICATION, "password": secret, "extra": extra}


@row("wasb, adls: a service principal, and the default credential; what hands out tokens is emulated")
@on("azurite")
@pytest.mark.parametrize("conn_type", ["wasb", "adls"])
def test_a_service_principal_opens_a_vault(
    kind: Azure, bearer: Azure, directory: Tokens, authority: Authority, tmp_path: Path, define: Define,
    conn_type: str,
) -> None:  # fmt: skip
    who = application(directory, authority.bundle(tmp_path))
    define(conn_type=conn_type, host=bearer.address, **who)

    assert works(opened(bearer.url(bearer.new_bucket())))


@row("wasb, adls: a service principal, and the default credential; what hands out tokens is emulated")
@on("azurite")
def test_a_wrong_secret_of_a_service_principal_is_told_and_not_repeated(
    kind: Azure, bearer: Azure, directory: Tokens, authority: Authority, tmp_path: Path, define: Define
) -> None:
    who = application(directory, authority.bundle(tmp_path), "a-wrong-secret")
    define(conn_type="wasb", host=bearer.address, **who)

    with pytest.raises(
        VaultAccessError, match=r"No credentials could be had .* Check the Airflow connection"
    ) as caught:
        opened(bearer.url("nowhere")).prepare()

    assert "a-wrong-secret" not in str(caught.value)


@row("wasb, adls: a service principal, and the default credential; what hands out tokens is emulated")
@on("azurite")
@pytest.mark.parametrize("how", ["connection", "no connection"])
def test_the_identity_of_the_machine_opens_a_vault(
    kind: Azure, bearer: Azure, define: Define, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with tokens() as service:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.address}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", IDENTITY_HEADER)
        url = bearer.url(bearer.new_bucket())
        if how == "connection":
            define(conn_type="wasb", host=bearer.address)
            vault = opened(url)
        else:
            account = connection_string(bearer, "")
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", account)
            vault = Vault.open(url.replace(f"{CONN_ID}@", ""))

        assert works(vault)
