"""What is inside backups, on disk and on S3: what of it is read, and what hostile names and sizes come to."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import DamagedBackupError, DifferentFileError, NoSuchBackupError
from airflow_provider_xbackup.vault.export import attachments_named, export_attachments, export_tests
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.inside import Inside
from airflow_provider_xbackup.vault.store import Store

FULL, PARTIAL = "20261101T000000Z-full-00000001", "20261102T000000Z-partial-00000002"
IDENTITY = pyrage.x25519.Identity.generate()
KEYS = Identities([IDENTITY])


def zipped(entries: dict[str, Any]) -> bytes:
    """A zip of JSON files and others; its entries do not compress, as those of large backups hardly do."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in entries.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return file.getvalue()


def take(
    vault: Vault,
    data: dict[str, Any],
    attachments: dict[str, Any] | None = None,
    *,
    backup_id: str = FULL,
    encrypt: bool = False,
    **fields: Any,
) -> Any:
    draft = vault.draft("xray", "acme", backup_id)
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    draft.add("backup", [zipped(data)], media_type="application/zip", recipients=recipients)
    if attachments is not None:
        draft.add("attachments", [zipped(attachments)], media_type="application/zip", recipients=recipients)
    draft.commit(requested_at=datetime(2026, 11, 1, tzinfo=UTC), producer={"package_version": "1"}, **fields)
    return vault.find("xray", "acme", backup_id)


def a_test(id_: Any, *attachments: Any, **more: Any) -> dict[str, Any]:
    step = {"action": "a", "data": "d", "result": "r", "attachments": list(attachments)}
    return {"id": id_, "type": "Manual", "steps": [step], **more}


