"""Holds, and the ways back for what has expired or was removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from interposed_store import WRITES, Counter, Killed, interposed, once

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Backup, RetentionPolicy, Vault
from airflow_provider_xbackup.vault.errors import BackupStateError, NoSuchBackupError, RecordError
from airflow_provider_xbackup.vault.expire import apply_retention
from airflow_provider_xbackup.vault.holds import hold, is_held, read_hold, release
from airflow_provider_xbackup.vault.records import Hold, Tombstone
from airflow_provider_xbackup.vault.undelete import find_removed, list_removed, undelete, undelete_versions

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WEEK = timedelta(days=7)
WORDS: dict[str, Any] = {"who": "ada", "why": "the audit", "now": NOW}


@pytest.fixture
def backup(vault: Vault, take: Callable[..., Any]) -> Backup:
    return take(vault)  # type: ignore[no-any-return]


def expire(vault: Vault, backup: Backup) -> None:
    vault.store.create(backup.path.tombstone, Tombstone(at=NOW, why="a test").to_json())


def state(vault: Vault, backup: Backup) -> str | None:
    found = vault.find(backup.path.service, backup.path.account, backup.backup_id)
    return None if found is None else found.state


def test_a_hold_says_who_why_and_until_when(vault: Vault, backup: Backup) -> None:
    done = hold(vault, backup.path, **WORDS, until=NOW + WEEK)

    written = read_hold(vault.store, backup.path)
    assert written == done.hold == Hold(who="ada", why="the audit", at=NOW, until=NOW + WEEK)
    assert state(vault, backup) == "held"
    assert (done.revived, done.missing_base) == ((), None)


def test_a_hold_ends_when_it_says(vault: Vault, backup: Backup) -> None:
    hold(vault, backup.path, **WORDS, until=NOW + WEEK)

    assert is_held(vault.store, backup.path, NOW + WEEK - timedelta(seconds=1))
    assert not is_held(vault.store, backup.path, NOW + WEEK)


def test_a_hold_without_an_end_lasts_until_it_is_released(vault: Vault, backup: Backup) -> None:
    hold(vault, backup.path, **WORDS)

    assert is_held(vault.store, backup.path, NOW + timedelta(days=36500))
    released = release(vault, backup.path)
    assert released is not None
    assert released.who == "ada"
    assert not is_held(vault.store, backup.path, NOW)
    assert release(vault, backup.path) is None


def test_a_hold_takes_the_tombstone_away(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)

    assert hold(vault, backup.path, **WORDS).revived == (backup.path,)
    assert state(vault, backup) == "held"


def test_holding_a_partial_brings_its_base_back_as_well(vault: Vault, take: Any, backup: Backup) -> None:
    partial = take(vault, backup_id="20261124T000000Z-partial-00000001", base=backup.backup_id)
    expire(vault, backup)
    expire(vault, partial)

    done = hold(vault, partial.path, **WORDS)

    assert done.revived == (partial.path, backup.path)
    assert (state(vault, partial), state(vault, backup)) == ("held", "ok")


def test_holding_a_partial_whose_manifest_is_damaged_brings_back_the_base_that_it_names(
    vault: Vault, take: Any, backup: Backup
) -> None:
    partial = take(vault, backup_id="20261124T000000Z-partial-00000001", base=backup.backup_id)
    vault.store.put(partial.path.manifest, vault.store.read(partial.path.manifest)[:-3])
    expire(vault, backup)

    assert hold(vault, partial.path, **WORDS).revived == (backup.path,)


def test_holding_a_partial_tells_when_its_base_is_gone(vault: Vault, take: Any) -> None:
    base = "20261101T000000Z-full-00000001"
    partial = take(vault, backup_id="20261124T000000Z-partial-00000001", base=base)

    missing = hold(vault, partial.path, **WORDS).missing_base

    assert missing is not None
    assert missing.backup_id == base


@pytest.mark.parametrize("tombstone", [True, False], ids=["half removed", "gone"])
def test_a_backup_whose_manifest_is_gone_cannot_be_held(vault: Vault, backup: Backup, tombstone: bool) -> None:
    if tombstone:
        expire(vault, backup)
    vault.store.delete(backup.path.manifest)

    with pytest.raises(NoSuchBackupError, match="its manifest was removed"):
        hold(vault, backup.path, **WORDS)

    assert not vault.store.exists(backup.path.hold)
    assert vault.store.exists(backup.path.tombstone) is tombstone


def test_a_manifest_that_goes_while_the_tombstone_is_taken_away_is_noticed(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)

    def remove() -> None:
        vault.store.delete(backup.path.manifest)

    beside = interposed(vault, once("before", "delete", "tombstone.json", remove))

    with pytest.raises(NoSuchBackupError):
        hold(beside, backup.path, **WORDS)
    assert not vault.store.exists(backup.path.hold)


def test_wherever_a_hold_dies_the_tombstone_is_there_until_the_hold_is(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)
    whole = Counter(names=WRITES)
    hold(interposed(vault, whole), backup.path, **WORDS)
    assert whole.number == 2

    for number in range(1, whole.number + 1):
        release(vault, backup.path)
        vault.store.put(backup.path.tombstone, Tombstone(at=NOW, why="a test").to_json())
        with pytest.raises(Killed):
            hold(interposed(vault, Counter(number, "before", WRITES)), backup.path, **WORDS)

        assert vault.store.exists(backup.path.tombstone)
        assert hold(vault, backup.path, **WORDS).revived == (backup.path,)
        assert state(vault, backup) == "held"


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        pytest.param(None, WEEK, True, id="a hold without end is not shortened"),
        pytest.param(2 * WEEK, WEEK, True, id="nor is a longer one"),
        pytest.param(WEEK, 2 * WEEK, False, id="a longer one replaces a shorter one"),
        pytest.param(WEEK, None, False, id="one without end replaces any"),
        pytest.param(None, None, False, id="one without end replaces its like"),
    ],
)
def test_a_second_hold(vault: Vault, backup: Backup, first: Any, second: Any, refused: bool) -> None:
    hold(vault, backup.path, who="bob", why="first", until=first and NOW + first, now=NOW)

    if refused:
        with pytest.raises(InvalidArgumentError, match="by bob, longer than you ask for"):
            hold(vault, backup.path, **WORDS, until=second and NOW + second)
    else:
        assert hold(vault, backup.path, **WORDS, until=second and NOW + second).hold.who == "ada"


def test_a_hold_that_is_over_is_replaced(vault: Vault, backup: Backup) -> None:
    hold(vault, backup.path, who="bob", why="first", until=NOW + 2 * WEEK, now=NOW)

    later = NOW + 3 * WEEK
    assert hold(vault, backup.path, who="ada", why="again", until=later + WEEK, now=later).hold.who == "ada"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param({"who": " "}, "Say who", id="nobody"),
        pytest.param({"why": ""}, "Say why", id="no reason"),
        pytest.param({"why": "x" * 2001}, "Say why", id="a novel"),
        pytest.param({"until": NOW}, "ends in the future", id="an end that is past"),
        pytest.param({"until": datetime(2027, 1, 1)}, "time zone", id="an end without a zone"),  # noqa: DTZ001
        pytest.param(
            {"until": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))},
            "ends in the future",
            id="an end behind the calendar's",
        ),
    ],
)
@pytest.mark.parametrize("call", [hold, undelete, undelete_versions])
def test_words_that_cannot_be_meant_are_refused(local: Vault, take: Any, call: Any, words, said) -> None:
    backup = take(local)

    with pytest.raises(InvalidArgumentError, match=said):
        call(local, backup.path, **{**WORDS, **words})
    assert not local.store.exists(backup.path.hold)


def test_a_damaged_hold_holds_is_told_and_can_be_released(vault: Vault, backup: Backup) -> None:
    vault.store.put(backup.path.hold, b"{")

    assert is_held(vault.store, backup.path, NOW)
    with pytest.raises(RecordError, match="It keeps the backup; release it"):
        hold(vault, backup.path, **WORDS)
    assert release(vault, backup.path) is None
    assert hold(vault, backup.path, **WORDS).hold.who == "ada"


# -- undelete ----------------------------------------------------------------------------------------------


def test_an_expired_backup_comes_back_and_is_held_for_a_week(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)

    done = undelete(vault, backup.path, **WORDS)

    assert done.revived == (backup.path,)
    assert done.hold.until == NOW + WEEK
    assert state(vault, backup) == "held"


def test_it_is_held_as_long_as_somebody_says(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)

    assert undelete(vault, backup.path, **WORDS, until=NOW + 9 * WEEK).hold.until == NOW + 9 * WEEK


def test_a_longer_hold_that_is_there_stays(vault: Vault, backup: Backup) -> None:
    hold(vault, backup.path, who="bob", why="first", now=NOW)
    expire(vault, backup)

    assert undelete(vault, backup.path, **WORDS).hold.who == "bob"


def test_one_that_has_not_expired_is_not_undeleted(vault: Vault, backup: Backup) -> None:
    with pytest.raises(BackupStateError, match="has not expired"):
        undelete(vault, backup.path, **WORDS)
    assert state(vault, backup) == "ok"


def test_one_that_is_gone_is_not_undeleted(vault: Vault, backup: Backup) -> None:
    expire(vault, backup)
    vault.store.delete(backup.path.manifest)

    with pytest.raises(NoSuchBackupError):
        undelete(vault, backup.path, **WORDS)


# -- buckets that keep versions ----------------------------------------------------------------------------


@pytest.fixture
def versioned(s3: Any) -> Vault:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    return Vault.open(s3.url)


@pytest.fixture
def removed(versioned: Vault, take: Any) -> Backup:
    """A backup that retention has removed."""
    old = take(versioned, backup_id="20261101T000000Z-full-00000001")
    take(versioned, backup_id="20261102T000000Z-full-00000001")
    apply_retention(versioned, RetentionPolicy(keep_last=1), grace=timedelta(0), now=NOW)
    assert state(versioned, old) is None
    return old  # type: ignore[no-any-return]


def test_a_removed_backup_comes_back_from_the_versions(versioned: Vault, removed: Backup) -> None:
    assert find_removed(versioned, removed.backup_id) == removed.path

    done = undelete_versions(versioned, removed.path, **WORDS)

    assert done.hold.until == NOW + WEEK
    assert state(versioned, removed) == "held"
    artifact = removed.manifest.artifacts[0]
    assert versioned.store.read(removed.path.file(artifact.name)) == b"something"
    with pytest.raises(NoSuchBackupError, match="No removed backup"):
        find_removed(versioned, removed.backup_id)


@pytest.mark.parametrize("start", ["20261101", "20261101T000000Z-full-0000000"])
def test_a_removed_backup_is_found_by_the_start_of_its_id(versioned: Vault, removed: Backup, start: str) -> None:
    assert find_removed(versioned, start) == removed.path
    assert find_removed(versioned, start, "xray", "acme") == removed.path
    with pytest.raises(NoSuchBackupError, match="--versions"):
        find_removed(versioned, start, "xenioo")


def remove(vault: Vault, backup: Backup) -> None:
    vault.store.delete(backup.path.manifest)
    for artifact in backup.manifest.artifacts:
        vault.store.delete(backup.path.file(artifact.name))


def test_a_start_that_several_removed_ones_have_is_refused(versioned: Vault, removed: Backup, take: Any) -> None:
    remove(versioned, take(versioned, backup_id="20261101T120000Z-full-00000002"))
    with pytest.raises(InvalidArgumentError, match=r"Several backups begin with 20261101: .*Write more"):
        find_removed(versioned, "20261101")
    remove(versioned, take(versioned, account="other", backup_id=removed.backup_id))
    with pytest.raises(InvalidArgumentError, match=r"Several accounts have a backup .*: xray/acme, xray/other"):
        find_removed(versioned, removed.backup_id)


def test_what_was_removed_and_can_come_back_is_listed(
    versioned: Vault, removed: Backup, take: Any, s3: Any
) -> None:
    also = take(versioned, backup_id="20261101T120000Z-full-00000002")
    other = take(versioned, account="other")
    for backup in (also, other):
        remove(versioned, backup)
    gone = take(versioned, backup_id="20261101T130000Z-full-00000003")
    remove(versioned, gone)
    artifact = f"some prefix/ü/{gone.path.file(gone.manifest.artifacts[0].name)}"
    for version in s3.client.list_object_versions(Bucket=s3.bucket, Prefix=artifact)["Versions"]:
        s3.client.delete_object(Bucket=s3.bucket, Key=artifact, VersionId=version["VersionId"])

    listed = list(list_removed(versioned))

    assert [each.path for each in listed] == [also.path, removed.path, other.path]
    assert [each.path for each in list_removed(versioned, account="other")] == [other.path]
    assert list(list_removed(versioned, "xenioo")) == []
    assert listed[0].stored_size == also.manifest.stored_size
    assert abs(listed[0].at - datetime.now(UTC)) < timedelta(minutes=5)
    undelete_versions(versioned, removed.path, **WORDS)
    assert removed.path not in {each.path for each in list_removed(versioned)}


def test_a_half_removed_one_is_listed_as_long_as_every_file_can_be_had(versioned: Vault, take: Any) -> None:
    backup = take(versioned, backup_id="20261101T120000Z-full-00000002")
    versioned.store.delete(backup.path.manifest)

    assert [each.path for each in list_removed(versioned)] == [backup.path]
    undelete_versions(versioned, backup.path, **WORDS)
    assert state(versioned, backup) == "held"


def test_the_command_lists_what_can_come_back_and_brings_it_back(
    versioned: Vault, removed: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(versioned.url)
    assert main(["undelete", url, "--versions"]) == 0
    told = capsys.readouterr().out
    assert removed.backup_id in told
    assert f"1 removed backup can come back in {url}" in told
    assert main(["undelete", url, "--versions", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert list(listed) == ["service", "account", "backup_id", "removed_at", "stored_size"]

    assert main(["undelete", url, "20261101"]) == 1
    assert "'xbackup undelete VAULT --versions' lists what was removed" in capsys.readouterr().err
    assert main(["undelete", url]) == 2
    assert "Say which backup" in capsys.readouterr().err
    assert main(["undelete", url, "20261101", "--versions"]) == 0
    assert "is held until" in capsys.readouterr().out
    assert main(["undelete", url, "--versions"]) == 0
    assert f"No removed backup can come back in {url}" in capsys.readouterr().out


def test_no_reader_sees_it_before_all_of_it_is_back(versioned: Vault, removed: Backup) -> None:
    seen = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            value = getattr(versioned.store.versions, name)
            if name != "reveal":
                return value

            def reveal(hidden: Any) -> None:
                seen.append((hidden.path.rsplit("/", 1)[1].split(".")[0], state(versioned, removed)))
                value(hidden)

            return reveal

    vault = Vault.open(str(versioned.url))
    vault.store.versions = Watched()  # type: ignore[assignment]
    undelete_versions(vault, removed.path, **WORDS)

    assert seen == [("backup", None), ("manifest", None)]


def test_one_that_was_deleted_twice_comes_back_all_the_same(versioned: Vault, removed: Backup, s3: Any) -> None:
    s3.client.delete_object(Bucket=s3.bucket, Key=f"some prefix/ü/{removed.path.manifest}")

    undelete_versions(versioned, removed.path, **WORDS)

    assert state(versioned, removed) == "held"


def test_one_whose_bytes_the_bucket_has_let_go_stays_gone(versioned: Vault, removed: Backup, s3: Any) -> None:
    artifact = f"some prefix/ü/{removed.path.file(removed.manifest.artifacts[0].name)}"
    for version in s3.client.list_object_versions(Bucket=s3.bucket, Prefix=artifact)["Versions"]:
        s3.client.delete_object(Bucket=s3.bucket, Key=artifact, VersionId=version["VersionId"])

    with pytest.raises(NoSuchBackupError, match="not among the versions"):
        undelete_versions(versioned, removed.path, **WORDS)
    assert state(versioned, removed) is None
    assert not versioned.store.exists(removed.path.hold)


def test_one_that_is_there_is_not_looked_for_among_the_versions(versioned: Vault, take: Any) -> None:
    with pytest.raises(BackupStateError, match="Without --versions"):
        undelete_versions(versioned, take(versioned).path, **WORDS)


def test_versions_are_looked_for_on_s3_only(local: Vault, take: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="on S3 only"):
        undelete_versions(local, take(local).path, **WORDS)


def test_one_that_came_back_is_not_removed_by_the_next_retention(versioned: Vault, removed: Backup) -> None:
    undelete_versions(versioned, removed.path, **WORDS)

    apply_retention(versioned, RetentionPolicy(keep_last=1), grace=timedelta(0), now=NOW)

    assert state(versioned, removed) == "held"
