"""Vaults: where backups are kept, as objects that need nothing but themselves to be understood."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Backup, Catalog
    from airflow_provider_xbackup.vault.draft import Draft
    from airflow_provider_xbackup.vault.manifest import Manifest
    from airflow_provider_xbackup.vault.plan import RetentionPlan
    from airflow_provider_xbackup.vault.retention import RetentionPolicy
    from airflow_provider_xbackup.vault.url import VaultUrl
    from airflow_provider_xbackup.vault.vault import Vault

__all__ = ["Backup", "Catalog", "Draft", "Manifest", "RetentionPlan", "RetentionPolicy", "Vault", "VaultUrl"]

#: Where each name lives; imported when it is first used, since pydantic is not cheap.
_HOMES = {
    "Backup": "catalog",
    "Catalog": "catalog",
    "Draft": "draft",
    "Manifest": "manifest",
    "RetentionPlan": "plan",
    "RetentionPolicy": "retention",
    "Vault": "vault",
    "VaultUrl": "url",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
