"""From a backup in a vault back to tests: what is inside, what differs, and what the bulk import takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pyrage
import pytest
from stand_in import make_context

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

MakeJob = Callable[..., dict[str, Any]]
IDENTITY = pyrage.x25519.Identity.generate()
TEST = "100420000000"

#: The form of POST /api/v2/import/test/bulk, written from the vendor's documentation.
BULK_IMPORT = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1000,
    "items": {
        "type": "object",
        "required": ["testtype", "fields"],
        "additionalProperties": False,
        "properties": {
            "testtype": {"type": "string", "minLength": 1},
            "fields": {
                "type": "object",
                "required": ["summary", "project"],
                "properties": {
                    "summary": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\n]*$"},
                    "project": {
                        "oneOf": [
                            {"required": ["key"], "properties": {"key": {"type": "string"}}},
                            {"required": ["id"], "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"}}},
                        ]
                    },
                    "description": {"type": "string"},
                    "labels": {"type": "array", "items": {"type": "string", "pattern": "^[^ ]+$"}},
                },
            },
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {name: {"type": "string"} for name in ("action", "data", "result")},
                },
            },
            "gherkin_def": {"type": "string"},
            "unstructured_def": {"type": "string"},
            "xray_test_repository_folder": {"type": "string", "pattern": "^/"},
            "xray_test_sets": {"type": "array", "items": {"type": "string"}},
        },
    },
}


@pytest.fixture
def store(sim: Simulator, finished_job: MakeJob, vault: Vault, tmp_path: Path) -> Callable[..., Any]:
    """Take a backup of the tenant and store it."""
    sim.settings.xray.cooldown_seconds = 0

    def store(encrypted: bool = False, **asked: Any) -> Any:
        sim.advance(2)  # ids sort by the second
        task = XrayToObjectStorageOperator(
            task_id="store",
            job=finished_job(**asked),
            vault=str(vault.url),
            account="acme",
            xray_conn_id="acme",
            encrypt_to=[str(IDENTITY.to_public())] if encrypted else None,
        )
        return vault.find("xray", "acme", task.execute(make_context())["backup_id"])

    return store


@pytest.fixture
def key(tmp_path: Path) -> list[str]:
    file = tmp_path / "key.txt"
    file.write_text(str(IDENTITY))
    return ["--identity", str(file)]


@pytest.fixture
def run(vault: Vault, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run the command on the vault: what it wrote to stdout and stderr."""

    def run(command: str, *arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()  # what Airflow logged before
        assert main([command, str(vault.url), *arguments]) == code
        written = capsys.readouterr()
        return written.out, written.err

    return run


@pytest.fixture
def explore(run: Callable[..., tuple[str, str]]) -> Callable[..., list[Any]]:
    """The objects that explore --json writes."""

    def explore(*arguments: str, backup: str = "latest", code: int = 0) -> list[Any]:
        out, _ = run("explore", backup, "--json", *arguments, code=code)
        return [json.loads(line) for line in out.splitlines()]

    return explore


def shortly_before(backup: Any) -> str:
    """An instant for the next partial; the simulator's clock may be some seconds ahead of this machine's."""
    instant: str = (backup.manifest.requested_at - timedelta(seconds=60)).isoformat()
    return instant


encrypted_or_not = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])


# -- what is inside ------------------------------------------------------------------------------------------


@encrypted_or_not
def test_the_counts_of_all_projects_are_those_of_the_manifest(
    encrypted: bool, store: Callable[..., Any], explore: Callable[..., list[Any]], key: list[str]
):
    backup = store(encrypted=encrypted)

    rows = explore(*key)

    counts: dict[str, int] = {}
    for row in rows:
        counts[row["kind"]] = counts.get(row["kind"], 0) + row["count"]
    assert counts == backup.manifest.entities
    assert {row["project"] for row in rows} == {"10042", "10077"}


