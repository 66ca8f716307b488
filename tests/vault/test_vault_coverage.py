"""Which bots of an account a vault has backups of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.coverage import AccountBot, Coverage, check_all_looked_at
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.url import VaultUrl

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
ONE, OTHER = "1" * 64, "2" * 64


def backup(
    account: str = "a", name: str | None = None, key: str | None = None, state: str = "ok", **listed: Any
) -> Backup:
    path = BackupPath(listed.pop("service", "xenioo"), account, "20261123T120000Z-full-0000000a")
    artifact = {
        "name": "bot.0000000a.json",
        "role": "bot",
        "size": 10,
        "sha256": "0" * 64,
        "stored_size": 10,
        "stored_sha256": "0" * 64,
        "media_type": "application/json",
    }
    values = {
        "service": path.service,
        "account": account,
        "backup_id": path.backup_id,
        "kind": "full",
        "requested_at": AT,
        "completed_at": AT,
        "condition": {"state": state},
        "remote": {"bot": {"name": name, "key_sha256": key} if name or key else None},
        "artifacts": [artifact],
        "producer": {"package_version": "1"},
    }
    return Backup(VaultUrl.parse("file:///v"), path, Manifest.model_validate(values), **listed)


def beside(*names: str) -> frozenset[str]:
    """What a listing shows of a backup that is whole."""
    return frozenset({"bot.0000000a.json", *names})


def bot(name: str = "welcome", key: str | None = ONE) -> AccountBot:
    return AccountBot(name, key)


def uncovered(bots: list[AccountBot], *backups: Backup) -> list[tuple[str, str]]:
    coverage = Coverage()
    assert list(coverage.watch(backups)) == list(backups)
    return [(finding.code, finding.path) for finding in coverage.uncovered(bots)]


@pytest.mark.parametrize(
    ("it", "of"),
    [
        pytest.param(bot(), backup(key=ONE), id="the key, whatever the names"),
        pytest.param(bot(), backup(name="welcome"), id="the name in the backup, where it has no key"),
        pytest.param(bot(), backup("welcome"), id="the account's name, where the backup tells nothing"),
        pytest.param(bot(), backup("welcome", name="other"), id="the account's name beside another in the backup"),
        pytest.param(bot(key=None), backup(name="welcome", key=ONE), id="the name, where the list has no key"),
        pytest.param(bot(), backup(key=ONE, names=beside("hold.json")), id="a held backup"),
        pytest.param(
            bot(), backup(key=ONE, state="suspect", names=beside("accepted.json")), id="an accepted suspect"
        ),
    ],
)
def test_a_bot_is_covered_by(it: AccountBot, of: Backup):
    assert uncovered([it], of) == []


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(backup(name="Welcome"), id="another name"),
        pytest.param(backup("welcome", name="welcome", key=OTHER), id="the same name and another key"),
        pytest.param(backup(key=ONE, state="suspect"), id="a suspect"),
        pytest.param(backup(key=ONE, state="incomplete"), id="an incomplete one"),
        pytest.param(backup(key=ONE, names=beside("tombstone.json")), id="an expired one"),
        pytest.param(backup(key=ONE, names=frozenset()), id="one whose file is gone"),
        pytest.param(backup(key=ONE, in_future=True), id="one of the future"),
        pytest.param(backup("welcome", service="xray"), id="one of another service"),
    ],
)
def test_a_bot_is_not_covered_by(of: Backup):
    assert uncovered([bot()], of) == [("uncovered-bot", "welcome")]


def test_one_backup_does_not_cover_two_bots_of_the_same_name():
    bots = [bot(), bot(key=OTHER)]

    assert uncovered(bots, backup("a", name="welcome")) == [("uncovered-bot", "welcome")] * 2
    assert uncovered(bots, backup("a", name="welcome"), backup("b", name="welcome")) == []
    assert uncovered(bots, backup("a", name="welcome"), backup("b", key=OTHER)) == []


def test_a_bot_without_a_name_is_covered_by_its_key_only_and_told_by_its_digest():
    assert uncovered([bot("", ONE)], backup(key=ONE)) == []

    (finding,) = Coverage().uncovered([bot("", ONE)])
    assert finding.text.startswith("The bot without a name (SHA-256 of its API key: 111111111111) has no backup")


def test_an_account_without_bots_is_not_well_covered():
    assert uncovered([], backup()) == [("no-bots", "")]


@pytest.mark.parametrize("filters", [("xray", None), (None, "welcome"), ("xenioo", "welcome")])
def test_a_part_of_the_backups_cannot_tell_what_is_missing(filters: tuple[str | None, str | None]):
    with pytest.raises(InvalidArgumentError, match="leave out"):
        check_all_looked_at(*filters)
