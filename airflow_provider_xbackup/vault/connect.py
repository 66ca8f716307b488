"""Opens the store of a vault: with the environment's credentials, or with those it is handed.

Nothing here asks the store anything; :meth:`Store.prepare` does that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.errors import InvalidArgumentError, MissingDependencyError
from airflow_provider_xbackup.vault.console import Console, aws_console, google_console
from airflow_provider_xbackup.vault.errors import VaultAccessError
from airflow_provider_xbackup.vault.local import LocalStore
from airflow_provider_xbackup.vault.objectlocks import ObjectLocks
from airflow_provider_xbackup.vault.s3client import S3Client
from airflow_provider_xbackup.vault.s3options import S3Options, is_amazon
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.translate import cannot_open
from airflow_provider_xbackup.vault.uploads import OpenUploads
from airflow_provider_xbackup.vault.url import VaultUrl
from airflow_provider_xbackup.vault.versions import BucketVersions

if TYPE_CHECKING:
    import boto3  # type: ignore[import-untyped]
    from obstore.store import ObjectStore

_PACKAGE = "airflow-provider-xbackup"
_NO_ADDRESS = "its endpoint_url is no address of a store"
#: The scopes a vault on GCS needs; no more.
GOOGLE_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a store.

    :param connect: seconds for a connection to stand
    :param request: seconds for one request, the body included; none carries more than one part
    :param retries: how often a failed request is repeated
    :param total: seconds after the first try in which repeating still begins
    """

    connect: int
    request: int
    retries: int
    total: int

    def client_options(self) -> dict[str, Any]:
        """Return it as obstore's ``client_options``."""
        return {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
            "user_agent": f"{_PACKAGE}/{__version__}",
        }

    def retry_config(self) -> dict[str, Any]:
        """Return it as obstore's ``retry_config``."""
        return {
            "max_retries": self.retries,
            "retry_timeout": timedelta(seconds=self.total),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=10),
                "base": 2,
            },
        }

    def boto_config(self) -> Any:
        """Return it as boto3's ``config``."""
        from botocore.config import Config  # type: ignore[import-untyped]

        return Config(
            connect_timeout=self.connect,
            read_timeout=self.request,
            retries={"mode": "standard", "total_max_attempts": self.retries + 1},
            user_agent_extra=f"{_PACKAGE}/{__version__}",
        )


#: For the work: a part of 10 MiB passes at 0.7 Mbit/s. A store may be slow for three minutes; one that refuses at
#: once has been asked nine times after half of one.
WORKING = Patience(connect=10, request=120, retries=8, total=180)
#: For the first request, which tells whether anybody is there: 24 seconds at most.
PROBING = Patience(connect=5, request=8, retries=2, total=15)


@dataclass(frozen=True, slots=True)
class Access:
    """How a store on the network is reached.

    :param config: obstore's configuration of the store
    :param credentials: obstore's credential provider, None where the configuration says it all
    :param endpoint: the address of the store, None for the vendor's own
    :param verify: True to check TLS certificates, a path for one's own bundle, False for no check
    :param uploads: the store's open multipart uploads, where there is a way to see them
    :param versions: what the store keeps of deleted objects, where there is a way to see it
    :param locks: the store's object locks, where it has such
    :param of_artifacts: attributes of the artifacts, as obstore calls them
    :param console: where the store's vendor shows objects to people, None where that is not known
    """

    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    credentials: Callable[[], Any] | None = field(default=None, repr=False)
    endpoint: str | None = field(default=None, repr=False)
    verify: bool | str = True
    uploads: OpenUploads | None = field(default=None, repr=False)
    versions: BucketVersions | None = field(default=None, repr=False)
    locks: ObjectLocks | None = field(default=None, repr=False)
    of_artifacts: Mapping[str, str] = field(default_factory=dict)
    console: Console | None = None


def open_store(url: VaultUrl, access: Access | None = None) -> Store:
    """Open the store of a vault.

    :param url: the vault
    :param access: how to reach it; None for what the environment says
    :return: the store; nothing was asked of it yet
    :raises InvalidArgumentError: when the URL names a connection and no access is handed in
    :raises MissingDependencyError: when the extra for its scheme is not installed
    :raises VaultAccessError: when the environment has no credentials
    """
    if url.scheme == "file":
        return LocalStore(url)
    if not _is_installed(_NEEDED[url.scheme]):
        _missing(url)
    if access is None:
        if url.conn_id is not None:
            raise InvalidArgumentError(
                f"The vault {url} names the Airflow connection {url.conn_id!r}, which is read through "
                "airflow_provider_xbackup.hooks.vault.VaultHook."
            )
        access = _ENVIRONMENT[url.scheme](url)
    return Store(
        url,
        lambda: _connect(url, access, WORKING),
        lambda: _connect(url, access, PROBING),
        uploads=access.uploads,
        versions=access.versions,
        locks=access.locks,
        of_streams=access.of_artifacts,
        console=access.console,
        account=access.config.get("account_name"),
        endpoint=access.endpoint,
    )


