"""Retention and holds as tasks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.vault import ApplyRetentionOperator, HoldBackupOperator
from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.holds import hold, read_hold

TODAY = datetime.now(UTC).replace(microsecond=0)


def an_id(days_ago: int) -> str:
    return f"{TODAY - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}-full-0000000a"


def take(vault: Vault, days_ago: int, account: str = "acme", **fields: Any) -> Any:
    draft = vault.draft("xray", account, an_id(days_ago))
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    return draft.commit(requested_at=TODAY, producer={"package_version": "1"}, **fields)


@pytest.fixture
def kept(vault: Vault) -> Vault:
    """A vault with three fulls of one account."""
    for days_ago in (1, 2, 3):
        take(vault, days_ago)
    return vault


def states(vault: Vault, account: str = "acme") -> list[str]:
    return [backup.state for backup in vault.backups(account=account)]


def retain(vault: Vault, **arguments: Any) -> Any:
    operator = ApplyRetentionOperator(task_id="retain", vault=str(vault.url), **arguments)
    return operator.execute(make_context())


def test_it_expires_what_the_policy_does_not_keep_and_returns_numbers(kept: Vault) -> None:
    told = retain(kept, keep_last=1)

    assert states(kept) == ["ok", "expired", "expired"]
    assert json.loads(json.dumps(told)) == {
        "vault": str(kept.url), "dry_run": False, "groups": 1, "kept": 1, "expired": 2, "revived": 0, "removed": 0,
        "freed": 0, "garbage": 0, "not_let_go": 0, "paused": [],
    }  # fmt: skip
    assert retain(kept, keep_last=1, grace=timedelta(0))["freed"] == 3000
    assert states(kept) == ["ok"]


def test_a_dry_run_tells_and_does_nothing(kept: Vault, capfd: pytest.CaptureFixture[str]) -> None:
    told = retain(kept, keep_last=1, dry_run=True)

    assert (told["dry_run"], told["expired"]) == (True, 2)
    assert f"xray/acme/{an_id(2)}: would expire: no rule keeps it" in capfd.readouterr().out
    assert states(kept) == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": RetentionPolicy(keep_last=2)},
        {"policy": {"keep_last": 2}},
        {"policy": {"keep_last": 7}, "keep_last": 2},
        {"policy": RetentionPolicy(timezone="Europe/Berlin"), "keep_last": 2},
        {"keep_within": "36h"},
    ],
)
def test_a_policy_is_given_in_any_of_three_ways(kept: Vault, policy: dict[str, Any]) -> None:
    assert retain(kept, **policy)["expired"] == 1


def test_a_refusal_fails_the_task_when_all_other_groups_are_done(
    kept: Vault, capfd: pytest.CaptureFixture[str]
) -> None:
    for days_ago in range(1, 9):
        take(kept, days_ago, "another")

    with pytest.raises(XBackupFailError) as caught:
        retain(kept, keep_last=1)

    assert "xray/another: 7 of 8 backups would expire" in str(caught.value)
    assert "override='max-delete-fraction'" in str(caught.value)
    assert set(states(kept, "another")) == {"ok"}
    assert states(kept) == ["ok", "expired", "expired"]
    said = capfd.readouterr().out
    assert "Nothing of xray/another expires, it is refused: 7 of 8 backups would expire" in said
    assert f"xray/another/{an_id(2)}: would expire: no rule keeps it" in said
    assert f"xray/acme/{an_id(2)}: expire: no rule keeps it" in said
    assert retain(kept, keep_last=1, override="max-delete-fraction")["expired"] == 7


def test_a_paused_group_is_told_and_fails_nothing(kept: Vault, capfd: pytest.CaptureFixture[str]) -> None:
    take(kept, 0, condition={"state": "suspect", "reasons": ["fell"]})

    assert retain(kept, keep_last=1)["paused"] == ["xray/acme"]
    assert "is suspect" in capfd.readouterr().out
    assert "expired" not in states(kept)


def test_only_what_is_named_is_touched(kept: Vault) -> None:
    take(kept, 1, "another")
    take(kept, 2, "another")

    assert retain(kept, keep_last=1, service="xray", account="another")["expired"] == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param({}, "Say what to keep", id="no rule"),
        pytest.param({"keep_last": 0}, "Say what to keep", id="a rule that keeps nothing"),
        pytest.param({"keep_last": -2}, "keep_last", id="a negative count"),
        pytest.param({"keep_within": "x"}, "keep_within", id="no duration"),
        pytest.param({"policy": {"keep_all": 1}}, "keep_all", id="an unknown field"),
        pytest.param({"policy": "keep_last=3"}, "a dict of its fields", id="text"),
        pytest.param({"keep_last": 1, "timezone": "X"}, "no time zone", id="an unknown time zone"),
        pytest.param({"keep_last": 1, "override": "all"}, "max-delete-fraction", id="an unknown override"),
        pytest.param({"keep_last": 1, "grace": 3}, "grace must be a timedelta", id="a number for a grace period"),
        pytest.param({"keep_last": 1, "garbage_after": timedelta(-1)}, "garbage_after", id="a negative age"),
        pytest.param({"keep_last": 1, "grace": timedelta.max}, "100 years at most", id="a grace that never ends"),
        pytest.param({"keep_last": 1, "service": "jira"}, "jira", id="an unknown service"),
        pytest.param({"keep_last": 1, "vault": "ftp://x"}, "ftp", id="no vault"),
    ],
)
def test_what_cannot_be_meant_fails_when_the_dag_is_parsed(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(XBackupError, match=word):
        ApplyRetentionOperator(**{"task_id": "retain", "vault": "file:///srv/backups", **arguments})


def test_templates_are_checked_when_they_are_rendered(kept: Vault) -> None:
    operator = ApplyRetentionOperator(task_id="retain", vault=str(kept.url), policy={"keep_within": "{{ var }}"})
    operator.policy = {"keep_within": "soon"}

    with pytest.raises(XBackupFailError, match="no duration"):
        operator.execute(make_context())


def test_a_vault_that_is_not_there_is_told(kept: Vault) -> None:
    operator = ApplyRetentionOperator(task_id="retain", vault="file:///no/such/vault", keep_last=1)

    with pytest.raises(XBackupFailError, match="no vault at"):
        operator.execute(make_context())


# -- holds -------------------------------------------------------------------------------------------------


def hold_it(vault: Vault, backup_id: Any = "latest", **arguments: Any) -> Any:
    arguments = {"why": "before the upgrade", **arguments}
    operator = HoldBackupOperator(task_id="hold", vault=str(vault.url), backup_id=backup_id, **arguments)
    return operator.execute(make_context())


def test_a_held_backup_says_which_task_holds_it_and_does_not_expire(kept: Vault) -> None:
    told = hold_it(kept, an_id(3))

    assert (told["backup_id"], told["asked_for"], told["until"]) == (an_id(3), an_id(3), None)
    assert told["who"] == "nightly / task, run run 1"
    retain(kept, keep_last=1)
    assert states(kept) == ["ok", "expired", "held"]


def test_what_a_transfer_returned_names_the_backup(kept: Vault) -> None:
    take(kept, 2, "another")
    handed = {
        "service": "xray",
        "account": "another",
        "backup_id": an_id(2),
        "vault": "",
        "manifest": "",
        "bytes": 1,
    }

    assert hold_it(kept, handed)["account"] == "another"


@pytest.mark.parametrize("beside", [[], ["tombstone.json"], ["hold.json"]])
def test_a_hold_tells_what_the_backup_is_worth_and_what_chose_it(kept: Vault, beside: list[str]) -> None:
    newest = take(kept, 0, condition={"state": "suspect", "reasons": ["It fell."]})
    for name in beside:
        kept.store.put(newest.path.file(name), b"{}")

    told = hold_it(kept, an_id(0) if "tombstone.json" in beside else "latest")

    assert (told["state"], told["flaws"]) == ("suspect", ["It fell."])
    assert told["asked_for"] == (an_id(0) if "tombstone.json" in beside else "latest")
    assert hold_it(kept, an_id(3))["state"] == "ok"


def test_a_hold_of_what_another_task_chose_remembers_what_chose_it(kept: Vault) -> None:
    assert hold_it(kept, hold_it(kept, "latest"))["asked_for"] == "latest"


def test_a_hold_can_end_by_itself_and_be_repeated(kept: Vault) -> None:
    first = hold_it(kept, hold_for=timedelta(days=1))
    second = hold_it(kept, hold_for=timedelta(days=2), who="ada")

    assert datetime.fromisoformat(second["until"]) > datetime.fromisoformat(first["until"])
    assert second["who"] == "ada"


def test_a_persons_longer_hold_stays(kept: Vault) -> None:
    backup = kept.backups().latest()
    assert backup is not None
    hold(kept, backup.path, who="ada", why="the audit", now=TODAY)

    assert hold_it(kept, hold_for=timedelta(days=1))["who"] == "ada"
    found = read_hold(kept.store, backup.path)
    assert found is not None
    assert found.until is None


def test_a_backup_that_is_not_there_fails_at_once(kept: Vault) -> None:
    with pytest.raises(XBackupFailError, match="no backup"):
        hold_it(kept, an_id(99))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param({"backup_id": "x"}, "names no backup", id="no id"),
        pytest.param({"backup_id": None}, "names one backup here", id="none"),
        pytest.param({"backup_id": [an_id(1), an_id(2)]}, "names one backup", id="two"),
        pytest.param({"why": " "}, "why", id="no reason"),
        pytest.param({"hold_for": timedelta(0)}, "hold_for", id="no time"),
        pytest.param({"hold_for": timedelta.max}, "100 years at most", id="longer than the calendar"),
    ],
)
def test_a_hold_that_cannot_be_meant_fails_when_the_dag_is_parsed(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(XBackupError, match=word):
        HoldBackupOperator(
            **{"task_id": "hold", "vault": "file:///srv/backups", "backup_id": "latest", "why": "x", **arguments}
        )
