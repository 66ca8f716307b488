"""A vault's life in every store: stored, verified, held, expired, brought back, copied, cleaned, fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kinds import Kind

from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.checks import Level
from airflow_provider_xbackup.vault.encoding import parse_recipients
from airflow_provider_xbackup.vault.examination import Wanted
from airflow_provider_xbackup.vault.expire import Outlook, apply_retention, plan_retention
from airflow_provider_xbackup.vault.fetch import fetch
from airflow_provider_xbackup.vault.garbage import collect_garbage
from airflow_provider_xbackup.vault.holds import hold, release
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.replicate import Outcome, Replication
from airflow_provider_xbackup.vault.undelete import undelete
from airflow_provider_xbackup.vault.verify import Verification

row = pytest.mark.row
MIB = 1024 * 1024
IDS = [f"202611{day}T014500Z-full-1a2b3c4d" for day in (20, 21, 22, 23)]
ONE = RetentionPolicy(keep_last=1, max_delete_fraction=1.0, min_verified=0)
PRODUCER = Producer(package_version="0")
KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def backups(vault: Vault, store_backup: Callable[..., Any]) -> list[Any]:
    """Four backups, newest first."""
    return [store_backup(vault, backup_id, blocks=[backup_id.encode() * 1000]) for backup_id in reversed(IDS)]


@row("draft and commit: large, encrypted, compressed; a retry finds it")
def test_a_backup_is_stored_and_found_again(kind: Kind, vault: Vault, bucket: str) -> None:
    def commit() -> Any:
        with vault.draft("xenioo", "Übung 1", IDS[0]) as draft:
            blocks = (number.to_bytes(4, "big") * (MIB // 4) for number in range(23))
            draft.add(
                "bot", blocks, media_type="application/json", compress=True, recipients=parse_recipients(KEY)
            )
            return draft.commit(requested_at=now(), producer=PRODUCER)

    first, second = commit(), commit()

    assert second.manifest == first.manifest
    (found,) = vault.backups()
    assert found.manifest == first.manifest
    assert found.manifest.size == 23 * MIB
    assert kind.unfinished(bucket) == []


@row("verify: presence and digest, damage found")
@pytest.mark.parametrize("level", [Level.PRESENCE, Level.DIGEST])
def test_a_vault_is_verified(vault: Vault, backups: list[Any], level: Level) -> None:
    newest = backups[0]
    other = f"{newest.path.folder}/{newest.manifest.artifacts[0].name}"

    def verify() -> list[list[str]]:
        verification = Verification(vault, Wanted(level, PRODUCER))
        return [[finding.code for finding in verified.check.findings] for verified in verification]

    assert verify() == [[]] * 4
    damage = vault.store.read(other)[:-1] + b"!"
    vault.store.put(other, damage if level is Level.DIGEST else damage[:-1])
    assert verify() == [["stored-digest" if level is Level.DIGEST else "wrong-size"], [], [], []]


@row("hold, retention, removal, undelete")
def test_backups_expire_by_a_policy_and_held_ones_stay(vault: Vault, backups: list[Any]) -> None:
    paths = [backup.path for backup in backups]
    hold(vault, paths[1], who="ada", why="an audit", now=now())
    planned = Outlook.of(plan_retention(vault, ONE, now=now()))
    assert planned.numbers["expired"] == 2

    expired = apply_retention(vault, ONE, now=now())
    assert set(expired.expired) == {paths[2], paths[3]}
    undelete(vault, paths[2], who="ada", why="still needed", now=now())
    later = now() + timedelta(days=4)
    removed = apply_retention(vault, ONE, now=later)

    assert removed.removed == (paths[3],)
    assert removed.not_let_go == ()
    assert {backup.path for backup in vault.backups()} == set(paths[:3])
    assert list(vault.store.list(paths[3].folder)) == []
    release(vault, paths[1])
    assert apply_retention(vault, ONE, now=later).expired == (paths[1],)


@row("replicate, to a disk and back")
def test_a_vault_is_copied_away_and_back(
    kind: Kind, vault: Vault, backups: list[Any], scratch: Vault, open_vault: Callable[..., Vault]
) -> None:
    def replicate(source: Vault, target: Vault) -> list[Outcome]:
        return [each.outcome for each in Replication(source, target, producer=PRODUCER, now=now())]

    assert replicate(vault, scratch) == [Outcome.COPIED] * 4
    again = open_vault(kind.new_bucket())
    assert replicate(scratch, again) == [Outcome.COPIED] * 4
    assert replicate(vault, again) == [Outcome.PRESENT] * 4

    originals, copies = list(vault.backups()), list(again.backups())
    assert [copy.path for copy in copies] == [backup.path for backup in originals]
    for copy, original in zip(copies, originals, strict=True):
        assert copy.manifest.artifacts[0].sha256 == original.manifest.artifacts[0].sha256


@row("garbage: what failed attempts left goes, backups stay")
def test_what_attempts_left_is_collected(kind: Kind, vault: Vault, bucket: str, backups: list[Any]) -> None:
    before = sorted(kind.keys(bucket))
    vault.store.put(f"{backups[0].path.folder}/backup.00000000.zip", b"of another attempt")
    vault.store.put(f"xray/acme/{IDS[0]}/attachments.00000000.zip", b"of another attempt")

    assert len(collect_garbage(vault, older_than=timedelta(0)).removed) == 2

    assert sorted(kind.keys(bucket)) == before


@row("garbage: an upload that nobody ended goes")
def test_an_upload_that_nobody_ended_is_collected(
    kind: Kind, vault: Vault, bucket: str, backups: list[Any], need: Callable[..., None]
) -> None:
    need("uploads")
    key = f"some prefix/ü/xray/acme/{IDS[0]}/attachments.00000000.zip"
    if kind.column == "local disk":
        (Path(vault.url.prefix) / f"{key.removeprefix('some prefix/ü/')}#7").write_bytes(b"half")
    else:
        upload = kind.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        kind.s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"half")
    assert len(kind.unfinished(bucket)) == 1

    collect_garbage(vault, older_than=timedelta(0))

    assert kind.unfinished(bucket) == []


@row("fetch: verified, file by file")
def test_a_backup_is_fetched(vault: Vault, backups: list[Any], tmp_path: Path) -> None:
    fetched = fetch(vault, backups[0], tmp_path)

    (file,) = fetched.files
    assert file.path.read_bytes() == IDS[3].encode() * 1000
