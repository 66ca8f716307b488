from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import ManifestError, MissingBucketError

IDS = ["20261101T000000Z-full-00000001", "20261102T000000Z-partial-00000002", "20261103T000000Z-full-00000003"]


def ids(backups) -> list[str]:
    return [backup.backup_id for backup in backups]


def test_backups_are_listed_newest_first_over_all_accounts(vault: Vault, take) -> None:
    for account, backup_id in zip(("b", "a", "c"), IDS, strict=True):
        take(vault, account, backup_id)
    take(vault, "bot", "20261102T120000Z-full-00000004", service="xenioo")
    assert ids(vault.backups()) == [IDS[2], "20261102T120000Z-full-00000004", IDS[1], IDS[0]]
    assert ids(vault.backups("xenioo")) == ["20261102T120000Z-full-00000004"]
    assert ids(vault.backups("xray", "a")) == [IDS[1]]
    assert ids(vault.backups(account="c")) == [IDS[2]]
    assert ids(vault.backups(account="nobody")) == []


def test_an_account_is_not_mistaken_for_one_that_begins_like_it(vault: Vault, take) -> None:
    take(vault, "acme", IDS[0])
    take(vault, "acme2", IDS[1])
    assert ids(vault.backups("xray", "acme")) == [IDS[0]]


def test_an_empty_vault_has_no_backups(vault: Vault) -> None:
    backups = vault.backups()
    assert list(backups) == []
    assert backups.findings == []
    assert backups.latest() is None


def test_a_missing_bucket_is_no_empty_vault(s3) -> None:
    with pytest.raises(MissingBucketError):
        list(Vault.open("s3://not-there").backups())


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"schema": "xbackup/manifest/v9"}', b'{"schema": "xbackup/manifest/v1"}']
)
def test_a_damaged_manifest_is_a_finding_and_hides_no_other(vault: Vault, take, data: bytes) -> None:
    take(vault, "acme", IDS[0])
    vault.store.put(f"xray/acme/{IDS[1]}/manifest.json", data)
    take(vault, "acme", IDS[2])
    backups = vault.backups()
    assert ids(backups) == [IDS[2], IDS[0]]
    (finding,) = backups.findings
    assert finding.code == "damaged-manifest"
    assert finding.path == f"xray/acme/{IDS[1]}/manifest.json"
    assert str(vault.url) in finding.text
    with pytest.raises(ManifestError):
        vault.find("xray", "acme", IDS[1])


def test_a_manifest_in_another_backups_folder_is_a_finding(vault: Vault, take) -> None:
    backup = take(vault, "acme", IDS[0])
    vault.store.put(f"xray/other/{IDS[0]}/manifest.json", backup.manifest.to_json())
    backups = vault.backups()
    assert len(list(backups)) == 1
    assert "belongs to" in backups.findings[0].text


def test_what_is_no_backup_is_not_listed(vault: Vault, take) -> None:
    take(vault, "acme", IDS[0])
    vault.store.put(f"xray/acme/{IDS[1]}/backup.00000000.zip", b"garbage of an attempt")
    vault.store.put("xray/acme/notes/manifest.json", b"{}")
    vault.store.put("readme.txt", b"hello")
    vault.store.put(f"xray/acme/{IDS[2]}/sub/manifest.json", b"{}")
    backups = vault.backups()
    assert ids(backups) == [IDS[0]]
    assert backups.findings == []


@pytest.mark.parametrize(
    "backup_id",
    ["20261399T250000Z-full-0000000a", "\uff120261101T000000Z-full-0000000a"],
)
def test_a_folder_with_an_impossible_date_stops_nothing(local: Vault, take, backup_id: str) -> None:
    backup = take(local, "acme", IDS[0])
    named = backup.manifest.model_copy(update={"backup_id": backup_id})
    local.store.put(f"xray/acme/{backup_id}/manifest.json", named.to_json())
    local.store.put(f"xray/other/{backup_id}/manifest.json", b"{}")

    assert ids(local.backups()) == [IDS[0]]
    assert [path.backup_id for path in local.locate(IDS[0][:8])] == [IDS[0]]


