"""The life of a backup after it was stored: one operator a module, all of them importable from here."""

from __future__ import annotations

from airflow_provider_xbackup.operators.vault.fetch import FetchBackupOperator
from airflow_provider_xbackup.operators.vault.hold import HoldBackupOperator
from airflow_provider_xbackup.operators.vault.replicate import ReplicateBackupsOperator
from airflow_provider_xbackup.operators.vault.retention import ApplyRetentionOperator
from airflow_provider_xbackup.operators.vault.verify import VerifyBackupOperator

__all__ = [
    "ApplyRetentionOperator",
    "FetchBackupOperator",
    "HoldBackupOperator",
    "ReplicateBackupsOperator",
    "VerifyBackupOperator",
]
