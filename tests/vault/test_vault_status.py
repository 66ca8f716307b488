"""What is told about the age of an account's backups, and when that is an alarm."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.checks import CheckFinding, Evidence
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.status import AccountName, AccountStatus, Promise, judge, survey
from airflow_provider_xbackup.vault.url import VaultUrl

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACME = AccountName("xray", "acme")
DAY = timedelta(days=1)


def backup(
    days: float,
    kind: str = "full",
    state: str = "ok",
    base: str | None = None,
    account: str = "acme",
    **listed: Any,
) -> Backup:
    instant = NOW - timedelta(days=days)
    path = BackupPath("xray", account, f"{instant:%Y%m%dT%H%M%SZ}-{kind}-0000000a")
    artifact = {
        "name": "backup.0000000a.zip",
        "role": "backup",
        "size": 10,
        "sha256": "0" * 64,
        "stored_size": 10,
        "stored_sha256": "0" * 64,
        "media_type": "application/zip",
    }
    manifest = Manifest.model_validate(
        {
            "service": "xray",
            "account": account,
            "backup_id": path.backup_id,
            "kind": kind,
            "base": base,
            "requested_at": instant,
            "completed_at": instant,
            "condition": {"state": state, "reasons": ["because."]},
            "artifacts": [artifact],
            "producer": {"package_version": "1"},
        }
    )
    return Backup(VaultUrl.parse("file:///v"), path, manifest, **listed)


def beside(*names: str) -> frozenset[str]:
    """What a listing shows of a backup that is whole."""
    return frozenset({"backup.0000000a.zip", *names})


def failed(code: str) -> Evidence:
    return Evidence((CheckFinding(code=code, text="A check says so."),))


VERIFIED = Evidence(proven=True)


def look(*backups: Backup, expect: Iterable[AccountName] = ()) -> list[AccountStatus]:
    return survey(sorted(backups, key=lambda one: one.backup_id, reverse=True), tuple(expect))


def codes(found: list[AccountStatus], promise: dict[str, Any]) -> list[str]:
    return [finding.code for finding in judge(found, Promise(**promise), NOW)]


FULL = backup(3)


@pytest.mark.parametrize(
    ("backups", "newest"),
    [
        pytest.param([backup(1), backup(2)], backup(1), id="the newest full"),
        pytest.param(
            [backup(1, "partial", base=FULL.backup_id), FULL], backup(1, "partial"), id="a partial and its full"
        ),
        pytest.param([backup(1, "partial", base="gone"), FULL], FULL, id="no partial whose full is gone"),
        pytest.param(
            [backup(1, "partial", base=FULL.backup_id), backup(3, state="suspect")],
            None,
            id="no partial whose full is suspect",
        ),
        pytest.param(
            [backup(1, "partial"), FULL], backup(1, "partial"), id="a partial from an instant of its own"
        ),
        pytest.param([backup(1, state="suspect"), backup(2)], backup(2), id="no suspect"),
        pytest.param([backup(1, state="suspect", names=beside("accepted.json"))], backup(1), id="an accepted one"),
        pytest.param([backup(1, state="incomplete"), backup(2)], backup(2), id="no incomplete one"),
        pytest.param([backup(1, names=beside("tombstone.json")), backup(2)], backup(2), id="no expired one"),
        pytest.param([backup(1, names=frozenset()), backup(2)], backup(2), id="none whose file is gone"),
        pytest.param(
            [backup(1, evidence=failed("stored-digest")), backup(2)], backup(2), id="none that a check has refuted"
        ),
        pytest.param(
            [backup(1, evidence=failed("drop")), backup(2)],
            backup(2),
            id="none that a check has found to be suspect",
        ),
        pytest.param(
            [backup(1, evidence=failed("drop"), names=beside("accepted.json")), backup(2)],
            backup(1),
            id="one that was accepted against a check",
        ),
        pytest.param(
            [backup(1, "partial", base=FULL.backup_id), backup(3, names=frozenset()), backup(4)],
            backup(4),
            id="no partial whose full is damaged",
        ),
        pytest.param([backup(-2, in_future=True), backup(2)], backup(2), id="none of the future"),
    ],
)
def test_the_newest_backup_is_one_that_can_be_gone_back_to(backups: list[Backup], newest: Backup | None):
    (account,) = look(*backups)

    assert (account.newest and account.newest.backup_id) == (newest and newest.backup_id)


def test_the_newest_verified_backup_is_told_apart():
    new, checked, old = backup(1), backup(2, evidence=VERIFIED), backup(3, evidence=VERIFIED)

    (account,) = look(new, checked, old)

    assert (account.newest, account.verified, account.oldest) == (new, checked, old)


def test_accounts_are_summed_up_each_for_itself_and_expired_backups_left_out():
    accounts = look(backup(1), backup(2), backup(1, account="beta"), backup(5, names=beside("tombstone.json")))

    assert [(str(one.name), one.number, one.stored_size) for one in accounts] == [
        ("xray/acme", 2, 20),
        ("xray/beta", 1, 10),
    ]


@pytest.mark.parametrize(
    ("backups", "promise", "expected"),
    [
        pytest.param([backup(1)], {"rpo": DAY}, [], id="just in time"),
        pytest.param([backup(1.01)], {"rpo": DAY}, ["late"], id="late"),
        pytest.param([backup(30)], {}, [], id="nothing promised"),
        pytest.param([backup(0.1, state="suspect"), backup(0.5)], {"rpo": DAY}, ["suspect"], id="suspect"),
        pytest.param(
            [backup(0.1, state="suspect"), backup(2)], {"rpo": DAY}, ["late", "suspect"], id="suspect and late"
        ),
        pytest.param(
            [backup(0.1, state="incomplete"), backup(0.5)], {"rpo": DAY}, ["incomplete"], id="incomplete"
        ),
        pytest.param([backup(0.1, state="incomplete")], {"rpo": DAY}, ["late", "incomplete"], id="nothing whole"),
        pytest.param([backup(0.1, names=frozenset()), backup(0.5)], {"rpo": DAY}, ["damaged"], id="damaged"),
        pytest.param(
            [backup(0.1, names=frozenset())], {"rpo": DAY}, ["late", "damaged"], id="damaged, and nothing else"
        ),
        pytest.param(
            [backup(0.1, "partial", base=FULL.backup_id), backup(3, evidence=failed("damaged-zip"))],
            {},
            ["damaged"],
            id="a full that is damaged below a partial that is whole",
        ),
        pytest.param(
            [backup(0.1, "partial", base="gone"), FULL], {}, ["damaged"], id="a full that is gone below a partial"
        ),
        pytest.param([backup(0.1), backup(0.5, names=frozenset())], {"rpo": DAY}, [], id="damaged, and replaced"),
        pytest.param([backup(0.5)], {"verified_rpo": DAY}, ["unverified"], id="never verified"),
        pytest.param([backup(0.5)], {"accounts": [ACME]}, [], id="expected and there"),
        pytest.param([], {"accounts": [ACME]}, ["absent"], id="expected and absent"),
        pytest.param([], {"rpo": DAY}, ["empty"], id="nothing was looked at"),
    ],
)
def test_what_is_not_as_promised_is_found(backups: list[Backup], promise: dict[str, Any], expected: list[str]):
    assert codes(look(*backups, expect=promise.get("accounts", ())), promise) == expected


def test_a_finding_says_how_late_it_is():
    (finding,) = judge(look(backup(2)), Promise(rpo=DAY), NOW)

    assert finding.path == "xray/acme"
    assert finding.text == (
        "xray/acme: the last whole backup 20261121T120000Z-full-0000000a is 48 h old; one every 24 h is promised."
    )


def test_a_finding_says_what_is_damaged():
    (finding,) = judge(look(backup(0.1, evidence=failed("stored-digest"))), Promise(), NOW)

    assert (finding.code, finding.path) == ("damaged", "xray/acme")
    assert finding.text.endswith("is damaged. A check says so.")


@pytest.mark.parametrize(
    ("base", "says"),
    [
        pytest.param([backup(3, names=frozenset())], f"its full {FULL.backup_id} is damaged.", id="damaged"),
        pytest.param([], f"its full {FULL.backup_id} is gone or has expired.", id="gone"),
    ],
)
def test_a_finding_says_why_a_partial_cannot_be_gone_back_to(base: list[Backup], says: str):
    partial = backup(0.1, "partial", base=FULL.backup_id)

    (finding,) = judge(look(partial, *base), Promise(), NOW)

    assert (finding.code, finding.path) == ("damaged", "xray/acme")
    assert finding.text.endswith(f"the newest backup {partial.backup_id} holds changes only: {says}")


@pytest.mark.parametrize("text", ["acme", "zray/acme", "xray/", "xray/a/b"])
def test_what_is_no_account_is_refused(text: str):
    with pytest.raises(InvalidArgumentError):
        AccountName.parse(text)
