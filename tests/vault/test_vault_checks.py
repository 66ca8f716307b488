"""Check records, and what they add up to: which backups count as verified, and which as damaged or in doubt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interposed_store import interposed, once

from airflow_provider_xbackup.vault import Backup, Vault
from airflow_provider_xbackup.vault.catalog import Catalog
from airflow_provider_xbackup.vault.checks import Check, CheckFinding, Level, append_check, read_checks
from airflow_provider_xbackup.vault.errors import ObjectMissingError, RecordError
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.stored import StoredObject

#: Later than any clock of a machine that runs this, and a time that every file system keeps.
NOON = datetime(2036, 11, 24, 12, tzinfo=UTC)
SUSPECT = {"state": "suspect", "reasons": ["tests fell from 100 to 1"]}
INCOMPLETE = {"state": "incomplete", "reasons": ["no attachments"]}
Put = Callable[..., str]


def check(vault: Vault, /, hours: float = 0, **fields: Any) -> Check:
    """A check that looked as deep as its digests; ``code`` is what it found wrong."""
    code = fields.pop("code", "stored-digest" if not fields.get("passed", True) else None)
    values = {
        "at": NOON + timedelta(hours=hours),
        "vault": str(vault.url.without_connection),
        "level": "digest",
        "reached": "digest",
        "passed": code is None,
        "findings": () if code is None else (CheckFinding(code=code, text="because"),),
        "objects": 1,
        "bytes": 9,
        "producer": {"package_version": "0.1.0"},
        **fields,
    }
    return Check.model_validate(values)


def listed(vault: Vault, hours: float = 100) -> Backup:
    """The backup as somebody sees it so many hours after noon."""
    return next(iter(Catalog(vault.url, vault.store, now=lambda: NOON + timedelta(hours=hours))))


def verified(vault: Vault, hours: float = 100) -> bool:
    return listed(vault, hours).verified


def all_checks(vault: Vault) -> list[Check]:
    backup = listed(vault)
    return list(read_checks(vault.store, backup.path, backup.names or ()))


def append(vault: Vault, backup: Backup, **fields: Any) -> Check:
    return append_check(vault.store, backup.path, check(vault, **fields))[0]


# -- the records -------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(vault: Vault, take) -> None:
    backup = take(vault)
    found = check(vault, hours=1000, passed=False, level=Level.CONTENT, reached="presence", entities={"tests": 3})

    written, path = append_check(vault.store, backup.path, found)

    assert path.startswith(f"{backup.path.folder}/checks/20370105T040000Z-")
    assert written == found
    assert all_checks(vault) == [found]
    assert json.loads(vault.store.read(path))["schema"] == "xbackup/check/v1"


def test_records_are_read_newest_first(local: Vault, take, put_check: Put) -> None:
    backup = take(local)
    for hours in (1, 3, 2):
        put_check(local, backup, check(local, hours))

    assert [found.at.hour for found in all_checks(local)] == [15, 14, 13]


def test_no_record_is_written_for_a_backup_that_is_gone(local: Vault, take) -> None:
    backup = take(local)
    local.store.delete(backup.path.manifest)

    with pytest.raises(ObjectMissingError):
        append(local, backup)
    assert not [found for found in local.store.list() if "/checks/" in found.path]


# -- what they add up to -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        pytest.param([], False, id="never checked"),
        pytest.param([{}], True, id="passed"),
        pytest.param([{"reached": "stored-digest"}], True, id="passed without the key"),
        pytest.param([{"reached": "presence"}], False, id="only looked for the objects"),
        pytest.param([{"reached": "presence", "level": "content"}], False, id="meant to look deeper"),
        pytest.param([{"passed": False}], False, id="failed"),
        pytest.param([{}, {"passed": False, "hours": 1}], False, id="failed since"),
        pytest.param([{}, {"passed": False, "hours": 1, "reached": "none"}], False, id="missing since"),
        pytest.param([{"passed": False}, {"hours": 1}], True, id="passed since"),
        pytest.param([{}, {"reached": "presence", "hours": 1}], True, id="looked for the objects since"),
        pytest.param(
            [{}, {"passed": False, "hours": 1}, {"reached": "presence", "hours": 2}],
            False,
            id="failed, and then only looked for the objects",
        ),
        pytest.param(
            [{}, {"code": "missing-object", "hours": 1}, {"reached": "presence", "hours": 2}],
            False,
            id="a file that went and came back was not read again",
        ),
        pytest.param(
            [{"code": "damaged-zip", "level": "content"}, {"hours": 1}], False, id="passed, and less deep"
        ),
        pytest.param([{}, {"passed": False}], False, id="both at one instant"),
        pytest.param([{"passed": False}, {"hours": 1e-6}], True, id="passed since in the same second"),
        pytest.param([{}, {"passed": False, "hours": 1e-6}], False, id="failed since in the same second"),
        pytest.param([{"vault": "file:///elsewhere"}], False, id="checked elsewhere"),
        pytest.param([{"history": True}], False, id="a copy of a check, from a vault of the same name"),
        pytest.param([{}, {"passed": False, "hours": 1, "vault": "s3://other"}], True, id="failed elsewhere"),
        pytest.param([{}, {"passed": False, "hours": 1, "history": True}], True, id="failed before it was copied"),
        pytest.param([{"hours": 200}], False, id="passed in the future"),
        pytest.param([{}, {"passed": False, "hours": 200}], False, id="failed in the future"),
    ],
)
def test_a_backup_is_verified_by_its_newest_check_unless_one_failed_since(
    local: Vault, take, put_check: Put, checks: list[dict[str, Any]], expected: bool
) -> None:
    backup = take(local)
    for fields in checks:
        put_check(local, backup, check(local, **fields))

    assert verified(local) is expected


@pytest.mark.parametrize("appended", [False, True], ids=["as they are", "each after the others"])
@pytest.mark.parametrize(
    ("failed", "passed", "state"),
    [
        pytest.param("missing-object", {"reached": "presence"}, "ok", id="a file that is back"),
        pytest.param("wrong-size", {"reached": "presence"}, "ok", id="a file that has its size again"),
        pytest.param("stored-digest", {"reached": "presence"}, "damaged", id="other bytes, and nobody read them"),
        pytest.param("stored-digest", {"reached": "stored-digest"}, "ok", id="other bytes, and all were read"),
        pytest.param("unreadable-object", {"reached": "presence"}, "damaged", id="a bad sector, not read again"),
        pytest.param("plain-digest", {"reached": "stored-digest"}, "damaged", id="other content, no key"),
        pytest.param("plain-digest", {"reached": "digest"}, "ok", id="other content, read with the key"),
        pytest.param("damaged-zip", {"reached": "digest"}, "damaged", id="a damaged zip, not looked into"),
        pytest.param("damaged-zip", {"reached": "content"}, "ok", id="a damaged zip, looked into"),
        pytest.param("source-holds-more", {"reached": "content"}, "damaged", id="less than its source, not asked"),
        pytest.param("source-holds-more", {"reached": "source"}, "ok", id="less than its source, asked again"),
        pytest.param("of-a-later-release", {"reached": "digest"}, "damaged", id="unknown, at the level content"),
        pytest.param("of-a-later-release", {"reached": "content"}, "ok", id="unknown, looked as deep"),
        pytest.param("drop", {"reached": "presence"}, "ok", id="a fall that the manifest tells of no more"),
    ],
)
def test_a_failure_stands_until_a_check_has_passed_that_looked_as_deep(
    local: Vault, take, put_check: Put, appended: bool, failed: str, passed: dict[str, Any], state: str
) -> None:
    backup = take(local)
    for fields in ({"code": failed, "level": "content", "reached": "content"}, {**passed, "hours": 1}):
        if appended:
            append(local, backup, **fields)
        else:
            put_check(local, backup, check(local, **fields))

    found = listed(local)
    assert found.state == state
    if state == "damaged":
        assert found.verdict.flaws == ("because (Found on 2036-11-24 12:00 UTC.)",)


def test_a_fall_that_was_counted_stands_until_somebody_counts_again(local: Vault, take, put_check: Put) -> None:
    backup = take(local)
    put_check(local, backup, check(local, code="drop", level="content", entities={"tests": 1}))
    put_check(local, backup, check(local, hours=1))
    assert listed(local).state == "suspect"

    put_check(local, backup, check(local, hours=2, level="content", reached="content", entities={"tests": 100}))
    assert listed(local).state == "ok"


@pytest.mark.parametrize("code", ["drop", "empty", "suspect"])
def test_what_a_check_judged_makes_a_backup_suspect_until_a_person_accepts_it(
    local: Vault, take, put_check: Put, code: str
) -> None:
    backup = take(local)
    put_check(local, backup, check(local, code=code, level="content", reached="content"))
    assert (listed(local).state, listed(local).verdict.suspect) == ("suspect", True)

    local.store.create(backup.path.accepted, b"{}")
    assert (listed(local).state, listed(local).verified) == ("accepted", False)

    append_check(local.store, backup.path, check(local, hours=1), accepted=True)
    assert listed(local).verified


def test_a_persons_word_goes_over_no_damage(local: Vault, take, put_check: Put) -> None:
    backup = take(local)
    found = [{"code": code, "text": code} for code in ("drop", "wrong-size")]
    put_check(local, backup, check(local, findings=found, passed=False))
    assert listed(local).state == "suspect"

    local.store.create(backup.path.accepted, b"{}")
    assert (listed(local).state, listed(local).verdict.flaws) == (
        "damaged", ("wrong-size (Found on 2036-11-24 12:00 UTC.)",)
    )  # fmt: skip


def test_a_failed_check_that_says_nothing_is_one(local: Vault, take, put_check: Put) -> None:
    put_check(local, take(local), check(local, passed=False, findings=()))

    assert listed(local).state == "damaged"


@pytest.mark.parametrize(
    ("fields", "beside", "state", "expected"),
    [
        pytest.param({"condition": SUSPECT}, [], "suspect", False, id="suspect"),
        pytest.param({"condition": SUSPECT}, ["accepted.json"], "accepted", True, id="suspect and accepted"),
        pytest.param({"condition": SUSPECT}, ["hold.json"], "suspect", False, id="suspect and held"),
        pytest.param({"condition": INCOMPLETE}, [], "incomplete", False, id="incomplete"),
        pytest.param(
            {"condition": INCOMPLETE}, ["accepted.json"], "incomplete", False, id="incomplete and accepted"
        ),
        pytest.param({}, ["tombstone.json"], "expired", False, id="expired"),
        pytest.param({}, ["hold.json"], "held", True, id="held"),
    ],
)
def test_what_cannot_be_relied_on_is_not_verified_whatever_its_check_says(
    local: Vault, take, fields: dict[str, Any], beside: list[str], state: str, expected: bool
) -> None:
    backup = take(local, **fields)
    for name in beside:
        local.store.put(backup.path.file(name), b"{}")
    append(local, backup)

    assert (listed(local).state, verified(local)) == (state, expected)


@pytest.mark.parametrize("beside", [[], ["hold.json"]])
def test_a_backup_whose_file_is_gone_is_damaged_whatever_its_check_says(local: Vault, take, beside) -> None:
    backup = take(local)
    append(local, backup)
    for name in beside:
        local.store.put(backup.path.file(name), b"{}")
    name = backup.manifest.artifacts[0].name
    local.store.delete(backup.path.file(name))

    found = listed(local)
    assert (found.state, found.verified, found.reliable) == ("damaged", False, False)
    assert found.verdict.flaws == (f"{name} is not there.",)
    assert local.find("xray", "acme", backup.backup_id).state == "damaged"  # type: ignore[union-attr]


class Missing:
    """A store whose listing came by before a file was written, and saw the manifest after it."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return (found for found in self._store.list(prefix) if not found.path.endswith(self._name))


