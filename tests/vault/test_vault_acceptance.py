"""A person's word that a suspect backup is what it should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.acceptance import accept, how_to_accept, read_acceptance
from airflow_provider_xbackup.vault.errors import BackupStateError, NoSuchBackupError, RecordError

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
SUSPECT = {"state": "suspect", "reasons": ["tests fell from 80 to 0"]}


@pytest.fixture
def suspect(vault: Vault, take) -> Any:
    return take(vault, condition=SUSPECT)


def test_an_accepted_backup_says_who_why_and_when_beside_an_untouched_manifest(vault: Vault, suspect: Any) -> None:
    manifest = vault.store.read(suspect.path.manifest)
    word = accept(vault, suspect, "ada", "the tenant was split", NOW)
    assert vault.store.read(suspect.path.manifest) == manifest
    assert json.loads(vault.store.read(suspect.path.accepted)) == {
        "schema": "xbackup/accepted/v1",
        "who": "ada",
        "why": "the tenant was split",
        "at": "2026-11-24T08:30:00Z",
    }
    assert read_acceptance(vault.store, suspect.path) == word
    found = vault.find("xray", "acme", suspect.backup_id)
    assert found is not None
    assert (found.state, found.accepted) == ("accepted", True)


def test_the_first_word_counts(vault: Vault, suspect: Any) -> None:
    first = accept(vault, suspect, "ada", "the tenant was split", NOW)
    assert accept(vault, suspect, "bob", "me too", NOW + timedelta(hours=1)) == first
    assert read_acceptance(vault.store, suspect.path) == first


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param("ok", "is ok, not suspect. It needs nobody's word", id="ok"),
        pytest.param("incomplete", "is incomplete, not suspect.*take a new backup", id="incomplete"),
    ],
)
def test_what_is_not_suspect_cannot_be_accepted(vault: Vault, take, state: str, words: str) -> None:
    backup = take(vault, condition={"state": state})
    with pytest.raises(BackupStateError, match=words):
        accept(vault, backup, "ada", "why not", NOW)
    assert not vault.store.exists(backup.path.accepted)


def test_what_has_expired_cannot_be_accepted(vault: Vault, suspect: Any) -> None:
    vault.store.create(suspect.path.tombstone, b"{}")
    with pytest.raises(BackupStateError, match="has expired"):
        accept(vault, suspect, "ada", "why not", NOW)
    assert not vault.store.exists(suspect.path.accepted)


def test_what_was_removed_meanwhile_cannot_be_accepted(vault: Vault, suspect: Any) -> None:
    vault.store.delete(suspect.path.manifest)
    with pytest.raises(NoSuchBackupError, match="was removed"):
        accept(vault, suspect, "ada", "why not", NOW)
    assert not vault.store.exists(suspect.path.accepted)


@pytest.mark.parametrize(
    ("who", "why", "word"), [("", "x", "who"), ("  ", "x", "who"), ("x", " ", "why"), ("x", "y" * 2001, "why")]
)
def test_a_word_says_who_and_why(vault: Vault, suspect: Any, who: str, why: str, word: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"Say {word}"):
        accept(vault, suspect, who, why, NOW)
    assert not vault.store.exists(suspect.path.accepted)


def test_a_damaged_word_is_told_and_not_replaced(vault: Vault, suspect: Any) -> None:
    vault.store.put(suspect.path.accepted, b"{}")
    with pytest.raises(RecordError, match=r"accepted\.json cannot be read.*remove the record"):
        accept(vault, suspect, "ada", "why not", NOW)
    assert vault.store.read(suspect.path.accepted) == b"{}"


def test_nobodys_word_is_none(vault: Vault, suspect: Any) -> None:
    assert read_acceptance(vault.store, suspect.path) is None


def test_the_advice_can_be_pasted_into_a_shell() -> None:
    vault = Vault.open("file:///srv/my backups")
    advice = how_to_accept(vault.url, "20261123T014500Z-full-1a2b3c4d")
    assert "`xbackup accept 'file:///srv/my backups' 20261123T014500Z-full-1a2b3c4d --why '...'`" in advice
