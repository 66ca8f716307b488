"""Bring an expired backup back while its grace period lasts, and hold it for a week.

With --versions, bring one back that was removed from a bucket on S3 that keeps versions. The output is that of
'xbackup hold'.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import hold, people, vaults

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.layout import BackupPath
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "undelete"
HELP = "bring an expired or removed backup back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    parser.add_argument(
        "--versions", action="store_true", help="from the versions of its bucket; with its whole id"
    )
    people.add_words(parser, why_required=False)
    hold.add_end(parser, "held for 7d")
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.undelete import undelete, undelete_versions

    vault = vaults.open_vault(args)
    now = datetime.now(UTC)
    path, bring_back = (
        (_removed(vault, args), undelete_versions)
        if args.versions
        else (vaults.find_backup(vault, args).path, undelete)
    )
    why = args.why or "brought back"
    done = bring_back(vault, path, who=people.who(args), why=why, until=hold.end(args, now), now=now)
    return hold.tell(vault, path, done, as_json=args.json)


def _removed(vault: Vault, args: argparse.Namespace) -> BackupPath:
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.errors import NoSuchBackupError
    from airflow_provider_xbackup.vault.undelete import locate_removed

    paths = locate_removed(vault, args.backup_id, args.service, args.account)
    if not paths:
        raise NoSuchBackupError(
            f"No removed backup {args.backup_id} is among the versions of {vault.url}. 'xbackup list' shows those "
            "that are there."
        )
    if len(paths) > 1:
        accounts = ", ".join(f"{path.service}/{path.account}" for path in paths)
        raise InvalidArgumentError(
            f"Several accounts had a backup {args.backup_id}: {accounts}. Choose with --service and --account."
        )
    return paths[0]
