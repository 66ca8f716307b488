"""Verifying and fetching in DAGs: real backups of the simulator, from the vendor's answer to a file on a disk."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.vault import FetchBackupOperator, VerifyBackupOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

IDENTITY = pyrage.x25519.Identity.generate()
KEY = str(IDENTITY.to_public())


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY", raising=False)
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY_FILE", raising=False)


@pytest.fixture
def taken(vault: Vault, finished_job: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Take a backup of the simulated tenant: what the transfer returned."""

    def taken(encrypt_to: str | None = None, **job: Any) -> dict[str, Any]:
        task = XrayToObjectStorageOperator(
            task_id="store",
            job=finished_job(**job),
            vault=str(vault.url),
            account="acme",
            encrypt_to=encrypt_to,
            xray_conn_id="acme",
        )
        return task.execute(make_context())

    return taken


def verify(vault: Vault, **arguments: Any) -> dict[str, Any]:
    return VerifyBackupOperator(task_id="verify", vault=str(vault.url), **arguments).execute(
        make_context(task_id="verify")
    )


def fetch(vault: Vault, folder: Path, **arguments: Any) -> dict[str, Any]:
    task = FetchBackupOperator(task_id="fetch", vault=str(vault.url), directory=str(folder), **arguments)
    return task.execute(make_context())


def newest(vault: Vault) -> Any:
    return next(iter(vault.backups()))


def damage(vault: Vault) -> None:
    backup = newest(vault)
    path = Path(vault.url.prefix) / backup.path.folder / backup.manifest.artifacts[0].name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("level", ["presence", "digest", "content", "source"])
def test_a_backup_of_the_service_passes_at_every_level(
    vault: Vault, taken: Callable[..., dict[str, Any]], level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = taken(with_attachments=True)
    found = verify(vault, backup_id=backup, level=level, xray_conn_id="acme")
    assert found == {
        "vault": str(vault.url),
        "level": level,
        "backups": 1,
        "bytes": 0 if level == "presence" else backup["bytes"],
    }
    out = capsys.readouterr().out
    assert f" passed, looked at as deep as {level}" in out
    assert "reference" not in out
    assert newest(vault).verified is (level != "presence")


def test_the_record_names_the_task(vault: Vault, taken: Callable[..., dict[str, Any]]) -> None:
    taken()
    verify(vault)
    backup = newest(vault)
    (name,) = (name for name in backup.names if name.startswith("checks/"))
    record = json.loads(vault.store.read(backup.path.file(name)))
    assert (record["producer"]["dag_id"], record["producer"]["task_id"]) == ("nightly", "verify")


def test_damage_fails_the_task_without_retries_and_names_it(
    vault: Vault, taken: Callable[..., dict[str, Any]]
) -> None:
    taken()
    damage(vault)
    with pytest.raises(XBackupFailError, match=r"1 of 1 backups .* stored-digest: backup\."):
        verify(vault)


def test_nothing_to_verify_fails_the_task(vault: Vault) -> None:
    vault.prepare()
    with pytest.raises(XBackupFailError, match="Nothing was verified"):
        verify(vault)


def test_a_source_that_does_not_answer_fails_the_task_and_not_the_backup(
    vault: Vault, taken: Callable[..., dict[str, Any]], sim: Simulator
) -> None:
    taken()
    sim.add_fault(action="status", status=500, path="/graphql", times=None)
    with pytest.raises(XBackupError, match="not compared with its source") as caught:
        verify(vault, level="source", xray_conn_id="acme")
    assert not isinstance(caught.value, XBackupFailError)
    assert newest(vault).verified


@pytest.mark.parametrize(
    ("conn_id", "changes", "word"),
    [
        pytest.param("nobody", {}, "no connection 'nobody'", id="no such connection"),
        pytest.param(
            "globex", {"password": "stale"}, "Connection 'globex': Xray refused the API key", id="secret"
        ),
        pytest.param("globex", {"extra": {"verify": "/no/ca.pem"}}, "does not exist", id="certificates"),
    ],
)
def test_a_wrong_connection_fails_the_task_before_anything_is_verified(
    vault: Vault,
    taken: Callable[..., dict[str, Any]],
    sim: Simulator,
    connect: Callable[..., None],
    conn_id: str,
    changes: dict[str, Any],
    word: str,
) -> None:
    taken()
    login = {"conn_type": "xray", "host": sim.url, "login": "demo-client", "password": "demo-secret"}
    connect("globex", **login | changes)
    with pytest.raises(XBackupFailError, match=word):
        verify(vault, level="source", xray_conn_id=conn_id)
    assert not newest(vault).verified


def test_a_tenant_that_outgrew_its_newest_backup_is_told(
    vault: Vault, taken: Callable[..., dict[str, Any]], sim: Simulator
) -> None:
    taken()
    sim.change_data(tests=80)
    with pytest.raises(XBackupFailError, match="source-holds-more"):
        verify(vault, level="source", xray_conn_id="acme")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"level": "deep"}, "level must be one of presence, digest, content, source"),
        ({"subset": "3/2"}, "written n/t"),
        ({"backup_id": "yesterday"}, "names no backup"),
        ({"backup_id": {"backup_id": 7}}, "what a transfer or a hold returned"),
        ({"backup_id": []}, "what a transfer or a hold returned"),
        ({"max_drop": 2}, "max_drop must be a share"),
        ({"tolerance": "x"}, "tolerance must be a share"),
        ({"identity_conn_id": ""}, "connection id"),
        ({"service": "jira"}, "jira"),
    ],
)
def test_wrong_arguments_are_told_when_the_dag_is_parsed(vault: Vault, arguments: Any, word: str) -> None:
    with pytest.raises(XBackupError, match=word):
        VerifyBackupOperator(task_id="verify", vault=str(vault.url), **arguments)


