"""Which backup is meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.checks import Check, append_check
from airflow_provider_xbackup.vault.choose import Selector, choose, restore_set
from airflow_provider_xbackup.vault.errors import NoSuchBackupError
from airflow_provider_xbackup.vault.layout import parse_backup_id


def day(number: int, kind: str = "full") -> str:
    return f"202611{number:02d}T000000Z-{kind}-00000001"


@pytest.fixture
def on(local: Vault, take) -> Any:
    """Take a backup on a day of November."""

    def on(number: int, kind: str = "full", verified: bool = False, **fields: Any) -> Any:
        backup_id = day(number, kind)
        if kind == "partial":
            fields.setdefault("modified_since", datetime(2026, 11, 1, tzinfo=UTC))
        backup = take(local, backup_id=backup_id, requested_at=parse_backup_id(backup_id).instant, **fields)
        if verified:
            check = {"at": backup.instant, "vault": str(local.url), "level": "digest", "reached": "digest"}
            rest = {"passed": True, "objects": 1, "bytes": 9, "producer": {"package_version": "1"}}
            append_check(local.store, backup.path, Check.model_validate(check | rest))
        return backup

    return on


def chosen(vault: Vault, text: str, **filters: Any) -> str:
    return choose(vault, Selector.parse(text), **filters).backup_id


def test_an_id_or_its_beginning_chooses_any_backup(local: Vault, on) -> None:
    backup = on(1)
    on(2)
    local.store.put(backup.path.tombstone, b"{}")
    assert chosen(local, day(1)) == chosen(local, "20261101") == day(1)


def test_latest_is_the_newest_that_has_not_expired_and_is_not_of_the_future(local: Vault, on, take) -> None:
    on(1)
    on(2, condition={"state": "suspect", "reasons": []})
    local.store.put(on(3).path.tombstone, b"{}")
    take(local, backup_id="29991101T000000Z-full-00000001")
    assert chosen(local, "latest") == day(2)


def test_latest_verified_passes_over_what_is_not_verified(local: Vault, on) -> None:
    on(1, verified=True)
    on(2, verified=True)
    on(3, verified=True, condition={"state": "suspect", "reasons": []})
    on(4)
    assert chosen(local, "latest-verified") == day(2)


@pytest.mark.parametrize("how", ["whole", "damaged", "gone", "unreadable"])
def test_the_latest_verified_is_no_partial_whose_full_cannot_be_relied_on(local: Vault, on, how: str) -> None:
    on(1, verified=True)
    base = on(2)
    on(3, "partial", verified=True, base=day(2))
    if how == "damaged":
        local.store.delete(base.path.file(base.manifest.artifacts[0].name))
    elif how == "gone":
        local.store.delete(base.path.manifest)
    elif how == "unreadable":
        local.store.put(base.path.manifest, b"{")

    assert chosen(local, "latest-verified") == (day(3, "partial") if how == "whole" else day(1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as-of 2026-11-02T00:00:00Z", day(2)),
        ("as-of:2026-11-02T00:00:00Z", day(2)),
        ("as-of 2026-11-01T23:59:59Z", day(1)),
        ("as-of 2026-11-02T01:00:00+02:00", day(1)),
        ("as-of 2027-01-01T00:00Z", day(3)),
    ],
)
def test_as_of_is_the_newest_asked_for_at_the_instant_or_before(
    local: Vault, on, text: str, expected: str
) -> None:
    for number in (1, 2, 3):
        on(number)
    assert chosen(local, text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latest", "holds no backup of xray/acme. 'xbackup list' shows"),
        ("latest-verified", "holds no verified backup of xray/acme. 'xbackup list' shows"),
        (
            "as-of 2026-10-01T00:00Z",
            "holds no backup of xray/acme that was asked for at 2026-10-01T00:00:00Z or before. 'xbackup list'",
        ),
        (day(9), f"There is no backup {day(9)} in"),
        ("20261109", "There is no backup 20261109 in"),
    ],
)
def test_where_there_is_none_it_says_so(local: Vault, on, text: str, said: str) -> None:
    local.store.put(on(1).path.tombstone, b"{}")
    with pytest.raises(NoSuchBackupError) as caught:
        chosen(local, text)
    assert said in str(caught.value)
    assert "xbackup list" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "newest",
        "as-of",
        "as-of yesterday",
        "as-of 2026-11-01T00:00",
        "as-of 0001-01-01T00:00+01:00",
        "2026",
        "latest best",
        None,
    ],
)
def test_other_words_are_refused(text: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        Selector.parse(text)


def test_the_latest_of_several_accounts_is_nobodys(local: Vault, on) -> None:
    on(1)
    on(2, account="other")
    on(3, account="bot", service="xenioo")
    with pytest.raises(InvalidArgumentError, match="xenioo/bot, xray/acme, xray/other"):
        chosen(local, "latest")
    assert chosen(local, "latest", account="other") == day(2)
    assert chosen(local, "latest", service="xenioo") == day(3)
    with pytest.raises(NoSuchBackupError, match="of nobody"):
        chosen(local, "latest", account="nobody")


def test_one_id_in_two_accounts_is_refused(local: Vault, on) -> None:
    on(1)
    on(1, account="other")
    with pytest.raises(InvalidArgumentError, match="--account"):
        chosen(local, day(1))


@pytest.mark.parametrize("text", ["latest", "latest-verified", day(1), "as-of 2026-11-01T00:00:00Z"])
def test_a_selector_reads_as_it_was_written(text: str) -> None:
    assert str(Selector.parse(text)) == text


def test_a_partial_needs_its_base(local: Vault, on) -> None:
    full, partial = on(1), on(2, "partial", base=day(1))
    assert [one.backup_id for one in restore_set(local, partial)] == [day(1), day(2, "partial")]
    assert restore_set(local, full) == (full,)
    local.store.delete(full.path.manifest)
    with pytest.raises(NoSuchBackupError, match="is not in"):
        restore_set(local, partial)


def test_a_partial_that_names_no_base_says_what_it_holds(local: Vault, on) -> None:
    with pytest.raises(NoSuchBackupError, match="since 2026-11-01"):
        restore_set(local, on(2, "partial"))