def test_kinds_that_nobody_knows_are_told_as_they_are_called(
    sim: Simulator, store: Callable[..., Any], explore: Callable[..., list[Any]]
):
    sim.change_data(entity_names={"tests": "Tests", "datasets": "newThings"}, chunk=7)
    store()
    counts = {row["kind"]: row["count"] for row in explore("--project", "10042")}
    assert counts["tests"] == 40
    assert counts["newThings"] == 1


def test_the_table_tells_of_attachments_too(store: Callable[..., Any], run: Callable[..., tuple[str, str]]):
    store(with_attachments=True)
    out, _ = run("explore", "latest")
    assert "10077    tests              40" in out
    assert out.endswith("16 attachments of all projects\n")


def test_the_entities_of_a_kind_are_listed_as_they_are(
    store: Callable[..., Any], explore: Callable[..., list[Any]], run: Callable[..., tuple[str, str]]
):
    store()
    sets = explore("--kind", "TESTSETS", "--project", "10042")
    assert [each["id"] for each in sets] == ["100421000000", "100421000001"]
    assert sets[0]["entity"]["tests"][0] == TEST
    out, _ = run("explore", "latest", "--kind", "testSets")
    assert out.startswith("testSets 100421000000  project 10042  ")
    assert len(out.splitlines()) == 4


@encrypted_or_not
def test_a_search_tells_where_it_found_the_text(
    encrypted: bool, store: Callable[..., Any], explore: Callable[..., list[Any]], key: list[str]
):
    store(encrypted=encrypted)
    action = explore("--test", TEST, *key)[0]["entity"]["steps"][1]["data"]

    (found,) = explore("--search", action.upper(), "--kind", "tests", *key)

    assert found["id"] == TEST
    assert found["matches"] == [{"path": "steps/1/data", "excerpt": action}]


def test_a_search_that_finds_nothing_says_so(store: Callable[..., Any], run: Callable[..., tuple[str, str]]):
    store()
    assert run("explore", "latest", "--search", "no such words", code=1) == ("", "xbackup: Nothing was found.\n")


@encrypted_or_not
def test_a_test_is_shown_with_its_steps_and_attachments(
    encrypted: bool, store: Callable[..., Any], explore: Callable[..., list[Any]], key: list[str]
):
    store(encrypted=encrypted, with_attachments=True)
    (test,) = explore("--test", TEST, *key)
    assert test["entity"]["id"] == TEST
    assert len(test["entity"]["steps"]) >= 2
    (attachment,) = test["attachments"]
    assert attachment["filename"] == "screenshot 1.png"
    assert attachment["present"] is (None if encrypted else True)