def test_a_backup_dated_in_the_future_is_reported_and_never_the_latest(vault: Vault, take) -> None:
    take(vault, "acme", IDS[0])
    soon = datetime.now(UTC) + timedelta(days=2)
    take(vault, "acme", f"{soon:%Y%m%dT%H%M%SZ}-full-0000000f")
    backups = vault.backups()
    newest, older = list(backups)
    assert newest.in_future
    assert not older.in_future
    assert [finding.code for finding in backups.findings] == ["dated-in-future"]
    latest = backups.latest()
    assert latest is not None
    assert latest.backup_id == IDS[0]


def test_the_marks_of_a_backup_are_seen_in_the_listing(vault: Vault, take) -> None:
    backup = take(vault, "acme", IDS[0], condition={"state": "suspect", "reasons": ["fell by 90 %"]})
    assert next(iter(vault.backups())).state == "suspect"
    vault.store.create(backup.path.accepted, b"{}")
    assert next(iter(vault.backups())).state == "accepted"
    vault.store.create(backup.path.hold, b"{}")
    vault.store.create(backup.path.check(datetime.now(UTC), "0" * 8), b"{}")
    found = next(iter(vault.backups()))
    assert found.held
    assert any(name.startswith("checks/") for name in found.names)
    vault.store.create(backup.path.tombstone, b"{}")
    assert next(iter(vault.backups())).state == "expired"
    assert vault.backups().latest() is None
    assert vault.find("xray", "acme", IDS[0]).state == "expired"  # type: ignore[union-attr]


def test_listing_many_backups_needs_few_requests_and_keeps_their_order(local: Vault, take) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    wanted = [f"{start + timedelta(hours=n):%Y%m%dT%H%M%SZ}-full-{n:08x}" for n in range(200)]
    manifest = take(local, "acme", wanted[0]).manifest
    for backup_id in wanted[1:]:
        copied = manifest.model_copy(update={"backup_id": backup_id})
        local.store.create(f"xray/acme/{backup_id}/manifest.json", copied.to_json())
    assert ids(local.backups()) == wanted[::-1]
    first = next(iter(local.backups()))
    assert first.backup_id == wanted[-1]


def test_a_backup_is_located_without_knowing_its_account(vault: Vault, take) -> None:
    take(vault, "a", IDS[0])
    take(vault, "b", IDS[0])
    take(vault, "b", IDS[1])
    assert [path.account for path in vault.locate(IDS[0])] == ["a", "b"]
    assert [path.account for path in vault.locate(IDS[0], "xray", "b")] == ["b"]
    assert vault.locate(IDS[2]) == ()


@pytest.mark.parametrize(
    ("service", "account", "backup_id"),
    [("jira", "a", IDS[0]), ("xray", "../a", IDS[0]), ("xray", "a", "latest")],
)
def test_names_that_cannot_be_are_refused(local: Vault, service: str, account: str, backup_id: str) -> None:
    with pytest.raises(InvalidArgumentError):
        local.find(service, account, backup_id)
    with pytest.raises(InvalidArgumentError):
        local.locate(backup_id, service, account)


def test_a_list_that_is_left_early_leaves_its_readers_alone(local: Vault, take) -> None:
    """They go on for a moment: what they ask must not be closed under them, which would end the process."""
    take(local, "acme", IDS[0])
    for number in range(200):
        take(local, "acme", f"20261102T000000Z-partial-{number:08x}", base=IDS[0])
    script = (
        "import sys\n"
        "from airflow_provider_xbackup.vault import Vault\n"
        "for _ in range(20):\n"
        "    assert Vault.open(sys.argv[1]).backups().latest()\n"
        "print('fine')\n"
    )

    done = subprocess.run([sys.executable, "-c", script, str(local.url)], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
