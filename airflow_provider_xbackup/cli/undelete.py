"""Bring an expired backup back while its grace period lasts, and hold it for a week.

With --versions, bring one back that was removed from a bucket on S3 that keeps versions; without an id, list those
that can come back. The output is that of 'xbackup hold'; of the list with --json, an array of objects with the
keys service, account, backup_id, removed_at and stored_size.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, hold, people, text, vaults
from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from airflow_provider_xbackup.vault.layout import BackupPath
    from airflow_provider_xbackup.vault.undelete import Removed
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "undelete"
HELP = "bring an expired or removed backup back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    parser.add_argument(
        "backup_id",
        nargs="?",
        metavar="BACKUP_ID",
        help="20261123T014500Z-full-1a2b3c4d, or its first 8 characters or more",
    )
    parser.add_argument(
        "--versions",
        action="store_true",
        help="from the versions of its bucket; without an id, list what can come back from there",
    )
    people.add_words(parser, why_required=False)
    hold.add_end(parser, "held for 7d")
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object, or of the list an array")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.undelete import find_removed, list_removed, undelete, undelete_versions

    vault = vaults.open_vault(args)
    if args.backup_id is None:
        if not args.versions:
            raise InvalidArgumentError(
                "Say which backup: 'xbackup list' shows those that have expired, and 'xbackup undelete VAULT "
                "--versions' those that were removed from a bucket on S3 that keeps versions."
            )
        return _tell(vault, list_removed(vault, args.service, args.account), as_json=args.json)
    now = datetime.now(UTC)
    if args.versions:
        path = find_removed(vault, args.backup_id, args.service, args.account)
        bring_back = undelete_versions
    else:
        path = _expired(vault, args)
        bring_back = undelete
    why = args.why or "brought back"
    done = bring_back(vault, path, who=people.who(args), why=why, until=hold.end(args, now), now=now)
    return hold.tell(vault, path, done, as_json=args.json)


def _expired(vault: Vault, args: argparse.Namespace) -> BackupPath:
    from airflow_provider_xbackup.vault.choose import find_by_id
    from airflow_provider_xbackup.vault.errors import NoSuchBackupError

    try:
        return find_by_id(vault, args.backup_id, args.service, args.account).path
    except NoSuchBackupError as exc:
        if vault.store.versions is None:
            raise
        raise NoSuchBackupError(
            f"{exc} If its bucket keeps versions, 'xbackup undelete VAULT --versions' lists what was removed and "
            "can come back."
        ) from None


def _tell(vault: Vault, removed: Iterable[Removed], *, as_json: bool) -> int:
    if as_json:
        text.write_array(
            {
                "service": each.path.service,
                "account": each.path.account,
                "backup_id": each.path.backup_id,
                "removed_at": f"{each.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "stored_size": each.stored_size,
            }
            for each in removed
        )
        return errors.FINE
    from rich.table import Column

    number = 0

    def rows() -> Iterator[tuple[Text, ...]]:
        nonlocal number
        for each in removed:
            number += 1
            yield (
                text.cell(each.path.backup_id),
                text.cell(f"{each.path.service}/{each.path.account}"),
                text.cell(text.when(each.at)),
                text.cell(text.size(each.stored_size)),
            )

    columns = [
        Column("Backup", no_wrap=True),
        Column("Account", overflow="fold"),
        Column("Removed", no_wrap=True),
        Column("Size", no_wrap=True, justify="right"),
    ]
    text.print_table(columns, rows())
    console = text.console()
    if number:
        console.print()
    told = f"{text.count(number, 'removed backup')} can come back" if number else "No removed backup can come back"
    console.print(text.cell(f"{told} in {vault.url}"), soft_wrap=True)
    return errors.FINE