def test_a_file_that_a_listing_missed_is_looked_for(local: Vault, take) -> None:
    backup = take(local)
    missing: Any = Missing(local.store, backup.manifest.artifacts[0].name)

    assert [each.state for each in Vault(local.url, missing).backups()] == ["ok"]


def test_a_backup_from_the_future_is_not_verified(local: Vault, take) -> None:
    append(local, take(local, backup_id="99991123T014500Z-full-1a2b3c4d"))

    assert not verified(local)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema": "xbackup/check/v2"}'], ids=["empty", "bare", "other"])
def test_a_record_that_cannot_be_read_speaks_against_its_backup_until_all_of_it_is_read_again(
    local: Vault, take, put_check: Put, data: bytes
) -> None:
    backup = take(local)
    put_check(local, backup, check(local))
    local.store.put(backup.path.check(NOON + timedelta(hours=1), "00000000"), data)
    assert (listed(local).state, verified(local)) == ("damaged", False)
    with pytest.raises(RecordError, match="cannot be used"):
        all_checks(local)

    append(local, backup, hours=2, reached="presence")
    assert listed(local).state == "damaged"

    append(local, backup, hours=3)
    assert (listed(local).state, verified(local)) == ("ok", True)


def test_a_later_minor_version_is_read(local: Vault, take) -> None:
    backup = take(local)
    value = json.loads(check(local).to_json()) | {"schema": "xbackup/check/v1.3", "mood": "good"}
    local.store.put(backup.path.check(NOON, "00000000"), json.dumps(value).encode())

    assert verified(local)