def data_of(*tests: Any) -> dict[str, Any]:
    return {"tests_10042_0.json": {"tests": list(tests)}}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are read of objects, block by block."""
    read: list[int] = []
    original = Store.open_stream

    def open_stream(store: Store, *arguments: Any) -> Iterator[bytes]:
        for block in original(store, *arguments):
            read.append(len(block))
            yield block

    monkeypatch.setattr(Store, "open_stream", open_stream)
    return read


PADDING = {
    f"issueHistory_10042_{number}.json": {"h": [{"id": number, "x": "x" * 5_000_000}]} for number in range(4)
}


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_of_an_unencrypted_backup_only_what_is_wanted_is_read(
    vault: Vault, read: list[int], encrypt: bool
) -> None:
    backup = take(vault, {**PADDING, **data_of(a_test("1")), "z_1_0.json": [" " * 5_000_000]}, encrypt=encrypt)
    inside = Inside(vault, backup, KEYS)
    assert [element.id for element in inside.elements(lambda file: file.entity == "tests")] == ["1"]
    assert (sum(read) > 25_000_000) is encrypt
    assert (sum(read) < 2_500_000) is not encrypt


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_what_a_partial_has_counts_and_the_rest_comes_from_its_full(vault: Vault, encrypt: bool) -> None:
    take(vault, data_of(a_test("1"), a_test(2), a_test("3")), encrypt=encrypt)
    partial = take(
        vault,
        data_of(a_test("2", summary="new"), a_test("4")),
        backup_id=PARTIAL,
        encrypt=encrypt,
        base=FULL,
        modified_since=datetime(2026, 11, 1, tzinfo=UTC),
    )
    seen = {element.id: element.value.get("summary") for element in Inside(vault, partial, KEYS).elements()}
    assert seen == {"2": "new", "4": None, "1": None, "3": None}
    alone = Inside(vault, partial, KEYS, alone=True).elements()
    assert [element.id for element in alone] == ["2", "4"]


def test_a_partial_without_its_full_is_refused(local: Vault) -> None:
    partial = take(
        local, data_of(), backup_id=PARTIAL, base=FULL, modified_since=datetime(2026, 11, 1, tzinfo=UTC)
    )
    with pytest.raises(NoSuchBackupError, match="is not in"):
        Inside(local, partial)


def test_only_backups_of_xray_hold_tests(local: Vault, take: Any) -> None:
    backup = take(local, service="xenioo")
    with pytest.raises(InvalidArgumentError, match="only those of xray"):
        Inside(local, backup)


def test_a_file_that_is_no_json_is_told_and_the_others_are_read(local: Vault) -> None:
    broken = b'{"tests": [{"id": "2"}, {"id": "3'
    backup = take(local, {"tests_10042_0.json": broken, "tests_10042_1.json": [a_test("1")]})
    inside = Inside(local, backup)
    assert [element.id for element in inside.elements()] == ["2", "1"]
    ((name, reason),) = inside.problems
    assert name == "tests_10042_0.json"
    assert "Unterminated" in reason


def test_the_command_tells_of_such_a_file_and_ends_with_1(
    local: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    take(local, {"tests_10042_0.json": b"[", "tests_10042_1.json": [a_test("1")]})
    assert main(["explore", str(local.url), "latest", "--json"]) == 1
    written = capsys.readouterr()
    assert json.loads(written.out) == {"project": "10042", "kind": "tests", "count": 1}
    assert "tests_10042_0.json cannot be read as JSON" in written.err
    assert main(["diff", str(local.url), "latest", "latest"]) == 1


def test_what_is_in_a_backup_cannot_steer_a_terminal(local: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\u202e\ud800[red]"
    take(local, {"tests_10042_0.json": {"tests": [a_test(evil, {"id": evil, "filename": evil}, summary=evil)]}})
    for arguments in ([], ["--kind", "tests"], ["--search", "owned"], ["--test", evil]):
        assert main(["explore", str(local.url), "latest", *arguments]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert main(["diff", str(local.url), "latest", "latest"]) == 0


def test_text_of_megabytes_is_exported_and_found(local: Vault, tmp_path: Path) -> None:
    long = "x" * 20_000_000 + "needle"
    take(local, data_of(a_test("1", description=long), a_test("2")))
    target = tmp_path / "tests.json"
    assert main(["explore", str(local.url), "latest", "--search", "needle", "--export", str(target)]) == 0
    (test,) = json.loads(target.read_text())
    assert test["fields"]["description"] == long


# -- bringing out --------------------------------------------------------------------------------------------


def test_folders_are_those_of_the_project_of_the_test(local: Vault, tmp_path: Path) -> None:
    entities = {
        "testRepository_1_0.json": {"testRepository": {"name": "one", "tests": ["7"]}},
        "tests_1_0.json": [a_test("7")],
        "tests_2_0.json": [a_test("7")],
        "TESTREPOSITORY_2_0.json": [{"path": "/two", "testIds": [7]}],
    }
    inside = Inside(local, take(local, entities))
    exported = export_tests(
        inside, lambda: inside.elements(lambda file: file.entity == "tests"), tmp_path / "tests.json"
    )
    folders = [test["xray_test_repository_folder"] for test in json.loads(exported.files[0].read_text())]
    assert folders == ["/one", "/two"]


def test_a_name_that_is_taken_is_told_before_anything_is_read(
    local: Vault, tmp_path: Path, read: list[int]
) -> None:
    inside = Inside(local, take(local, data_of(a_test("1"))))
    (tmp_path / "tests.json").touch()
    with pytest.raises(DifferentFileError):
        export_tests(inside, inside.elements, tmp_path / "tests.json")
    assert read == []


def attachments_of(inside: Inside, directory: Path) -> dict[str, bytes]:
    tests = inside.elements(lambda file: file.entity == "tests")
    export_attachments(inside, attachments_named(tests), directory)
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def the(id_: str, filename: str | None = None) -> dict[str, Any]:
    return {"id": id_} if filename is None else {"id": id_, "filename": filename}


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    ("tests", "entries", "expected"),
    [
        pytest.param([a_test("1", the("a", "x.png"))], {"a": b"A"}, {"1/x.png": b"A"}, id="named by id"),
        pytest.param([a_test("1", the("a", "x.png"))], {"a.png": b"A"}, {"1/x.png": b"A"}, id="with an ending"),
        pytest.param([a_test("1", the("a", "x.png"))], {"a/y.png": b"A"}, {"1/x.png": b"A"}, id="in a folder"),
        pytest.param([a_test("1", "a")], {"a": b"A"}, {"1/a": b"A"}, id="a name that nobody tells"),
        pytest.param(
            [a_test("1", "a")],
            {"a": b"A", "metadata_1.json": {"attachment_metadata": {"a": {"filename": "x.png"}}}},
            {"1/x.png": b"A"},
            id="a name that the list tells",
        ),
        pytest.param([a_test("1", "a")], {"a": b"A", "metadata_1.json": b"["}, {"1/a": b"A"}, id="a broken list"),
        pytest.param(
            [a_test("1", the("a", "x.png"), the("b", "x.png"))],
            {"a": b"A", "b": b"B"},
            {"1/x.png": b"A", "1/x-b.png": b"B"},
            id="one name for two files",
        ),
        pytest.param(
            [a_test("1", the("a", "x.png")), a_test("2", the("a", "y.png"))],
            {"a": b"A"},
            {"1/x.png": b"A", "2/y.png": b"A"},
            id="one file of two tests",
        ),
        pytest.param(
            [a_test("../../up", the("a", "../../../etc/passwd"))],
            {"a": b"A"},
            {"up/passwd": b"A"},
            id="climbing names",
        ),
        pytest.param([a_test("..", the("a", "/"))], {"a": b"A"}, {"unnamed/a": b"A"}, id="names that are folders"),
        pytest.param(
            [a_test("1", the("a"), the("z"))], {"a": b"A", "b": b"B"}, {"1/a": b"A"}, id="others and missing"
        ),
    ],
)
def test_attachments_get_the_names_of_their_users_made_safe(
    local: Vault, tmp_path: Path, encrypt: bool, tests: Any, entries: Any, expected: dict[str, bytes]
) -> None:
    inside = Inside(local, take(local, data_of(*tests), entries, encrypt=encrypt), KEYS)
    assert attachments_of(inside, tmp_path / "out") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "vault"]


@pytest.mark.parametrize(
    ("tests", "entries", "expected"),
    [
        pytest.param(
            [a_test("1", the("a", "shot.png"))],
            {"a/shot.png": b"REAL", "a/thumbnail.png": b"thumb"},
            {"1/shot.png": b"REAL"},
            id="a second one after it",
        ),
        pytest.param(
            [a_test("1", the("a", "shot.png"))],
            {"a/thumbnail.png": b"thumb", "a/shot.png": b"REAL"},
            {"1/shot.png": b"REAL"},
            id="a second one before it",
        ),
        pytest.param(
            [a_test("1", "a")],
            {
                "a/thumbnail.png": b"thumb",
                "a/shot.png": b"REAL",
                "metadata_1.json": {"attachment_metadata": {"a": {"filename": "shot.png"}}},
            },
            {"1/shot.png": b"REAL"},
            id="a name that the list tells",
        ),
        pytest.param(
            [a_test("1", the("a", "x.png"), the("b", "a.png"))],
            {"b/a.png": b"B", "a/x.png": b"A"},
            {"1/x.png": b"A", "1/a.png": b"B"},
            id="a file called like another attachment",
        ),
    ],
)
def test_of_several_files_for_one_attachment_the_one_of_its_name_is_written(
    local: Vault, tmp_path: Path, tests: Any, entries: Any, expected: dict[str, bytes]
) -> None:
    inside = Inside(local, take(local, data_of(*tests), entries))

    assert attachments_of(inside, tmp_path / "out") == expected


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param({"a/one.png": b"1", "a/two.png": b"2"}, id="none has its name"),
        pytest.param({"a/shot.png": b"1", "shot.png/a": b"2", "a.shot/a/shot.png": b"3"}, id="two have its name"),
    ],
)
def test_of_several_files_for_one_attachment_none_is_written_where_nobody_can_tell(
    local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str], entries: dict[str, bytes]
) -> None:
    tests = [a_test("1", the("a", "shot.png")), a_test("2", the("b", "y.png"))]
    take(local, data_of(*tests), {**entries, "b": b"B"})

    args = ["explore", str(local.url), FULL, "--attachments", str(tmp_path / "out"), "--json"]
    assert main(args) == 1
    out, err = capsys.readouterr()
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png")} == {"out/2/y.png"}
    told = json.loads(out)
    assert [(each["id"], set(each["entries"])) for each in told["ambiguous"]] == [("a", set(entries))]
    assert told["attachments"] == [str(tmp_path / "out/2/y.png")]
    assert "Several files of the backup are the attachment a: " in err


def test_an_export_as_json_is_one_object(local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(local, data_of(a_test("1", the("a", "x.png"), the("z"))), {"a": b"A"})
    target = tmp_path / "tests.json"

    args = ["explore", str(local.url), FULL, "--export", str(target), "--attachments", str(tmp_path / "out")]
    assert main([*args, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["files", "tests", "left_out", "attachments", "missing", "ambiguous"]
    assert told["files"] == [{"path": str(target), "tests": 1}]
    assert (told["tests"], told["missing"], told["ambiguous"]) == (1, ["z"], [])
    assert told["attachments"] == [str(tmp_path / "out/1/x.png")]
    assert all(each.keys() == {"what", "tests"} for each in told["left_out"])


def test_the_attachment_of_a_partial_counts(local: Vault, tmp_path: Path) -> None:
    take(local, data_of(a_test("1", "a"), a_test("2", "b")), {"a": b"old", "b": b"B"})
    partial = take(
        local,
        data_of(a_test("1", "a")),
        {"a": b"new"},
        backup_id=PARTIAL,
        base=FULL,
        modified_since=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert attachments_of(Inside(local, partial), tmp_path / "out") == {"1/a": b"new", "2/b": b"B"}


def test_a_link_that_lies_in_the_way_is_not_followed(local: Vault, tmp_path: Path) -> None:
    inside = Inside(local, take(local, data_of(a_test("1", the("a", "x"))), {"a": b"A"}))
    victim = tmp_path / "victim"
    victim.write_bytes(b"A")
    (tmp_path / "out" / "1").mkdir(parents=True)
    (tmp_path / "out" / "1" / "x").symlink_to(victim)
    with pytest.raises(DifferentFileError):
        attachments_of(inside, tmp_path / "out")
    assert victim.read_bytes() == b"A"


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_of_a_damaged_attachments_zip_nothing_is_left(local: Vault, tmp_path: Path, encrypt: bool) -> None:
    backup = take(local, data_of(a_test("1", "a", "b")), {"a": b"A" * 9000, "b": b"B" * 9000}, encrypt=encrypt)
    path = Path(local.url.prefix) / backup.path.folder / backup.manifest.artifacts[1].name
    path.write_bytes(path.read_bytes().replace(b"B" * 9000, b"C" * 9000))
    if encrypt:
        data = bytearray(path.read_bytes())
        data[-9000] ^= 1
        path.write_bytes(data)
    with pytest.raises(BackupError):
        attachments_of(Inside(local, backup, KEYS), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_backup_whose_object_is_gone_is_told(vault: Vault) -> None:
    backup = take(vault, data_of(a_test("1")))
    vault.store.delete(backup.path.file(backup.manifest.artifacts[0].name))
    with pytest.raises(DamagedBackupError, match="is not there"):
        list(Inside(vault, backup).elements())


def test_backups_of_two_vaults_are_compared(
    local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Vault.open((tmp_path / "copy").as_uri())
    take(local, data_of(a_test("1")))
    take(other, data_of(a_test("1"), a_test("2")))
    assert main(["diff", str(local.url), FULL, FULL, "--vault-b", str(other.url), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changes"] == [{"what": "added", "kind": "tests", "project": "10042", "id": "2"}]


# -- lists of tests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a file", "the standard input", "a file and --test"])
def test_as_many_tests_as_a_list_names_are_exported(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    ids = [f"{number:020}" for number in range(8000)]
    take(local, data_of(*map(a_test, ids)))
    wanted = ids[:-100]
    words = "\ufeff" * (given != "the standard input") + "\r\n".join([*wanted[:-1], ""])
    assert len(words) > 128 * 1024
    (tmp_path / "list").write_text(words)
    monkeypatch.setattr("sys.stdin", io.StringIO(words))
    name = "-" if given == "the standard input" else str(tmp_path / "list")
    chosen = ["--tests-from", name, *(["--test", wanted[-1]] if "and" in given else [])]

    assert main(["explore", str(local.url), FULL, *chosen, "--export", str(tmp_path / "tests.json")]) == 0

    exported = [test for file in tmp_path.glob("tests*.json") for test in json.loads(file.read_text())]
    assert len(exported) == len(wanted) - ("and" not in given)
    assert len(list(tmp_path.glob("tests*.json"))) == 8


@pytest.mark.parametrize("words", ["", "\n \n"])
def test_a_list_that_names_no_test_exports_none_and_says_so(
    local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    take(local, data_of(a_test("1")))
    (tmp_path / "list").write_text(words)
    chosen = ["--tests-from", str(tmp_path / "list")]

    assert main(["explore", str(local.url), FULL, *chosen, "--export", str(tmp_path / "tests.json")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "--tests-from names no test." in err
    assert not (tmp_path / "tests.json").exists()
    assert main(["explore", str(local.url), FULL, *chosen, "--json"]) == 1
    assert capsys.readouterr().out == ""


def test_what_a_list_names_and_is_not_there_is_told(
    local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(local, data_of(a_test("1")))
    (tmp_path / "list").write_text("1\n2\n")

    assert main(["explore", str(local.url), FULL, "--tests-from", str(tmp_path / "list"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["id"] == "1"
    assert "There is no test 2 in it." in err


@pytest.mark.parametrize(
    ("content", "word"), [(None, "No such file"), (b"\xff\xfe1", "no UTF-8")], ids=["no file", "no text"]
)
def test_a_list_that_cannot_be_read_is_wrong_use(
    local: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, word: str
) -> None:
    if content is not None:
        (tmp_path / "list").write_bytes(content)
    assert main(["explore", str(local.url), FULL, "--tests-from", str(tmp_path / "list")]) == 2
    assert word in capsys.readouterr().err


# -- which backup ----------------------------------------------------------------------------------------------


def test_only_backups_of_xray_are_meant_by_latest(local: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(local, data_of(a_test("1")))
    draft = local.draft("xenioo", "welcome", "20261103T000000Z-full-00000003")
    draft.add("bot", [b"{}"], media_type="application/json")
    bot = draft.commit(requested_at=datetime(2026, 11, 3, tzinfo=UTC), producer={"package_version": "1"})

    assert main(["explore", str(local.url), "latest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "tests"
    assert main(["explore", str(local.url), bot.backup_id]) == 2
    assert "only those of xray hold tests" in capsys.readouterr().err
