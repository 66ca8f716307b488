from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault, layout
from airflow_provider_xbackup.vault.draft import StoredBytes
from airflow_provider_xbackup.vault.encoding import Encoded
from airflow_provider_xbackup.vault.errors import (
    ForeignBackupError,
    IncompleteWriteError,
    ManifestError,
    MissingBucketError,
    ObjectExistsError,
    UnwritableFolderError,
)
from airflow_provider_xbackup.vault.local import LocalStore

BACKUP_ID = "20261123T014500Z-full-1a2b3c4d"
FOLDER = f"xray/acme/{BACKUP_ID}"


def names(vault: Vault) -> list[str]:
    return sorted(found.path.removeprefix(f"{FOLDER}/") for found in vault.store.list())


def test_a_backup_is_what_was_committed(vault: Vault, commit) -> None:
    draft = vault.draft("xray", "acme", BACKUP_ID)
    artifact = draft.add("backup", [b"some", b"thing"], media_type="application/zip", expected_size=9)
    draft.add("attachments", [b"x" * 7] * 7, media_type="application/zip")
    backup = commit(
        draft,
        scope={"project_ids": ["10042"], "attachments": True},
        entities={"tests": 3},
        remote={"job_id": "j"},
    )
    assert artifact.sha256 == artifact.stored_sha256 == hashlib.sha256(b"something").hexdigest()
    assert [found.role for found in backup.manifest.artifacts] == ["backup", "attachments"]
    assert names(vault) == sorted([*(found.name for found in backup.manifest.artifacts), "manifest.json"])
    assert vault.store.read(f"{FOLDER}/{artifact.name}") == b"something"
    found = vault.find("xray", "acme", BACKUP_ID)
    assert found is not None
    assert found.manifest == backup.manifest
    assert not (found.held)
    assert not (found.tombstoned)
    assert not (found.accepted)
    assert not (found.in_future)
    assert found.state == "ok"


def test_an_encoded_artifact_says_so_and_decodes(vault: Vault, commit) -> None:
    identity = pyrage.x25519.Identity.generate()
    plain = os.urandom(2_000_000) + b"x" * 2_000_000
    draft = vault.draft("xray", "acme", BACKUP_ID)
    artifact = draft.add(
        "backup", [plain], media_type="application/zip", compress=True, recipients=[str(identity.to_public())]
    )
    assert artifact.name == f"backup.{draft.nonce}.zip.zst.age"
    assert (artifact.compression, artifact.encryption, artifact.size) == ("zstd", "age", len(plain))
    stored = vault.store.read(f"{FOLDER}/{artifact.name}")
    assert (artifact.stored_size, artifact.stored_sha256) == (len(stored), hashlib.sha256(stored).hexdigest())


def test_nothing_is_a_backup_before_its_manifest(vault: Vault) -> None:
    draft = vault.draft("xray", "acme", BACKUP_ID)
    draft.add("backup", [b"x"], media_type="application/zip")
    assert vault.find("xray", "acme", BACKUP_ID) is None
    assert list(vault.backups()) == []


def test_two_artifacts_can_be_added_at_the_same_time(vault: Vault, commit) -> None:
    draft = vault.draft("xray", "acme", BACKUP_ID)
    both = threading.Barrier(2, timeout=30)

    def blocks(letter: bytes) -> Iterator[bytes]:
        both.wait()
        for _ in range(12):
            yield letter * 1_000_000
        both.wait()

    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(draft.add, role, blocks(role[:1].encode()), media_type="application/zip")
            for role in ("attachments", "backup")
        ]
        assert {job.result().size for job in jobs} == {12_000_000}
    assert [found.role for found in commit(draft).manifest.artifacts] == ["backup", "attachments"]


def test_a_failed_artifact_can_be_added_again(vault: Vault, commit) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    draft = vault.draft("xray", "acme", BACKUP_ID)
    with pytest.raises(ConnectionResetError):
        draft.add("backup", broken(), media_type="application/zip")
    assert draft.artifacts == ()
    draft.add("backup", [b"whole"], media_type="application/zip")
    assert commit(draft).manifest.size == 5
    with pytest.raises(ValueError, match="taken"):
        draft.add("backup", [b"again"], media_type="application/zip")