# -- taking earlier ones into account ----------------------------------------------------------------------


def test_a_check_repeats_what_it_did_not_look_deep_enough_to_see_gone(local: Vault, take) -> None:
    backup = take(local)
    append(local, backup, code="damaged-zip", level="content")

    shallow = append(local, backup, hours=1)
    assert (shallow.passed, shallow.proven) == (False, False)
    (repeated,) = shallow.findings
    assert (repeated.code, repeated.depth, str(repeated)) == (
        "damaged-zip", "content", "because (Found on 2036-11-24 12:00 UTC.)"
    )  # fmt: skip

    again = append(local, backup, hours=2, reached="presence")
    assert again.findings == shallow.findings

    deep = append(local, backup, hours=3, level="content", reached="content")
    assert (deep.passed, deep.proven, deep.findings) == (True, True, ())


def test_a_check_does_not_repeat_what_it_found_itself(local: Vault, take) -> None:
    backup = take(local)
    append(local, backup, code="damaged-zip", level="content")

    assert len(append(local, backup, hours=1, code="damaged-zip", level="content").findings) == 1


def test_a_check_that_only_looked_for_objects_hands_on_that_the_bytes_were_read(local: Vault, take) -> None:
    backup = take(local)
    append(local, backup)

    assert append(local, backup, hours=1, reached="presence").proven
    assert verified(local)


