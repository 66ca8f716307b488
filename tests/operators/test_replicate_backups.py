"""Copying vaults as a task."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.vault import ReplicateBackupsOperator
from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.checks import read_checks

TODAY = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def source(vault: Vault) -> Vault:
    for days in (1, 2):
        draft = vault.draft("xray", "acme", f"{TODAY - timedelta(days=days):%Y%m%dT%H%M%SZ}-full-0000000a")
        draft.add("backup", [b"x" * 1500], media_type="application/zip")
        draft.commit(requested_at=TODAY, producer={"package_version": "1"})
    return vault


@pytest.fixture
def target(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "copies")


def replicate(source: Vault, target: Vault, **arguments: Any) -> Any:
    operator = ReplicateBackupsOperator(
        task_id="replicate", source=str(source.url), target=str(target.url), **arguments
    )
    return operator.execute(make_context(dag_id="copies"))


def test_it_copies_and_returns_numbers(source: Vault, target: Vault):
    told = replicate(source, target)

    assert json.loads(json.dumps(told)) == {
        "source": str(source.url),
        "target": str(target.url),
        "copied": 2,
        "present": 0,
        "repaired": 0,
        "revived": 0,
        "half_removed": 0,
        "left_out": 0,
        "bytes": 3000,
    }
    assert replicate(source, target)["present"] == 2


def test_the_check_of_a_copy_names_the_task_that_made_it(source: Vault, target: Vault):
    replicate(source, target)

    newest = next(iter(target.backups()))
    assert [check.producer.dag_id for check in read_checks(target.store, newest.path, newest.names or ())] == [
        "copies"
    ]


@pytest.mark.parametrize("retention", [RetentionPolicy(keep_last=1), {"keep_last": 1}])
def test_a_policy_chooses_what_is_copied(source: Vault, target: Vault, retention: Any):
    told = replicate(source, target, retention=retention)

    assert (told["copied"], told["left_out"]) == (1, 1)


def test_damage_fails_the_task_after_all_others_were_copied(source: Vault, target: Vault):
    newest = next(iter(source.backups()))
    source.store.delete(newest.path.file(newest.manifest.artifacts[0].name))

    with pytest.raises(XBackupFailError, match=r"1 of 2 backups could not be copied.*is damaged"):
        replicate(source, target)
    assert len(list(target.backups())) == 1


def test_copying_nothing_fails(target: Vault, tmp_path: Path):
    empty = Vault.open(tmp_path / "empty")
    empty.prepare()

    with pytest.raises(XBackupFailError, match="There is no backup to copy"):
        replicate(empty, target)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"retention": {"keep_lots": 1}}, id="an unknown rule"),
        pytest.param({"retention": {"min_verified": 3}}, id="a policy without a rule"),
        pytest.param({"retention": {"keep_last": 1, "timezone": "Mars/X"}}, id="no time zone"),
        pytest.param({"repair": "yes"}, id="no switch"),
        pytest.param({"service": "zray"}, id="an unknown service"),
        pytest.param({"target": "nonsense://x"}, id="no vault"),
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any]):
    with pytest.raises(XBackupError):
        ReplicateBackupsOperator(**{"task_id": "r", "source": "file:///a", "target": "file:///b"} | arguments)