def test_an_attempt_that_fails_takes_its_bytes_with_it(vault: Vault, tmp_path: Path) -> None:
    def fail() -> None:
        with vault.draft("xray", "acme", BACKUP_ID) as draft:
            draft.add("backup", [b"x"], media_type="application/zip")
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        fail()
    assert names(vault) == []
    if vault.url.scheme == "file":
        assert list((tmp_path / "my backups").iterdir()) == []


def test_after_a_manifest_was_tried_nothing_is_discarded(vault: Vault, take) -> None:
    take(vault)
    before = names(vault)
    draft = vault.draft("xray", "acme", BACKUP_ID)
    draft.add("backup", [b"other"], media_type="application/zip")
    draft.commit(requested_at=datetime.now(UTC), producer={"package_version": "0"})
    draft.discard()
    assert set(before) < set(names(vault))


def test_of_two_attempts_the_first_commits_and_the_second_returns_the_same(vault: Vault, commit) -> None:
    drafts = [vault.draft("xray", "acme", BACKUP_ID) for _ in range(2)]
    for number, draft in enumerate(drafts):
        draft.add("backup", [b"%d" % number], media_type="application/zip")
    first, second = [commit(draft) for draft in drafts]
    assert first.manifest == second.manifest
    assert first.manifest.artifacts[0].name == f"backup.{drafts[0].nonce}.zip"
    assert len(names(vault)) == 3


def test_what_another_job_has_committed_meanwhile_is_not_returned_and_not_locked(
    local: Vault, commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = [local.draft("xray", "acme", BACKUP_ID) for _ in range(2)]
    for draft in drafts:
        draft.add("backup", [b"something"], media_type="application/zip")
    commit(drafts[0], remote={"job_id": "1a2b3c4d-one"})
    before = names(local)
    locked: list[Any] = []
    monkeypatch.setattr(type(local), "keep_locked", lambda *of: locked.append(of))

    with pytest.raises(ForeignBackupError, match=r"job 1a2b3c4d-one, and not of job 1a2b3c4d-two.*clear this"):
        commit(drafts[1], remote={"job_id": "1a2b3c4d-two"})

    assert names(local) == before
    assert not locked


def test_many_attempts_at_the_same_time_agree_on_one_backup(vault: Vault, commit) -> None:
    ready = threading.Barrier(8, timeout=30)

    def attempt(number: int) -> Any:
        draft = vault.draft("xray", "acme", BACKUP_ID)
        draft.add("backup", [b"%d" % number], media_type="application/zip")
        ready.wait()
        return commit(draft).manifest

    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(attempt, range(8)))
    stored = vault.find("xray", "acme", BACKUP_ID)
    assert stored is not None
    if vault.url.scheme == "file":  # moto asks and writes in two steps
        assert {found.to_json() for found in manifests} == {stored.manifest.to_json()}
    (artifact,) = stored.manifest.artifacts
    body = vault.store.read(stored.path.file(artifact.name))
    assert hashlib.sha256(body).hexdigest() == artifact.stored_sha256


class Faulty(LocalStore):
    """A folder in which something happens right after a manifest was written."""

    happens: Any = None

    def create(self, path: str, data: bytes, *, media_type: str | None = None) -> Any:
        created = super().create(path, data, media_type=media_type)
        if self.happens is not None:
            self.happens(self, path, data)
        return created


@pytest.fixture
def faulty(local: Vault) -> Vault:
    return Vault(local.url, Faulty(local.url))


def lose_artifacts(store: Any, path: str, data: bytes) -> None:
    for artifact in json.loads(data)["artifacts"]:
        store.delete(path.replace("manifest.json", artifact["name"]))


def test_an_artifact_lost_before_the_commit_makes_no_backup(local: Vault, commit) -> None:
    draft = local.draft("xray", "acme", BACKUP_ID)
    artifact = draft.add("backup", [b"x"], media_type="application/zip")
    local.store.delete(f"{FOLDER}/{artifact.name}")
    with pytest.raises(IncompleteWriteError, match="is missing after 1 bytes were written"):
        commit(draft)
    assert names(local) == []