def test_an_attachment_that_is_not_in_the_backup_is_told(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    store(with_attachments=False)
    out, _ = run("explore", "latest", "--test", TEST)
    assert out.startswith(f"Test {TEST}  project 10042\n")
    assert "  step 1\n    id: " in out
    assert "  screenshot 1.png  not in the backup\n" in out


def test_a_test_that_is_not_there_is_told_beside_those_that_are(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    store()
    out, err = run("explore", "latest", "--test", TEST, "--test", "999", code=1)
    assert out.startswith(f"Test {TEST}")
    assert err == "xbackup: There is no test 999 in it.\n"


@encrypted_or_not
def test_a_partial_backup_is_laid_over_its_full(
    encrypted: bool, sim: Simulator, store: Callable[..., Any], explore: Callable[..., list[Any]], key: list[str]
):
    full = store(encrypted=encrypted)
    sim.change_data(revision=1)
    partial = store(encrypted=encrypted, base=full.backup_id, modified_since=shortly_before(full))
    assert partial.manifest.kind == "partial"

    tests = explore("--kind", "tests", "--project", "10042", *key)
    alone = explore("--kind", "tests", "--project", "10042", "--alone", *key)

    assert sorted(each["id"] for each in tests) == [f"{TEST[:-2]}{number:02}" for number in range(40)]
    assert 0 < len(alone) < 40
    revised = {each["id"] for each in tests if each["entity"]["revision"] == 1}
    assert revised == {each["id"] for each in alone}


def test_a_partial_backup_that_nothing_lies_under_needs_to_be_asked_for_alone(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    store(modified_since="2020-01-01T00:00:00Z")
    _, err = run("explore", "latest", code=1)
    assert "names no base" in err
    _, err = run("explore", "latest", "--alone")
    assert "holds changes only" in err


def test_an_encrypted_backup_is_not_read_without_a_key(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    store(encrypted=True)
    _, err = run("explore", "latest", code=1)
    assert "no age private key was given" in err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--project-key", "CALC"], id="a key without an export"),
        pytest.param(["--export", "x.json", "--kind", "testSets"], id="an export of what is no test"),
        pytest.param(["--search", " "], id="an empty search"),
    ],
)
def test_options_that_cannot_be_meant_together_are_refused(
    arguments: list[str], store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    store()
    run("explore", "latest", *arguments, code=2)


def test_a_bot_holds_no_tests(vault: Vault, sim: Simulator, spool_dir: Path, run: Callable[..., tuple[str, str]]):
    XeniooToObjectStorageOperator(
        task_id="store", vault=str(vault.url), account="welcome", xenioo_conn_id="welcome"
    ).execute(make_context())
    _, err = run("explore", "latest", code=1)
    assert "holds no backups of xray" in err


def damaged(vault: Vault, backup: Any, offset: int) -> None:
    path = Path(vault.url.prefix) / backup.path.folder / backup.manifest.artifacts[0].name
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


@encrypted_or_not
def test_a_damaged_backup_is_told_and_nothing_is_exported(
    encrypted: bool,
    vault: Vault,
    store: Callable[..., Any],
    run: Callable[..., tuple[str, str]],
    key: list[str],
    tmp_path: Path,
):
    damaged(vault, store(encrypted=encrypted), 400)
    target = tmp_path / "out" / "tests.json"
    target.parent.mkdir()
    _, err = run("explore", "latest", "--export", str(target), *key, code=1)
    assert "damaged" in err or "other bytes" in err
    assert list(target.parent.iterdir()) == []


# -- back into Xray ------------------------------------------------------------------------------------------


@encrypted_or_not
def test_an_export_has_the_form_of_the_bulk_import_and_holds_every_test(
    encrypted: bool,
    store: Callable[..., Any],
    explore: Callable[..., list[Any]],
    run: Callable[..., tuple[str, str]],
    key: list[str],
    tmp_path: Path,
):
    store(encrypted=encrypted)
    target = tmp_path / "tests.json"
    run("explore", "latest", "--export", str(target), *key)

    tests = json.loads(target.read_text())
    jsonschema.validate(tests, BULK_IMPORT)
    entities = [each["entity"] for each in explore("--kind", "tests", *key)]
    assert [test["fields"]["summary"] for test in tests] == [entity["summary"] for entity in entities]
    for test, entity in zip(tests, entities, strict=True):
        assert test["testtype"] == entity["type"]
        assert test["fields"]["project"] == {"id": entity["projectId"]}
        assert test["steps"] == [
            {name: step[name] for name in ("action", "data", "result")} for step in entity["steps"]
        ]
    folders = {each["entity"]["path"] for each in explore("--kind", "testRepository", *key)}
    assert {test["xray_test_repository_folder"] for test in tests} == folders
    assert target.stat().st_mode & 0o777 == 0o600


def test_chosen_tests_are_exported_into_the_project_that_is_named(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]], tmp_path: Path
):
    store()
    target = tmp_path / "tests.json"
    out, _ = run("explore", "latest", "--test", TEST, "--export", str(target), "--project-key", "CALC")
    (test,) = json.loads(target.read_text())
    assert test["fields"]["project"] == {"key": "CALC"}
    assert out.splitlines()[0] == f"{target}  1 test"
    assert "Not in it, of 1 test: attachments of steps." in out
    assert "Not in it, of 1 test: preconditions." in out


def test_a_file_holds_no_more_tests_than_a_call_takes(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]], tmp_path: Path
):
    sim.change_data(tests=1050, chunk=300)
    store()
    out, _ = run("explore", "latest", "--export", str(tmp_path / "tests.json"))
    names = ["tests.json", "tests-2.json", "tests-3.json"]
    files = [json.loads((tmp_path / name).read_text()) for name in names]
    assert [len(tests) for tests in files] == [1000, 1000, 100]
    for tests in files:
        jsonschema.validate(tests, BULK_IMPORT)
    assert [line.rpartition("/")[2] for line in out.splitlines()[:3]] == [
        "tests.json  1,000 tests",
        "tests-2.json  1,000 tests",
        "tests-3.json  100 tests",
    ]