def _connect(url: VaultUrl, access: Access, patience: Patience) -> ObjectStore:
    from obstore import store as stores

    classes: dict[str, Any] = {"s3": stores.S3Store, "gs": stores.GCSStore, "abfs": stores.AzureStore}
    options = patience.client_options()
    if access.endpoint is not None and urlsplit(access.endpoint).scheme == "http":
        options["allow_http"] = True
    if access.verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(access.verify, str):
        options["root_certificate"] = _bundle(access.verify, url)
    arguments: dict[str, Any] = {
        "prefix": url.prefix or None,
        # What obstore reads in the environment besides must not open a store in another way.
        "config": {"skip_signature": False, **access.config},
        "client_options": options,
        "retry_config": patience.retry_config(),
    }
    if access.credentials is not None:
        arguments["credential_provider"] = access.credentials
    try:
        return classes[url.scheme](url.bucket, **arguments)  # type: ignore[no-any-return]
    except Exception as exc:  # noqa: BLE001 - obstore's own text may repeat a secret of the configuration
        kind = type(exc).__name__
    raise VaultAccessError(
        f"The vault {url} cannot be opened: its credentials or options are not understood ({kind}). "
        + (f"Check the Airflow connection {url.conn_id!r}." if url.conn_id else "Check the environment.")
    )


def _bundle(path: str, url: VaultUrl) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise VaultAccessError(
            f"The certificates {path!r} for the vault {url} cannot be read: {exc.strerror}."
        ) from None


# -- S3 ----------------------------------------------------------------------------------------------------


