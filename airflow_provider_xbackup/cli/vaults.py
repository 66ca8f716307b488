"""Opens the vault a command was given; Airflow is imported only when its URL names a connection."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Backup, Finding
    from airflow_provider_xbackup.vault.vault import Vault


def add_vault(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all commands on a vault have."""
    parser.add_argument("vault", metavar="VAULT", help="the vault's URL, for example s3://bucket/prefix")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose among the backups of a vault."""
    parser.add_argument("--service", choices=("xray", "xenioo"), help="only this service")
    parser.add_argument("--account", help="only this account")


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose one backup of a vault; :func:`find_backup` reads them."""
    add_vault(parser)
    parser.add_argument(
        "backup_id", metavar="BACKUP_ID", help="20261123T014500Z-full-1a2b3c4d, or its first 8 characters or more"
    )
    add_filters(parser)


def open_vault(args: argparse.Namespace) -> Vault:
    """Open a vault for reading.

    :param args: the arguments of the command
    :return: the vault, which exists
    :raises BackupError: when it does not, or cannot be reached
    """
    from airflow_provider_xbackup.vault.url import VaultUrl
    from airflow_provider_xbackup.vault.vault import Vault

    url = VaultUrl.parse(args.vault)
    vault = Vault.open(url) if url.conn_id is None else _open_with_airflow(url, debug=args.debug)
    vault.require()
    return vault


def find_backup(vault: Vault, args: argparse.Namespace) -> Backup:
    """Find the one backup that was meant.

    :param vault: the vault
    :param args: the arguments of :func:`add_backup`
    :return: the backup
    :raises InvalidArgumentError: when there are several, or none can be called so
    :raises NoSuchBackupError: when there is none
    :raises ManifestError: when its manifest is damaged
    :raises VaultError: when the store does not answer
    """
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.errors import NoSuchBackupError

    paths = vault.locate(args.backup_id, args.service, args.account)
    if len({path.backup_id for path in paths}) > 1:
        raise InvalidArgumentError(
            f"Several backups begin with {args.backup_id}: {_some(path.folder for path in paths)}. Write more of "
            "the id."
        )
    if len(paths) > 1:
        raise InvalidArgumentError(
            f"Several accounts have a backup {paths[0].backup_id}: "
            f"{_some(f'{path.service}/{path.account}' for path in paths)}. Choose with --service and --account."
        )
    backup = vault.find(paths[0].service, paths[0].account, paths[0].backup_id) if paths else None
    if backup is None:
        raise NoSuchBackupError(
            f"There is no backup {args.backup_id} in {vault.url}. 'xbackup list' shows what there is."
        )
    return backup


def report(findings: list[Finding]) -> int:
    """Write findings to stderr.

    :return: the exit code: 1 where there are any
    """
    from airflow_provider_xbackup.cli import errors, text

    for finding in findings:
        text.complain(f"{finding.code}: {finding.text}")
    return errors.FINDING if findings else errors.FINE


def _some(names: Iterable[str], limit: int = 5) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _open_with_airflow(url: object, *, debug: bool) -> Vault:
    from airflow_provider_xbackup.errors import MissingDependencyError

    with contextlib.nullcontext() if debug else _quiet():
        try:
            import airflow  # noqa: F401
        except ImportError:
            raise MissingDependencyError(
                f"The vault {url} names an Airflow connection, but Airflow is not installed here. Leave the "
                "connection out of the URL to use the environment's credentials."
            ) from None
        _allow_metadata_database()
        from airflow_provider_xbackup.hooks.vault import VaultHook

        return VaultHook(url).vault


def _allow_metadata_database() -> None:
    """Let Airflow look into its database for connections, as ``airflow connections get`` does.

    Outside a task it looks into the environment and the secrets backends only. SQLite would make an empty
    database of one that does not exist, so such a one counts as not configured.
    """
    from airflow.configuration import conf

    address = conf.get("database", "sql_alchemy_conn", fallback="")
    kind, _, path = address.partition(":///")
    if address and (not kind.startswith("sqlite") or os.path.isfile(path)):
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Airflow says while it starts off stdout, which belongs to the result, and off stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(number, os.dup(number)) for number in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    disabled = logging.root.manager.disable
    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w") as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(nothing),
        ):
            warnings.simplefilter("ignore")
            for number, _ in saved:
                os.dup2(null, number)
            logging.disable(logging.CRITICAL)
            yield
    finally:
        logging.disable(disabled)
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(null)