@pytest.mark.parametrize("taken", ["tests.json", "tests-2.json"])
def test_an_export_overwrites_nothing_and_leaves_nothing(
    taken: str, sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]], tmp_path: Path
):
    sim.change_data(tests=1050)
    store()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / taken).write_text("mine")
    _, err = run("explore", "latest", "--export", str(folder / "tests.json"), code=1)
    assert "is there already and was left as it is" in err
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(taken, "mine")]


def test_where_no_test_is_found_no_file_is_written(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]], tmp_path: Path
):
    store()
    target = tmp_path / "tests.json"
    _, err = run("explore", "latest", "--export", str(target), "--project", "1", code=1)
    assert "No test was found" in err
    assert not target.exists()


@encrypted_or_not
def test_the_attachments_of_chosen_tests_lie_in_folders_of_their_tests(
    encrypted: bool,
    sim: Simulator,
    store: Callable[..., Any],
    run: Callable[..., tuple[str, str]],
    key: list[str],
    tmp_path: Path,
):
    store(encrypted=encrypted, with_attachments=True)
    other = "100770000005"
    out, _ = run(
        "explore", "latest", "--test", TEST, "--test", other, "--attachments", str(tmp_path / "out"), *key
    )
    files = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == [Path(TEST, "screenshot 1.png"), Path(other, "screenshot 6.png")]
    assert all((tmp_path / "out" / file).stat().st_size == 12_500 for file in files)
    assert out == f"2 attachments in {tmp_path / 'out'}\n"
    # Again: what is there is the same, and stays.
    run("explore", "latest", "--test", TEST, "--attachments", str(tmp_path / "out"), *key)
    (tmp_path / "out" / TEST / "screenshot 1.png").write_text("mine")
    _, err = run("explore", "latest", "--test", TEST, "--attachments", str(tmp_path / "out"), *key, code=1)
    assert "left as it is" in err
    assert (tmp_path / "out" / TEST / "screenshot 1.png").read_text() == "mine"


def test_attachments_that_are_not_there_are_told(
    store: Callable[..., Any], run: Callable[..., tuple[str, str]], tmp_path: Path
):
    store(with_attachments=False)
    _, err = run("explore", "latest", "--test", TEST, "--attachments", str(tmp_path / "out"), code=1)
    assert "is not in the backup" in err


# -- what differs --------------------------------------------------------------------------------------------