def test_source_needs_somebody_to_ask(vault: Vault, taken: Callable[..., dict[str, Any]]) -> None:
    taken()
    with pytest.raises(XBackupFailError, match="needs xray_conn_id"):
        verify(vault, level="source")


# -- keys ------------------------------------------------------------------------------------------------------


def test_a_connection_holds_the_key(
    vault: Vault, taken: Callable[..., dict[str, Any]], connect: Callable[..., None], tmp_path: Path
) -> None:
    connect("age_key", conn_type="generic", password=str(IDENTITY))
    backup = taken(encrypt_to=KEY)
    verify(vault, level="content", identity_conn_id="age_key")
    files = fetch(vault, tmp_path / "out", backup_id=backup, identity_conn_id="age_key")["files"]
    assert zipfile.ZipFile(files["backup"]).testzip() is None


def test_without_a_key_a_task_verifies_what_is_stored_and_fetches_nothing(
    vault: Vault, taken: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = taken(encrypt_to=KEY)
    verify(vault, level="content")
    assert "not-decrypted" in capsys.readouterr().out
    with pytest.raises(XBackupFailError, match="no age private key was given"):
        fetch(vault, tmp_path / "out", backup_id=backup)


@pytest.mark.parametrize(
    ("password", "word"),
    [(KEY, "is a public key"), ("", "no age private key"), ("hunter2", "is no age private key")],
    ids=["public", "empty", "password"],
)
def test_a_connection_without_a_key_is_told_and_its_password_is_not(
    vault: Vault,
    taken: Callable[..., dict[str, Any]],
    connect: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    password: str,
    word: str,
) -> None:
    connect("age_key", conn_type="generic", password=password)
    taken()
    with pytest.raises(XBackupFailError, match=word) as caught:
        verify(vault, identity_conn_id="age_key")
    assert "connection 'age_key'" in str(caught.value)
    assert "hunter2" not in str(caught.value) + capsys.readouterr().out


def test_an_unknown_connection_is_told(vault: Vault, taken: Callable[..., dict[str, Any]]) -> None:
    taken()
    with pytest.raises(XBackupFailError, match="no connection 'nobody'"):
        verify(vault, identity_conn_id="nobody")


def test_no_key_is_in_a_log_a_field_or_an_error(
    vault: Vault,
    taken: Callable[..., dict[str, Any]],
    connect: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect("age_key", conn_type="generic", password=str(pyrage.x25519.Identity.generate()))
    taken(encrypt_to=KEY)
    with caplog.at_level(logging.DEBUG), pytest.raises(XBackupFailError, match="wrong-identity") as caught:
        verify(vault, level="content", identity_conn_id="age_key")
    with caplog.at_level(logging.DEBUG), pytest.raises(XBackupFailError, match="encrypted to others") as other:
        fetch(vault, tmp_path / "out", backup_id="latest", identity_conn_id="age_key")
    said = capsys.readouterr()
    assert "wrong-identity" in said.out
    assert "AGE-SECRET" not in caplog.text + said.out + said.err + str(caught.value) + str(other.value)


# -- fetching --------------------------------------------------------------------------------------------------


def test_the_files_are_the_services(
    vault: Vault, taken: Callable[..., dict[str, Any]], served: Callable[..., bytes], tmp_path: Path
) -> None:
    backup = taken(with_attachments=True)
    verify(vault)
    found = fetch(vault, tmp_path / "out")
    folder = tmp_path / "out" / backup["backup_id"]
    assert found == {
        "backup_id": backup["backup_id"],
        "service": "xray",
        "account": "acme",
        "state": "ok",
        "folder": str(folder),
        "files": {"backup": str(folder / "backup.zip"), "attachments": str(folder / "attachments.zip")},
    }
    assert (folder / "backup.zip").read_bytes() == served()
    json.dumps(found)


def test_what_is_not_verified_is_not_fetched_unless_it_is_named(
    vault: Vault, taken: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    taken()
    with pytest.raises(XBackupFailError, match="no verified backup"):
        fetch(vault, tmp_path / "out")
    assert fetch(vault, tmp_path / "out", backup_id="latest")["files"]


def test_a_bot_comes_back_byte_for_byte(vault: Vault, tmp_path: Path, sim: Simulator, spool_dir: Path) -> None:
    store = XeniooToObjectStorageOperator(
        task_id="store", vault=str(vault.url), account="welcome", encrypt_to=KEY, xenioo_conn_id="welcome"
    )
    backup = store.execute(make_context())
    key = tmp_path / "key"
    key.write_text(str(IDENTITY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XBACKUP_AGE_IDENTITY_FILE", str(key))
        verify(vault, level="content")
        files = fetch(vault, tmp_path / "out", backup_id=backup)["files"]
    body = Path(files["bot"]).read_bytes()
    assert len(body) == newest(vault).manifest.size
    assert isinstance(json.loads(body), dict)


def test_a_partial_is_fetched_with_its_base(
    vault: Vault, taken: Callable[..., dict[str, Any]], sim: Simulator, tmp_path: Path
) -> None:
    full = taken()
    sim.configure({"xray": {"cooldown_seconds": 0}})
    sim.change_data(revision=1)
    since = newest(vault).manifest.requested_at.isoformat()
    partial = taken(modified_since=since, base=full["backup_id"])
    verify(vault, level="content")
    found = fetch(vault, tmp_path / "out", backup_id=partial, chain=True)
    assert (found["backup_id"], found["base"]["backup_id"]) == (partial["backup_id"], full["backup_id"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"directory": "relative/path"}, "absolute path"),
        ({"directory": "/tmp", "backup_id": ["latest", "latest-verified"]}, "one backup"),
        ({"directory": "/tmp", "backup_id": "newest"}, "names no backup"),
    ],
)
def test_wrong_arguments_of_a_fetch_are_told_when_the_dag_is_parsed(
    vault: Vault, arguments: Any, word: str
) -> None:
    with pytest.raises(XBackupError, match=word):
        FetchBackupOperator(task_id="fetch", vault=str(vault.url), **arguments)


def test_a_task_that_was_given_a_key_in_a_field_is_refused_without_repeating_it(vault: Vault) -> None:
    task = VerifyBackupOperator(task_id="verify", vault=str(vault.url), identity_conn_id="{{ key }}")
    with pytest.raises(XBackupError) as caught:
        task.render_template_fields({"key": str(IDENTITY)})
    assert str(IDENTITY)[20:40] not in str(caught.value)


def test_zips_of_other_readers_agree(vault: Vault, taken: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """What was counted is what any JSON reader counts."""
    taken()
    verify(vault, level="content")
    files = fetch(vault, tmp_path / "out")["files"]
    counts: dict[str, int] = {}
    with zipfile.ZipFile(io.BytesIO(Path(files["backup"]).read_bytes())) as archive:
        for name in archive.namelist():
            for entity, items in json.loads(archive.read(name)).items():
                counts[entity] = counts.get(entity, 0) + len(items)
    assert newest(vault).manifest.entities == counts
