"""Show what failed attempts and killed processes have left in a vault, and remove it with --apply.

No backup is among it: no manifest names it. It goes when it has shown no sign of life for --older-than, by the
store's clock and by this machine's. With --json, an array of objects with the keys path, what (attempt, record,
clock, temporary, folder, upload), size, last_modified and removed. What the store refuses to remove goes to
stderr and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, text, vaults
from airflow_provider_xbackup.cli.durations import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_xbackup.vault.garbage import Garbage

NAME = "garbage"
HELP = "show or remove what failed attempts have left"

_WHAT = {
    "attempt": "file of a failed attempt",
    "record": "record without a backup",
    "clock": "told the store's clock",
    "temporary": "unfinished file",
    "folder": "empty folder",
    "upload": "unfinished upload",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    parser.add_argument(
        "--older-than", type=duration, default=timedelta(days=7), metavar="AGE", help="how old it has to be (7d)"
    )
    parser.add_argument("--apply", action="store_true", help="remove it; without this nothing is removed")
    parser.add_argument("--json", action="store_true", help="write an array of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.garbage import collect_garbage, find_garbage

    vault = vaults.open_vault(args)
    if args.apply:
        collection = collect_garbage(vault, older_than=args.older_than)
        found, refusals = collection.removed, collection.refused
    else:
        found, refusals = tuple(find_garbage(vault, older_than=args.older_than)), ()
    if args.json:
        _write_json(found, removed=args.apply)
    else:
        _write_table(found)
        number = text.count(len(found), "thing") if found else "Nothing"
        done = "removed from" if args.apply else "would be removed from"
        hint = "" if args.apply or not found else "; --apply removes"
        size = text.size(sum(garbage.size for garbage in found))
        text.console().print(text.cell(f"{number} {done} {vault.url}, {size}{hint}"), soft_wrap=True)
    for refusal in refusals:
        text.complain(refusal.reason)
    return errors.FINDING if refusals else errors.FINE


def _write_json(found: Sequence[Garbage], *, removed: bool) -> None:
    value = [
        {
            "path": garbage.path,
            "what": garbage.what,
            "size": garbage.size,
            "last_modified": garbage.last_modified.isoformat().replace("+00:00", "Z"),
            "removed": removed,
        }
        for garbage in found
    ]
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write_table(found: Sequence[Garbage]) -> None:
    from rich.table import Table

    if not found:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("What", no_wrap=True)
    for heading in ("Age", "Size"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("Path", overflow="fold")
    for garbage in found:
        table.add_row(
            text.cell(_WHAT[garbage.what]),
            text.cell(text.age(garbage.last_modified)),
            text.cell(text.size(garbage.size)),
            text.cell(garbage.path),
        )
    console = text.console()
    console.print(table)
    console.print()
