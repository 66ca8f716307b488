"""List the backups of a vault, newest first.

With --json, an array of objects with the keys service, account, backup_id, kind, state (ok, suspect,
accepted, incomplete, held, expired), held, in_future, base, requested_at, completed_at, size, stored_size,
entities and url; with --checks also verified. Findings, such as damaged manifests, go to stderr and make the
exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import text, vaults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from airflow_provider_xbackup.vault.catalog import Backup, Catalog
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "list"
HELP = "list the backups of a vault"

_READERS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    vaults.add_filters(parser)
    parser.add_argument(
        "--checks", action="store_true", help="tell which are verified; asks the store about every backup again"
    )
    parser.add_argument("--json", action="store_true", help="write an array of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    vault = vaults.open_vault(args)
    catalog = vault.backups(args.service, args.account)
    backups = _with_checks(vault, catalog) if args.checks else ((backup, None) for backup in catalog)
    if args.json:
        _write_json(backups)
    else:
        _write_table(backups, str(vault.url), checks=args.checks)
    return vaults.report(catalog.findings)


def _with_checks(vault: Vault, catalog: Catalog) -> Iterator[tuple[Backup, bool | None]]:
    """Tell of every backup whether it is verified."""
    from airflow_provider_xbackup.vault.ahead import read_ahead
    from airflow_provider_xbackup.vault.checks import is_verified

    return read_ahead(lambda backup: is_verified(vault.store, backup), catalog, _READERS)


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


def _write_json(backups: Iterable[tuple[Backup, bool | None]]) -> None:
    """Write one object a line, as they are read: a vault may hold very many."""
    separator = "[\n"
    for backup, verified in backups:
        value = as_json(backup) if verified is None else as_json(backup) | {"verified": verified}
        sys.stdout.write(separator + json.dumps(value))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_table(backups: Iterable[tuple[Backup, bool | None]], url: str, *, checks: bool) -> None:
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
        for backup, verified in backups:
            number += 1
            total += backup.manifest.stored_size
            yield (
                text.cell(backup.backup_id),
                text.cell(f"{backup.path.service}/{backup.path.account}"),
                text.cell(text.age(backup.instant)),
                text.cell(text.size(backup.manifest.stored_size)),
                text.state(backup.state),
                *([text.cell("yes" if verified else "no")] if checks else ()),
            )

    text.print_table(columns, rows())
    console = text.console()
    if number:
        console.print()
    summary = f"{text.count(number, 'backup')}, {text.size(total)}" if number else "No backups"
    console.print(text.cell(f"{summary} in {url}"), soft_wrap=True)
