from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault, layout
from airflow_provider_xbackup.vault.layout import BackupPath


@pytest.mark.parametrize(
    "name",
    [
        "acme",
        "a",
        "Acme GmbH",
        "<img onerror=x>",
        "bücher",
        "日本",
        "a#1",
        "..a",
        "a..",
        "-",
        "~",
        "%2e%2e",
        "x" * 128,
    ],
)
def test_an_account_may_be_called(name: str) -> None:
    assert layout.check_account(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "acme",
        "Acme GmbH",
        "<img onerror=x>",
        "bücher",
        "a#1",
        "#12",
        "..a",
        "~",
        "%2e%2e",
        "a%20b",
        "a*?",
        "+&=",
    ],
)
def test_an_allowed_account_comes_back_from_a_vault_as_it_was(name: str, vault: Vault, take) -> None:
    take(vault, name)
    assert [backup.path.account for backup in vault.backups()] == [name]
    assert vault.locate(next(iter(vault.backups())).backup_id)[0].account == name


@pytest.mark.parametrize(
    ("name", "word"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("  ", "empty", id="blank"),
        pytest.param(".", "leads out", id="itself"),
        pytest.param("..", "leads out", id="parent"),
        pytest.param("../x", "slash", id="escape"),
        pytest.param("/etc", "slash", id="absolute"),
        pytest.param("a/b", "slash", id="slash"),
        pytest.param("a\\b", "backslash", id="backslash"),
        pytest.param("a\nb", "control", id="line feed"),
        pytest.param("a\x00b", "control", id="NUL"),
        pytest.param("a\x1b[31m", "control", id="escape sequence"),
        pytest.param("a\x85b", "control", id="C1"),
        pytest.param("a\u2028b", "control", id="line separator"),
        pytest.param("a\udc80", "control", id="lone surrogate"),
        pytest.param(" a", "white space", id="space before"),
        pytest.param("a ", "white space", id="space after"),
        pytest.param("a\u00a0", "white space", id="no-break space after"),
        pytest.param("x" * 129, "128 characters", id="long"),
        pytest.param("日" * 70, "200 bytes", id="long in bytes"),
        pytest.param(7, "not text", id="a number"),
    ],
)
def test_an_account_may_not_be_called(name: str, word: str) -> None:
    with pytest.raises(InvalidArgumentError, match=word):
        layout.check_account(name)


def test_a_service_is_one_of_two() -> None:
    assert layout.check_service("xray") == "xray"
    with pytest.raises(InvalidArgumentError, match="xray, xenioo"):
        layout.check_service("jira")


def test_a_backup_id_names_its_instant_in_utc() -> None:
    instant = datetime(2026, 11, 23, 2, 45, 0, 999, tzinfo=timezone(timedelta(hours=1)))
    backup_id = layout.make_backup_id(instant, "partial", "1a2b3c4d")
    assert backup_id == "20261123T014500Z-partial-1a2b3c4d"
    assert layout.parse_backup_id(backup_id) == (
        datetime(2026, 11, 23, 1, 45, tzinfo=UTC),
        "partial",
        "1a2b3c4d",
    )


@pytest.mark.parametrize(
    "text",
    ["", "latest", "20261123T014500Z-full-1A2B3C4D", "20261323T014500Z-full-1a2b3c4d",
     "20261123T014500Z-full-1a2b3c4d\n", "\uff120261123T014500Z-full-1a2b3c4d", "20261399T250000Z-full-1a2b3c4d",
     "00001123T014500Z-full-1a2b3c4d",
     "20261123T014500Z-other-1a2b3c4d", "../20261123T014500Z-full-1a2b3c4d", "20261123T014500Z-full-1a2b3c4d5"],
)  # fmt: skip
def test_other_text_is_no_backup_id(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        layout.parse_backup_id(text)


@pytest.mark.parametrize(
    ("instant", "kind", "digits"),
    [(datetime(2026, 1, 1), "full", "1a2b3c4d"), (datetime.now(UTC), "other", "1a2b3c4d"),  # noqa: DTZ001
     (datetime.now(UTC), "full", "1a2b"), (datetime.now(UTC), "full", "../../..")],
)  # fmt: skip
def test_a_backup_id_is_made_of_nothing_else(instant: datetime, kind: str, digits: str) -> None:
    with pytest.raises(InvalidArgumentError):
        layout.make_backup_id(instant, kind, digits)  # type: ignore[arg-type]


def test_a_job_id_gives_eight_digits_whatever_it_looks_like() -> None:
    assert layout.digits_of("1A2B3C4D-0000") == "1a2b3c4d"
    assert layout.digits_of("job/../7") == layout.digits_of("job/../7")
    assert layout.digits_of("ab") != layout.digits_of("ba")


def test_artifacts_are_named_after_role_attempt_and_encoding() -> None:
    assert layout.artifact_name("backup", "01234567") == "backup.01234567.zip"
    name = layout.artifact_name("bot", "01234567", compressed=True, encrypted=True)
    assert name == "bot.01234567.json.zst.age"
    assert layout.nonce_of(name) == "01234567"
    assert layout.nonce_of("backup.zip") is None
    with pytest.raises(InvalidArgumentError):
        layout.artifact_name("other", "01234567")


def test_two_attempts_have_different_nonces() -> None:
    assert len({layout.new_nonce() for _ in range(100)}) == 100


def test_the_objects_of_a_backup_have_their_places() -> None:
    path = BackupPath.checked("xray", "acme", "20261123T014500Z-full-1a2b3c4d")
    assert path.manifest == "xray/acme/20261123T014500Z-full-1a2b3c4d/manifest.json"
    check = path.check(datetime(2026, 11, 24, tzinfo=UTC), "00ff00ff")
    assert check == f"{path.folder}/checks/20261124T000000Z-00ff00ff.json"
    assert BackupPath.of(check) == (path, "checks/20261124T000000Z-00ff00ff.json")
    assert {path.hold, path.accepted, path.tombstone} == {
        f"{path.folder}/{name}.json" for name in ("hold", "accepted", "tombstone")
    }


@pytest.mark.parametrize(
    "path", ["readme.txt", "xray/acme/manifest.json", "other/acme/20261123T014500Z-full-1a2b3c4d/manifest.json",
             "xray/acme/notes/manifest.json", "xray/ acme/20261123T014500Z-full-1a2b3c4d/manifest.json",
             "xray/acme/20261399T250000Z-full-1a2b3c4d/manifest.json",
             "xray/acme/\uff120261123T014500Z-full-1a2b3c4d/manifest.json"],
)  # fmt: skip
def test_foreign_objects_belong_to_no_backup(path: str) -> None:
    assert BackupPath.of(path) is None
