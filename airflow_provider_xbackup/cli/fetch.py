"""Get the files of a backup out of a vault: verified, decrypted, decompressed.

They are placed in DIR/BACKUP_ID/ as backup.zip, attachments.zip or bot.json, and manifest.json last; a file that
is another one is never overwritten. Run again after it was interrupted, it goes on. With --json, an array of
objects with the keys backup_id, state, folder and files (role, path, size, sha256).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, keys, text, vaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.fetch import Fetched

NAME = "fetch"
HELP = "get the files of a backup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    parser.add_argument("directory", metavar="DIR", help="where the folder of the backup is to be")
    parser.add_argument(
        "--chain", action="store_true", help="of a partial backup, get the full one it builds on too"
    )
    keys.add_identity(parser)
    parser.add_argument("--json", action="store_true", help="write an array of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.choose import Selector, choose, restore_set
    from airflow_provider_xbackup.vault.fetch import fetch

    selector = Selector.parse(args.backup_id)
    identities = keys.read_identities(args)
    vault = vaults.open_vault(args)
    backup = choose(vault, selector, args.service, args.account)
    backups = restore_set(vault, backup) if args.chain else (backup,)
    with _progress(backups) as advance:
        found = [fetch(vault, each, args.directory, identities, advance) for each in backups]
    if args.json:
        _write_json(found)
    else:
        _write_lines(found)
    return errors.FINE


def _write_json(found: Sequence[Fetched]) -> None:
    value = [
        {
            "backup_id": each.backup.backup_id,
            "state": each.backup.state,
            "folder": str(each.folder),
            "files": [
                {"role": file.role, "path": str(file.path), "size": file.size, "sha256": file.sha256}
                for file in each.files
            ],
        }
        for each in found
    ]
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write_lines(found: Sequence[Fetched]) -> None:
    for each in found:
        manifest = each.backup.manifest
        for file in each.files:
            print(text.safe(f"{file.path}  {text.size(file.size)}"))
        if each.backup.state in ("suspect", "damaged", "incomplete"):
            print(text.safe(" ".join((f"This backup is {each.backup.state}.", *each.backup.verdict.flaws))))
        if manifest.kind == "partial" and len(found) == 1:
            what = f"builds on {manifest.base}: --chain gets both" if manifest.base else "holds changes only"
            print(text.safe(f"This backup is partial and {what}."))


@contextlib.contextmanager
def _progress(backups: Sequence[Backup]) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far it is."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(backup.manifest.size for backup in backups))
        yield lambda size: progress.advance(task, size)