def test_an_artifact_of_another_size_makes_no_backup(local: Vault, commit) -> None:
    draft = local.draft("xray", "acme", BACKUP_ID)
    artifact = draft.add("backup", [b"x"], media_type="application/zip")
    local.store.put(f"{FOLDER}/{artifact.name}", b"longer")
    with pytest.raises(IncompleteWriteError, match="has 6 bytes"):
        commit(draft)
    assert local.find("xray", "acme", BACKUP_ID) is None


def test_an_artifact_lost_during_the_commit_takes_the_manifest_back(faulty: Vault, take) -> None:
    faulty.store.happens = lose_artifacts  # type: ignore[attr-defined]
    with pytest.raises(IncompleteWriteError):
        take(faulty)
    assert names(faulty) == []


def test_a_manifest_that_another_attempt_has_replaced_is_not_taken_back(faulty: Vault, take) -> None:
    def replace(store: Any, path: str, data: bytes) -> None:
        value = json.loads(data)
        value["artifacts"][0]["name"] = "backup.00000000.zip"
        store.put(path, json.dumps(value).encode())
        lose_artifacts(store, path, data)

    faulty.store.happens = replace  # type: ignore[attr-defined]
    assert take(faulty).manifest.artifacts[0].name == "backup.00000000.zip"
    assert "manifest.json" in names(faulty)


def test_a_manifest_write_that_was_repeated_by_the_client_counts_as_done(faulty: Vault, take) -> None:
    def repeat(store: Any, path: str, data: bytes) -> None:
        raise ObjectExistsError("exists already")

    faulty.store.happens = repeat  # type: ignore[attr-defined]
    backup = take(faulty)
    assert len(names(faulty)) == 2
    assert backup.manifest.artifacts[0].name in names(faulty)


def test_a_damaged_manifest_in_the_way_is_reported_and_kept(local: Vault, take) -> None:
    local.store.put(f"{FOLDER}/manifest.json", b"")
    with pytest.raises(ManifestError, match="not JSON"):
        take(local)
    assert local.store.read(f"{FOLDER}/manifest.json") == b""


def test_nothing_added_is_no_backup(local: Vault, commit) -> None:
    with pytest.raises(IncompleteWriteError, match="Nothing was stored"):
        commit(local.draft("xray", "acme", BACKUP_ID))
    assert names(local) == []


def test_bytes_that_were_spooled_are_stored_with_their_facts(vault: Vault, commit) -> None:
    encoded = Encoded([b"plain " * 1000], compress=True)
    spooled = list(encoded)
    draft = vault.draft("xenioo", "welcome", BACKUP_ID)
    artifact = draft.add_stored("bot", spooled, StoredBytes.of(encoded), media_type="application/json")
    assert artifact.name == f"bot.{draft.nonce}.json.zst"
    assert (artifact.size, artifact.stored_size) == (6000, len(b"".join(spooled)))
    assert commit(draft).manifest.artifacts == (artifact,)


def test_spooled_bytes_that_changed_are_not_stored(vault: Vault) -> None:
    encoded = Encoded([b"plain"])
    list(encoded)
    draft = vault.draft("xenioo", "welcome", BACKUP_ID)
    with pytest.raises(IncompleteWriteError, match="not those that were announced"):
        draft.add_stored("bot", [b"plaim"], StoredBytes.of(encoded), media_type="application/json")
    assert names(vault) == []


@pytest.mark.parametrize("account", ["../x", "a/b", "a\nb", ""])
def test_an_account_that_would_escape_is_refused_before_anything_is_written(
    local: Vault, tmp_path: Path, account: str
) -> None:
    with pytest.raises(InvalidArgumentError):
        local.draft("xray", account, BACKUP_ID)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_is_refused_where_the_vault_cannot_be_written(s3, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFolderError):
        Vault.open(tmp_path / "file").draft("xray", "acme", BACKUP_ID)
    with pytest.raises(MissingBucketError):
        Vault.open("s3://not-there/p").draft("xray", "acme", BACKUP_ID)


def test_a_nonce_is_new_for_every_attempt(local: Vault) -> None:
    nonces = {local.draft("xray", "acme", BACKUP_ID).nonce for _ in range(20)}
    assert len(nonces) == 20
    assert all(layout.nonce_of(f"backup.{nonce}.zip") == nonce for nonce in nonces)
