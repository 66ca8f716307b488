"""Show one backup: its manifest, its files, its state.

With --json, an object with the keys vault, url, state, flaws (what is wrong, in sentences), held, accepted,
tombstoned, verified, acceptance (who, why, at; null where nobody accepted it), check (the newest check record, or
null) and manifest, which is as stored (docs/manifest.schema.json). With --chain, an object with the keys vault,
backups (the base first; each with backup_id, kind, state, verified, requested_at, url and files) and fetch, the
command that gets them.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_xbackup.cli import errors, text, vaults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.checks import Check
    from airflow_provider_xbackup.vault.records import Acceptance

NAME = "show"
HELP = "show one backup and its files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    parser.add_argument(
        "--chain",
        action="store_true",
        help="show what is needed to get back to it: the full backup that a partial builds on, and itself",
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.cli.chain import show_chain
    from airflow_provider_xbackup.vault.acceptance import read_acceptance
    from airflow_provider_xbackup.vault.checks import read_checks
    from airflow_provider_xbackup.vault.errors import RecordError

    vault = vaults.open_vault(args)
    backup = vaults.find_backup(vault, args)
    if args.chain:
        return show_chain(vault, backup, as_json=args.json)
    code, acceptance, check = errors.FINE, None, None
    try:
        acceptance = read_acceptance(vault.store, backup.path) if backup.accepted else None
    except RecordError as exc:
        text.complain(str(exc))
        code = errors.FINDING
    try:
        check = next(read_checks(vault.store, backup.path, backup.names or ()), None)
    except RecordError as exc:
        text.complain(str(exc))
        code = errors.FINDING
    seen = Seen(backup.verified, check)
    if args.json:
        _write_json(backup, acceptance, seen)
    else:
        _write_tables(backup, acceptance, seen)
    return code


class Seen(NamedTuple):
    """What verifications have seen of a backup.

    :param verified: whether it counts as verified
    :param check: the newest check record
    """

    verified: bool
    check: Check | None


def _write_json(backup: Backup, acceptance: Acceptance | None, seen: Seen) -> None:
    value = {
        "vault": str(backup.url),
        "url": backup.location,
        "state": backup.state,
        "flaws": list(backup.verdict.flaws),
        "held": backup.held,
        "accepted": backup.accepted,
        "tombstoned": backup.tombstoned,
        "verified": seen.verified,
        "acceptance": None if acceptance is None else acceptance.to_dict(),
        "check": None if seen.check is None else seen.check.to_dict(),
        "manifest": backup.manifest.to_dict(),
    }
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write_tables(backup: Backup, acceptance: Acceptance | None, seen: Seen) -> None:
    from rich.table import Table

    console = text.console()
    facts = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(backup, acceptance, seen):
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


def _facts(backup: Backup, acceptance: Acceptance | None, seen: Seen) -> Iterator[tuple[str, str]]:
    manifest = backup.manifest
    projects = manifest.scope.project_ids
    yield "Backup", backup.backup_id
    yield "Account", f"{manifest.service}/{manifest.account}"
    yield "State", "; ".join((backup.state, *(backup.verdict.flaws or manifest.condition.reasons)))
    if acceptance is not None:
        yield "Accepted", f"by {acceptance.who} on {text.when(acceptance.at)}: {acceptance.why}"
    yield "Verified", _told(seen, str(backup.url.without_connection))
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
    bot = manifest.remote.bot
    if bot is not None and bot.name is not None:
        yield "Bot", bot.name
    if bot is not None and bot.key_sha256 is not None:
        yield "SHA-256 of its key", bot.key_sha256
    task = manifest.producer
    if task.dag_id:
        yield "Made by", f"{task.dag_id} / {task.task_id}, run {task.run_id}, try {task.try_number}"
    yield "Folder", backup.location


def _told(seen: Seen, vault: str) -> str:
    """Say in a line what the newest check is worth."""
    check = seen.check
    if check is None:
        return "never"
    words = [
        "yes" if seen.verified else "no",
        f"looked at as deep as {check.reached} on {text.when(check.at)}",
        "passed" if check.passed else "failed",
        *(f"{finding.code}: {finding}" for finding in check.findings),
    ]
    if check.vault != vault:
        words.insert(1, f"checked in another vault ({check.vault})")
    return "; ".join(words)
