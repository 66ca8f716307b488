"""Show one backup: its manifest, its files, its state.

With --json, an object with the keys vault, url, state, held, accepted, tombstoned and manifest; the
manifest is as stored (docs/manifest.schema.json).
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, text, vaults
from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "show"
HELP = "show one backup and its files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    parser.add_argument("backup_id", metavar="BACKUP_ID", help="for example 20261123T014500Z-full-1a2b3c4d")
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    vault = vaults.open_vault(args)
    backup = _find(vault, args)
    if backup is None:
        text.complain(f"There is no backup {args.backup_id} in {vault.url}. 'xbackup list' shows what there is.")
        return errors.FINDING
    if args.json:
        _write_json(backup)
    else:
        _write_tables(backup)
    return errors.FINE


def _find(vault: Vault, args: argparse.Namespace) -> Backup | None:
    paths = vault.locate(args.backup_id, args.service, args.account)
    if len(paths) > 1:
        accounts = ", ".join(f"{path.service}/{path.account}" for path in paths)
        raise InvalidArgumentError(
            f"Several accounts have a backup {args.backup_id}: {accounts}. Choose with --service and --account."
        )
    return vault.find(paths[0].service, paths[0].account, args.backup_id) if paths else None


def _write_json(backup: Backup) -> None:
    value = {
        "vault": str(backup.url),
        "url": backup.location,
        "state": backup.state,
        "held": backup.held,
        "accepted": backup.accepted,
        "tombstoned": backup.tombstoned,
        "manifest": backup.manifest.to_dict(),
    }
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write_tables(backup: Backup) -> None:
    from rich.table import Table

    console = text.console()
    facts = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(backup):
        facts.add_row(name, text.cell(value))
    files = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    files.add_column("File", overflow="fold")
    files.add_column("Size", no_wrap=True, justify="right")
    files.add_column("Stored", no_wrap=True, justify="right")
    files.add_column("SHA-256 of the stored bytes", overflow="fold")
    for artifact in backup.manifest.artifacts:
        files.add_row(
            text.cell(artifact.name),
            text.cell(text.size(artifact.size)),
            text.cell(text.size(artifact.stored_size)),
            text.cell(artifact.stored_sha256),
        )
    console.print(facts)
    console.print()
    console.print(files)


def _facts(backup: Backup) -> Iterator[tuple[str, str]]:
    manifest = backup.manifest
    projects = manifest.scope.project_ids
    yield "Backup", backup.backup_id
    yield "Account", f"{manifest.service}/{manifest.account}"
    yield "State", "; ".join((backup.state, *manifest.condition.reasons))
    since = f", since {text.when(manifest.modified_since)}" if manifest.modified_since else ""
    yield "Kind", manifest.kind + since
    if manifest.base:
        yield "Base", manifest.base
    if manifest.service == "xray":
        yield "Projects", "all" if projects is None else ", ".join(projects)
        yield "Attachments", "asked for" if manifest.scope.attachments else "not asked for"
    yield "Requested", text.when(manifest.requested_at)
    yield "Completed", text.when(manifest.completed_at)
    if manifest.entities is not None:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(manifest.entities.items()))
        yield "Content", counts or "nothing"
    if manifest.remote.host:
        job = f", job {manifest.remote.job_id}" if manifest.remote.job_id else ""
        yield "Source", manifest.remote.host + job
    task = manifest.producer
    if task.dag_id:
        yield "Made by", f"{task.dag_id} / {task.task_id}, run {task.run_id}, try {task.try_number}"
    yield "Folder", backup.location
