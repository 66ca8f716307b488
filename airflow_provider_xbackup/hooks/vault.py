"""From an Airflow connection to a vault."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.vault.errors import VaultAccessError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_xbackup.vault.connect import Access
    from airflow_provider_xbackup.vault.s3options import S3Options
    from airflow_provider_xbackup.vault.url import VaultUrl
    from airflow_provider_xbackup.vault.vault import Vault


class UnknownConnectionError(InvalidArgumentError):
    """A vault URL names an Airflow connection that nobody knows."""


class VaultHook(BaseHook):
    """Opens a vault with the credentials of the connection its URL names, or with the environment's.

    ==================  ===================================================================
    ``s3://``           a connection of type ``aws``
    ``gs://``           ``google_cloud_platform``
    ``abfs://``         ``wasb``, ``adls`` or another of Azure's
    ==================  ===================================================================

    :param vault: a URL such as ``s3://conn_id@bucket/prefix``, or an ``ObjectStoragePath``
    """

    def __init__(self, vault: Any) -> None:
        super().__init__()
        self._given = vault

    @cached_property
    def url(self) -> VaultUrl:
        """The vault's URL.

        :raises InvalidArgumentError: when it is none
        """
        from airflow_provider_xbackup.vault.url import VaultUrl

        return VaultUrl.parse(self._given)

    @cached_property
    def vault(self) -> Vault:
        """The vault; nothing was asked of its store yet.

        :raises InvalidArgumentError: when the URL is none, or its connection unknown or of another kind
        :raises MissingDependencyError: when the extra for its scheme is not installed
        :raises VaultAccessError: when the connection holds no usable credentials
        """
        from airflow_provider_xbackup.vault.connect import open_store
        from airflow_provider_xbackup.vault.vault import Vault

        access = self._access() if self.url.conn_id else None
        return Vault(self.url, open_store(self.url, access))

    def get_conn(self) -> Vault:
        """Return the vault."""
        return self.vault

    def _access(self) -> Access:
        url = self.url
        connection = _connection(url)
        kinds, read = _READERS[url.scheme]
        conn_type = connection.conn_type or ""
        if conn_type not in kinds:
            raise InvalidArgumentError(
                f"The vault {url} needs a connection of type {' or '.join(kinds[:2])}, but {url.conn_id!r} "
                f"is of type {conn_type or 'nothing'!r}."
            )
        try:
            return read(url, connection)
        except BackupError:
            raise
        except Exception as exc:  # noqa: BLE001 - of extras that they cannot mean, libraries make anything
            kind = type(exc).__name__
        raise VaultAccessError(
            f"The connection {url.conn_id!r} of the vault {url} cannot be used ({kind}): look at its extra."
        )


def _connection(url: VaultUrl) -> Connection:
    from airflow.providers.common.compat.sdk import AirflowException

    conn_id = url.conn_id or ""
    try:
        return BaseHook.get_connection(conn_id)
    except PermissionError:
        problem: Exception = VaultAccessError(
            f"Airflow does not let this task read the connection {conn_id!r} that the vault {url} names."
        )
    except (AirflowException, ImportError) as exc:
        # The API server's refusal has another type than the backends'; both mean that it is not there.
        if type(exc).__name__ not in ("AirflowNotFoundException", "AirflowRuntimeError", "ImportError"):
            raise
        problem = UnknownConnectionError(
            f"The vault {url} names the Airflow connection {conn_id!r}, which is not defined or cannot be "
            f"read. Searched: {_searched(conn_id)}."
        )
    raise problem


def _searched(conn_id: str) -> str:
    """Name the places where Airflow looks for a connection in this process."""
    places = {
        "EnvironmentVariablesBackend": f"AIRFLOW_CONN_{conn_id.upper()} in the environment",
        "MetastoreBackend": "Airflow's metadata database",
        "ExecutionAPISecretsBackend": "Airflow's API server (secrets backends and metadata database)",
    }
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

        names = [type(backend).__name__ for backend in ensure_secrets_backend_loaded()]
    except Exception:  # noqa: BLE001 - only words for an error are at stake
        names = ["EnvironmentVariablesBackend", "ExecutionAPISecretsBackend"]
    return ", ".join(places.get(name, f"the secrets backend {name}") for name in names)


def _aws(url: VaultUrl, connection: Connection) -> Access:
    from airflow_provider_xbackup.vault.connect import s3_access

    try:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    except ImportError:
        from airflow_provider_xbackup.errors import MissingDependencyError

        raise MissingDependencyError(
            f"The connection {url.conn_id!r} of the vault {url} needs the extra 's3': "
            "pip install 'airflow-provider-xbackup[s3]'"
        ) from None
    options = _s3_options(url, connection)
    hook: Any = AwsGenericHook(aws_conn_id=connection.conn_id, client_type="s3")
    config = hook.config
    endpoint = hook.conn_config.get_service_endpoint_url("s3")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidArgumentError(
            f"endpoint_url in the connection {url.conn_id!r} of the vault {url} begins neither with http:// nor "
            "with https://."
        )
    return s3_access(
        url,
        _aws_session(url, hook),
        endpoint=endpoint,
        verify=hook.verify,
        virtual_hosted=(getattr(config, "s3", None) or {}).get("addressing_style") == "virtual",
        options=options,
    )


def _aws_session(url: VaultUrl, hook: Any) -> Any:
    """Return a connection's session. A role is assumed right away."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    from airflow_provider_xbackup.vault.translate import no_credentials

    try:
        return hook.get_session(region_name=hook.region_name)
    except ClientError as exc:
        kind = exc.response.get("Error", {}).get("Code") or type(exc).__name__
    except BotoCoreError as exc:
        kind = type(exc).__name__
    raise no_credentials(url, kind)


