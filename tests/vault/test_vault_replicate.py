"""Copies in another vault: only what is missing, never anything damaged, and checked where they lie."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interposed_store import Counter, Killed, interposed, once

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.acceptance import accept
from airflow_provider_xbackup.vault.checks import Check, Level, append_check, read_checks
from airflow_provider_xbackup.vault.errors import StoreUnavailableError, UnreadableObjectError
from airflow_provider_xbackup.vault.examination import Examination, Subject, Wanted
from airflow_provider_xbackup.vault.expire import apply_retention
from airflow_provider_xbackup.vault.garbage import collect_garbage
from airflow_provider_xbackup.vault.holds import hold, read_hold
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.records import Hold, Tombstone
from airflow_provider_xbackup.vault.replicate import Outcome, Replication
from airflow_provider_xbackup.vault.url import VaultUrl

PRODUCER = Producer(package_version="0.1.0")
NOW = datetime.now(UTC)
OTHER = hashlib.sha256(b"somethinG").hexdigest()
FULL, LATER = "20261121T014500Z-full-1a2b3c4d", "20261122T014500Z-full-1a2b3c4d"
PARTIAL = "20261122T014500Z-partial-1a2b3c4d"
SUSPECT = {"state": "suspect", "reasons": ["It fell by 90 %."]}
Take = Callable[..., Any]


@pytest.fixture
def target(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "copies")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test begin now: checks that are written long after the import would be of the future."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))


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


def dailies(vault: Vault, take: Take, number: int, **newest: Any) -> list[str]:
    """Take a backup a day, the newest on 20 November; return their ids, newest first."""
    found = []
    for days in range(number):
        backup_id = f"{datetime(2026, 11, 20, tzinfo=UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}-full-0000000a"
        take(vault, backup_id=backup_id, **(newest if not days else {}))
        found.append(backup_id)
    return found


@pytest.mark.parametrize(
    ("policy", "newest", "copied"),
    [
        pytest.param({"keep_last": 5}, {}, slice(0, 5), id="which a plan would refuse to expire at once"),
        pytest.param({"keep_last": 5, "max_delete_fraction": 0}, {}, slice(0, 5), id="whatever it may expire"),
        pytest.param({"keep_last": 5}, {"condition": SUSPECT}, slice(0, 6), id="while a suspect pauses retention"),
    ],
)
def test_of_a_long_history_only_what_a_policy_keeps_is_copied(
    local: Vault, target: Vault, take: Take, policy: dict[str, Any], newest: dict[str, Any], copied: slice
):
    found = dailies(local, take, 30, **newest)
    replication = Replication(local, target, producer=PRODUCER, now=NOW, policy=RetentionPolicy(**policy))

    assert {one.path.backup_id for one in replication} == set(found[copied]) == set(ids(target))
    assert replication.left_out == 30 - copied.stop


def test_a_policy_without_a_rule_is_refused(local: Vault, target: Vault):
    with pytest.raises(InvalidArgumentError, match="give it a rule"):
        Replication(local, target, producer=PRODUCER, now=NOW, policy=RetentionPolicy(min_verified=3))


def test_what_the_target_has_expired_and_removed_is_not_copied_again(local: Vault, target: Vault, take: Take):
    found = dailies(local, take, 3)
    policy = RetentionPolicy(keep_last=1)
    assert set(replicate(local, target).values()) == {Outcome.COPIED}

    for days in (30, 60):
        apply_retention(target, policy, now=NOW + timedelta(days=days))
        apply_retention(target, policy, now=NOW + timedelta(days=days + 4))
        assert replicate(local, target, policy=policy) == {found[0]: Outcome.PRESENT}
    assert ids(target) == found[:1]


def test_a_damaged_copy_takes_no_place_from_a_good_original(local: Vault, target: Vault, take: Take):
    found = dailies(local, take, 3)
    replicate(local, target)
    damage(target, next(iter(target.backups())), None)
    target.store.delete(f"xray/acme/{found[1]}/manifest.json")

    assert replicate(local, target, policy=RetentionPolicy(keep_last=2, min_verified=0)) == {
        found[0]: Outcome.DAMAGED_TARGET, found[1]: Outcome.COPIED,
    }  # fmt: skip


def test_a_copy_that_has_expired_takes_no_place_in_a_policy(local: Vault, target: Vault, take: Take):
    found = dailies(local, take, 3)
    path = local.find("xray", "acme", found[0]).path  # type: ignore[union-attr]
    replicate(local, target, policy=RetentionPolicy(keep_last=1))
    target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())

    assert replicate(local, target, policy=RetentionPolicy(keep_last=1)) == {found[1]: Outcome.COPIED}


def test_nothing_is_copied_into_a_folder_whose_removal_has_begun(local: Vault, target: Vault, take: Take):
    """It would be an expired copy from the first moment."""
    path = take(local, backup_id=FULL).path
    take(local, backup_id=PARTIAL, base=FULL)
    take(local, backup_id=LATER)
    replicate(local, target)
    target.store.create(path.tombstone, Tombstone(at=NOW - timedelta(days=9), why="old").to_json())
    target.store.delete(path.manifest)
    before = {found.path for found in target.store.list()}

    outcomes = replicate(local, target)

    assert outcomes == {
        LATER: Outcome.PRESENT, FULL: Outcome.HALF_REMOVED, PARTIAL: Outcome.BASE_MISSING
    }  # fmt: skip
    assert {found.path for found in target.store.list()} == before
    apply_retention(target, RetentionPolicy(keep_last=9), now=NOW)
    assert replicate(local, target)[FULL] is Outcome.COPIED
    assert [backup.state for backup in target.backups()] == ["ok"] * 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"somethinG", f"their SHA-256 is {OTHER} and should be", id="other bytes"),
        pytest.param(b"some", "has 4 bytes and should have 9.", id="cut off"),
        pytest.param(None, "", id="gone"),
    ],
)
def test_a_damaged_original_is_not_copied_and_the_others_are(
    local: Vault, target: Vault, take: Take, data: bytes | None, said: str
):
    damage(local, take(local, backup_id=FULL), data)
    take(local, backup_id=LATER)

    found = {each.path.backup_id: each for each in Replication(local, target, producer=PRODUCER, now=NOW)}
    outcomes = {backup_id: each.outcome for backup_id, each in found.items()}
    assert outcomes == {LATER: Outcome.COPIED, FULL: Outcome.DAMAGED_SOURCE}
    assert said in found[FULL].problem
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


@pytest.mark.parametrize(
    ("until", "outcome"),
    [
        pytest.param(None, {FULL: Outcome.REVIVED}, id="until it is released"),
        pytest.param(timedelta(days=7), {FULL: Outcome.REVIVED}, id="until later"),
        pytest.param(-timedelta(seconds=1), {}, id="until a moment ago"),
    ],
)
def test_a_hold_at_the_source_brings_an_expired_copy_back(
    local: Vault, target: Vault, take: Take, until: timedelta | None, outcome: dict[str, Outcome]
):
    path = take(local, backup_id=FULL).path
    replicate(local, target)
    target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())
    ends = None if until is None else NOW + until
    local.store.put(path.hold, Hold(who="kim", why="legal", at=NOW, until=ends).to_json())

    assert replicate(local, target) == outcome
    (copy,) = target.backups()
    assert copy.state == ("held" if outcome else "expired")


def test_a_hold_on_a_partial_brings_the_copy_of_its_full_back_as_well(local: Vault, target: Vault, take: Take):
    full, partial = take(local, backup_id=FULL).path, take(local, backup_id=PARTIAL, base=FULL).path
    replicate(local, target)
    for path in (full, partial):
        target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())
    hold(local, partial, who="kim", why="legal", now=NOW)

    replicate(local, target)

    assert {backup.backup_id: backup.state for backup in target.backups()} == {PARTIAL: "held", FULL: "ok"}


def test_a_held_copy_whose_tombstone_is_left_comes_back_all_the_same(local: Vault, target: Vault, take: Take):
    """Whoever handed the hold on has died before the tombstone went."""
    path = take(local, backup_id=FULL).path
    replicate(local, target)
    target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())
    for vault in (local, target):
        vault.store.put(path.hold, Hold(who="kim", why="legal", at=NOW).to_json())

    assert replicate(local, target) == {FULL: Outcome.REVIVED}


def test_a_hold_that_cannot_be_read_revives_nothing_and_stops_nothing(local: Vault, target: Vault, take: Take):
    path = take(local, backup_id=FULL).path
    take(local, backup_id=LATER)
    replicate(local, target)
    target.store.create(path.tombstone, Tombstone(at=NOW, why="old").to_json())
    local.store.put(path.hold, b"{")

    assert replicate(local, target) == {LATER: Outcome.PRESENT}


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
    history, own = read_checks(target.store, copy.path, copy.names)
    assert (own.history, history.history, history.passed) == (False, True, False)
    assert copy.verified


def test_a_check_that_cannot_be_read_is_not_handed_on(local: Vault, target: Vault, take: Take):
    backup = take(local, backup_id=FULL)
    local.store.create(backup.path.check(NOW, "ffffffff"), b"{")

    replicate(local, target)

    (copy,) = target.backups()
    assert copy.verified


# -- vaults of one name ------------------------------------------------------------------------------------


def named(conn_id: str, vault: Vault) -> Vault:
    """A vault as it looks through a connection: many providers may have a bucket of this name."""
    return Vault(VaultUrl.parse(f"s3://{conn_id}@backups/vault"), vault.store)


def test_buckets_of_one_name_at_two_providers_are_two_vaults(local: Vault, target: Vault, take: Take):
    aws, other = named("aws", local), named("other", target)
    backup = take(aws, backup_id=FULL)
    damaged = verify(aws, backup).model_copy(update={"passed": False})
    aws.store.create(backup.path.check(NOW + timedelta(hours=1), "ffffffff"), damaged.to_json())

    assert replicate(aws, other) == {FULL: Outcome.COPIED}

    (copy,) = other.backups()
    assert copy.verified
    assert next(iter(aws.backups())).state == "damaged"


def test_two_connections_to_one_vault_are_found_out_and_leave_nothing(local: Vault, take: Take):
    take(local, backup_id=FULL)
    before = {found.path for found in local.store.list()}

    with pytest.raises(InvalidArgumentError, match="into itself"):
        replicate(named("reader", local), named("writer", local))
    assert {found.path for found in local.store.list()} == before


# -- what happens meanwhile --------------------------------------------------------------------------------


def bad_sector(path: str, *calls: str) -> Callable[[str, str, str], None]:
    """What a store says of an object whose place on the disk has gone bad."""

    def around(moment: str, name: str, called: str) -> None:
        if moment == "before" and name in calls and called == path:
            raise UnreadableObjectError(f"The disk could not read {path}: Input/output error.")

    return around


@pytest.mark.parametrize("call", ["head", "open_stream"])
def test_an_original_that_cannot_be_read_stops_no_other(local: Vault, target: Vault, take: Take, call: str):
    broken = take(local, backup_id=FULL)
    take(local, backup_id=LATER)
    take(local, backup_id=LATER.replace("full", "partial"), base=LATER)
    path = broken.path.file(broken.manifest.artifacts[0].name)

    outcomes = replicate(interposed(local, bad_sector(path, call)), target)

    assert outcomes == {
        LATER: Outcome.COPIED, FULL: Outcome.DAMAGED_SOURCE, LATER.replace("full", "partial"): Outcome.COPIED,
    }  # fmt: skip


def test_a_copy_that_cannot_be_read_stops_no_other(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    take(local, backup_id=LATER)
    replicate(local, target)
    broken = next(iter(target.backups()))
    path = broken.path.file(broken.manifest.artifacts[0].name)

    assert replicate(local, interposed(target, bad_sector(path, "head"))) == {
        LATER: Outcome.DAMAGED_TARGET, FULL: Outcome.PRESENT,
    }  # fmt: skip


@pytest.mark.parametrize("record", ["hold", "accepted", "check"])
def test_a_record_of_an_original_that_cannot_be_read_stops_nothing(
    local: Vault, target: Vault, take: Take, record: str
):
    path = take(local, backup_id=FULL).path
    name = path.check(NOW, "ffffffff") if record == "check" else getattr(path, record)
    local.store.create(name, b"{}")

    assert replicate(interposed(local, bad_sector(name, "read")), target) == {FULL: Outcome.COPIED}


def test_a_file_that_vanishes_from_the_target_is_not_blamed_on_the_original(
    local: Vault, target: Vault, take: Take
):
    take(local, backup_id=FULL)
    take(local, backup_id=LATER)

    def vanish(moment: str, name: str, path: str) -> None:
        if (moment, name) == ("after", "put_stream") and FULL in path:
            target.store.delete(path)

    assert replicate(local, interposed(target, vanish)) == {
        LATER: Outcome.COPIED, FULL: Outcome.DAMAGED_TARGET,
    }  # fmt: skip
    assert ids(target) == [LATER]


def test_retention_of_the_target_that_comes_in_between_stops_nothing(local: Vault, target: Vault, take: Take):
    found = dailies(local, take, 3)
    replicate(local, target)
    whole = Calls()
    replicate(local, interposed(target, whole))

    for number in range(1, whole.number + 1):
        for backup_id in found[1:]:
            target.store.delete(f"xray/acme/{backup_id}/tombstone.json")
        replicate(local, target)

        def gone(target: Vault = target) -> None:
            apply_retention(target, RetentionPolicy(keep_last=1), grace=timedelta(0), now=NOW)

        outcomes = replicate(local, interposed(target, Calls(number, gone)))

        assert outcomes[found[0]] is Outcome.PRESENT
        assert not {*outcomes.values()} - {Outcome.PRESENT, Outcome.COPIED, Outcome.HALF_REMOVED}
        assert all(verify(target, backup).passed for backup in target.backups())


def test_retention_of_the_source_that_comes_in_between_is_no_damage(local: Vault, target: Vault, take: Take):
    backups = dailies(local, take, 2)
    older = local.find("xray", "acme", backups[1])
    assert older is not None

    def gone() -> None:
        apply_retention(local, RetentionPolicy(keep_last=1), grace=timedelta(0), now=NOW)

    beside = interposed(local, once("after", "head", older.manifest.artifacts[0].name, gone))

    assert replicate(beside, target) == {backups[0]: Outcome.COPIED}


class Calls:
    """Counts calls, and does something before one of them."""

    def __init__(self, at: int = 0, action: Callable[[], object] = lambda: None) -> None:
        self.number = 0
        self._at = at
        self._action = action

    def __call__(self, moment: str, name: str, path: str) -> None:
        if moment == "before":
            self.number += 1
            if self.number == self._at:
                self._action()


# -- repairing ---------------------------------------------------------------------------------------------


def test_a_failed_check_of_a_copy_stands_though_all_files_are_there(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    replicate(local, target)
    (copy,) = target.backups()
    damage(target, copy, b"somethinG")
    append_check(target.store, copy.path, verify(target, copy))
    append_check(
        target.store, copy.path, Examination(target.store, Subject(copy), Wanted(Level.PRESENCE, PRODUCER)).run()
    )

    assert replicate(local, target) == {FULL: Outcome.DAMAGED_TARGET}
    assert replicate(local, target, repair=True) == {FULL: Outcome.REPAIRED}
    assert replicate(local, target) == {FULL: Outcome.PRESENT}


def spoil_manifest(target: Vault) -> tuple[Any, dict[str, bytes]]:
    """Damage the manifest of the one copy; return it, and what is left."""
    (copy,) = target.backups()
    target.store.put(copy.path.manifest, target.store.read(copy.path.manifest)[:-3])
    return copy, contents(target)


def contents(vault: Vault) -> dict[str, bytes]:
    return {found.path: vault.store.read(found.path) for found in vault.store.list()}


def test_the_last_good_bytes_are_not_destroyed_by_a_repair(local: Vault, target: Vault, take: Take):
    """The original's bytes are lost, and the copy's manifest is damaged: its bytes are all there is."""
    original = take(local, backup_id=FULL)
    replicate(local, target)
    damage(local, original, None)
    copy, before = spoil_manifest(target)

    assert replicate(local, target) == {FULL: Outcome.DAMAGED_TARGET}
    assert contents(target) == before
    assert replicate(local, target, repair=True) == {FULL: Outcome.REPAIRED}

    (mended,) = target.backups()
    assert mended.manifest == copy.manifest.model_copy(
        update={"artifacts": tuple(one.model_copy(update={"version_id": None}) for one in copy.manifest.artifacts)}
    )
    assert mended.verified


def test_a_repair_that_finds_the_original_lost_changes_nothing(local: Vault, target: Vault, take: Take):
    original = take(local, backup_id=FULL)
    replicate(local, target)
    damage(local, original, b"somethinG")
    damage(target, next(iter(target.backups())), b"SOMETHING")
    _, before = spoil_manifest(target)

    assert replicate(local, target, repair=True) == {FULL: Outcome.DAMAGED_SOURCE}
    assert contents(target) == before


def test_a_repair_replaces_a_manifest_when_all_its_files_are_there(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    replicate(local, target)
    damage(target, next(iter(target.backups())), b"SOMETHING")
    copy, _ = spoil_manifest(target)
    written = []
    seen = interposed(
        target,
        lambda moment, call, path: written.append((moment, path)) if call in ("put", "put_stream") else None,
    )

    assert replicate(local, seen, repair=True) == {FULL: Outcome.REPAIRED}

    assert [path.rsplit("/", 1)[1].split(".")[0] for moment, path in written if moment == "after"][:2] == [
        "backup", "manifest"
    ]  # fmt: skip
    assert stored(target, FULL) == b"something"
    left = copy.path.file(copy.manifest.artifacts[0].name)
    assert [one.path for one in collect_garbage(target, older_than=timedelta(0)).removed] == [left]


def test_files_that_are_right_are_not_written_again_by_a_repair(local: Vault, target: Vault, take: Take, commit):
    draft = local.draft("xray", "acme", FULL)
    for role in ("backup", "attachments"):
        draft.add(role, [role.encode()], media_type="application/zip")
    original = commit(draft)
    replicate(local, target)
    (copy,) = target.backups()
    damaged, other = copy.manifest.artifacts
    target.store.delete(copy.path.file(damaged.name))
    kept = next(one for one in original.manifest.artifacts if one.role == other.role)
    local.store.delete(original.path.file(kept.name))

    assert replicate(local, target, repair=True) == {FULL: Outcome.REPAIRED}
    assert verify(target, copy).passed


def test_a_manifest_of_a_later_format_is_never_touched(local: Vault, target: Vault, take: Take):
    take(local, backup_id=FULL)
    replicate(local, target)
    (copy,) = target.backups()
    later = json.loads(target.store.read(copy.path.manifest)) | {"schema": "xbackup/manifest/v2"}
    target.store.put(copy.path.manifest, json.dumps(later).encode())
    before = contents(target)

    (found,) = Replication(local, target, producer=PRODUCER, now=NOW, repair=True)

    assert (found.outcome, contents(target)) == (Outcome.DAMAGED_TARGET, before)
    assert "It was left as it is." in found.problem


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", ["manifest", "file", "file and manifest"])
def test_wherever_a_repair_is_killed_nothing_good_is_lost_and_the_next_one_converges(
    local: Vault, target: Vault, take: Take, moment: str, what: str
):
    take(local, backup_id=FULL)
    replicate(local, target)
    (copy,) = target.backups()
    file = copy.path.file(copy.manifest.artifacts[0].name)
    if "file" in what:
        target.store.put(file, b"SOMETHING")
        append_check(target.store, copy.path, verify(target, copy))
    if "manifest" in what:
        spoil_manifest(target)
    before = contents(target)
    whole = Counter(moment=moment)
    replicate(local, interposed(target, whole), repair=True)
    assert whole.number >= 10

    for number in range(1, whole.number + 1):
        for path in contents(target).keys() - before.keys():
            target.store.delete(path)
        for path, data in before.items():
            target.store.put(path, data)
        with pytest.raises(Killed):
            replicate(local, interposed(target, Counter(number, moment)), repair=True)

        left = contents(target)
        assert copy.path.manifest in left
        assert file in left
        if what == "manifest":
            assert left[file] == b"something"
        replicate(local, target, repair=True)
        (mended,) = target.backups()
        assert (mended.state, verify(target, mended).passed) == ("ok", True)
        collect_garbage(target, older_than=timedelta(0))
        assert len([path for path in contents(target) if "/backup." in path]) == 1


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
