"""Opens the vault a command was given; Airflow is imported only when its URL names a connection."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Backup, Finding
    from airflow_provider_xbackup.vault.vault import Vault

T = TypeVar("T")


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
        "backup_id",
        metavar="BACKUP_ID",
        help="a backup id or its first 8 characters or more, latest, latest-verified, 'as-of INSTANT'",
    )
    add_filters(parser)


def open_vault(args: argparse.Namespace) -> Vault:
    """Open a vault for reading.

    :param args: the arguments of the command
    :return: the vault, which exists
    :raises BackupError: when it does not, or cannot be reached
    """
    vault = connect(args.vault, debug=args.debug)
    vault.require()
    return vault


def open_remembered(args: argparse.Namespace) -> Vault:
    """Open a vault for a command that shows what is in it.

    Of a vault that is not on this machine's disk, manifests and check records that were read before are not read
    again; see :class:`~airflow_provider_xbackup.vault.remembered.Remembered`.

    :param args: the arguments of the command
    :return: the vault, which exists
    :raises BackupError: when it does not, or cannot be reached
    """
    from airflow_provider_xbackup.vault.remembered import Remembered

    vault = open_vault(args)
    if vault.url.scheme != "file":
        store = vault.store
        store.remember(Remembered(_cache_folder(), f"{vault.url} {store.account} {store.endpoint}"))
    return vault


def _cache_folder() -> Path | None:
    """Return where objects may be kept; None where nobody has such a place, or wants one."""
    named = os.environ.get("XBACKUP_CACHE_DIR")
    if named is None:
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        named = os.path.join(caches, "xbackup") if os.path.isabs(caches) else ""
    return Path(named).absolute() if named else None


def connect(address: str, *, debug: bool) -> Vault:
    """Find the way to a vault; nothing is asked of its store.

    :param address: the vault's URL
    :param debug: whether Airflow may say what it says when it starts
    :return: the vault
    :raises BackupError: when it is no URL of a vault, or its credentials cannot be had
    """
    from airflow_provider_xbackup.vault.url import VaultUrl
    from airflow_provider_xbackup.vault.vault import Vault

    url = VaultUrl.parse(address)
    return Vault.open(url) if url.conn_id is None else _open_with_airflow(url, debug=debug)


def find_backup(vault: Vault, args: argparse.Namespace) -> Backup:
    """Find the one backup that was meant.

    :param vault: the vault
    :param args: the arguments of :func:`add_backup`
    :return: the backup
    :raises InvalidArgumentError: when there are several, several accounts have a latest, or none can be called so
    :raises NoSuchBackupError: when there is none
    :raises ManifestError: when its manifest is damaged
    :raises VaultError: when the store does not answer
    """
    from airflow_provider_xbackup.vault.choose import Selector, choose

    return choose(vault, Selector.parse(args.backup_id), args.service, args.account)


def report(findings: Collection[Finding]) -> int:
    """Write findings to stderr.

    :return: the exit code: 1 where there are any
    """
    from airflow_provider_xbackup.cli import errors, text

    for finding in findings:
        text.complain(f"{finding.code}: {finding.text}")
    return errors.FINDING if findings else errors.FINE


def _open_with_airflow(url: object, *, debug: bool) -> Vault:
    def open_it() -> Vault:
        from airflow_provider_xbackup.hooks.vault import VaultHook

        return VaultHook(url).vault

    return with_airflow(
        open_it,
        f"The vault {url} names an Airflow connection",
        "Leave the connection out of the URL to use the environment's credentials.",
        debug=debug,
    )


def with_airflow(do: Callable[[], T], why: str, instead: str, *, debug: bool) -> T:
    """Do something that needs Airflow, and keep what Airflow says while it starts off the result.

    :param do: what to do
    :param why: why Airflow is needed, for the message where it is not installed
    :param instead: what to do where it is not
    :param debug: let it be heard
    :raises MissingDependencyError: when Airflow is not installed
    """
    from airflow_provider_xbackup.errors import MissingDependencyError

    with contextlib.nullcontext() if debug else _quiet():
        try:
            import airflow  # noqa: F401
        except ImportError:
            raise MissingDependencyError(f"{why}, but Airflow is not installed here. {instead}") from None
        _allow_metadata_database()
        return do()


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
    """Keep what Airflow says while it starts off stdout, which belongs to the result, and off stderr.

    Airflow gives handlers to loggers meanwhile. Those of the root go again, so that warnings of this package are
    told as they are without Airflow: once, on stderr. The others speak into nothing, for good.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(number, os.dup(number)) for number in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    disabled, handlers = logging.root.manager.disable, logging.root.handlers[:]
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(_nothing()),
            contextlib.redirect_stderr(_nothing()),
        ):
            warnings.simplefilter("ignore")
            for number, _ in saved:
                os.dup2(null, number)
            logging.disable(logging.CRITICAL)
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(null)


@cache
def _nothing() -> TextIO:
    """Return what is never closed: handlers may have it, and would complain."""
    return open(os.devnull, "w")