def _s3_options(url: VaultUrl, connection: Connection) -> S3Options:
    """Read what S3 is asked to do with objects from where Airflow has the options of a service."""
    from airflow_provider_xbackup.vault.s3options import S3Options

    services = connection.extra_dejson.get("service_config") or {}
    given = services.get("s3") or {} if isinstance(services, Mapping) else None
    if not isinstance(given, Mapping):
        problem = 'it must be an object of options, as in {"s3": {"storage_class": "STANDARD_IA"}}.'
    else:
        try:
            return S3Options.of(given)
        except InvalidArgumentError as exc:
            problem = str(exc)
    raise InvalidArgumentError(f"service_config in the connection {url.conn_id!r} of the vault {url}: {problem}")


def _google(url: VaultUrl, connection: Connection) -> Access:
    from airflow_provider_xbackup.vault.connect import GOOGLE_SCOPES, gcs_access

    extra = _extra(connection, "google_cloud_platform")
    unknown = [
        name
        for name in ("credential_config_file", "impersonation_chain", "is_anonymous", "key_secret_name")
        if extra.get(name)
    ]
    if unknown:
        raise VaultAccessError(
            f"The connection {url.conn_id!r} of the vault {url} uses {', '.join(unknown)}, which vaults do "
            "not understand. Use keyfile_dict, key_path or application default credentials."
        )
    keyfile, path = extra.get("keyfile_dict"), extra.get("key_path")
    if not keyfile and not path:
        return gcs_access(url)
    try:
        from google.oauth2.service_account import Credentials
    except ImportError:
        return gcs_access(url)  # which says what is missing
    try:
        if keyfile:
            info = json.loads(keyfile) if isinstance(keyfile, str) else keyfile
            credentials = Credentials.from_service_account_info(info, scopes=GOOGLE_SCOPES)
        else:
            credentials = Credentials.from_service_account_file(path, scopes=GOOGLE_SCOPES)
    except (ValueError, TypeError, AttributeError, OSError) as exc:
        kind = type(exc).__name__
    else:
        return gcs_access(url, credentials)
    raise VaultAccessError(
        f"The connection {url.conn_id!r} of the vault {url} holds no usable service account key ({kind}): "
        f"look at its {'keyfile_dict' if keyfile else 'key_path'}."
    )


def _azure(url: VaultUrl, connection: Connection) -> Access:
    from airflow_provider_xbackup.vault.connect import azure_access

    extra = _extra(connection, connection.conn_type or "")
    account, endpoint = _azure_host(connection.host or "")
    tenant = extra.get("tenant_id")
    sas_token = extra.get("sas_token")
    if isinstance(sas_token, str) and sas_token.startswith("https://"):
        sas_token = urlsplit(sas_token).query
    credential = None
    key = extra.get("shared_access_key") or extra.get("account_key")
    if tenant and connection.login and connection.password:
        try:
            from azure.identity import ClientSecretCredential
        except ImportError:
            return azure_access(url, account or "unnamed")  # which says what is missing
        more = extra.get("client_secret_auth_config") or {}
        credential = ClientSecretCredential(tenant, connection.login, connection.password, **more)
    else:
        account = account or connection.login or None
        key = key or connection.password
    return azure_access(
        url,
        account or extra.get("account_name"),
        key=None if credential else key,
        sas_token=sas_token,
        connection_string=extra.get("connection_string"),
        credential=credential,
        identity={name: extra[name] for name in _IDENTITIES if extra.get(name)},
        endpoint=endpoint,
    )


def _azure_host(host: str) -> tuple[str | None, str | None]:
    """Read the account, and the endpoint where it is not Azure's own, from a connection's host."""
    host = host.strip().rstrip("/")
    if not host:
        return None, None
    if "://" not in host and "." not in host:
        return host, None
    parts = urlsplit(host if "://" in host else f"https://{host}")
    name = parts.hostname or ""
    if name.endswith((".blob.core.windows.net", ".dfs.core.windows.net")):
        return name.split(".", 1)[0], None
    account = parts.path.strip("/") or (name.split(".", 1)[0] if ".blob." in name else "")
    return account or None, parts.geturl()


def _extra(connection: Connection, prefix: str) -> Mapping[str, Any]:
    """The extras, with Airflow's old long names shortened."""
    extra: dict[str, Any] = connection.extra_dejson
    long = f"extra__{prefix}__"
    return {name.removeprefix(long): value for name, value in extra.items()}


#: Which identity Azure's default credential takes, as Airflow's own hooks for Azure have it.
_IDENTITIES = ("managed_identity_client_id", "workload_identity_tenant_id")
_AZURE = ("wasb", "adls", "azure", "azure_data_lake", "azure_blob_storage", "azure_default")
_READERS: dict[str, tuple[tuple[str, ...], Callable[[VaultUrl, Connection], Access]]] = {
    "s3": (("aws",), _aws),
    "gs": (("google_cloud_platform",), _google),
    "abfs": (_AZURE, _azure),
}
