"""The assets that backups update, for DAGs that are scheduled on them."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

SCHEME = "xbackup"


def backup_asset(service: str, account: str) -> Asset:
    """Return the asset that a new backup of an account updates.

    Put it into the ``outlets`` of the transfer and into the ``schedule`` of the DAG that follows. The
    event's extra carries ``backup_id``, ``vault``, ``bytes``, ``sha256`` and ``condition``.

    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :return: the asset ``xbackup://<service>/<account>``
    """
    return Asset(f"{SCHEME}://{service}/{quote(account, safe='')}")


def backup_alias(service: str) -> AssetAlias:
    """Return the alias that mapped transfers have as outlet: each adds the asset of its own account.

    :param service: ``xray`` or ``xenioo``
    """
    return AssetAlias(name=f"{SCHEME}-{service}", group=SCHEME)


def account_of(uri: str) -> tuple[str, str]:
    """Tell whose backups an asset stands for, for example that of an event which a DAG run follows.

    :param uri: what :func:`backup_asset` made
    :return: the service and the account's name
    :raises ValueError: when it does not name a service and an account
    """
    parts = check_uri(urlsplit(uri))
    return parts.netloc, unquote(parts.path.removeprefix("/"))


def check_uri(uri: SplitResult) -> SplitResult:
    """Check the URI of an asset of this scheme; Airflow calls it for every one a DAG names.

    :param uri: the parsed URI
    :return: the same
    :raises ValueError: when it does not name a service and an account
    """
    account = uri.path.removeprefix("/")
    if uri.netloc not in ("xray", "xenioo") or not account or "/" in account:
        raise ValueError(
            f"The asset {urlunsplit(uri)!r} is not of the form xbackup://<service>/<account>, "
            "with xray or xenioo as service and the account's name percent-encoded."
        )
    return uri
