"""Carrying retention out, on disk and on S3: what is in the vault afterwards, whatever happened meanwhile."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interposed_store import CALLS, WRITES, Counter, Killed, interposed, once
from s3_gate import Gate

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Backup, RetentionPlan, RetentionPolicy, Vault
from airflow_provider_xbackup.vault.errors import NoSuchBackupError, UnreadableObjectError, VaultAccessError
from airflow_provider_xbackup.vault.expire import Applied, apply_retention, plan_retention
from airflow_provider_xbackup.vault.holds import hold, release
from airflow_provider_xbackup.vault.records import Hold, Tombstone

#: Later than the store's clock, which counts where it is later than what a tombstone says.
NOW = max(datetime(2026, 11, 23, tzinfo=UTC), datetime.now(UTC).replace(microsecond=0) + timedelta(days=30))
GRACE = timedelta(days=3)
Take = Callable[..., Any]


def an_id(day: int, kind: str = "full") -> str:
    return f"202611{day:02}T000000Z-{kind}-0000000a"


def apply(vault: Vault, now: datetime = NOW, /, **options: Any) -> Applied:
    policy = {"keep_last": 1, "max_delete_fraction": 1, **options.pop("policy", {})}
    return apply_retention(vault, RetentionPolicy(**policy), now=now, **options)


def expire(vault: Vault, backup: Backup, at: datetime = NOW - GRACE) -> None:
    vault.store.create(backup.path.tombstone, Tombstone(at=at, why="a test said so").to_json())


def keep(vault: Vault, backup: Backup, until: datetime | None = None) -> None:
    vault.store.put(backup.path.hold, Hold(who="me", why="a test", at=NOW, until=until).to_json())


def paths(vault: Vault) -> list[str]:
    return sorted(found.path for found in vault.store.list())


def states(vault: Vault) -> dict[int, str]:
    """Every backup by its day."""
    return {backup.instant.day: backup.state for backup in vault.backups()}


def are_whole(vault: Vault) -> bool:
    """Whether every backup that a reader can see has all its files."""
    return all(
        vault.store.head(backup.path.file(artifact.name)).size == artifact.stored_size
        for backup in vault.backups()
        for artifact in backup.manifest.artifacts
    )


@pytest.fixture
def fulls(vault: Vault, take: Take) -> list[Backup]:
    """Three fulls, the newest first."""
    return [take(vault, backup_id=an_id(day)) for day in (20, 19, 18)]


# -- the life of an expired backup -------------------------------------------------------------------------


def test_what_expires_gets_a_tombstone_and_stays_for_the_grace_period(vault: Vault, fulls: list[Backup]) -> None:
    done = apply(vault)

    assert [path.backup_id for path in done.expired] == [an_id(19), an_id(18)]
    assert states(vault) == {20: "ok", 19: "expired", 18: "expired"}
    assert are_whole(vault)
    tombstone = Tombstone.from_json(vault.store.read(fulls[1].path.tombstone))
    assert (tombstone.at, tombstone.why) == (NOW, "no rule keeps it")
    assert done.removed == ()


def test_when_the_grace_period_is_over_nothing_of_it_is_left(vault: Vault, fulls: list[Backup]) -> None:
    apply(vault)
    assert apply(vault, NOW + GRACE - timedelta(seconds=1)).removed == ()

    done = apply(vault, NOW + GRACE)

    assert [path.backup_id for path in done.removed] == [an_id(18), an_id(19)]
    assert done.freed == 2 * fulls[0].manifest.stored_size
    assert {path.split("/")[2] for path in paths(vault)} == {an_id(20)}


def test_applying_again_changes_nothing(vault: Vault, fulls: list[Backup]) -> None:
    apply(vault)
    before = paths(vault)

    done = apply(vault)

    assert (done.expired, done.removed, done.revived, done.not_let_go) == ((), (), (), ())
    assert paths(vault) == before


def test_without_a_grace_period_it_is_gone_at_once(vault: Vault, fulls: list[Backup]) -> None:
    assert len(apply(vault, grace=timedelta(0)).removed) == 2
    assert states(vault) == {20: "ok"}


def test_planning_does_nothing(vault: Vault, fulls: list[Backup]) -> None:
    before = paths(vault)

    (found,) = plan_retention(vault, RetentionPolicy(keep_last=1), now=NOW)

    assert isinstance(found, RetentionPlan)
    assert [entry.backup_id for entry in found.expire] == [an_id(19), an_id(18)]
    assert paths(vault) == before


def test_what_expired_is_invisible_to_whoever_asks_for_the_latest(vault: Vault, fulls: list[Backup]) -> None:
    expire(vault, fulls[0])

    latest = vault.backups().latest()

    assert latest is not None
    assert latest.backup_id == an_id(19)


def test_only_the_account_that_was_named_is_looked_at(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    for day in (20, 19):
        take(vault, "other", an_id(day))

    assert {path.account for path in apply(vault, account="other").expired} == {"other"}
    assert apply(vault, service="xenioo").plans == ()


def test_groups_do_not_count_for_each_other(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    take(vault, backup_id=an_id(21), scope={"project_ids": ["1"]})

    done = apply(vault)

    assert [str(plan.group) for plan in done.plans] == ["xray/acme", "xray/acme, projects 1"]
    assert {path.backup_id for path in done.expired} == {an_id(19), an_id(18)}


def test_a_refusal_stops_its_group_alone(vault: Vault, take: Take) -> None:
    for day in range(1, 9):
        take(vault, backup_id=an_id(day))
    for day in (1, 2):
        take(vault, "other", an_id(day))

    done = apply(vault, policy={"max_delete_fraction": 0.5})

    assert [str(plan.group) for plan in done.refused] == ["xray/acme"]
    assert [path.account for path in done.expired] == ["other"]
    assert len(apply(vault, policy={"max_delete_fraction": 0.5}, override=["max-delete-fraction"]).expired) == 7


def test_a_suspect_newest_full_stops_its_group_with_what_had_expired_before(vault: Vault, take: Take) -> None:
    old = take(vault, backup_id=an_id(18))
    expire(vault, old)
    take(vault, backup_id=an_id(19))
    take(vault, backup_id=an_id(20), condition={"state": "suspect", "reasons": ["fell"]})

    done = apply(vault)

    assert (done.expired, done.removed) == ((), ())
    assert done.plans[0].paused is not None
    vault.store.put(f"xray/acme/{an_id(20)}/accepted.json", b"{}")
    assert [path.backup_id for path in apply(vault).removed] == [an_id(18)]


def put_check(vault: Vault, backup: Backup, *, passed: bool) -> None:
    from airflow_provider_xbackup.vault.checks import Check, append_check

    found = () if passed else ({"code": "stored-digest", "text": "other bytes"},)
    check = {
        "at": datetime.now(UTC),
        "vault": str(vault.url),
        "level": "digest",
        "reached": "digest",
        "passed": passed,
        "findings": found,
        "objects": 1,
        "bytes": 9,
        "producer": {"package_version": "1"},
    }
    append_check(vault.store, backup.path, Check.model_validate(check))


def test_the_newest_verified_backup_stays(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    put_check(vault, fulls[2], passed=True)

    assert [path.backup_id for path in apply(vault).expired] == [an_id(19)]


def test_a_backup_whose_file_is_gone_is_not_the_newest_whole_one(vault: Vault, fulls: list[Backup]) -> None:
    vault.store.delete(fulls[0].path.file(fulls[0].manifest.artifacts[0].name))

    done = apply(vault)

    assert states(vault) == {20: "damaged", 19: "ok", 18: "expired"}
    assert done.plans[0].reasons[an_id(20)][0] == "damaged: no candidate"
    assert "is not there" in done.plans[0].reasons[an_id(20)][1]
    assert apply(vault, NOW + GRACE).removed == (fulls[2].path,)


def test_backups_that_checks_have_refuted_take_no_place_in_a_rule(vault: Vault, take: Take) -> None:
    """An old one is verified, and the newest three are all known to be broken."""
    taken = {day: take(vault, backup_id=an_id(day)) for day in range(10, 17)}
    put_check(vault, taken[10], passed=True)
    for day in (14, 15, 16):
        put_check(vault, taken[day], passed=False)

    apply(vault, policy={"keep_last": 0, "keep_daily": 3})

    assert states(vault) == {
        16: "damaged", 15: "damaged", 14: "damaged", 13: "ok", 12: "ok", 11: "ok", 10: "ok",
    }  # fmt: skip


def test_a_fall_that_a_verification_found_pauses_retention(vault: Vault, take: Take) -> None:
    from airflow_provider_xbackup.vault.checks import Level
    from airflow_provider_xbackup.vault.examination import Wanted
    from airflow_provider_xbackup.vault.manifest import Producer
    from airflow_provider_xbackup.vault.verify import Verification

    for day, number in ((20, 1), (19, 100), (18, 100)):
        take(vault, backup_id=an_id(day), entities={"tests": number})
    list(Verification(vault, Wanted(Level.DIGEST, Producer(package_version="1"))))

    assert states(vault) == {20: "suspect", 19: "ok", 18: "ok"}
    assert apply(vault).expired == ()
    vault.store.put(f"xray/acme/{an_id(20)}/accepted.json", b"{}")
    assert [path.backup_id for path in apply(vault).expired] == [an_id(18)]


@pytest.mark.parametrize(
    ("one", "other", "counts"),
    [
        pytest.param({}, {}, 1, id="two tries of one run"),
        pytest.param({}, {"try_number": 2}, 1, id="another try"),
        pytest.param({}, {"dag_id": "e"}, 2, id="another DAG"),
        pytest.param({}, {"run_id": "s"}, 2, id="another run"),
        pytest.param({}, {"task_id": "u"}, 2, id="another task"),
        pytest.param({}, {"map_index": 1}, 2, id="another mapped task"),
        pytest.param({"map_index": None}, {"map_index": -1}, 1, id="no mapped task"),
        pytest.param({"dag_id": None}, {"dag_id": None}, 2, id="no task"),
    ],
)
def test_what_one_run_made_more_than_once_counts_once(
    vault: Vault, take: Take, one: dict[str, Any], other: dict[str, Any], counts: int
) -> None:
    task = {"package_version": "1", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 0}
    for day, change in ((20, one), (19, other), (18, {"run_id": "before"})):
        take(vault, backup_id=an_id(day), producer=task | change)

    expired = [path.backup_id for path in apply(vault, policy={"keep_last": 2}).expired]

    assert expired == ([an_id(19)] if counts == 1 else [an_id(18)])


def test_a_full_and_a_partial_of_one_run_count_each(vault: Vault, take: Take) -> None:
    task = {"package_version": "1", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 0}
    take(vault, backup_id=an_id(20, "partial"), base=an_id(19), modified_since=NOW, producer=task)
    take(vault, backup_id=an_id(19), producer=task)
    take(vault, backup_id=an_id(18))

    assert [path.backup_id for path in apply(vault, policy={"keep_last": 2}).expired] == [an_id(18)]


def test_old_garbage_goes_as_well(local: Vault, take: Take) -> None:
    backup = take(local, backup_id=an_id(20))
    left = backup.path.file("backup.deadbeef.zip")
    local.store.put(left, b"half a backup")

    assert apply(local).garbage.removed == ()
    assert [found.path for found in apply(local, garbage_after=timedelta(0)).garbage.removed] == [left]


@pytest.mark.parametrize("option", ["grace", "garbage_after"])
def test_negative_durations_are_refused(local: Vault, take: Take, option: str) -> None:
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        apply(local, **{option: timedelta(seconds=-1)})


def set_stored(vault: Vault, path: str, instant: datetime) -> None:
    """Say when an object was written, by the clock of the store."""
    os.utime(Path(vault.url.prefix) / path, (instant.timestamp(), instant.timestamp()))


def test_the_grace_period_begins_when_the_store_had_the_tombstone(local: Vault, take: Take) -> None:
    """The clock of the worker that wrote it was four days slow."""
    take(local, backup_id=an_id(20))
    backup = take(local, backup_id=an_id(19))
    expire(local, backup, NOW - timedelta(days=4))
    set_stored(local, backup.path.tombstone, NOW)

    assert apply(local, NOW + timedelta(seconds=5)).removed == ()
    assert apply(local, NOW + GRACE).removed == (backup.path,)


@pytest.mark.parametrize(
    ("at", "grace"),
    [
        pytest.param(datetime(9999, 12, 31, tzinfo=UTC), GRACE, id="a tombstone at the end of the calendar"),
        pytest.param(NOW, timedelta.max, id="a grace period that is longer than the calendar"),
    ],
)
def test_no_date_is_too_far_away_for_a_plan(local: Vault, take: Take, at: datetime, grace: timedelta) -> None:
    take(local, backup_id=an_id(20))
    expire(local, take(local, backup_id=an_id(19)), at)

    found = apply(local, grace=grace)

    assert found.removed == ()
    assert "as long as the calendar goes" in found.plans[0].reasons[an_id(19)][0]


# -- what protects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "expired"),
    [
        pytest.param(None, [18], id="until it is released"),
        pytest.param(NOW + timedelta(hours=1), [18], id="until later"),
        pytest.param(NOW, [19, 18], id="until now"),
    ],
)
def test_a_held_backup_does_not_expire(vault: Vault, fulls, until, expired) -> None:
    keep(vault, fulls[1], until)

    assert [int(path.backup_id[6:8]) for path in apply(vault).expired] == expired


def test_a_hold_that_cannot_be_read_holds(vault: Vault, fulls: list[Backup]) -> None:
    vault.store.put(fulls[1].path.hold, b"{")

    assert [path.backup_id for path in apply(vault).expired] == [an_id(18)]


def test_a_held_backup_that_had_expired_comes_back(vault: Vault, fulls: list[Backup]) -> None:
    expire(vault, fulls[1])
    keep(vault, fulls[1])

    done = apply(vault)

    assert [path.backup_id for path in done.revived] == [an_id(19)]
    assert states(vault)[19] == "held"


@pytest.fixture
def chain(vault: Vault, take: Take) -> list[Backup]:
    """A full of the 20th, and on the 19th a partial that builds on the full of the 18th."""
    return [
        take(vault, backup_id=an_id(20)),
        take(vault, backup_id=an_id(19, "partial"), base=an_id(18), modified_since=NOW),
        take(vault, backup_id=an_id(18)),
    ]


def test_a_partial_expires_with_its_base_and_goes_before_it(vault: Vault, chain: list[Backup]) -> None:
    apply(vault)

    done = apply(vault, NOW + GRACE)

    assert [path.backup_id for path in done.removed] == [an_id(19, "partial"), an_id(18)]


def test_a_base_whose_partial_came_late_is_revived(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    expire(vault, fulls[2])
    take(vault, backup_id=an_id(21, "partial"), base=an_id(18), modified_since=NOW)

    assert [path.backup_id for path in apply(vault).revived] == [an_id(18)]
    assert states(vault)[18] == "ok"


def test_a_base_is_revived_for_a_partial_that_is_stored_while_retention_runs(
    vault: Vault, take: Take, fulls: list[Backup]
) -> None:
    """Without a grace period there is nothing but the last look that saves the base."""

    def store_partial() -> None:
        take(vault, backup_id=an_id(21, "partial"), base=an_id(18), modified_since=NOW)

    beside = interposed(vault, once("after", "create", f"{an_id(18)}/tombstone.json", store_partial))

    done = apply(beside, grace=timedelta(0))

    assert [path.backup_id for path in done.revived] == [an_id(18)]
    assert [path.backup_id for path in done.removed] == [an_id(19)]
    assert states(vault) == {21: "ok", 20: "ok", 18: "ok"}


def make_unreadable(vault: Vault, backup: Backup, how: str) -> None:
    data = vault.store.read(backup.path.manifest)
    if how == "cut off":
        data = data[:-3]
    elif how == "of a later format":
        data = data.replace(b"xbackup/manifest/v1", b"xbackup/manifest/v2")
    else:
        data = b"{}"
    vault.store.put(backup.path.manifest, data)


@pytest.mark.parametrize(
    ("how", "left"),
    [
        pytest.param("cut off", {20, 18}, id="cut off, and names its full"),
        pytest.param("of a later format", {20, 18}, id="of a later format, and names its full"),
        pytest.param("gone", {20, 18, 17}, id="names nothing"),
    ],
)
def test_a_full_stays_while_a_partial_may_need_it_whose_manifest_cannot_be_read(
    vault: Vault, take: Take, chain: list[Backup], how: str, left: set[int]
) -> None:
    take(vault, backup_id=an_id(17))
    make_unreadable(vault, chain[1], how)

    done = apply(vault)
    later = apply(vault, NOW + GRACE)

    assert [found.code for found in done.findings] == ["damaged-manifest"]
    assert set(states(vault)) == left
    assert [path.backup_id for path in later.removed] == ([] if 17 in left else [an_id(17)])
    assert vault.store.exists(chain[1].path.file(chain[1].manifest.artifacts[0].name))


def test_an_expired_full_is_not_removed_while_a_partial_may_need_it(vault: Vault, chain: list[Backup]) -> None:
    expire(vault, chain[2])
    make_unreadable(vault, chain[1], "gone")

    done = apply(vault)

    assert (done.removed, done.revived) == ((), ())
    assert states(vault) == {20: "ok", 18: "expired"}


@pytest.mark.parametrize("how", ["cut off", "gone"])
def test_a_full_stays_when_its_partial_cannot_be_read_any_more_in_this_instant(
    vault: Vault, take: Take, fulls: list[Backup], how: str
) -> None:
    def store_unreadable() -> None:
        partial = take(vault, backup_id=an_id(21, "partial"), base=an_id(18), modified_since=NOW)
        make_unreadable(vault, partial, how)

    beside = interposed(vault, once("after", "create", f"{an_id(18)}/tombstone.json", store_unreadable))

    done = apply(beside, grace=timedelta(0))

    assert an_id(18) in [path.backup_id for path in done.revived]
    assert states(vault)[18] == "ok"


def bad_sector(path: str, *calls: str) -> Callable[[str, str, str], None]:
    """What a store says of an object whose place on the disk has gone bad."""

    def around(moment: str, name: str, called: str) -> None:
        if moment == "before" and name in calls and called == path:
            raise UnreadableObjectError(f"The disk could not read {path}: Input/output error.")

    return around


def test_a_manifest_that_cannot_be_read_stops_no_other(vault: Vault, fulls: list[Backup]) -> None:
    broken = interposed(vault, bad_sector(fulls[1].path.manifest, "read"))

    done = apply(broken)

    assert [(found.code, found.path) for found in done.findings] == [("damaged-manifest", fulls[1].path.manifest)]
    assert done.expired == (fulls[2].path,)


@pytest.mark.parametrize("record", ["hold", "tombstone"])
def test_a_record_that_cannot_be_read_stops_no_other(vault: Vault, fulls: list[Backup], record: str) -> None:
    """A hold holds; the grace period of a tombstone begins anew."""
    if record == "hold":
        keep(vault, fulls[1])
    else:
        expire(vault, fulls[1])
    broken = interposed(vault, bad_sector(getattr(fulls[1].path, record), "read"))

    done = apply(broken)

    assert done.expired == (fulls[2].path,)
    assert done.removed == ()
    assert vault.store.exists(fulls[1].path.manifest)


def test_a_manifest_that_goes_bad_before_its_removal_stops_no_other(vault: Vault, fulls: list[Backup]) -> None:
    for backup in fulls[1:]:
        expire(vault, backup)
    readings: list[str] = []

    def second_reading_fails(moment: str, name: str, path: str) -> None:
        if (moment, name, path) == ("before", "read", fulls[1].path.manifest):
            readings.append(path)
            if len(readings) > 1:
                raise UnreadableObjectError(f"The disk could not read {path}: Input/output error.")

    done = apply(interposed(vault, second_reading_fails))

    assert done.removed == (fulls[2].path,)
    assert [refused.path for refused in done.not_let_go] == [fulls[1].path.manifest]


@pytest.mark.parametrize(
    ("moment", "name", "end"),
    [
        pytest.param("after", "list", "", id="after the vault was listed"),
        pytest.param("before", "create", f"{an_id(19)}/tombstone.json", id="just before the tombstone"),
        pytest.param("after", "create", f"{an_id(19)}/tombstone.json", id="just after the tombstone"),
        pytest.param("before", "delete", f"{an_id(19)}/manifest.json", id="just before the manifest goes"),
        pytest.param("after", "exists", f"{an_id(19)}/tombstone.json", id="between the last two looks"),
    ],
)
def test_a_hold_that_is_set_beside_retention_keeps_the_backup(vault: Vault, fulls, moment, name, end) -> None:
    def hold_it() -> None:
        hold(vault, fulls[1].path, who="me", why="I need it", now=NOW)

    apply(interposed(vault, once(moment, name, end, hold_it)), grace=timedelta(0))

    assert states(vault) == {20: "ok", 19: "held"}
    assert are_whole(vault)


def test_a_hold_that_comes_when_the_manifest_is_gone_fails_or_brings_it_back(vault: Vault, fulls) -> None:
    told: list[type[BaseException]] = []

    def hold_it() -> None:
        try:
            hold(vault, fulls[1].path, who="me", why="I need it", now=NOW)
        except NoSuchBackupError as exc:
            told.append(type(exc))

    apply(interposed(vault, once("after", "delete", f"{an_id(19)}/manifest.json", hold_it)), grace=timedelta(0))

    assert told == [NoSuchBackupError]
    assert states(vault) == {20: "ok"}
    assert are_whole(vault)


def test_an_undeleted_backup_that_is_released_again_is_not_removed_by_a_plan_made_before(
    vault: Vault, fulls
) -> None:
    from airflow_provider_xbackup.vault.undelete import undelete

    expire(vault, fulls[1])

    def bring_back() -> None:
        undelete(vault, fulls[1].path, who="me", why="a mistake", now=NOW)
        release(vault, fulls[1].path)

    done = apply(interposed(vault, once("before", "create", f"{an_id(18)}/tombstone.json", bring_back)))

    assert done.removed == ()
    assert states(vault)[19] == "ok"


@pytest.mark.parametrize(
    ("moment", "name", "end"),
    [
        pytest.param("before", "read", "manifest.json", id="before it was read again"),
        pytest.param("before", "delete", "manifest.json", id="just before the manifest goes"),
        pytest.param("after", "exists", "tombstone.json", id="between the last two looks"),
        pytest.param("after", "delete", "manifest.json", id="just after the manifest went"),
    ],
)
def test_of_two_retentions_at_once_neither_brings_back_what_the_other_has_removed(
    vault: Vault, fulls: list[Backup], moment: str, name: str, end: str
) -> None:
    expire(vault, fulls[2])

    def other() -> None:
        apply(vault, policy={"keep_last": 2})

    done = apply(interposed(vault, once(moment, name, f"{an_id(18)}/{end}", other)), policy={"keep_last": 2})

    assert done.revived == ()
    assert states(vault) == {20: "ok", 19: "ok"}
    assert not [path for path in paths(vault) if an_id(18) in path]
    if vault.url.scheme == "file":  # S3 does not say whether there was something to remove
        assert len(done.removed) == ((moment, name) == ("after", "delete"))


def test_what_was_held_in_the_last_instant_is_not_put_back_without_its_files(
    vault: Vault, fulls: list[Backup]
) -> None:
    """Another retention has removed a file, and died, when somebody takes the tombstone away."""
    expire(vault, fulls[2])

    def spoil() -> None:
        vault.store.delete(fulls[2].path.file(fulls[2].manifest.artifacts[0].name))
        vault.store.delete(fulls[2].path.tombstone)

    written: list[str] = []
    step = once("after", "delete", f"{an_id(18)}/manifest.json", spoil)

    def around(moment: str, name: str, path: str) -> None:
        written.extend([path] if (moment, name) == ("after", "create") else ())
        step(moment, name, path)

    apply(interposed(vault, around), policy={"keep_last": 2})

    assert states(vault) == {20: "ok", 19: "ok"}
    assert fulls[2].path.manifest not in written


def test_what_another_retention_has_removed_is_not_said_to_be_revived(vault: Vault, fulls: list[Backup]) -> None:
    expire(vault, fulls[2])
    keep(vault, fulls[2])
    beside = interposed(
        vault, once("before", "delete", "tombstone.json", lambda: vault.store.delete(fulls[2].path.manifest))
    )

    assert apply(beside, policy={"keep_last": 2}).revived == ()


def test_a_file_that_goes_while_a_manifest_is_put_back_takes_it_along(vault: Vault, fulls: list[Backup]) -> None:
    expire(vault, fulls[2])
    artifact = fulls[2].path.file(fulls[2].manifest.artifacts[0].name)
    steps = [
        once("after", "delete", f"{an_id(18)}/manifest.json", lambda: vault.store.delete(fulls[2].path.tombstone)),
        once("before", "create", f"{an_id(18)}/manifest.json", lambda: vault.store.delete(artifact)),
    ]

    def around(moment: str, name: str, path: str) -> None:
        for step in steps:
            step(moment, name, path)

    apply(interposed(vault, around), policy={"keep_last": 2})

    assert states(vault) == {20: "ok", 19: "ok"}


# -- what can be in the way --------------------------------------------------------------------------------


def test_a_removal_that_died_half_way_is_finished(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    expire(vault, fulls[2])
    vault.store.delete(fulls[2].path.manifest)

    apply(vault, policy={"keep_last": 3})

    assert {path.split("/")[2] for path in paths(vault)} == {an_id(20), an_id(19)}


def test_a_removal_that_died_half_way_is_finished_even_where_the_group_is_refused(vault: Vault, fulls) -> None:
    expire(vault, fulls[2])
    vault.store.delete(fulls[2].path.manifest)

    assert apply(vault, policy={"keep_last": 0}).refused
    assert not [path for path in paths(vault) if an_id(18) in path]


def test_what_the_store_does_not_let_go_is_reported_and_tried_again(vault: Vault, fulls: list[Backup]) -> None:
    artifact = fulls[1].path.file(fulls[1].manifest.artifacts[0].name)
    locked = True

    def refuse(moment: str, name: str, path: str) -> None:
        if locked and (moment, name) == ("before", "delete") and path in (artifact, fulls[2].path.manifest):
            raise VaultAccessError(f"The store refused to remove {path}: it is locked.")

    stubborn = interposed(vault, refuse)
    done = apply(stubborn, grace=timedelta(0))

    assert {refused.path for refused in done.not_let_go} == {artifact, fulls[2].path.manifest}
    assert states(vault) == {20: "ok", 18: "expired"}
    assert {path for path in paths(vault) if an_id(19) in path} == {artifact, fulls[1].path.tombstone}

    locked = False
    assert apply(stubborn, NOW + GRACE).not_let_go == ()
    assert {path.split("/")[2] for path in paths(vault)} == {an_id(20)}


def test_a_base_stays_while_the_store_does_not_let_its_partial_go(vault: Vault, chain: list[Backup]) -> None:
    def refuse(moment: str, name: str, path: str) -> None:
        if (moment, name) == ("before", "delete") and path == chain[1].path.manifest:
            raise VaultAccessError("The store refused to remove it: it is locked.")

    apply(interposed(vault, refuse), grace=timedelta(0))

    assert states(vault) == {20: "ok", 19: "expired", 18: "expired"}


def test_a_file_that_may_not_be_removed_is_no_end_of_the_run(tmp_path: Path, take: Take) -> None:
    vault = Vault.open(tmp_path / "vault")
    taken = [take(vault, backup_id=an_id(day)) for day in (20, 19, 18)]
    folder = tmp_path / "vault" / taken[1].path.folder
    folder.chmod(0o500)
    try:
        if not _is_bound_by_modes(folder):
            pytest.skip("this user may do anything")
        done = apply(vault, grace=timedelta(0))
    finally:
        folder.chmod(0o700)

    assert [path.backup_id for path in done.removed] == [an_id(18)]
    assert len(done.not_let_go) == 1


def _is_bound_by_modes(folder: Path) -> bool:
    try:
        (folder / "probe").write_bytes(b"")
    except PermissionError:
        return True
    (folder / "probe").unlink()
    return False


def test_a_tombstone_that_cannot_be_read_begins_its_grace_anew(vault: Vault, fulls: list[Backup]) -> None:
    vault.store.put(fulls[1].path.tombstone, b"{")

    assert apply(vault, grace=timedelta(days=1)).removed == ()
    assert Tombstone.from_json(vault.store.read(fulls[1].path.tombstone)).at == NOW
    assert fulls[1].path in apply(vault, NOW + timedelta(days=1), grace=timedelta(days=1)).removed


def test_what_may_be_locked_stays_while_nobody_may_ask(s3: Any, gate: Gate, take: Take) -> None:
    vault = Vault.open(s3.url)
    old, _ = (take(vault, backup_id=an_id(day)) for day in (18, 19))
    gate.refused = lambda method, query: query == "object-lock"

    done = apply(vault)

    assert [refusal.name for refusal in done.plans[0].refusals] == ["unseen-locks"]
    assert (done.expired, done.removed) == ((), ())
    assert apply(vault, override=["unseen-locks"]).expired == (old.path,)


def test_a_bucket_that_keeps_versions_is_reported_with_what_it_means(s3: Any, take: Take) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    vault = Vault.open(s3.url)
    for day in (20, 19, 18):
        take(vault, backup_id=an_id(day))

    done = apply(vault, grace=timedelta(0))

    assert (len(done.removed), done.hidden) == (2, True)
    assert states(vault) == {20: "ok"}


def test_other_vaults_hide_nothing(vault: Vault, fulls: list[Backup]) -> None:
    assert apply(vault, grace=timedelta(0)).hidden is False


# -- dying -------------------------------------------------------------------------------------------------


@pytest.fixture
def eventful(vault: Vault, take: Take) -> Vault:
    return make_eventful(vault, take)


def make_eventful(vault: Vault, take: Take) -> Vault:
    """Fill a vault in which retention has everything to do that it can do."""
    take(vault, backup_id=an_id(22))
    base = take(vault, backup_id=an_id(12))
    take(vault, backup_id=an_id(21, "partial"), base=an_id(12), modified_since=NOW)
    expire(vault, base)  # to be revived
    held = take(vault, backup_id=an_id(11))
    expire(vault, held)
    keep(vault, held)  # to be revived as well
    take(vault, backup_id=an_id(20))  # to expire
    for backup_id, more in ((an_id(10), {}), (an_id(13, "partial"), {"base": an_id(10), "modified_since": NOW})):
        expire(vault, take(vault, backup_id=backup_id, **more))  # to be removed, with its base
    half = take(vault, backup_id=an_id(9))
    expire(vault, half)
    vault.store.delete(half.path.manifest)  # to be finished
    return vault


KEPT = {22, 21, 12, 11, 20}


def snapshot(vault: Vault) -> dict[str, bytes]:
    return {path: vault.store.read(path) for path in paths(vault)}


def restore(vault: Vault, before: dict[str, bytes]) -> None:
    now = snapshot(vault)
    for path in now.keys() - before.keys():
        vault.store.delete(path)
    for path in before.keys() - now.keys():
        vault.store.put(path, before[path])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_whenever_it_dies_nothing_kept_is_lost_and_a_rerun_converges(
    request: pytest.FixtureRequest, eventful: Vault, moment: str
) -> None:
    # The emulator is slow, and what was read only makes no difference to what is there.
    options: Any = {"moment": moment, "names": CALLS if eventful.url.scheme == "file" else WRITES}
    before = snapshot(eventful)
    whole = Counter(**options)
    apply(interposed(eventful, whole), policy={"keep_last": 2})
    settled = paths(eventful)
    assert set(states(eventful)) == KEPT
    assert whole.number > 10

    for number in range(1, whole.number + 1):
        restore(eventful, before)
        with pytest.raises(Killed):
            apply(interposed(eventful, Counter(number, **options)), policy={"keep_last": 2})

        assert set(states(eventful)) >= KEPT
        assert are_whole(eventful)
        apply(eventful, policy={"keep_last": 2})
        assert paths(eventful) == settled
        assert are_whole(eventful)


def test_whenever_another_retention_comes_in_between_nothing_is_lost_and_both_converge(
    local: Vault, take: Take
) -> None:
    eventful = make_eventful(local, take)
    before = snapshot(eventful)
    whole = Counter()
    apply(interposed(eventful, whole), policy={"keep_last": 2})
    settled = paths(eventful)

    for number in range(1, whole.number + 1):
        restore(eventful, before)
        calls = itertools.count(1)

        def other(moment: str, name: str, path: str, calls: Any = calls, number: int = number) -> None:
            if moment == "before" and name in CALLS and next(calls) == number:
                apply(eventful, policy={"keep_last": 2})

        apply(interposed(eventful, other), policy={"keep_last": 2})

        assert paths(eventful) == settled
        assert are_whole(eventful)


def test_whenever_a_hold_is_set_it_holds_or_says_that_the_backup_is_gone(local: Vault, take: Take) -> None:
    for day in (20, 19):
        take(local, backup_id=an_id(day))
    wanted = take(local, backup_id=an_id(18))
    expire(local, wanted)
    before = snapshot(local)
    whole = Counter()
    apply(interposed(local, whole))

    for number in range(1, whole.number + 1):
        restore(local, before)
        calls = itertools.count(1)
        gone: list[NoSuchBackupError] = []

        def hold_it(
            moment: str, name: str, path: str, calls: Any = calls, number: int = number, gone: Any = gone
        ) -> None:
            if moment == "before" and name in CALLS and next(calls) == number:
                try:
                    hold(local, wanted.path, who="me", why="I need it", now=NOW)
                except NoSuchBackupError as exc:
                    gone.append(exc)

        apply(interposed(local, hold_it))

        assert (18 in states(local)) != bool(gone)
        assert states(local).get(18, "held") == "held"
        assert are_whole(local)


def test_wherever_it_dies_no_live_partial_is_left_on_an_expired_full(local: Vault, take: Take) -> None:
    take(local, backup_id=an_id(20))
    take(local, backup_id=an_id(19, "partial"), base=an_id(18), modified_since=NOW)
    take(local, backup_id=an_id(18))
    before = snapshot(local)
    whole = Counter(names=WRITES, moment="after")
    apply(interposed(local, whole))
    assert whole.number >= 2

    for number in range(1, whole.number + 1):
        restore(local, before)
        with pytest.raises(Killed):
            apply(interposed(local, Counter(number, "after", WRITES)))

        found = states(local)
        assert (found[19], found[18]) != ("ok", "expired")


def test_wherever_a_removal_dies_the_records_are_there_as_long_as_a_file_is(local: Vault, take: Take) -> None:
    take(local, backup_id=an_id(20))
    backup = take(local, backup_id=an_id(19))
    put_check(local, backup, passed=True)
    put_check(local, take(local, backup_id=an_id(21)), passed=True)
    local.store.put(backup.path.accepted, b"{}")
    expire(local, backup)
    before = snapshot(local)
    records = {path for path in before if an_id(19) in path and ("checks/" in path or "accepted" in path)}
    artifact = backup.path.file(backup.manifest.artifacts[0].name)
    whole = Counter(names=WRITES)
    apply(interposed(local, whole), policy={"keep_last": 2})
    assert not [path for path in paths(local) if an_id(19) in path]

    for number in range(1, whole.number + 1):
        restore(local, before)
        with pytest.raises(Killed):
            apply(interposed(local, Counter(number, "before", WRITES)), policy={"keep_last": 2})

        left = set(paths(local))
        assert artifact not in left or records <= left
        assert backup.path.tombstone in left
