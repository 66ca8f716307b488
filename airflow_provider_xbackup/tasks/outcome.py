"""What a transfer tells Airflow about a stored backup: its producer, its return value, its asset event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_xbackup.assets import backup_asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context
    from pydantic import JsonValue

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.manifest import Producer


def producer_of(context: Context) -> Producer:
    """Return who makes a backup, for its manifest."""
    from airflow import __version__ as airflow_version

    from airflow_provider_xbackup import __version__
    from airflow_provider_xbackup.vault.manifest import Producer

    ti = context["ti"]
    return Producer(
        package_version=__version__,
        airflow_version=airflow_version,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )


def conclusion_of(backup: Backup) -> str:
    """Say in one line what became of a transfer, as its log ends with."""
    size = backup.manifest.stored_size
    if not backup.reliable:
        return " ".join(
            (f"Backup {backup.location} is stored as {backup.state}: {size} bytes.", *backup.verdict.flaws)
        )
    return f"Backup {backup.location} is whole: {size} bytes."


def summary_of(backup: Backup) -> dict[str, Any]:
    """Return what a transfer hands on through XCom."""
    return {
        "service": backup.path.service,
        "account": backup.path.account,
        "backup_id": backup.backup_id,
        "vault": str(backup.url),
        "manifest": backup.url.join(backup.path.manifest),
        "bytes": backup.manifest.stored_size,
    }


def announce(context: Context, task: BaseOperator, backup: Backup) -> None:
    """Put the backup into the asset events of the task's outlets.

    An :class:`AssetAlias` among the outlets gets the account's asset; an asset of another account gets
    nothing of its own, and a warning in the log.

    :param context: the task's context
    :param task: the transfer
    :param backup: the stored backup
    """
    asset = backup_asset(backup.path.service, backup.path.account)
    manifest = backup.manifest
    extra: dict[str, JsonValue] = {
        "backup_id": backup.backup_id,
        "vault": str(backup.url.without_connection),
        "bytes": manifest.stored_size,
        "sha256": manifest.artifacts[0].stored_sha256,
        "condition": manifest.condition.state,
    }
    for outlet in task.outlets:
        if isinstance(outlet, AssetAlias):
            context["outlet_events"][outlet].add(asset, extra=extra)
        elif isinstance(outlet, Asset) and outlet.uri == asset.uri:
            context["outlet_events"][outlet].extra.update(extra)
        elif isinstance(outlet, Asset) and outlet.uri.startswith("xbackup://"):
            task.log.warning(
                "The outlet %s of this task is another account's: the backup is of %s.", outlet.uri, asset.uri
            )