def diff(run: Callable[..., tuple[str, str]], *arguments: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(run("diff", *arguments, "--json")[0])
    return value


@encrypted_or_not
def test_the_changes_of_a_revision_are_those_that_the_entities_tell(
    encrypted: bool,
    sim: Simulator,
    store: Callable[..., Any],
    explore: Callable[..., list[Any]],
    run: Callable[..., tuple[str, str]],
    key: list[str],
):
    old = store(encrypted=encrypted)
    sim.change_data(revision=1, tests=41)
    new = store(encrypted=not encrypted)

    told = diff(run, old.backup_id, "latest", *key)

    tests = {each["id"]: each["entity"] for each in explore("--kind", "tests", *key, backup=new.backup_id)}
    changes = [change for change in told["changes"] if change["kind"] == "tests"]
    assert (told["a"], told["b"]) == (old.backup_id, new.backup_id)
    assert {each["id"] for each in changes if each["what"] == "added"} == {"100420000040", "100770000040"}
    revised = {id_ for id_, test in tests.items() if test["revision"] == 1} - {"100420000040", "100770000040"}
    assert {each["id"] for each in changes if each["what"] == "changed"} == revised
    assert told["kinds"]["tests"] == {
        "added": 2,
        "removed": 0,
        "changed": len(revised),
        "same": 80 - len(revised),
    }


def test_the_same_data_in_another_zip_differ_in_nothing(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    old = store()
    sim.change_data(chunk=7, zip_stored=True)
    new = store()
    assert old.manifest.artifacts[0].sha256 != new.manifest.artifacts[0].sha256
    assert diff(run, old.backup_id, new.backup_id)["changes"] == []


def test_what_is_gone_is_removed_and_the_other_way_round_added(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    old = store()
    sim.change_data(tests=39)
    new = store()
    tests = diff(run, old.backup_id, new.backup_id)["kinds"]["tests"]
    assert (tests["added"], tests["removed"]) == (0, 2)
    tests = diff(run, new.backup_id, old.backup_id)["kinds"]["tests"]
    assert (tests["added"], tests["removed"]) == (2, 0)


def test_the_table_names_some_of_each_kind_and_all_when_asked(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    old = store()
    sim.change_data(tests=10)
    store()
    out, _ = run("diff", old.backup_id, "latest")
    assert out.count("removed tests ") == 20
    assert "and 40 more tests: --all names them" in out
    out, _ = run("diff", old.backup_id, "latest", "--all")
    assert out.count("removed tests ") == 60


def test_a_partial_is_compared_as_what_it_stands_for(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    full = store()
    sim.change_data(revision=1)
    partial = store(base=full.backup_id, modified_since=shortly_before(full))
    told = diff(run, full.backup_id, partial.backup_id)
    assert {change["what"] for change in told["changes"]} == {"changed"}
    _, err = run("diff", full.backup_id, partial.backup_id)
    assert "cannot tell what was deleted" in err


def test_backups_that_were_not_asked_for_the_same_are_told(
    sim: Simulator, store: Callable[..., Any], run: Callable[..., tuple[str, str]]
):
    old, new = store(), store(project_ids=["10042"])
    _, err = run("diff", old.backup_id, new.backup_id)
    assert "not asked for the same: xray/acme and xray/acme, projects 10042" in err


def test_bots_are_compared_place_by_place(
    vault: Vault, sim: Simulator, spool_dir: Path, run: Callable[..., tuple[str, str]]
):
    sim.settings.xenioo.cooldown_seconds = 0

    def take(run_id: str) -> str:
        sim.advance(2)
        task = XeniooToObjectStorageOperator(
            task_id="store", vault=str(vault.url), account="welcome", xenioo_conn_id="welcome"
        )
        backup_id: str = task.execute(make_context(run_id=run_id))["backup_id"]
        return backup_id

    old, same = take("1"), take("2")
    sim.configure({"xenioo": {"bots": {"welcome": {"revision": 1}}}})
    new = take("3")

    told = diff(run, old, same)
    assert (told["count"], told["changes"]) == (0, [])
    assert run("diff", old, same)[0] == "The two are the same byte for byte.\n"
    told = diff(run, old, new)
    assert told["count"] == len(told["changes"]) > 20
    assert {"what": "changed", "path": "/Version"} in told["changes"]
    assert "more: --all names them\n" in run("diff", old, new)[0]
    assert "changed /Version\n" in run("diff", old, new, "--all")[0]


def test_a_bot_and_a_tenant_cannot_be_compared(
    vault: Vault, sim: Simulator, store: Callable[..., Any], spool_dir: Path, run: Callable[..., tuple[str, str]]
):
    tenant = store()
    task = XeniooToObjectStorageOperator(
        task_id="store", vault=str(vault.url), account="welcome", xenioo_conn_id="welcome"
    )
    bot = task.execute(make_context())["backup_id"]
    _, err = run("diff", tenant.backup_id, bot, code=2)
    assert "of xray" in err
    assert "of xenioo" in err
