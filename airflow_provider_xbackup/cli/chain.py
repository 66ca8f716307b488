"""What is needed to get back to a backup, for ``xbackup show --chain``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import errors, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.vault import Vault


def show_chain(vault: Vault, backup: Backup, *, as_json: bool) -> int:
    """Show the full backup that a partial builds on, and itself.

    :param vault: the vault
    :param backup: the backup to get back to
    :param as_json: whether to write JSON
    :return: the exit code: 1 where one of them cannot be relied on
    :raises NoSuchBackupError: when the base is not there, or nobody knows which it is
    :raises ManifestError: when the base's manifest is damaged
    :raises VaultError: when the store does not answer
    """
    from airflow_provider_xbackup.vault.choose import how_to_fetch, restore_set

    backups = restore_set(vault, backup)
    fetch = how_to_fetch(vault.url, backups)
    if as_json:
        value = {
            "vault": str(vault.url),
            "backups": [_as_json(each) for each in backups],
            "fetch": fetch,
        }
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        _write_table(backups, fetch)
    code = errors.FINE
    for each in backups:
        if not each.reliable:
            word = "of the future" if each.in_future else each.state
            text.complain(" ".join((f"{each.location} is {word}.", *each.verdict.flaws)))
            code = errors.FINDING
    return code


def _as_json(backup: Backup) -> dict[str, Any]:
    return {
        "backup_id": backup.backup_id,
        "kind": backup.manifest.kind,
        "state": backup.state,
        "verified": backup.verified,
        "requested_at": backup.manifest.to_dict()["requested_at"],
        "url": backup.location,
        "files": [
            artifact.model_dump(mode="json", include={"name", "role", "size", "stored_size", "stored_sha256"})
            for artifact in backup.manifest.artifacts
        ],
    }


def _write_table(backups: Sequence[Backup], fetch: str) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Backup", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Verified", no_wrap=True)
    table.add_column("File", overflow="fold")
    table.add_column("Size", no_wrap=True, justify="right")
    for backup in backups:
        verified = "yes" if backup.verified else "no"
        first = (text.cell(backup.backup_id), text.state(backup.state), text.cell(verified))
        for artifact in backup.manifest.artifacts:
            table.add_row(*first, text.cell(artifact.name), text.cell(text.size(artifact.size)))
            first = (text.cell(""), text.cell(""), text.cell(""))
    console = text.console()
    console.print(table)
    console.print()
    console.print(text.cell(f"To get them: {fetch}"), soft_wrap=True)
