"""What becomes of every backup of a group, rule by rule: each case is a sentence about one of them.

A case names its backups by the day of November 2026 they were taken on, newest first; `f` is a full, `p3` a
partial that builds on the full of the 3rd. Marks follow a colon: s suspect, d damaged, i incomplete, x expired, u
dated in the future, q with a manifest that cannot be read, h held, v verified, and `rN` the run that made it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Scope
from airflow_provider_xbackup.vault.plan import RetentionPlan, Standing, plan, removable
from airflow_provider_xbackup.vault.retention import RetentionPolicy

NOW = datetime(2026, 11, 29, tzinfo=UTC)
GROUP = Group("xray", "acme", Scope())
STANDINGS = {
    "q": Standing.UNREADABLE,
    "x": Standing.EXPIRED,
    "u": Standing.FUTURE,
    "s": Standing.SUSPECT,
    "d": Standing.DAMAGED,
    "i": Standing.INCOMPLETE,
}
_BACKUP = re.compile(r"(\d+)(f|p)(\d*)(?::(.*))?")


def path(day: int, kind: str) -> BackupPath:
    word = {"f": "full", "p": "partial"}[kind]
    return BackupPath("xray", "acme", f"202611{day:02}T000000Z-{word}-00000000")


def entry(text: str) -> Entry:
    match = _BACKUP.fullmatch(text)
    assert match is not None, text
    day, kind, base, marks = int(match[1]), match[2], match[3], match[4] or ""
    run = re.search(r"r\d", marks)
    standing, returned = (
        next((standing for mark, standing in STANDINGS.items() if mark in words), Standing.WHOLE)
        for words in (marks, marks.replace("x", ""))
    )
    return Entry(
        path(day, kind),
        standing,
        base=path(int(base), "f").backup_id if base else None,
        run=run[0] if run else None,
        size=100,
        held="h" in marks,
        verified="v" in marks,
        expired_at=NOW - timedelta(days=1) if "x" in marks else None,
        suspect="s" in marks,
        flaw="a file is gone" if "d" in marks else "",
        returned=returned,
    )


def planned(policy: dict[str, Any], backups: str, **options: Any) -> RetentionPlan:
    fields = {"min_verified": 1, "max_delete_fraction": 1, **policy}
    return plan(RetentionPolicy(**fields), GROUP, map(entry, backups.split()), now=NOW, **options)


def on_days(entries: tuple[Entry, ...]) -> str:
    return " ".join(f"{each.instant.day}{'f' if each.full else 'p'}" for each in entries)


LAST = {"keep_last": 1}


@pytest.mark.parametrize(
    ("policy", "backups", "expired"),
    [
        pytest.param(LAST, "9f:s 8f:a 7f 6f", "", id="a suspect that is newest keeps everything"),
        pytest.param({"keep_last": 2}, "9f 8f:s 7f 6f", "6f", id="a suspect uses up no count"),
        pytest.param({"keep_last": 2}, "9f 8f:i 7f 6f", "6f", id="an incomplete one uses up no count"),
        pytest.param({"keep_last": 2}, "9f 8f:x 7f 6f", "6f", id="an expired one uses up no count"),
        pytest.param({"keep_last": 2}, "9f 8f:d 7f 6f", "6f", id="a damaged one uses up no count"),
        pytest.param(LAST, "9f:d 8f 7f", "7f", id="a damaged one that is newest is not the last"),
        pytest.param(
            {"keep_daily": 2}, "9f:d 8f:d 7f:d 6f 5f 4f", "4f", id="days on which all are damaged use up no count"
        ),
        pytest.param(
            {"keep_last": 2}, "9f 8p7 7f:d 6f 5f", "5f", id="a partial of a damaged full uses up no count"
        ),
        pytest.param({"keep_last": 2}, "9f 8p7 7f:s 6f 5f", "5f", id="nor does one of a suspect full"),
        pytest.param({"keep_last": 2}, "9f 8p3 7f 6f", "6f", id="nor does one whose full is gone"),
        pytest.param(
            {"keep_last": 2}, "9p6 8f 7f 6f:xd 5f", "5f", id="nor one whose full has expired and is damaged"
        ),
        pytest.param({"keep_last": 2}, "9p6 8f 7f 6f:x 5f", "7f 5f", id="but one whose full can be revived does"),
        pytest.param({"keep_last": 2}, "9f 8f:q 7f 6f", "6f", id="one that cannot be read uses up no count"),
        pytest.param({"keep_last": 2}, "28f:u 9f 8f 7f", "7f", id="one of the future uses up no count"),
        pytest.param(LAST, "9f 8f:s 7f:i 6f:x 5f:d 4f:q 3p2 28f:u", "", id="what is no candidate does not expire"),
        pytest.param(
            {"keep_last": 2}, "9f:r1 8f:r1 7f:r1 6f:r2", "8f 7f", id="of the tries of a run the newest counts"
        ),
        pytest.param({"keep_last": 2}, "9f:r1 8f:r1i 7f:r2 6f:r3", "6f", id="a try that failed counts not at all"),
        pytest.param({"keep_last": 2}, "9f:r1d 8f:r1 7f:r2 6f:r3", "6f", id="a damaged try replaces none"),
        pytest.param({"keep_last": 2}, "9f:r1s 8f 7f:r1 6f", "", id="a suspect try replaces none that was whole"),
        pytest.param({"keep_last": 3}, "9f 8f 7f", "", id="backups that no task made are no tries of one run"),
        pytest.param({"keep_last": 2}, "9f 8f:xh 7f", "7f", id="an expired one that is held counts again"),
        pytest.param({"keep_last": 2}, "9f 8f:xhd 7f 6f", "6f", id="unless it is damaged as well"),
        pytest.param(
            {"keep_last": 2}, "9p8 8f:x 7f", "7f", id="an expired one counts again while a partial lives on it"
        ),
        pytest.param({"keep_last": 1}, "9f 8p7 7f:x 6f", "8p 6f", id="also where that partial expires"),
        pytest.param({"keep_last": 2}, "9f 8p7:x 7f:x 6f", "", id="not where it has expired itself"),
        pytest.param({"keep_last": 2}, "9f 8f:xhr1 7f:r1 6f", "7f 6f", id="it replaces earlier tries of its run"),
    ],
)
def test_rule_1_who_is_a_candidate(policy: dict[str, Any], backups: str, expired: str) -> None:
    assert on_days(planned(policy, backups.replace(":a", "")).expire) == expired


@pytest.mark.parametrize(
    ("policy", "backups", "expired"),
    [
        pytest.param(LAST, "9f 8f 7f:v 6f:v", "8f 6f", id="the newest verified stays"),
        pytest.param({**LAST, "min_verified": 2}, "9f 8f 7f:v 6f:v 5f:v", "8f 5f", id="as many as are asked for"),
        pytest.param({**LAST, "min_verified": 0}, "9f 8f 7f:v", "8f 7f", id="none when none are asked for"),
        pytest.param(LAST, "9f:v 8f 7f:v", "8f 7f", id="one that the rules keep counts as well"),
        pytest.param(LAST, "9f 8f:vx 7f:v 6f", "6f", id="an expired one is no verified one"),
        pytest.param(LAST, "9f 8f:vd 7f:v 6f", "6f", id="a damaged one is none either"),
        pytest.param(LAST, "9f 8p5:v 7f:v 6f 5f:d", "6f", id="nor is a partial of a damaged full"),
        pytest.param(LAST, "9f:r1 8f:r1v 7f:v", "7f", id="an earlier try of a run may be the verified one"),
        pytest.param(LAST, "9f 8f:h 7f", "7f", id="a held one stays"),
        pytest.param(LAST, "9p7 8f 7f", "", id="a base stays while a kept partial needs it"),
        pytest.param({"keep_last": 2}, "9f 8f 7p5 6f 5f", "7p 6f 5f", id="and goes with its last partial"),
        pytest.param(LAST, "9f 8f 7p5:h 6f 5f", "8f 6f", id="the base of a held partial stays"),
        pytest.param(LAST, "9f 8p6:i 7f 6f", "7f", id="the base of a partial that is no candidate stays"),
        pytest.param(LAST, "9f 8p6:x 7f 6f", "7f 6f", id="the base of an expired partial expires"),
        pytest.param(LAST, "9f 8p6:v 7f 6f", "7f", id="the base of a verified partial stays"),
        pytest.param(LAST, "9f 8p7:d 7f 6f", "6f", id="the base of a damaged partial stays"),
        pytest.param(LAST, "9f 8p5 7f", "7f", id="a base that is gone stops nothing else"),
        pytest.param(LAST, "9f 8p6:q 7f 6f 5f", "7f 5f", id="the base that an unreadable partial names stays"),
        pytest.param(
            LAST, "9f 8f 7p:q 6f 5f", "8f", id="all fulls before an unreadable partial stay, if it names none"
        ),
        pytest.param(LAST, "9f 8p7 7f 6p:q 5p4 4f", "8p 7f 5p", id="of partials it needs none"),
        pytest.param(LAST, "9f 8f:q 7f", "7f", id="an unreadable full needs none"),
        pytest.param(
            {"keep_weekly": -1},
            "20f 19f:r1 8f 2p1 1f:r1",
            "",
            id="the newest try of a run stays while an earlier one stays as a base",
        ),
        pytest.param(LAST, "9f 8f:r1 7f:r1h 6f", "6f", id="or because it is held"),
        pytest.param(LAST, "9f 8f:r1 7f:r1v 6f", "6f", id="or because it is the verified one"),
        pytest.param(LAST, "9f 8f:r1 7f:r1 6f", "8f 7f 6f", id="and goes with the last of them"),
        pytest.param(LAST, "9f 8f:r1 7f:r1 6f:r1h 5f", "7f 5f", id="other tries go"),
        pytest.param(LAST, "9f 8p5:r1 7p4:r1h 6f 5f 4f", "6f", id="its base stays with it"),
        pytest.param(LAST, "9f 8f:r1 7p6:r2h 6f:r1 5f:r2", "5f", id="a base can be an earlier try"),
        pytest.param(LAST, "9f 8f:r1d 7f:r1 6f:r1h 5f", "5f", id="a damaged try is not the newest one"),
        pytest.param(LAST, "9f 8f:r1 7f:r1dh 6f", "8f 6f", id="nor does it need it"),
        pytest.param(LAST, "9f 8f:xhv 7f:v", "7f", id="an expired one that is held may be the verified one"),
    ],
)
def test_rule_2_what_is_kept_whatever_the_rules_say(policy: dict[str, Any], backups: str, expired: str) -> None:
    assert on_days(planned(policy, backups).expire) == expired


@pytest.mark.parametrize(
    ("policy", "backups", "expired"),
    [
        pytest.param(LAST, "9f:s 8f 7f", "", id="nothing expires while the newest full is suspect"),
        pytest.param(LAST, "10p8 9f:s 8f 7f", "", id="a newer partial changes nothing about it"),
        pytest.param(LAST, "28f:us 9f 8f", "", id="nor while one of the future is: a clock may be slow"),
        pytest.param(LAST, "28f:u 9f:s 8f 7f", "", id="one of the future does not end it"),
        pytest.param(LAST, "10f:d 9f:s 8f 7f", "", id="nor does a damaged one"),
        pytest.param(LAST, "10f:i 9f:s 8f 7f", "", id="nor does an incomplete one"),
        pytest.param(LAST, "9f:d 8f 7f", "7f", id="a damaged one is no suspect one"),
        pytest.param(LAST, "10f:sx 9f 8f", "8f", id="nor does one that has expired"),
        pytest.param(LAST, "9f:i 8f 7f", "7f", id="an incomplete one is no suspect one"),
        pytest.param(LAST, "10p:s 9f 8f", "8f", id="a suspect partial is no full"),
        pytest.param(LAST, "10f 9f:s 8f", "8f", id="a newer full ends it"),
        pytest.param(LAST, "9f:i 8f", "", id="the newest whole backup has no newer one"),
        pytest.param({"keep_daily": 7}, "9f:d 8f", "", id="a damaged newer one is none"),
        pytest.param(LAST, "9p3 8f 7f", "7f", id="nor is a partial whose full is gone"),
        pytest.param(LAST, "9p 8p 7f 6f", "8p 6f", id="partials without a base replace no full"),
        pytest.param(LAST, "9f:xh 8f:s 7f", "7f", id="a newer full that comes back ends a pause"),
        pytest.param(LAST, "9f:xhs 8f 7f", "", id="a suspect one that comes back begins it"),
        pytest.param(LAST, "9p8 8f:x 7f 6f", "7f 6f", id="the newest full may be one that comes back"),
    ],
)
def test_rule_3_nothing_expires_without_something_newer_to_go_back_to(
    policy: dict[str, Any], backups: str, expired: str
) -> None:
    assert on_days(planned(policy, backups).expire) == expired


FULLS = " ".join(f"{day}f" for day in range(20, 0, -1))


@pytest.mark.parametrize(
    ("policy", "backups", "refused"),
    [
        pytest.param({}, "9f 8f", ["empties-group"], id="a policy that keeps nothing"),
        pytest.param({}, "9f", [], id="a policy that keeps nothing of one backup, which stays"),
        pytest.param({}, "9f 8f:h", [], id="a policy that keeps nothing, where nothing would expire"),
        pytest.param({}, "9f 8f 7f:h", ["empties-group"], id="holds do not make a policy a good one"),
        pytest.param({"keep_last": 10, "max_delete_fraction": 0.5}, FULLS, [], id="exactly the share that may"),
        pytest.param(
            {"keep_last": 9, "max_delete_fraction": 0.5}, FULLS, ["max-delete-fraction"], id="more than the share"
        ),
        pytest.param({**LAST, "max_delete_fraction": 0.5}, "6f 5f 4f 3f 2f 1f", [], id="five may always expire"),
        pytest.param(
            {**LAST, "max_delete_fraction": 0.5}, "7f 6f 5f 4f 3f 2f 1f", ["max-delete-fraction"], id="six may not"
        ),
        pytest.param(
            {"keep_last": 9, "max_delete_fraction": 0.5},
            f"{FULLS} 21f:i 22f:i",
            [],
            id="all that live are counted",
        ),
        pytest.param(
            {"keep_last": 9, "max_delete_fraction": 0.5},
            f"{FULLS} 21f:x 22f:x 23f:x",
            ["max-delete-fraction"],
            id="the expired ones live no more",
        ),
        pytest.param(
            {"max_delete_fraction": 0}, f"21f:s {FULLS}", [], id="nothing is refused where nothing expires"
        ),
    ],
)
def test_rule_4_what_is_refused(policy: dict[str, Any], backups: str, refused: list[str]) -> None:
    found = planned(policy, backups)

    assert [refusal.name for refusal in found.refusals] == refused


def test_what_is_refused_is_shown_and_can_be_overridden_by_its_name() -> None:
    policy = {"keep_last": 9, "max_delete_fraction": 0.5}

    assert len(planned(policy, FULLS).expire) == 11
    assert planned(policy, FULLS, override=["max-delete-fraction"]).refusals == ()
    assert planned(policy, FULLS, override=["empties-group"]).refusals != ()


def test_where_locks_go_unseen_nothing_expires_or_goes() -> None:
    blind = {"locks_unseen": True}
    refused = planned(LAST, "9f 8f 7f:x", **blind, grace=timedelta(0))
    overridden = planned(LAST, "9f 8f 7f:x", **blind, grace=timedelta(0), override=["unseen-locks"])

    assert [refusal.name for refusal in refused.refusals] == ["unseen-locks"]
    assert "s3:GetBucketObjectLockConfiguration" in refused.refusals[0].text
    assert on_days(refused.remove) == ""
    assert (overridden.refusals, on_days(overridden.remove)) == ((), "7f")


def test_even_overridden_the_newest_whole_backup_stays() -> None:
    found = planned({}, "9f 8f", override=["empties-group"])

    assert (on_days(found.keep), on_days(found.expire), found.refusals) == ("9f", "8f", ())


@pytest.mark.parametrize("override", [["everything"], "everything"])
def test_an_unknown_override_is_refused(override: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="known are empties-group, max-delete-fraction"):
        planned(LAST, "9f", override=override)


@pytest.mark.parametrize(
    ("backups", "grace", "removed"),
    [
        pytest.param("9f 8f:x", 1, "8f", id="an expired one goes when its grace is over"),
        pytest.param("9f 8f:x", 2, "", id="and not before"),
        pytest.param("9f 8f:xh", 1, "", id="a held one does not go"),
        pytest.param("9p7 7f:x", 1, "", id="nor does a base that lives on in a partial"),
        pytest.param("9f 8p7 7f:x", 1, "", id="nor does one whose partial expires only now"),
        pytest.param("9f 8p7:x 7f:x", 1, "8p 7f", id="a base goes beside its last partial"),
        pytest.param("9f 8p7:xh 7f:x", 1, "", id="and not when that one is brought back"),
        pytest.param("9f:s 8f:x", 1, "", id="none goes while the newest full is suspect"),
        pytest.param("9f 8p7:q 7f:x", 1, "", id="nor does the base that an unreadable partial names"),
        pytest.param("9f 8p:q 7f:x", 1, "", id="nor does one that an unreadable partial may need"),
        pytest.param("9f 8f:x 7p:q", 1, "8f", id="one that is newer than it goes"),
    ],
)
def test_what_is_removed(backups: str, grace: int, removed: str) -> None:
    assert on_days(planned(LAST, backups, grace=timedelta(days=grace)).remove) == removed


def test_none_is_removed_while_the_plan_is_refused() -> None:
    found = planned({}, "9f 8f 7f:x", grace=timedelta())

    assert found.refusals
    assert found.remove == ()


@pytest.mark.parametrize(
    ("backups", "revived"),
    [
        pytest.param("9f 8f:xh", "8f", id="one that is held"),
        pytest.param("9p8 8f:x", "8f", id="a base of a live partial"),
        pytest.param("9f 8p7:i 7f:x", "7f", id="a base of a partial that is no candidate"),
        pytest.param("9f 8p7:xh 7f:x", "8p 7f", id="a held partial with its base"),
        pytest.param("9f:s 8f:xh", "8f", id="even while the newest full is suspect"),
        pytest.param("9f 8p7:q 7f:x", "7f", id="a base that an unreadable partial names"),
        pytest.param("9f 8p:q 7f:x", "", id="none that it may need: that one waits"),
        pytest.param("9f 8f:x", "", id="no other"),
        pytest.param("9f 8p7 7f:x", "", id="no base whose partial expires"),
        pytest.param("9f 8p7:d 7f:xd", "7f", id="a damaged base of a partial that stays"),
        pytest.param("9f 8f:xhr1 7f:r1h", "8f", id="one that is held and the newest try of its run"),
    ],
)
def test_what_is_revived(backups: str, revived: str) -> None:
    assert on_days(planned(LAST, backups).revive) == revived


def test_partials_go_before_their_bases_and_a_base_waits_for_all_of_them() -> None:
    def expired(text: str, days: int) -> Entry:
        return dataclasses.replace(entry(text), expired_at=NOW - timedelta(days=days))

    def go(*entries: Entry) -> str:
        return on_days(removable(entries, now=NOW, grace=timedelta(days=3)))

    assert go(expired("5f:x", 9), expired("6p5:x", 9), expired("7p5:x", 9)) == "6p 7p 5f"
    assert go(expired("5f:x", 9), expired("6p5:x", 9), expired("7p5:x", 2)) == "6p"


def test_one_whose_tombstone_cannot_be_read_is_not_removed() -> None:
    damaged = dataclasses.replace(entry("8f:x"), expired_at=None)
    found = plan(RetentionPolicy(keep_last=1), GROUP, [entry("9f"), damaged], now=NOW, grace=timedelta())

    assert found.remove == ()
    assert "cannot be read" in found.reasons[damaged.backup_id][0]


@pytest.mark.parametrize(
    ("backups", "reasons"),
    [
        pytest.param(
            "9f:v 8f:h 7f",
            {9: ["last", "newest verified", "newest whole backup", "newest whole full"], 8: ["held"],
             7: ["no rule keeps it"]},
            id="kept and expiring",
        ),
        pytest.param(
            "9f:r1 8f:r1 7f:s 6f:i",
            {9: ["last", "newest whole backup", "newest whole full"], 8: ["a later try of the same run counts"],
             7: ["suspect: stays until a person accepts it"], 6: ["incomplete: no candidate"]},
            id="no candidates",
        ),
        pytest.param(
            "9f:d 8p6 7f 6f:d 5p:q 4f 3f:x",
            {9: ["damaged: no candidate", "a file is gone"],
             8: [f"its full {path(6, 'f').backup_id} is damaged: no candidate"],
             7: ["last", "newest whole backup", "newest whole full"],
             6: ["damaged: no candidate", "a file is gone", f"base of {path(8, 'p').backup_id}"],
             5: ["its manifest cannot be read: no candidate"],
             4: [f"may be the base of {path(5, 'p').backup_id}, whose manifest cannot be read"],
             3: ["expired 2026-11-28",
                 f"may be the base of {path(5, 'p').backup_id}, whose manifest cannot be read"]},
            id="damage",
        ),
        pytest.param(
            "9f:s 8f 7f",
            {9: ["suspect: stays until a person accepts it"],
             8: ["last", "newest whole backup", "newest whole full"],
             7: [f"the full {path(9, 'f').backup_id} is suspect, and no newer one is whole"]},
            id="a pause",
        ),
        pytest.param(
            "9p8 8f:x 7f 6f:x",
            {9: ["last", "newest whole backup"], 8: ["newest whole full", f"base of {path(9, 'p').backup_id}"],
             7: ["no rule keeps it"],
             6: ["expired 2026-11-28, can be brought back until 2026-12-01 00:00 UTC at least"]},
            id="expired",
        ),
        pytest.param(
            "9f 8f:r1 7f:r1h",
            {9: ["last", "newest whole backup", "newest whole full"],
             8: [f"newest try of the run of {path(7, 'f').backup_id}"], 7: ["held"]},
            id="tries of a run",
        ),
    ],
)  # fmt: skip
def test_every_backup_has_its_reasons(backups: str, reasons: dict[int, list[str]]) -> None:
    found = planned(LAST, backups)

    assert {each.entry.instant.day: list(each.reasons) for each in found.decisions} == reasons


def test_an_empty_group_has_an_empty_plan() -> None:
    assert planned(LAST, "") == RetentionPlan(GROUP, ())


def test_what_a_bucket_locks_stays_and_says_so_once() -> None:
    locked = dataclasses.replace(entry("8f"), retained="locked until 2027-01-01 00:00 UTC")

    found = plan(RetentionPolicy(keep_last=1), GROUP, [entry("9f"), locked, entry("7f")], now=NOW)

    assert [each.path for each in found.expire] == [path(7, "f")]
    assert found.decisions[1].reasons == ("locked until 2027-01-01 00:00 UTC",)


def test_a_plan_tells_itself_as_json() -> None:
    found = planned({}, "9f 8f")
    told, backups = found.to_dict(), [each.to_dict() for each in found.decisions]

    assert told["scope"] == {"project_ids": None, "attachments": False}
    assert [refusal["name"] for refusal in told["refusals"]] == ["empties-group"]
    assert [(each["action"], each["stored_size"]) for each in backups] == [("keep", 100), ("expire", 100)]


# -- laws --------------------------------------------------------------------------------------------------


def _some(draw: st.DrawFn, mark: str, of: int) -> str:
    return mark if draw(st.integers(1, of)) == 1 else ""


@st.composite
def groups(draw: st.DrawFn) -> list[Entry]:
    made = []
    fulls: list[str] = []
    for day in draw(st.lists(st.integers(1, 28), min_size=1, max_size=25, unique=True).map(sorted)):
        kind = draw(st.sampled_from(["f", "f", "p"]))
        base = draw(st.sampled_from([*fulls, ""])) if kind == "p" else ""
        if kind == "f":
            fulls.append(str(day))
        marks = draw(st.sampled_from([*[""] * 8, *"sdiqu"]))
        marks += _some(draw, "x", 5) + _some(draw, "h", 8) + _some(draw, "v", 3)
        marks += draw(st.sampled_from(["", "", "r1", "r2", "r3"]))
        made.append(entry(f"{day}{kind}{base}" + (f":{marks}" if marks else "")))
    return made


policies = st.builds(
    RetentionPolicy,
    keep_last=st.integers(-1, 4),
    keep_daily=st.integers(-1, 4),
    keep_weekly=st.integers(-1, 4),
    keep_within=st.sampled_from([None, "1d", "5d", "1m"]),
    min_verified=st.integers(0, 3),
    max_delete_fraction=st.sampled_from([0.5, 1]),
)
ALL = ("empties-group", "max-delete-fraction")


def carried_out(found: RetentionPlan) -> list[Entry]:
    """The group when the plan was carried out: nothing of one that is refused or paused expires."""
    expired = set() if found.refusals or found.paused else set(found.expire)
    revived = set(found.revive)

    def become(entry: Entry) -> Entry:
        if entry in expired:
            return dataclasses.replace(entry, standing=Standing.EXPIRED, returned=entry.standing, expired_at=NOW)
        if entry in revived:
            return dataclasses.replace(entry, standing=entry.returned, expired_at=None)
        return entry

    return [become(each.entry) for each in found.decisions]


def after(found: RetentionPlan) -> list[Entry]:
    """The group when the plan was carried out and every grace period is over: none goes by one that is paused."""
    if found.refusals or found.paused:
        return carried_out(found)
    return [
        entry
        for entry in carried_out(found)
        if entry.standing is not Standing.EXPIRED or entry.backup_id in found.spared
    ]


@given(policies, groups())
def test_every_backup_has_one_decision_and_a_reason(policy, entries) -> None:
    found = plan(policy, GROUP, entries, now=NOW, override=ALL)

    assert Counter(each.entry for each in found.decisions) == Counter(entries)
    assert all(each.reasons for each in found.decisions)


@given(policies, groups(), st.sampled_from([(), ALL]), st.sampled_from([carried_out, after]))
def test_carried_out_a_plan_leaves_nothing_to_do(policy, entries, override, become) -> None:
    found = plan(policy, GROUP, entries, now=NOW, override=override)
    again = plan(policy, GROUP, become(found), now=NOW, override=override)

    assert again.revive == ()
    assert [refusal.name for refusal in again.refusals] == [refusal.name for refusal in found.refusals]
    assert (again.paused is None) == (found.paused is None)
    assert again.expire == () or again.refusals


@given(policies, groups())
def test_what_stays_has_its_base(policy, entries) -> None:
    there = {each.backup_id for each in entries}
    left = after(plan(policy, GROUP, entries, now=NOW, override=ALL))

    assert all(each.base in {one.backup_id for one in left} for each in left if each.base in there)


@given(policies, groups())
def test_as_many_verified_stay_as_are_asked_for(policy, entries) -> None:
    def verified(entries: list[Entry]) -> int:
        return sum(each.verified and each.standing is Standing.WHOLE for each in entries)

    left = after(plan(policy, GROUP, entries, now=NOW, override=ALL))

    assert verified(left) >= min(policy.min_verified, verified(entries))


@given(policies, groups())
def test_held_ones_and_the_newest_whole_one_stay(policy, entries) -> None:
    left = after(plan(policy, GROUP, entries, now=NOW, override=ALL))
    whole = [each for each in entries if each.standing is Standing.WHOLE]

    assert {each.backup_id for each in left} >= {each.backup_id for each in entries if each.held}
    # One that comes back may be newer still.
    staying = {each.backup_id for each in left if each.standing is Standing.WHOLE}
    assert not whole or max(staying) >= max(each.backup_id for each in whole)


@given(policies, groups(), st.sampled_from(["keep_last", "keep_daily", "keep_weekly"]))
def test_a_higher_count_expires_no_more(policy, entries, name) -> None:
    count = getattr(policy, name)
    more = dataclasses.replace(policy, **{name: -1 if count == -1 else count + 1})

    def expired(policy: RetentionPolicy) -> set[str]:
        return {each.backup_id for each in plan(policy, GROUP, entries, now=NOW, override=ALL).expire}

    assert expired(more) <= expired(policy)


@given(groups())
def test_the_order_in_which_backups_are_given_does_not_matter(entries) -> None:
    policy = RetentionPolicy(keep_last=2, keep_weekly=3)
    orders = itertools.islice(itertools.permutations(entries), 3)

    assert len({plan(policy, GROUP, order, now=NOW).decisions for order in orders}) == 1
