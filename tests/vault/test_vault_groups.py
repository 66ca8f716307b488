"""The groups of a vault, as retention reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from interposed_store import interposed

from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.expire import plan_retention
from airflow_provider_xbackup.vault.groups import Groups

NOW = datetime(2026, 12, 1, tzinfo=UTC)
Take = Callable[..., Any]


def an_id(day: int, kind: str = "full") -> str:
    return f"202611{day:02}T000000Z-{kind}-0000000a"


def told(groups: Groups) -> dict[str, list[str]]:
    return {str(group): [entry.backup_id for entry in entries] for group, entries in groups}


def test_groups_come_by_account_each_newest_first(vault: Vault, take: Take) -> None:
    for day, account in ((18, "acme"), (19, "acme 2"), (20, "acme"), (21, "acme-2"), (22, "zeta")):
        take(vault, account, an_id(day))
    take(vault, "acme", an_id(23), scope={"project_ids": ["10000"], "attachments": False})
    take(vault, "bot", an_id(24), service="xenioo")

    groups = told(Groups(vault, now=NOW))

    assert list(groups) == [
        "xenioo/bot",
        "xray/acme",
        "xray/acme, projects 10000",
        "xray/acme 2",
        "xray/acme-2",
        "xray/zeta",
    ]
    assert groups["xray/acme"] == [an_id(20), an_id(18)]


@pytest.mark.parametrize("day", [17, 19, 21], ids=["the oldest", "between", "the newest"])
def test_an_unreadable_one_is_in_every_group_of_its_account_and_in_no_other(
    vault: Vault, take: Take, day: int
) -> None:
    for other in (18, 20):
        take(vault, "acme", an_id(other))
        take(vault, "acme", an_id(other), service="xenioo")
        take(vault, "other", an_id(other))
    take(vault, "acme", an_id(16), scope={"project_ids": ["10000"], "attachments": False})
    vault.store.put(f"xray/acme/{an_id(day)}/manifest.json", b"{")
    groups = Groups(vault, now=NOW)

    held = told(groups)

    assert {name for name, ids in held.items() if an_id(day) in ids} == {"xray/acme", "xray/acme, projects 10000"}
    assert [finding.code for finding in groups.findings] == ["damaged-manifest"]


def test_plans_come_while_the_vault_is_still_read(local: Vault, take: Take) -> None:
    """Of a vault of many accounts no more than a few hundred manifests are read for the first plan."""
    for number in range(300):
        take(local, f"account-{number:03}", an_id(18))
    read: set[str] = set()

    def note(moment: str, name: str, path: str) -> None:
        if name == "read":
            read.add(path)

    plans = plan_retention(interposed(local, note), RetentionPolicy(keep_last=1), now=NOW)
    (first,) = islice(plans, 1)

    assert str(first.group) == "xray/account-000"
    assert len(read) < 300