@pytest.mark.parametrize("number", [1, 5])
def test_however_many_checks_there_are_one_of_them_is_read(local: Vault, take, number: int) -> None:
    backup = take(local)
    append(local, backup)
    for hours in range(1, number):
        append(local, backup, hours=hours, reached="presence")
    read: list[str] = []
    seen = interposed(
        local, lambda when, call, path: read.append(path) if (when, call) == ("after", "read") else None
    )

    assert verified(seen)
    assert len([path for path in read if "/checks/" in path]) == 1


def test_a_check_that_failed_beside_another_one_is_not_overlooked(local: Vault, take, put_check: Put) -> None:
    """Two verifications at once: the one that ends last has not seen what the other found."""
    backup = take(local)
    append(local, backup)

    def other_fails() -> None:
        put_check(local, backup, check(local, hours=1, passed=False))

    beside = interposed(local, once("after", "list", backup.path.folder, other_fails))
    append(beside, backup, hours=2)
    assert listed(local).state == "ok"  # it has read all bytes after the other one

    beside = interposed(local, once("after", "list", backup.path.folder, lambda: put_check(
        local, backup, check(local, hours=3, passed=False))))  # fmt: skip
    append(beside, backup, hours=4, reached="presence")
    assert listed(local).state == "damaged"


def test_a_slow_clock_does_not_place_a_failed_check_before_an_earlier_one(local: Vault, take) -> None:
    backup = take(local)
    append(local, backup)
    set_stored(local, NOON + timedelta(hours=2))

    record = append(local, backup, hours=-100, passed=False)

    assert record.at == NOON + timedelta(hours=2)
    assert listed(local).state == "damaged"


def test_a_check_of_a_fast_clock_is_superseded_by_one_that_has_seen_it(local: Vault, take, put_check: Put) -> None:
    backup = take(local)
    put_check(local, backup, check(local, hours=10_000, passed=False))
    set_stored(local, NOON)
    assert listed(local).state == "damaged"

    append(local, backup, hours=1)
    assert (listed(local).state, verified(local)) == ("ok", True)


def set_stored(vault: Vault, instant: datetime) -> None:
    """Say when the store says that the check records were written."""
    for found in vault.store.list():
        if "/checks/" in found.path:
            os.utime(Path(vault.url.prefix) / found.path, (instant.timestamp(), instant.timestamp()))