def s3_access(
    url: VaultUrl,
    session: boto3.Session | None = None,
    *,
    endpoint: str | None = None,
    verify: bool | str | None = None,
    virtual_hosted: bool = False,
    options: S3Options = S3Options(),  # noqa: B008 - immutable
) -> Access:
    """Describe the way to a vault on S3 through a boto3 session.

    :param url: the vault
    :param session: the session; None for boto3's default, which reads the environment
    :param endpoint: the address of the store; None for what the session's configuration says
        (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, ``endpoint_url`` in the profile), else Amazon's
    :param verify: as boto3 takes it; None for what the environment says
    :param virtual_hosted: whether the bucket goes into the host name
    :param options: what S3 is asked to do with the objects
    :return: the way
    :raises MissingDependencyError: when the extra ``s3`` is not installed
    :raises VaultAccessError: when the configuration cannot be used, or has no credentials
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
        from botocore.utils import validate_region_name  # type: ignore[import-untyped]
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        _missing(url)
    try:
        opened: Any = session or boto3.Session()
        found = opened.get_credentials()
        validate_region_name(opened.region_name)
    except (BotoCoreError, ValueError) as exc:
        problem = f"the AWS configuration cannot be used ({type(exc).__name__})"
    else:
        problem = "" if found else "no AWS credentials were found"
    if endpoint is not None and not _is_address(endpoint):
        problem = _NO_ADDRESS
    if problem:
        raise cannot_open(url, problem, "AWS_*")
    manners = WORKING.boto_config()
    style = {"addressing_style": "virtual" if virtual_hosted else "path"}
    client = S3Client(url, opened, endpoint, verify, manners.merge(type(manners)(s3=style)))
    if endpoint is None:
        # Only botocore knows where its vendor is, and what else of its configuration names a store.
        place, region = client().meta.endpoint_url, client().meta.region_name
        if not _is_address(place):
            raise cannot_open(url, _NO_ADDRESS, "AWS_*")
    else:
        place, region = endpoint, opened.region_name or "us-east-1"
    address = urlsplit(place.rstrip("/"))
    if virtual_hosted:
        # obstore takes such an address with the bucket in it.
        address = address._replace(netloc=f"{url.bucket}.{address.netloc}")
    config = {
        "region": "us-east-1" if region == "aws-global" else region,
        "endpoint": address.geturl(),
        "virtual_hosted_style_request": virtual_hosted,
        **options.config(amazon=is_amazon(address.geturl())),
    }
    return Access(
        config,
        Boto3CredentialProvider(opened),
        config["endpoint"],
        (os.environ.get("AWS_CA_BUNDLE") or True) if verify is None else verify,
        OpenUploads(url, client),
        BucketVersions(url, client),
        ObjectLocks(url, client),
        options.of_artifacts,
        aws_console(config["endpoint"], config["region"]),
    )


def _is_address(endpoint: str) -> bool:
    """Tell whether an address can lead to a store: obstore panics at a port that is none."""
    from botocore.utils import is_valid_uri

    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.port != 0
        return usable and bool(is_valid_uri(endpoint))
    except ValueError:  # half an IPv6 address, or a port that is none
        return False


# -- GCS ---------------------------------------------------------------------------------------------------


def gcs_access(url: VaultUrl, credentials: Any = None) -> Access:
    """Describe the way to a vault on GCS.

    :param url: the vault
    :param credentials: of google.auth; None for the application default credentials
    :return: the way
    :raises MissingDependencyError: when the extra ``gcs`` is not installed
    :raises VaultAccessError: when there are no credentials
    """
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from obstore.auth.google import GoogleCredentialProvider
    except ImportError:
        _missing(url)
    if credentials is None:
        try:
            credentials, _ = google.auth.default(scopes=GOOGLE_SCOPES)
        except (GoogleAuthError, OSError, ValueError) as exc:
            problem = type(exc).__name__
        else:
            problem = ""
        if problem:
            problem = f"no Google credentials were found ({problem})"
            raise cannot_open(url, problem, "GOOGLE_APPLICATION_CREDENTIALS")
    # As Google's own clients call it: an emulator, or another way to the store.
    address = os.environ.get("STORAGE_EMULATOR_HOST")
    if address and "://" not in address:
        address = f"http://{address}"
    config = {"base_url": address.rstrip("/")} if address else {}
    console = None if address else google_console
    return Access(config, GoogleCredentialProvider(credentials), address, console=console)


# -- Azure -------------------------------------------------------------------------------------------------


def azure_access(
    url: VaultUrl,
    account: str | None = None,
    *,
    key: str | None = None,
    sas_token: str | None = None,
    connection_string: str | None = None,
    credential: Any = None,
    identity: Mapping[str, str] = MappingProxyType({}),
    endpoint: str | None = None,
) -> Access:
    """Describe the way to a vault on Azure; the first that is given of key, SAS token and credential counts.

    :param url: the vault
    :param account: the storage account
    :param key: its key
    :param sas_token: a SAS token
    :param connection_string: all of that in Azure's own form
    :param credential: of azure.identity; None for DefaultAzureCredential
    :param identity: arguments of DefaultAzureCredential that name an identity
    :param endpoint: the address of the account, None for Azure's own
    :return: the way
    :raises MissingDependencyError: when the extra ``azure`` is not installed
    :raises VaultAccessError: when the account is not named
    """
    if connection_string:
        fields = _connection_string(connection_string)
        account = account or fields.get("accountname")
        key = key or fields.get("accountkey")
        sas_token = sas_token or fields.get("sharedaccesssignature")
        endpoint = endpoint or fields.get("blobendpoint")
    if not account:
        where = (
            f"Write it into the login or host of the connection {url.conn_id!r}."
            if url.conn_id
            else "Set AZURE_STORAGE_ACCOUNT_NAME, or name an Airflow connection: abfs://conn_id@container/prefix."
        )
        raise VaultAccessError(f"The vault {url} cannot be opened: its storage account is not named. {where}")
    endpoint = (endpoint or f"https://{account}.blob.core.windows.net").rstrip("/")
    access = Access({"account_name": account, "endpoint": endpoint, "use_emulator": False}, endpoint=endpoint)
    # Handed over like those that are renewed: a key in the configuration gives way to one in the environment.
    if key:
        return replace(access, credentials=_Given({"access_key": key}))
    if sas_token:
        return replace(access, credentials=_Given({"sas_token": sas_token.lstrip("?")}))
    try:
        from azure.identity import DefaultAzureCredential
        from obstore.auth.azure import AzureCredentialProvider
    except ImportError:
        _missing(url)
    return replace(access, credentials=AzureCredentialProvider(credential or DefaultAzureCredential(**identity)))


class _Given:
    """Credentials that stay as they are."""

    def __init__(self, credential: Mapping[str, str]) -> None:
        self._credential = credential

    def __call__(self) -> dict[str, Any]:
        return {**self._credential, "expires_at": None}


def _connection_string(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


# -- the environment ---------------------------------------------------------------------------------------


def _azure_environment(url: VaultUrl) -> Access:
    env = os.environ.get
    return azure_access(
        url,
        env("AZURE_STORAGE_ACCOUNT_NAME") or env("AZURE_STORAGE_ACCOUNT"),
        key=env("AZURE_STORAGE_ACCOUNT_KEY") or env("AZURE_STORAGE_KEY"),
        sas_token=env("AZURE_STORAGE_SAS_TOKEN"),
        connection_string=env("AZURE_STORAGE_CONNECTION_STRING"),
    )


_ENVIRONMENT: dict[str, Callable[[VaultUrl], Access]] = {
    "s3": s3_access,
    "gs": gcs_access,
    "abfs": _azure_environment,
}


#: A package that only the extra of a scheme brings.
_NEEDED = {"s3": "boto3", "gs": "google.auth", "abfs": "azure.identity"}


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def _missing(url: VaultUrl) -> NoReturn:
    raise MissingDependencyError(
        f"Vaults on {url.scheme}:// need the extra {url.extra!r}: pip install '{_PACKAGE}[{url.extra}]'"
    ) from None
