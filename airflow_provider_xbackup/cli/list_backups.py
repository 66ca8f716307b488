"""List the backups of a vault, newest first.

With --json, an array of objects with the keys service, account, backup_id, kind, state (ok, suspect, accepted,
damaged, incomplete, held, expired), flaws (what is wrong, in sentences), held, in_future, base, requested_at,
completed_at, size, stored_size, entities and url; with --checks also verified. Findings, such as damaged
manifests, go to stderr and make the exit code 1.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import text, vaults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from airflow_provider_xbackup.vault.catalog import Backup

NAME = "list"
HELP = "list the backups of a vault"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    vaults.add_filters(parser)
    parser.add_argument("--checks", action="store_true", help="tell which are verified")
    parser.add_argument("--json", action="store_true", help="write an array of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    vault = vaults.open_remembered(args)
    catalog = vault.backups(args.service, args.account)
    if args.json:
        text.write_array(as_json(backup) | _checked(backup, args) for backup in catalog)
    else:
        _write_table(catalog, str(vault.url), checks=args.checks)
    return vaults.report(catalog.findings)


def _checked(backup: Backup, args: argparse.Namespace) -> dict[str, Any]:
    return {"verified": backup.verified} if args.checks else {}


def as_json(backup: Backup) -> dict[str, Any]:
    """Return what ``--json`` tells about a backup."""
    told = {"kind", "base", "requested_at", "completed_at", "entities"}
    manifest = backup.manifest.model_dump(mode="json", include=told)
    return {
        "service": backup.path.service,
        "account": backup.path.account,
        "backup_id": backup.backup_id,
        "kind": manifest["kind"],
        "state": backup.state,
        "flaws": list(backup.verdict.flaws),
        "held": backup.held,
        "in_future": backup.in_future,
        "base": manifest["base"],
        "requested_at": manifest["requested_at"],
        "completed_at": manifest["completed_at"],
        "size": backup.manifest.size,
        "stored_size": backup.manifest.stored_size,
        "entities": manifest["entities"],
        "url": backup.location,
    }


def _write_table(backups: Iterable[Backup], url: str, *, checks: bool) -> None:
    from rich.table import Column

    columns = [
        Column("Backup", no_wrap=True),
        Column("Account", overflow="fold"),
        Column("Age", no_wrap=True, justify="right"),
        Column("Size", no_wrap=True, justify="right"),
        Column("State", no_wrap=True),
        *([Column("Verified", no_wrap=True)] if checks else ()),
    ]
    number = total = 0

    def rows() -> Iterator[tuple[Text, ...]]:
        nonlocal number, total
        for backup in backups:
            number += 1
            total += backup.manifest.stored_size
            yield (
                text.cell(backup.backup_id),
                text.cell(f"{backup.path.service}/{backup.path.account}"),
                text.cell(text.age(backup.instant)),
                text.cell(text.size(backup.manifest.stored_size)),
                text.state(backup.state),
                *([text.cell("yes" if backup.verified else "no")] if checks else ()),
            )

    text.print_table(columns, rows())
    console = text.console()
    if number:
        console.print()
    summary = f"{text.count(number, 'backup')}, {text.size(total)}" if number else "No backups"
    console.print(text.cell(f"{summary} in {url}"), soft_wrap=True)
