"""Verification: every damage is found and named, and what is whole passes."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from interposed_store import interposed

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.acceptance import accept
from airflow_provider_xbackup.vault.checks import Check, Level, read_checks
from airflow_provider_xbackup.vault.choose import Selector
from airflow_provider_xbackup.vault.errors import (
    NoSuchBackupError,
    StoreUnavailableError,
    UnreadableObjectError,
    WrongIdentityError,
)
from airflow_provider_xbackup.vault.examination import Wanted
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.layout import parse_backup_id
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.verify import NothingVerifiedError, Subset, Verification

IDENTITY = pyrage.x25519.Identity.generate()
KEYS = Identities([IDENTITY])
RECIPIENT = str(IDENTITY.to_public())
PRODUCER = Producer(package_version="0.1.0")
LEVELS = tuple(Level)
TESTS = 20


def make_zip(files: Mapping[str, Any]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return target.getvalue()


def data_files(tests: int = TESTS, project: str = "10042") -> dict[str, Any]:
    """A small tenant: every fifth test has an attachment, one test set holds all tests."""
    steps = [
        [{"attachments": [{"id": f"blob{number}", "filename": "a.png"}] * (number % 5 == 0)}]
        for number in range(tests)
    ]
    return {
        f"tests_{project}_0.json": {
            "tests": [{"id": f"T{number}", "steps": steps[number]} for number in range(tests)]
        },
        f"testSets_{project}_0.json": {
            "testSets": [{"id": "S1", "tests": [f"T{number}" for number in range(tests)]}]
        },
        "about.json": {"made": "today"},
    }


def blobs(tests: int = TESTS) -> dict[str, Any]:
    return {f"blob{number}": os.urandom(100) for number in range(0, tests, 5)} | {
        "metadata_10042.json": {"attachment_metadata": {}}
    }


def day(number: int, kind: str = "full", digits: str = "00000001") -> str:
    return f"202611{number:02d}T000000Z-{kind}-{digits}"


def store(
    vault: Vault,
    backup_id: str = day(1),
    *,
    account: str = "acme",
    data: bytes | None = None,
    attachments: bytes | None = None,
    encrypt: bool = False,
    entities: Any = "counted",
    **fields: Any,
) -> Any:
    draft = vault.draft("xray", account, backup_id)
    recipients = (RECIPIENT,) if encrypt else ()
    data = make_zip(data_files()) if data is None else data
    draft.add("backup", [data], media_type="application/zip", recipients=recipients)
    if attachments is not None:
        draft.add("attachments", [attachments], media_type="application/zip", recipients=recipients)
    return draft.commit(
        requested_at=parse_backup_id(backup_id).instant,
        producer=PRODUCER,
        entities={"tests": TESTS, "testSets": 1} if entities == "counted" else entities,
        scope={"attachments": attachments is not None, **fields.pop("scope", {})},
        **fields,
    )


def store_bot(vault: Vault, body: bytes, *, encrypt: bool = False, compress: bool = True) -> Any:
    draft = vault.draft("xenioo", "welcome", day(1))
    recipients = (RECIPIENT,) if encrypt else ()
    draft.add("bot", [body], media_type="application/json", compress=compress, recipients=recipients)
    return draft.commit(requested_at=parse_backup_id(day(1)).instant, producer=PRODUCER)


def verify(vault: Vault, level: str = "content", keys: Identities | None = KEYS, **options: Any) -> list[Check]:
    wanted = {name: options.pop(name) for name in ("max_drop", "tolerance", "count_live") if name in options}
    run = Verification(vault, Wanted(Level(level), PRODUCER, keys, **wanted), **options)
    return [found.check for found in run]


def only(vault: Vault, level: str = "content", keys: Identities | None = KEYS, **options: Any) -> Check:
    (check,) = verify(vault, level, keys, **options)
    return check


def codes(check: Check, kind: str = "error") -> list[str]:
    return [finding.code for finding in check.findings if finding.kind == kind]


def artifact_path(backup: Any, role: str = "backup") -> str:
    return next(backup.path.file(one.name) for one in backup.manifest.artifacts if one.role == role)


# -- what is whole ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
def test_what_is_whole_passes_at_every_level_and_is_recorded(vault: Vault, encrypt: bool) -> None:
    backup = store(vault, attachments=make_zip(blobs()), encrypt=encrypt)
    size = backup.manifest.stored_size
    for level, read in (("presence", 0), ("digest", size), ("content", size), ("source", size)):
        check = only(vault, level, count_live=lambda project: {"tests": TESTS})
        assert check.findings == ()
        assert (check.passed, check.level, check.objects, check.bytes_) == (True, level, 2, read)
    found = next(iter(vault.backups()))
    assert len(list(read_checks(vault.store, found.path, found.names))) == 4
    assert found.verified


def test_many_backups_are_looked_at_at_once_and_nothing_is_noted_of_what_is_not_read(
    local: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 29):
        store(local, day(number))
    together = threading.Barrier(28)

    def wait_for_the_others(moment: str, name: str, path: str) -> None:
        if (moment, name) == ("before", "head"):
            together.wait(15)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is read")

    monkeypatch.setattr("airflow_provider_xbackup.contents.references.Scratch", refuse)

    assert all(check.passed for check in verify(interposed(local, wait_for_the_others), "presence"))


def test_looking_whether_a_backup_is_there_takes_few_requests(local: Vault) -> None:
    backup = store(local)
    only(local, "presence")
    asked: Counter[tuple[str, str]] = Counter()

    def count(moment: str, name: str, path: str) -> None:
        if moment == "before":
            kind = "check" if "/checks/" in path else path.rsplit("/", 1)[-1].split(".")[0]
            asked[name, kind] += 1

    assert only(interposed(local, count), "presence").passed

    assert asked == {
        ("list", ""): 1,  # of the whole vault
        ("read", "manifest"): 1,
        ("read", "check"): 2,  # for the catalog, and to go on from it, whatever has been written meanwhile
        ("head", "backup"): 1,
        ("list", backup.path.backup_id): 1,
        ("create", "check"): 1,
    }


@pytest.mark.parametrize(
    ("level", "reached"),
    [("presence", "presence"), ("digest", "digest"), ("content", "content"), ("source", "source")],
)
def test_a_check_says_how_deep_it_came(local: Vault, level: str, reached: str) -> None:
    store(local, scope={"project_ids": ["10042"]})
    check = only(local, level, count_live=lambda project: {"tests": TESTS})
    assert (check.reached, check.findings) == (reached, ())


def test_the_content_is_counted(local: Vault) -> None:
    store(local, entities=None)
    assert only(local).entities == {"testSets": 1, "tests": TESTS}


def test_a_bot_is_read_as_json(local: Vault) -> None:
    store_bot(local, json.dumps({"flow": list(range(1000))}).encode(), encrypt=True)
    assert only(local).reached == "content"


def test_without_a_key_an_encrypted_backup_is_verified_as_it_is_stored_and_says_so(local: Vault) -> None:
    store(local, encrypt=True)
    check = only(local, "content", None)
    assert check.passed
    assert check.reached == "stored-digest"
    assert codes(check, "warning") == ["not-decrypted"]
    assert next(iter(local.backups())).verified


# -- damage ----------------------------------------------------------------------------------------------------


def flip(at: float) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        place = int((len(data) - 1) * at)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return flipped


@pytest.mark.parametrize("level", ["digest", "content"])
@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
@pytest.mark.parametrize("role", ["backup", "attachments"])
@pytest.mark.parametrize("at", [0, 0.3, 1], ids=["first byte", "a byte", "last byte"])
def test_a_flipped_byte_is_found_in_every_file(
    local: Vault, at: float, role: str, encrypt: bool, level: str
) -> None:
    backup = store(local, attachments=make_zip(blobs()), encrypt=encrypt)
    path = artifact_path(backup, role)
    local.store.put(path, flip(at)(local.store.read(path)))
    check = only(local, level)
    assert not check.passed
    assert check.reached == "presence"
    assert codes(check)[0] == "stored-digest"
    assert {finding.object for finding in check.findings} == {path.rsplit("/", 1)[1]}
    assert not next(iter(local.backups())).verified


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        pytest.param(lambda data: data[:-1], "wrong-size", id="cut off"),
        pytest.param(lambda data: data + b"x", "wrong-size", id="longer"),
        pytest.param(lambda data: b"", "wrong-size", id="emptied"),
        pytest.param(None, "missing-object", id="deleted"),
    ],
)
def test_what_is_missing_or_of_another_size_is_found_at_every_level(
    local: Vault, damage: Any, code: str, level: str
) -> None:
    backup = store(local, attachments=make_zip(blobs()))
    path = artifact_path(backup, "attachments")
    if damage is None:
        local.store.delete(path)
    else:
        local.store.put(path, damage(local.store.read(path)))
    check = only(local, level)
    assert codes(check) == [code]
    assert check.findings[0].object == path.rsplit("/", 1)[1]
    assert (check.passed, check.reached) == (False, "none")


@pytest.mark.parametrize("level", ["presence", "content"])
def test_a_partial_whose_full_is_gone_does_not_pass(local: Vault, level: str) -> None:
    full = store(local, day(1))
    since = datetime.fromisoformat("2026-11-01T00:00Z")
    partial = store(local, day(2, "partial"), modified_since=since, base=full.backup_id)
    assert [codes(check) for check in verify(local, level)] == [[], []]
    shutil.rmtree(Path(local.url.prefix) / full.path.folder)

    check = only(local, level)

    assert codes(check) == ["base-gone"]
    found = local.find("xray", "acme", partial.backup_id)
    (listed,) = local.backups()
    for backup in (found, listed):
        assert (backup.state, backup.verified) == ("damaged", False)
        assert f"Its full {full.backup_id} is gone." in backup.verdict.flaws


def test_two_files_that_were_swapped_are_found(local: Vault) -> None:
    data = make_zip(data_files())
    backup = store(local, data=data, attachments=make_zip(blobs())[:-22] + os.urandom(22))
    one, two = artifact_path(backup, "backup"), artifact_path(backup, "attachments")
    first, second = local.store.read(one), local.store.read(two)
    local.store.put(one, second)
    local.store.put(two, first)
    assert set(codes(only(local, "presence"))) == {"wrong-size"}


def test_files_of_one_size_that_were_swapped_are_found_by_their_digests(local: Vault) -> None:
    first = store(local, day(1), data=make_zip({"a": b"one"}), entities=None)
    second = store(local, day(2), data=make_zip({"a": b"two"}), entities=None)
    paths = artifact_path(first), artifact_path(second)
    held = [local.store.read(path) for path in paths]
    for path, data in zip(paths, reversed(held), strict=True):
        local.store.put(path, data)
    assert [codes(check) for check in verify(local, "presence")] == [[], []]
    assert [codes(check) for check in verify(local, "digest")] == [["stored-digest"], ["stored-digest"]]


def test_a_damaged_manifest_is_a_finding_beside_the_others(local: Vault) -> None:
    backup = store(local, day(1))
    store(local, day(2))
    local.store.put(backup.path.manifest, local.store.read(backup.path.manifest)[:-40])
    run = Verification(local, Wanted(Level.DIGEST, PRODUCER))
    assert [found.backup.backup_id for found in run] == [day(2)]
    assert [finding.code for finding in run.findings] == ["damaged-manifest"]


def rewrite(vault: Vault, backup: Any, role: str, **changes: Any) -> None:
    """Let the manifest say something else of an artifact."""
    value = json.loads(vault.store.read(backup.path.manifest))
    next(one for one in value["artifacts"] if one["role"] == role).update(changes)
    vault.store.put(backup.path.manifest, json.dumps(value).encode())


def test_what_was_encrypted_wrongly_is_found_by_its_plain_digest(local: Vault) -> None:
    backup = store(local, encrypt=True)
    rewrite(local, backup, "backup", sha256="0" * 64)
    check = only(local, "digest")
    assert codes(check) == ["plain-digest"]
    assert check.reached == "stored-digest"


@pytest.mark.parametrize(
    ("body", "compress", "changes", "code"),
    [
        pytest.param(
            b'{"a": 1}', True, {"compression": None, "encryption": None}, "plain-digest", id="not undone"
        ),
        pytest.param(b'{"a": 1}' * 9, False, {"compression": "zstd"}, "decompression", id="no zstd"),
        pytest.param(b'{"a": 1}' * 9, False, {"encryption": "age"}, "decryption", id="no age"),
        pytest.param(b'{"a": 1}' * 9, True, {"size": 5}, "decompression", id="more than it tells"),
        pytest.param(b'{"a": 1}', False, {"compression": "lzma"}, "unknown-encoding", id="unknown encoding"),
    ],
)
def test_what_cannot_be_decoded_is_named(
    local: Vault, body: bytes, compress: bool, changes: dict[str, Any], code: str
) -> None:
    rewrite(local, store_bot(local, body, compress=compress), "bot", **changes)
    check = only(local, "digest")
    assert codes(check) == [code]
    assert check.reached == "stored-digest"


WRONG_KEYS = Identities([pyrage.x25519.Identity.generate()])


@pytest.mark.parametrize("level", ["digest", "content"])
def test_a_key_that_does_not_fit_tells_nothing_of_the_backup(local: Vault, level: str) -> None:
    store(local, encrypt=True, attachments=make_zip(blobs()))
    (verified,) = Verification(local, Wanted(Level(level), PRODUCER, WRONG_KEYS))
    assert (verified.check.passed, verified.check.reached) == (True, "stored-digest")
    assert codes(verified.check, "warning") == ["wrong-identity"] * 2
    assert isinstance(verified.obstacle.error, WrongIdentityError)
    assert "Nothing was decrypted" in verified.obstacle.finding.text
    (backup,) = local.backups()
    assert backup.verified


def test_a_key_that_does_not_fit_hides_no_damage(local: Vault) -> None:
    path = artifact_path(store(local, encrypt=True))
    local.store.put(path, flip(0.5)(local.store.read(path)))
    check = only(local, "content", WRONG_KEYS)
    assert not check.passed
    assert codes(check) == ["stored-digest"]


def test_a_key_that_does_not_fit_makes_no_damage_forgotten(local: Vault) -> None:
    store(local, encrypt=True, entities=None, data=make_zip({"tests_1_0.json": b"{"}))
    only(local, "content")
    check = only(local, "content", WRONG_KEYS)
    assert (check.passed, codes(check)) == (False, ["damaged-json"])


# -- content ---------------------------------------------------------------------------------------------------


def broken_crc() -> bytes:
    data = bytearray(make_zip({"tests_1_0.json": b'{"tests": []}'}))
    data[14] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        pytest.param(broken_crc(), "damaged-zip", "tests_1_0.json", id="a wrong CRC"),
        pytest.param(make_zip(data_files())[:-30], "damaged-zip", "cut off", id="cut off when it was made"),
        pytest.param(b"<html>", "damaged-zip", "not a zip", id="a web page"),
        pytest.param(
            make_zip({"tests_1_0.json": b'{"tests": ['}), "damaged-json", "tests_1_0.json", id="cut JSON"
        ),
        pytest.param(make_zip({"about.json": b"nonsense"}), "damaged-json", "about.json", id="another JSON file"),
    ],
)
def test_content_that_is_damaged_though_its_digest_is_right_is_found(
    local: Vault, data: bytes, code: str, word: str
) -> None:
    store(local, data=data, entities=None)
    assert only(local, "digest").passed
    check = only(local)
    assert codes(check) == [code]
    assert word in check.findings[0].text


def test_every_damaged_json_file_is_named_up_to_a_limit(local: Vault) -> None:
    store(local, data=make_zip({f"tests_1_{number}.json": b"[" for number in range(80)}), entities=None)
    found = codes(only(local))
    assert set(found) == {"damaged-json"}
    assert len(found) == 50


def test_a_json_file_that_a_user_attached_may_be_anything(local: Vault) -> None:
    store(local, attachments=make_zip(blobs() | {"notes.json": b"{ not json", "x/metadata.txt": b"["}))
    assert only(local).passed


def test_the_list_of_attachments_must_be_json(local: Vault) -> None:
    store(local, attachments=make_zip(blobs() | {"metadata_10042.json": b"{"}))
    assert codes(only(local)) == ["damaged-json"]


@pytest.mark.parametrize(
    ("body", "expected", "kind"),
    [
        pytest.param(b'{"flow": [1, 2', ["damaged-json"], "error", id="cut off"),
        pytest.param(b'{"flow": [1, 2}}', ["damaged-json"], "error", id="damaged"),
        pytest.param(b"   ", ["empty"], "error", id="blank"),
        pytest.param(b"flow: [1, 2]", ["unknown-format"], "warning", id="of another form"),
    ],
)
def test_a_bot_that_is_no_json_is_found(local: Vault, body: bytes, expected: list[str], kind: str) -> None:
    store_bot(local, body)
    check = only(local)
    assert codes(check, kind) == expected
    assert check.reached == "digest"


def test_counts_that_are_not_the_manifests_are_found(local: Vault) -> None:
    store(local, entities={"tests": TESTS + 1, "testSets": 1, "datasets": 3})
    check = only(local)
    assert codes(check) == ["count-mismatch", "count-mismatch"]
    assert check.findings[0].text == "The data holds 0 datasets; its manifest tells of 3."


def test_an_empty_full_does_not_pass_and_an_empty_partial_does(local: Vault) -> None:
    store(local, day(1), data=make_zip({}), entities={})
    store(
        local,
        day(2, "partial"),
        data=make_zip({}),
        entities={},
        modified_since=datetime.fromisoformat("2026-11-01T00:00Z"),
    )
    assert [codes(check) for check in verify(local)] == [[], ["empty"]]


def test_a_tenant_that_stays_empty_is_told_once_somebody_accepted_that(local: Vault) -> None:
    first = store(local, day(1), data=make_zip({}), entities={})
    assert codes(only(local)) == ["empty"]
    listed = local.find("xray", "acme", first.backup_id)
    assert listed is not None
    accept(local, listed, "ada", "nobody works there yet", listed.instant)
    store(local, day(2), data=make_zip({}), entities={})
    for check in verify(local):
        assert (check.passed, codes(check, "warning")) == (True, ["empty"])


def test_what_cannot_be_counted_is_not_said_to_differ(local: Vault) -> None:
    files = data_files() | {"tests_10042_0.json": b"["}
    store(local, data=make_zip(files), entities={"tests": TESTS, "testSets": 1})
    assert codes(only(local)) == ["damaged-json"]


def without(files: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in files.items() if name not in names}


def with_sets(tests: list[Any], field: str = "tests") -> bytes:
    return make_zip(data_files() | {"testSets_10042_0.json": {"testSets": [{"id": "S1", field: tests}]}})


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        pytest.param(with_sets(["T1", "T99", "T98"]), "error", ["missing-reference"], id="tests"),
        pytest.param(with_sets([{"id": "T1"}, {"id": "T99"}]), "error", ["missing-reference"], id="as objects"),
        pytest.param(with_sets(["T1", "T99"], "testIds"), "error", ["missing-reference"], id="another field"),
        pytest.param(with_sets(["T1", {"issueId": "T2"}]), "error", [], id="all there"),
        pytest.param(with_sets(["KEY-1", "KEY-2"]), "warning", ["unknown-references"], id="unknown form"),
        pytest.param(with_sets([1, 2.5, None, True, []]), "warning", ["unknown-references"], id="numbers"),
        pytest.param(with_sets([]), "warning", [], id="none"),
        pytest.param(with_sets([{"deep": {"tests": ["T99"]}}, "T1"]), "error", [], id="something else"),
        pytest.param(
            make_zip({"tests_1_0.json": [{"id": "T1"}], "testSets_1_0.json": [{"tests": ["T1", "\ud800"]}]}),
            "error",
            ["missing-reference"],
            id="bare lists",
        ),
    ],
)  # fmt: skip
def test_tests_that_a_test_set_names_must_exist(local: Vault, data: bytes, kind: str, expected: list[str]) -> None:
    store(local, data=data, entities=None)
    assert codes(only(local), kind) == expected


def test_a_missing_reference_is_named_with_its_place(local: Vault) -> None:
    store(local, data=with_sets(["T1", "T99", "T98"]), entities=None)
    (finding,) = only(local).findings
    assert finding.text == (
        "2 of 3 tests that the data refers to are not in the backup, for example "
        "'T98' in testSets_10042_0.json, 'T99' in testSets_10042_0.json."
    )


def test_numeric_ids_are_the_same_as_text_or_number(local: Vault) -> None:
    files = {
        "tests_1_0.json": {"tests": [{"id": 10501}]},
        "testSets_1_0.json": {"testSets": [{"tests": ["10501"]}]},
    }
    store(local, data=make_zip(files), entities=None)
    assert only(local).findings == ()


def with_folder(*tests: Any) -> bytes:
    return make_zip(data_files() | {"testRepository_10042_0.json": {"testRepository": [{"tests": list(tests)}]}})


def with_keys(tests: list[Any]) -> bytes:
    return make_zip(
        {
            "tests_10042_0.json": {"tests": [{"id": "1", "key": "ACME-1"}, {"id": "2", "key": "ACME-2"}]},
            "testSets_10042_0.json": {"testSets": [{"tests": tests}]},
        }
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_sets(["T1", "T99"]), id="by its id alone"),
        pytest.param(with_sets(["T1", {"id": "T99", "projectId": "10077"}]), id="of another project"),
        pytest.param(
            with_sets(["T1", {"id": "T99", "steps": [{"projectId": "10042"}]}]), id="of which only parts tell"
        ),
        pytest.param(with_keys(["ACME-1", "GLOBEX-7"]), id="with the key of another project"),
        pytest.param(with_keys(["ACME-1", "AC-7"]), id="with a key that begins alike"),
        pytest.param(with_keys(["ACME-1", "ACMEX-7"]), id="with a key that is longer"),
    ],
)
def test_a_test_that_may_be_of_a_project_nobody_asked_for_is_no_error(local: Vault, data: bytes) -> None:
    store(local, data=data, entities=None, scope={"project_ids": ["10042"]})
    check = only(local)
    assert check.passed
    assert codes(check, "warning") == ["missing-reference"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_folder("T1", "T99"), id="in a folder of the project"),
        pytest.param(with_folder("T1", {"id": "T99"}), id="in a folder, as an object"),
        pytest.param(with_sets(["T1", {"id": "T99", "projectId": "10042"}]), id="with its project"),
        pytest.param(with_sets(["T1", {"projectId": 10042, "x": {"y": [1]}, "id": "T99"}]), id="project first"),
        pytest.param(with_keys(["ACME-1", "ACME-7"]), id="with a key of the project"),
    ],
)
def test_a_test_that_is_of_a_project_in_the_backup_must_be_there(local: Vault, data: bytes) -> None:
    store(local, data=data, entities=None, scope={"project_ids": ["10042"]})
    check = only(local)
    assert codes(check) == ["missing-reference"]
    assert "are not in the backup, 1 of them of projects that are, for example" in check.findings[0].text


def test_a_certain_loss_is_the_first_example(local: Vault) -> None:
    files = data_files() | {
        "testSets_10042_0.json": {"testSets": [{"tests": ["T1", "A1", "A2", "A3"]}]},
        "testRepository_10042_0.json": {"testRepository": [{"tests": ["T99"]}]},
    }
    store(local, data=make_zip(files), entities=None, scope={"project_ids": ["10042"]})
    assert "for example 'T99' in testRepository_10042_0.json, 'A1' in" in only(local).findings[0].text


def test_a_partial_refers_to_what_did_not_change(local: Vault) -> None:
    since = datetime.fromisoformat("2026-11-01T00:00Z")
    store(local, day(2, "partial"), data=with_sets(["T1", "T99"]), entities=None, modified_since=since)
    assert only(local).findings == ()


@pytest.mark.parametrize(
    ("attachments", "kind", "expected"),
    [
        pytest.param(without(blobs(), "blob5"), "error", ["missing-reference"], id="one is missing"),
        pytest.param({}, "error", ["missing-reference"], id="all are missing"),
        pytest.param({"a": b"x", "b": b"x"}, "warning", ["unknown-references"], id="other names"),
        pytest.param({f"{name}.png": b"x" for name in blobs()}, "error", [], id="with an ending"),
        pytest.param({f"10042/{name}/shot.png": b"x" for name in blobs()}, "error", [], id="in folders"),
    ],
)  # fmt: skip
def test_attachments_that_a_step_names_must_exist(
    local: Vault, attachments: dict[str, Any], kind: str, expected: list[str]
) -> None:
    store(local, attachments=make_zip(attachments))
    assert codes(only(local), kind) == expected


def test_attachments_that_nobody_asked_for_are_not_missed(local: Vault) -> None:
    store(local)
    assert only(local).findings == ()


# -- compared with others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["presence", "content"])
def test_what_fell_far_below_its_predecessor_is_found(local: Vault, level: str) -> None:
    store(local, day(1), data=make_zip(data_files(100)), entities={"tests": 100, "testSets": 1})
    store(local, day(2), data=make_zip(data_files(40)), entities={"tests": 40, "testSets": 1})
    newer, older = verify(local, level)
    assert codes(older) == []
    assert codes(newer)[-1] == "drop"
    assert newer.findings[-1].text == f"The tests fell from 100 to 40, against backup {day(1)}."
    assert not codes(verify(local, level, max_drop=0.7)[0])


def test_a_type_that_disappeared_is_found_by_whoever_reads_the_content(local: Vault) -> None:
    store(local, day(1))
    files = without(data_files(), "testSets_10042_0.json") | {"other.bin": os.urandom(500)}
    store(local, day(2), data=make_zip(files), entities={"tests": TESTS})
    check = verify(local)[0]
    assert [finding.text for finding in check.findings] == [
        f"The testSets fell from 1 to 0, against backup {day(1)}."
    ]


def test_a_type_without_a_count_in_the_manifest_is_left_to_whoever_reads_it(local: Vault) -> None:
    """Its files may have been unreadable for the transfer, and whole."""
    store(local, day(1))
    store(local, day(2), entities={"tests": TESTS})
    assert codes(verify(local, "digest")[0]) == []
    assert codes(verify(local)[0]) == []


def test_a_fall_that_somebody_accepted_is_a_warning(local: Vault) -> None:
    store(local, day(1), entities={"tests": 1000})
    newer = store(local, day(2), entities={"tests": TESTS})
    assert codes(verify(local, "digest")[0]) == ["drop"]
    listed = local.find("xray", "acme", newer.backup_id)
    assert listed is not None
    accept(local, listed, "ada", "the tenant was split", listed.instant)
    check = verify(local, "digest")[0]
    assert (check.passed, codes(check, "warning")) == (True, ["drop"])


def test_a_backup_is_compared_with_the_newest_reliable_full_of_its_group(local: Vault) -> None:
    many = {"tests": 1000}
    store(local, day(1), entities=many, scope={"project_ids": ["1"]})
    store(local, day(2), entities=many, condition={"state": "incomplete", "reasons": []})
    expired = store(local, day(3), entities=many)
    local.store.put(expired.path.tombstone, b"{}")
    store(local, day(4), entities=many, account="other")
    store(local, day(5), entities={"tests": 30})
    store(local, day(6, "partial"), entities={"tests": 1})
    store(local, day(7), entities={"tests": 29})
    found = {one.backup.backup_id: one.check for one in Verification(local, Wanted(Level.PRESENCE, PRODUCER))}
    assert all(not codes(check) for check in found.values())
    assert day(3) not in found


def test_a_suspect_fails_until_somebody_accepts_it(local: Vault) -> None:
    backup = store(local, condition={"state": "suspect", "reasons": ["tests fell from 100 to 20."]})
    assert codes(only(local)) == ["suspect"]
    local.store.put(backup.path.accepted, b"{}")
    check = only(local)
    assert check.passed
    assert codes(check, "warning") == ["suspect"]
    assert next(iter(local.backups())).verified


def test_an_incomplete_backup_says_so_and_is_not_verified(local: Vault) -> None:
    store(local, condition={"state": "incomplete", "reasons": ["no attachments"]})
    check = only(local)
    assert (check.passed, codes(check, "warning")) == (True, ["incomplete"])
    assert not next(iter(local.backups())).verified


# -- the source ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "error", "warning"),
    [
        pytest.param({"tests": 20, "testSets": 1}, [], [], id="the same"),
        pytest.param({"tests": 22}, [], [], id="within the tolerance"),
        pytest.param({"tests": 23}, ["source-holds-more"], [], id="more"),
        pytest.param({"tests": 17}, [], ["source-holds-less"], id="fewer"),
        pytest.param({"tests": 0}, [], ["source-holds-less"], id="wiped"),
        pytest.param({"tests": 20, "testExecutions": 900}, [], [], id="what backups do not hold"),
    ],
)
def test_the_newest_full_is_compared_with_the_live_totals(
    local: Vault, live: dict[str, int], error: list[str], warning: list[str]
) -> None:
    store(local)
    check = only(local, "source", count_live=lambda project: live if project == "10042" else {})
    assert (codes(check), codes(check, "warning")) == (error, warning)
    assert check.reached == "source"


def test_an_older_backup_is_not_blamed_for_a_tenant_that_grew(local: Vault) -> None:
    store(local, day(1))
    store(local, day(2), data=make_zip(data_files(40)), entities={"tests": 40, "testSets": 1})
    newer, older = verify(local, "source", count_live=lambda project: {"tests": 40})
    assert (codes(newer), codes(older)) == ([], [])
    assert codes(older, "warning") == ["source-holds-more"]


def test_totals_of_several_projects_are_added(local: Vault) -> None:
    store(local, scope={"project_ids": ["1", "2"]}, data=make_zip(data_files()))
    asked: list[str] = []

    def count(project: str) -> dict[str, int]:
        asked.append(project)
        return {"tests": 10}

    assert only(local, "source", count_live=count).findings == ()
    assert asked == ["1", "2"]


def test_a_source_that_does_not_answer_is_no_fault_of_the_backup(local: Vault) -> None:
    store(local)

    def count(project: str) -> dict[str, int]:
        raise StoreUnavailableError("nobody answers")

    (verified,) = Verification(local, Wanted(Level.SOURCE, PRODUCER, count_live=count))
    assert verified.check.passed
    assert (verified.check.reached, codes(verified.check, "warning")) == ("content", ["not-compared"])
    assert isinstance(verified.obstacle.error, StoreUnavailableError)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="everything"),
        pytest.param({"service": "xray"}, id="one service"),
        pytest.param({"subset": Subset(1, 1)}, id="a part"),
        pytest.param({"selectors": [Selector.parse(day(1)), Selector.parse(day(2))]}, id="named backups"),
    ],
)
def test_two_tenants_are_not_compared_with_what_one_connection_counts(
    local: Vault, options: dict[str, Any]
) -> None:
    store(local, day(1), account="acme")
    store(local, day(2), account="globex")
    with pytest.raises(InvalidArgumentError, match=r"several accounts of Xray: acme, globex\. Choose one"):
        verify(local, "source", count_live=lambda project: {"tests": TESTS}, **options)
    assert not [found for found in local.store.list() if "/checks/" in found.path]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"account": "acme"}, id="the account"),
        pytest.param({"selectors": [Selector.parse(day(1))]}, id="a backup by its id"),
    ],
)
def test_of_two_tenants_the_chosen_one_is_compared(local: Vault, options: dict[str, Any]) -> None:
    store(local, day(1), account="acme")
    store(local, day(2), account="globex")
    assert only(local, "source", count_live=lambda project: {"tests": TESTS}, **options).reached == "source"


def test_bots_beside_one_tenant_do_not_hinder_a_comparison(local: Vault) -> None:
    store(local)
    store_bot(local, b"{}")
    checks = verify(local, "source", count_live=lambda project: {"tests": TESTS})
    assert sorted(check.reached for check in checks) == ["content", "source"]


def test_a_partial_and_a_bot_cannot_be_compared_with_a_source(local: Vault) -> None:
    since = datetime.fromisoformat("2026-11-01T00:00Z")
    store(local, day(2, "partial"), modified_since=since)
    store_bot(local, b"{}")
    for check in verify(local, "source", count_live=lambda project: {}):
        assert (check.passed, check.reached, codes(check, "warning")) == (True, "content", ["not-compared"])


# -- which backups ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["there", "missing"])
def test_a_verification_that_looked_at_nothing_does_not_pass(local: Vault, folder: str) -> None:
    if folder == "there":
        local.prepare()
        backup = store(local)
        local.store.put(backup.path.tombstone, b"{}")
    with pytest.raises(NothingVerifiedError, match="Nothing was verified"):
        verify(local)


def test_expired_and_future_backups_are_left_alone_unless_named(local: Vault) -> None:
    expired = store(local, day(1))
    local.store.put(expired.path.tombstone, b"{}")
    store(local, "29991101T000000Z-full-00000001", data=b"")
    store(local, day(2))
    run = Verification(local, Wanted(Level.DIGEST, PRODUCER))
    assert [one.backup.backup_id for one in run] == [day(2)]
    assert [finding.code for finding in run.findings] == ["dated-in-future"]
    assert len(verify(local, selectors=[Selector.parse(day(1))])) == 1


def test_backups_can_be_named(local: Vault) -> None:
    for number in (1, 2, 3):
        store(local, day(number))
    store(local, day(4), account="other")
    named = [Selector.parse(text) for text in ("latest", day(1), day(3))]
    run = Verification(local, Wanted(Level.PRESENCE, PRODUCER), selectors=named, account="acme")
    assert sorted(one.backup.backup_id for one in run) == [day(1), day(3)]
    with pytest.raises(NoSuchBackupError):
        verify(local, selectors=[Selector.parse(day(9))])
    assert len(verify(local, account="acme")) == 3
    assert len(verify(local, service="xray")) == 4


def test_as_many_runs_as_there_are_subsets_look_at_everything_once(local: Vault) -> None:
    ids = {
        store(local, day(number, digits=f"{digit:08x}")).backup_id for number in range(1, 9) for digit in (1, 2)
    }
    seen: list[str] = []
    for number in range(1, 4):
        subset = Subset.parse(f"{number}/3")
        seen += [
            one.backup.backup_id for one in Verification(local, Wanted(Level.PRESENCE, PRODUCER), subset=subset)
        ]
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 16


def test_a_backup_stays_in_its_subset_whatever_comes_and_goes(local: Vault) -> None:
    subset = Subset.parse("2/2")
    assert subset is not None
    before = {store(local, day(number)).backup_id for number in range(1, 9)}
    mine = {one.backup_id for one in local.backups() if one in subset}
    for number in range(9, 20):
        store(local, day(number))
    assert {one.backup_id for one in local.backups() if one in subset} & before == mine
    assert 0 < len(mine) < 8


def test_an_empty_subset_looks_at_the_newest_instead(local: Vault) -> None:
    store(local, day(1))
    store(local, day(2))
    sizes = []
    for number in range(1, 41):
        run = Verification(local, Wanted(Level.PRESENCE, PRODUCER), subset=Subset(number, 40))
        sizes.append([one.backup.backup_id for one in run])
    assert all(len(found) >= 1 for found in sizes)
    assert sizes.count([day(2)]) >= 38


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "a/b", "1/0", "-1/2", 7, "1/2/3"])
def test_anything_but_n_of_t_is_no_subset(text: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="written n/t"):
        Subset.parse(text)


def test_a_backup_that_retention_removes_meanwhile_gets_no_record(local: Vault) -> None:
    backup = store(local)

    def count(project: str) -> dict[str, int]:
        local.store.delete(backup.path.manifest)
        return {"tests": TESTS}

    with pytest.raises(NothingVerifiedError):
        verify(local, "source", count_live=count)
    assert not [found for found in local.store.list() if "/checks/" in found.path]


def test_a_store_that_does_not_answer_is_no_finding(local: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    store(local)

    def away(*args: Any) -> Any:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(local.store, "open_stream", away)
    with pytest.raises(StoreUnavailableError):
        verify(local)
    assert not [found for found in local.store.list() if "/checks/" in found.path]


def bad_sector(path: str, *calls: str) -> Callable[[str, str, str], None]:
    """What a store says of an object whose place on the disk has gone bad."""

    def around(moment: str, name: str, called: str) -> None:
        if moment == "before" and name in calls and called == path:
            raise UnreadableObjectError(f"The disk could not read {path}: Input/output error.")

    return around


@pytest.mark.parametrize("call", ["head", "open_stream"])
def test_an_object_that_cannot_be_read_fails_its_backup_and_stops_no_other(local: Vault, call: str) -> None:
    broken, fine = store(local, day(1)), store(local, day(2))
    around = bad_sector(artifact_path(broken), call)

    checks = verify(interposed(local, around))

    assert [(check.passed, codes(check), check.reached) for check in checks] == [
        (True, [], "content"), (False, ["unreadable-object"], "none"),
    ]  # fmt: skip
    assert {backup.backup_id: backup.state for backup in local.backups()} == {
        fine.backup_id: "ok", broken.backup_id: "damaged"
    }  # fmt: skip
    verify(local, "presence")
    assert local.find("xray", "acme", day(1)).state == "damaged"  # type: ignore[union-attr]
    verify(local, "digest")
    assert local.find("xray", "acme", day(1)).verified  # type: ignore[union-attr]


def test_an_archived_object_fails_its_backup_and_stops_no_other(s3: Any) -> None:
    vault = Vault.open(s3.url)
    cold, _ = store(vault, day(1)), store(vault, day(2))
    key = f"{vault.url.prefix}/{artifact_path(cold)}".lstrip("/")
    s3.client.copy_object(
        Bucket=s3.bucket, Key=key, CopySource={"Bucket": s3.bucket, "Key": key}, StorageClass="GLACIER"
    )

    assert [codes(check) for check in verify(vault)] == [[], ["unreadable-object"]]


def test_a_manifest_far_too_large_is_a_finding_beside_the_others(local: Vault) -> None:
    huge = store(local, day(1))
    store(local, day(2))
    local.store.put_stream(huge.path.manifest, (b" " * 2**20 for _ in range(65)))
    run = Verification(local, Wanted(Level.DIGEST, PRODUCER))

    assert [found.backup.backup_id for found in run] == [day(2)]
    assert [(found.code, found.path) for found in run.findings] == [("damaged-manifest", huge.path.manifest)]
    assert "more than" in run.findings[0].text


def test_of_backups_that_are_named_one_with_a_damaged_manifest_stops_no_other(local: Vault) -> None:
    local.store.put(store(local, day(1)).path.manifest, b"{")
    store(local, day(2))
    named = [Selector.parse(day(1)), Selector.parse(day(2))]
    run = Verification(local, Wanted(Level.DIGEST, PRODUCER), selectors=named)

    assert [found.backup.backup_id for found in run] == [day(2)]
    assert [(found.code, found.path) for found in run.findings] == [("damaged-manifest", day(1))]


def test_a_damaged_full_is_nothing_to_compare_with(local: Vault) -> None:
    store(local, day(1))
    small = store(local, day(2), entities={"tests": 1, "testSets": 1}, data=make_zip(data_files(1)))
    local.store.delete(artifact_path(small))
    store(local, day(3), entities={"tests": 1, "testSets": 1}, data=make_zip(data_files(1)))

    found = only(local, "presence", selectors=[Selector.parse(day(3))])

    assert codes(found) == ["drop"]
    assert f"against backup {day(1)}" in found.findings[0].text


def test_verifying_can_be_given_up_in_the_middle(local: Vault) -> None:
    for number in range(1, 20):
        store(local, day(number))
    run = iter(Verification(local, Wanted(Level.DIGEST, PRODUCER)))
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert len([found for found in local.store.list() if "/checks/" in found.path]) < 19
