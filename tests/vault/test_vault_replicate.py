"""Copies in another vault: only what is missing, never anything damaged, and checked where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interposed_store import Killed, interposed

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.acceptance import accept
from airflow_provider_xbackup.vault.checks import Check, Level, read_checks
from airflow_provider_xbackup.vault.errors import StoreUnavailableError
from airflow_provider_xbackup.vault.examination import Examination, Subject, Wanted
from airflow_provider_xbackup.vault.garbage import collect_garbage
from airflow_provider_xbackup.vault.holds import hold, read_hold
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.records import Tombstone
from airflow_provider_xbackup.vault.replicate import Outcome, Replication

PRODUCER = Producer(package_version="0.1.0")
NOW = datetime.now(UTC)
FULL, LATER = "20261121T014500Z-full-1a2b3c4d", "20261122T014500Z-full-1a2b3c4d"
PARTIAL = "20261122T014500Z-partial-1a2b3c4d"
SUSPECT = {"state": "suspect", "reasons": ["It fell by 90 %."]}
Take = Callable[..., Any]


@pytest.fixture
def target(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "copies")


def replicate(source: Vault, target: Vault, **options: Any) -> dict[str, Outcome]:
    replication = Replication(source, target, producer=PRODUCER, now=NOW, **options)
    return {one.path.backup_id: one.outcome for one in replication}


def ids(vault: Vault) -> list[str]:
    return [backup.backup_id for backup in vault.backups()]


def stored(vault: Vault, backup_id: str) -> bytes:
    backup = vault.find("xray", "acme", backup_id)
    assert backup is not None
    return vault.store.read(backup.path.file(backup.manifest.artifacts[0].name))


def verify(vault: Vault, backup: Any) -> Check:
    return Examination(vault.store, Subject(backup), Wanted(Level.DIGEST, PRODUCER)).run()


def damage(vault: Vault, backup: Any, data: bytes | None) -> None:
    path = backup.path.file(backup.manifest.artifacts[0].name)
    if data is None:
        vault.store.delete(path)
    else:
        vault.store.put(path, data)


def test_every_backup_is_copied_byte_for_byte_from_any_store(vault: Vault, target: Vault, take: Take):
    take(vault, backup_id=FULL)
    take(vault, backup_id=PARTIAL, base=FULL)
    take(vault, "welcome", service="xenioo")

    outcomes = replicate(vault, target)

    assert set(outcomes.values()) == {Outcome.COPIED}
    assert ids(target) == ids(vault)
    assert stored(target, FULL) == stored(vault, FULL) == b"something"


def test_a_copy_tells_of_its_original_in_every_word_but_the_names_of_files(
    local: Vault, target: Vault, take: Take
):
    path = take(local, backup_id=FULL, entities={"tests": 7}).path
    original = json.loads(local.store.read(path.manifest)) | {"of_a_later_release": {"kept": True}}
    local.store.put(path.manifest, json.dumps(original).encode())

    replicate(local, target)

    copy = json.loads(target.store.read(path.manifest))
    assert copy.pop("artifacts")[0]["stored_sha256"] == original.pop("artifacts")[0]["stored_sha256"]
    assert copy == original


def test_a_copy_is_read_back_and_verified_where_it_lies(local: Vault, target: Vault, take: Take):
    original = take(local, backup_id=FULL)

    replicate(local, target)

    (copy,) = target.backups()
    assert copy.verified
    assert not original.verified


def test_what_is_there_costs_no_bytes(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    replicate(local, target)
    read = []
    seen = interposed(local, lambda moment, call, path: read.append((call, path)))

    assert replicate(seen, target) == {FULL: Outcome.PRESENT}
    assert not [call for call, path in read if call == "open_stream"]


def test_only_one_account_is_copied_where_one_is_named(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    take(local, "beta", backup_id=LATER)

    assert replicate(local, target, account="beta") == {LATER: Outcome.COPIED}


def test_expired_backups_and_those_of_the_future_are_not_copied(local: Vault, target: Vault, take: Take):
    expired = take(local, backup_id=FULL)
    local.store.create(expired.path.tombstone, Tombstone(at=NOW, why="old").to_json())
    take(local, backup_id=f"{NOW + timedelta(days=2):%Y%m%dT%H%M%SZ}-full-0000000f")

    assert replicate(local, target) == {}


def test_what_expired_in_the_target_stays_expired(local: Vault, target: Vault, take: Take):
    path = take(local, backup_id=FULL).path
    replicate(local, target)
    target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())

    assert replicate(local, target) == {}
    assert target.store.exists(path.tombstone)


def test_a_policy_of_the_target_chooses_what_is_copied(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    take(local, backup_id=LATER)

    assert replicate(local, target, policy=RetentionPolicy(keep_last=1)) == {LATER: Outcome.COPIED}


def test_a_policy_counts_what_the_target_holds_already(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    take(target, backup_id=LATER)

    assert replicate(local, target, policy=RetentionPolicy(keep_last=1)) == {}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"somethinG", id="other bytes"),
        pytest.param(b"some", id="cut off"),
        pytest.param(None, id="gone"),
    ],
)
def test_a_damaged_original_is_not_copied_and_the_others_are(
    local: Vault, target: Vault, take: Take, data: bytes | None
):
    damage(local, take(local, backup_id=FULL), data)
    take(local, backup_id=LATER)

    assert replicate(local, target) == {LATER: Outcome.COPIED, FULL: Outcome.DAMAGED_SOURCE}
    assert ids(target) == [LATER]
    collect_garbage(target, older_than=timedelta(0))
    assert {found.path.split("/")[2] for found in target.store.list()} == {LATER}


def test_a_damaged_original_leaves_the_good_copy_alone(local: Vault, target: Vault, take: Take):
    original = take(local, backup_id=FULL)
    replicate(local, target)
    damage(local, original, b"somethinG")

    assert replicate(local, target, repair=True) == {FULL: Outcome.PRESENT}
    assert stored(target, FULL) == b"something"


def test_a_damaged_manifest_of_an_original_is_told(local: Vault, target: Vault, take: Take):
    local.store.put(take(local, backup_id=FULL).path.manifest, b"{")

    assert replicate(local, target) == {FULL: Outcome.DAMAGED_SOURCE}


def test_a_partial_waits_for_its_full(local: Vault, target: Vault, take: Take):
    damage(local, take(local, backup_id=FULL), b"other")
    take(local, backup_id=PARTIAL, base=FULL)

    assert replicate(local, target) == {FULL: Outcome.DAMAGED_SOURCE, PARTIAL: Outcome.BASE_MISSING}
    assert ids(target) == []


def test_a_partial_whose_full_is_nowhere_is_copied_as_all_there_is(local: Vault, target: Vault, take: Take):
    take(local, backup_id=PARTIAL, base=FULL)

    assert replicate(local, target) == {PARTIAL: Outcome.COPIED}


@pytest.fixture(params=["gone", "cut off", "other bytes, as a check found", "manifest"])
def damaged(request: pytest.FixtureRequest, local: Vault, target: Vault, take: Take) -> Vault:
    """A vault whose copy is damaged."""
    take(local, backup_id=FULL)
    replicate(local, target)
    (copy,) = target.backups()
    if request.param == "manifest":
        target.store.put(copy.path.manifest, b"{")
    elif request.param.startswith("other bytes"):
        damage(target, copy, b"somethinG")
        failed = verify(target, copy)
        target.store.create(copy.path.check(failed.at + timedelta(seconds=2), "ffffffff"), failed.to_json())
    else:
        damage(target, copy, None if request.param == "gone" else b"some")
    return target


def test_a_damaged_copy_is_told_of_and_left_as_it_is(local: Vault, damaged: Vault):
    before = {found.path: found.size for found in damaged.store.list()}

    assert replicate(local, damaged) == {FULL: Outcome.DAMAGED_TARGET}
    assert {found.path: found.size for found in damaged.store.list()} == before


def test_a_damaged_copy_is_repaired_where_that_is_wanted(local: Vault, damaged: Vault):
    assert replicate(local, damaged, repair=True) == {FULL: Outcome.REPAIRED}

    (copy,) = damaged.backups()
    assert verify(damaged, copy).passed
    assert stored(damaged, FULL) == b"something"


def test_a_copy_of_other_bytes_than_the_original_is_no_case_for_repair(
    local: Vault, target: Vault, take: Take, commit
):
    take(local, backup_id=FULL)
    draft = target.draft("xray", "acme", FULL)
    draft.add("backup", [b"another attempt"], media_type="application/zip")
    damage(target, commit(draft), None)

    assert replicate(local, target, repair=True) == {FULL: Outcome.DAMAGED_TARGET}


def test_holds_and_acceptances_go_along_also_later_ones(local: Vault, target: Vault, take: Take):
    backup = take(local, backup_id=FULL, condition=SUSPECT)
    replicate(local, target)
    accept(local, backup, "kim", "we cleaned up", NOW)
    hold(local, backup.path, who="kim", why="audit", now=NOW)

    replicate(local, target)

    (copy,) = target.backups()
    assert (copy.accepted, copy.held) == (True, True)
    kept = read_hold(target.store, backup.path)
    assert kept is not None
    assert kept.why == "audit"


def test_a_hold_of_the_target_that_lasts_longer_stays(local: Vault, target: Vault, take: Take):
    path = take(local, backup_id=FULL).path
    replicate(local, target)
    hold(target, path, who="lee", why="for ever", now=NOW)
    hold(local, path, who="kim", why="a week", until=NOW + timedelta(days=7), now=NOW)

    replicate(local, target)

    kept = read_hold(target.store, path)
    assert kept is not None
    assert kept.why == "for ever"


def test_checks_of_the_original_are_history_in_the_copy_and_prove_nothing(local: Vault, target: Vault, take: Take):
    backup = take(local, backup_id=FULL)
    failed = verify(local, backup).model_copy(update={"passed": False})
    local.store.create(backup.path.check(NOW + timedelta(hours=1), "ffffffff"), failed.to_json())

    replicate(local, target)

    (copy,) = target.backups()
    assert len(list(read_checks(target.store, copy.path, copy.names))) == 2
    assert copy.verified


def test_a_vault_is_not_copied_into_itself(local: Vault):
    with pytest.raises(InvalidArgumentError, match="into itself"):
        Replication(local, Vault.open(local.url), producer=PRODUCER, now=NOW)


@pytest.mark.parametrize(
    ("moment", "error"), [("before", Killed), ("after", Killed), ("after", StoreUnavailableError)]
)
def test_wherever_it_ends_no_half_copy_is_seen_and_the_next_run_converges(
    local: Vault, target: Vault, take: Take, moment: str, error: type[BaseException]
):
    take(local, backup_id=FULL)
    take(local, backup_id=PARTIAL, base=FULL)
    hold(local, take(local, backup_id=LATER).path, who="kim", why="audit", now=NOW)
    taken = 0

    def run(fail_at: int | None) -> int:
        nonlocal taken
        calls = 0

        def around(when: str, call: str, path: str) -> None:
            nonlocal calls
            if when == moment:
                calls += 1
                if calls == fail_at:
                    raise error(f"{call} {path}")

        taken += 1
        copies = Vault.open(Path(target.url.prefix) / str(taken))
        try:
            replicate(local, interposed(copies, around))
        except error:
            for backup in copies.backups():
                assert verify(copies, backup).passed
            replicate(local, copies)
        collect_garbage(copies, older_than=timedelta(0))
        found = {found.path.rsplit("/", 1)[0].removesuffix("/checks") for found in copies.store.list()}
        assert found == {f"xray/acme/{backup_id}" for backup_id in (FULL, LATER, PARTIAL)}
        assert all(verify(copies, backup).passed for backup in copies.backups())
        assert len([found for found in copies.store.list() if "backup." in found.path]) == 3
        return calls

    number = run(None)
    assert number > 20
    for call in range(1, number + 1):
        run(call)
