"""Carrying retention out, on disk and on S3: what is in the vault afterwards, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interposed_store import CALLS, WRITES, Counter, Killed, interposed, once

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Backup, RetentionPlan, RetentionPolicy, Vault
from airflow_provider_xbackup.vault.errors import NoSuchBackupError, VaultAccessError
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

    (found,) = plan_retention(vault, RetentionPolicy(keep_last=1), now=NOW).plans

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


def test_the_newest_verified_backup_stays(vault: Vault, take: Take, fulls: list[Backup]) -> None:
    from airflow_provider_xbackup.vault.checks import Check, append_check

    check = Check(
        at=datetime.now(UTC), vault=str(vault.url), level="digest", reached="digest", passed=True, objects=1,
        bytes=9, producer={"package_version": "1"},
    )  # fmt: skip
    append_check(vault.store, fulls[2].path, check)

    assert [path.backup_id for path in apply(vault).expired] == [an_id(19)]


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
    """A vault in which retention has everything to do that it can do."""
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
