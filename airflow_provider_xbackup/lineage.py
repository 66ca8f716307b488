"""What tasks tell OpenLineage: from which account to which files, and the other way.

Imports OpenLineage, which is an extra: operators import this module only in what OpenLineage's provider calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.common.compat.openlineage.facet import (
    DatasetFacet,
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
)
from airflow.providers.openlineage.extractors import OperatorLineage

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.fetch import Fetched
    from airflow_provider_xbackup.vault.manifest import Artifact
    from airflow_provider_xbackup.vault.vault import Vault

_SCHEMA = "https://airflow-provider-xbackup.readthedocs.io/lineage.schema.json#/$defs/XBackupDatasetFacet"
_FACET = "xbackup"


@attr.define
class XBackupDatasetFacet(DatasetFacet):
    """The facet ``xbackup`` of a file: which backup it belongs to, and its digests. No secret is in it."""

    service: str
    account: str
    backup_id: str
    kind: str
    condition: str
    role: str
    sha256: str
    stored_sha256: str

    @property
    def skip_redact(self) -> list[str]:
        """The fields in which no secret is looked for: all of them."""
        return [*super().skip_redact, *(each.name for each in attr.fields(type(self)))]

    @staticmethod
    def _get_schema() -> str:
        return _SCHEMA


def of_nothing() -> OperatorLineage[Any, Any]:
    """Tell of a task that came to nothing."""
    return OperatorLineage()


def of_transfer(vault: Vault, backup: Backup) -> OperatorLineage[Any, Any]:
    """Tell of a backup that was stored: from its account to its files.

    :param vault: where it is
    :param backup: the backup
    """
    host = backup.manifest.remote.host or "unknown"
    source = InputDataset(namespace=f"{backup.path.service}://{host}", name=backup.path.account)
    outputs = [
        OutputDataset(
            *_name(vault, backup, artifact),
            facets={_FACET: _facet(backup, artifact)},
            outputFacets={
                "outputStatistics": OutputStatisticsOutputDatasetFacet(size=artifact.stored_size, fileCount=1)
            },
        )
        for artifact in backup.manifest.artifacts
    ]
    return OperatorLineage(inputs=[source], outputs=outputs)


def of_fetch(vault: Vault, fetched: tuple[Fetched, ...]) -> OperatorLineage[Any, Any]:
    """Tell of backups that were fetched: from their files in the vault to those on the worker.

    :param vault: where they were
    :param fetched: what was placed
    """
    outputs = [
        OutputDataset(
            namespace="file",
            name=str(file.path),
            outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(size=file.size, fileCount=1)},
        )
        for each in fetched
        for file in each.files
    ]
    inputs = [dataset for each in fetched for dataset in _files_of(vault, each.backup)]
    return OperatorLineage(inputs=inputs, outputs=outputs)


def of_restore(vault: Vault, backup: Backup, host: str, bot: str | None) -> OperatorLineage[Any, Any]:
    """Tell of a bot that was made of a backup.

    :param vault: where the backup is
    :param backup: the backup
    :param host: the host of the bot's service
    :param bot: the name of the new bot; None where nobody tells, and then no output is named
    """
    outputs = [] if bot is None else [OutputDataset(namespace=f"{backup.path.service}://{host}", name=bot)]
    return OperatorLineage(inputs=list(_files_of(vault, backup)), outputs=outputs)


def _files_of(vault: Vault, backup: Backup) -> Iterator[InputDataset]:
    for artifact in backup.manifest.artifacts:
        yield InputDataset(*_name(vault, backup, artifact), facets={_FACET: _facet(backup, artifact)})


def _facet(backup: Backup, artifact: Artifact) -> XBackupDatasetFacet:
    manifest = backup.manifest
    return XBackupDatasetFacet(
        service=manifest.service,
        account=manifest.account,
        backup_id=backup.backup_id,
        kind=manifest.kind,
        condition=manifest.condition.state,
        role=artifact.role,
        sha256=artifact.sha256,
        stored_sha256=artifact.stored_sha256,
    )


def _name(vault: Vault, backup: Backup, artifact: Artifact) -> tuple[str, str]:
    """Return namespace and name of a file, as OpenLineage's naming conventions have them."""
    url, path = vault.url, backup.path.file(artifact.name)
    namespaces = {
        "file": "file",
        "s3": f"s3://{url.bucket}",
        "gs": f"gs://{url.bucket}",
        "abfs": f"abfss://{url.bucket}@{vault.store.account}.dfs.core.windows.net",
    }
    return namespaces[url.scheme], url.key(path)
