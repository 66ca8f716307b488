"""The shell blocks of the runbooks, run as they stand there against vaults that the simulator's backups lie in."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from stand_in import connect, connections, finished_job, make_context, naps, sim, spool_dir

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

__all__ = ["connect", "connections", "finished_job", "naps", "sim", "spool_dir"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbooks.md"
_BLOCK = re.compile(r"^<!-- runbook: (\w+) -->\n```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_numbers = itertools.count()

needs_plain_tools = pytest.mark.skipif(
    not (shutil.which("age") and shutil.which("zstd")), reason="age and zstd are not installed"
)


def script(name: str, **values: str) -> str:
    """The blocks of a runbook, one after the other, with other values than those it shows."""
    text = "\n".join(code for of, code in _BLOCK.findall(PAGE.read_text()) if of == name)
    assert text, name
    for key, value in values.items():
        text, count = re.subn(rf"\b{key}=\S+", f"{key}='{value}'", text, count=1)
        assert count, f"{name} sets no {key}"
    return text


def run(text: str, folder: Path, code: int = 0) -> str:
    """Run a script as a person would, on a machine that has no Airflow configured; returns what it said."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "XBACKUP"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["AIRFLOW_HOME"] = str(folder / "no airflow")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert not (folder / "no airflow").exists()
    return done.stdout + done.stderr


def test_every_shell_block_of_the_page_is_run_here():
    blocks = re.findall(r"^```sh$", PAGE.read_text(), re.MULTILINE)

    assert len(blocks) == len(_BLOCK.findall(PAGE.read_text()))
    assert {name for name, _ in _BLOCK.findall(PAGE.read_text())} == {
        "rescue",
        "plain",
        "paused",
        "wiped",
        "imported",
    }


def test_what_the_page_installs_exists():
    (named,) = re.findall(r"airflow-provider-xbackup\[([\w,]+)\]", PAGE.read_text())
    pyproject = (PAGE.parents[1] / "pyproject.toml").read_text()

    assert [extra for extra in named.split(",") if not re.search(rf"^{extra} = \[", pyproject, re.MULTILINE)] == []


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a vault in a bucket, whose credentials stand in the environment."""
    import boto3

    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    name = f"runbooks-{next(_numbers)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/vault"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return (tmp_path / "vault").as_uri()


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest) -> str:
    """The same vault, on disk and in a bucket."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def key(tmp_path: Path) -> Any:
    """An age key, in a file as the runbooks call it, where a person works."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "rescue").mkdir()
    (tmp_path / "rescue" / "key.txt").write_text(f"{identity}\n")
    return identity


@pytest.fixture
def store_bot(sim: Simulator, spool_dir: Path) -> Callable[..., str]:
    def store_bot(url: str, **arguments: Any) -> str:
        from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator

        sim.configure({"xenioo": {"cooldown_seconds": 0}})
        transfer = XeniooToObjectStorageOperator(
            task_id="store", vault=url, account="welcome", xenioo_conn_id="welcome", **arguments
        )
        backup_id: str = transfer.execute(make_context(run_id=str(next(_numbers))))["backup_id"]
        return backup_id

    return store_bot


@pytest.fixture
def store_tenant(sim: Simulator, finished_job) -> Callable[..., str]:
    def store_tenant(url: str) -> str:
        from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

        sim.configure({"xray": {"cooldown_seconds": 0}})
        sim.advance(2)
        transfer = XrayToObjectStorageOperator(
            task_id="store",
            job=finished_job(with_attachments=True),
            vault=url,
            account="acme",
            xray_conn_id="acme",
        )
        backup_id: str = transfer.execute(make_context(run_id=str(next(_numbers))))["backup_id"]
        return backup_id

    return store_tenant


def content(sim: Simulator) -> bytes:
    found: bytes = sim._world.bots.find("welcome").content
    return found


def test_a_bot_comes_out_of_a_vault_without_airflow(sim: Simulator, url: str, store_bot, key: Any, tmp_path: Path):
    backup_id = store_bot(url, compress=True, encrypt_to=str(key.to_public()))

    said = run(script("rescue", VAULT=url), tmp_path / "rescue")

    assert backup_id in said
    assert (tmp_path / "rescue" / "restored" / backup_id / "bot.json").read_bytes() == content(sim)


def test_a_tenant_comes_out_of_a_vault_without_airflow(url: str, store_tenant, key: Any, tmp_path: Path):
    backup_id = store_tenant(url)

    run(script("rescue", VAULT=url, SERVICE="xray", ACCOUNT="acme"), tmp_path / "rescue")

    placed = {path.name for path in (tmp_path / "rescue" / "restored" / backup_id).iterdir()}
    assert placed == {"backup.zip", "attachments.zip", "manifest.json"}


@needs_plain_tools
@pytest.mark.skipif(not shutil.which("aws"), reason="the aws command is not installed")
def test_a_bot_comes_out_of_a_bucket_with_plain_tools(
    sim: Simulator, bucket: str, store_bot, key: Any, tmp_path: Path
):
    store_bot(bucket)
    sim.configure({"xenioo": {"bots": {"welcome": {"revision": 1}}}})
    sim.advance(2)
    backup_id = store_bot(bucket, compress=True, encrypt_to=str(key.to_public()))

    said = run(script("plain", VAULT=bucket), tmp_path / "rescue")

    (file,) = (tmp_path / "rescue" / "plain" / backup_id).glob("bot.*.json")
    assert file.read_bytes() == content(sim)
    assert said.count(": OK") == 2


def plain_script_of_a_copy(backup_id: str) -> str:
    """What is typed where the folder lies on disk already: all but the store's own commands."""
    text = script("plain")
    head, rest = text[: text.index("# The newest folder")], text[text.index('cd "plain/$BACKUP"') :]
    return f"{head}BACKUP={backup_id}\n{rest}"


@needs_plain_tools
def test_a_bot_comes_out_of_a_copy_on_disk_with_plain_tools(
    sim: Simulator, folder: str, store_bot, key: Any, tmp_path: Path
):
    backup_id = store_bot(folder, compress=True, encrypt_to=str(key.to_public()))
    copy = tmp_path / "rescue" / "plain" / backup_id
    shutil.copytree(tmp_path / "vault" / "xenioo" / "welcome" / backup_id, copy)

    run(plain_script_of_a_copy(backup_id), tmp_path / "rescue")

    (file,) = copy.glob("bot.*.json")
    assert file.read_bytes() == content(sim)


@needs_plain_tools
def test_plain_tools_notice_a_damaged_file(sim: Simulator, folder: str, store_bot, tmp_path: Path):
    backup_id = store_bot(folder)
    copy = tmp_path / "rescue" / "plain" / backup_id
    shutil.copytree(tmp_path / "vault" / "xenioo" / "welcome" / backup_id, copy)
    (file,) = copy.glob("bot.*")
    file.write_bytes(file.read_bytes()[:-1] + b"]")

    with pytest.raises(AssertionError, match="FAILED"):
        run(plain_script_of_a_copy(backup_id), tmp_path / "rescue")


def test_a_wiped_tenant_is_looked_at_and_its_tests_are_brought_out(
    sim: Simulator, url: str, store_tenant, tmp_path: Path
):
    good = store_tenant(url)
    sim.change_data(tests=4)
    wiped = store_tenant(url)

    said = run(script("wiped", VAULT=url, GOOD=good, WIPED=wiped), tmp_path / "rescue")

    vault = Vault.open(url)
    assert vault.find("xray", "acme", good).held
    assert vault.find("xray", "acme", wiped).state == "suspect"
    lost = (tmp_path / "rescue" / "lost.tests").read_text().splitlines()
    exported = json.loads((tmp_path / "rescue" / "tests.json").read_text())
    assert len(exported) == len(lost) > 0
    assert "suspect" in said


def test_of_a_tenant_that_lost_no_test_nothing_is_brought_out(folder: str, store_tenant, tmp_path: Path):
    good, same = store_tenant(folder), store_tenant(folder)

    said = run(script("wiped", VAULT=folder, GOOD=good, WIPED=same), tmp_path / "rescue", code=1)

    assert "--tests-from names no test" in said
    assert not list((tmp_path / "rescue").glob("tests*.json"))


def test_more_tests_are_brought_out_than_a_command_line_can_name(
    sim: Simulator, folder: str, store_tenant, tmp_path: Path
):
    sim.change_data(tests=12_000)
    good = store_tenant(folder)
    sim.change_data(tests=4)
    wiped = store_tenant(folder)

    run(script("wiped", VAULT=folder, GOOD=good, WIPED=wiped), tmp_path / "rescue")

    lost = (tmp_path / "rescue" / "lost.tests").read_text()
    assert len(lost) > 128 * 1024
    exported = [
        test for file in (tmp_path / "rescue").glob("tests*.json") for test in json.loads(file.read_text())
    ]
    assert len(exported) == len(lost.splitlines())


def test_nothing_expires_while_the_newest_full_of_a_wiped_tenant_is_suspect(
    sim: Simulator, folder: str, store_tenant, tmp_path: Path
):
    for _ in range(2):
        store_tenant(folder)
    sim.change_data(tests=4)
    store_tenant(folder)

    said = run(f"xbackup retention apply '{folder}' --keep-last 1 2>&1", tmp_path / "rescue")

    assert "paused" in said
    assert not [backup for backup in Vault.open(folder).backups() if backup.tombstoned]


def airflow_home(folder: Path) -> str:
    """What is typed before, so that there is an Airflow with the example DAGs, none of them paused."""
    settings = {
        "AIRFLOW_HOME": folder,
        "AIRFLOW__CORE__LOAD_EXAMPLES": False,
        "AIRFLOW__CORE__DAGS_FOLDER": PAGE.parents[1] / "example_dags",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
    }
    exports = "".join(f"export {name}='{value}'\n" for name, value in settings.items())
    return f"{exports}airflow db migrate > /dev/null 2>&1\n"


def test_the_dag_that_applies_retention_is_paused_and_no_other(tmp_path: Path):
    prepare = airflow_home(tmp_path / "airflow") + "airflow dags reserialize > /dev/null 2>&1\n"
    look = "airflow dags list --output json | tail -n 1 > listed.json  # Airflow logs to stdout before"

    run(prepare + script("paused") + look, tmp_path / "rescue")

    listed = json.loads((tmp_path / "rescue" / "listed.json").read_text())
    retention = next(dag for dag in listed if dag["fileloc"].endswith("/retention.py"))
    assert [dag["dag_id"] for dag in listed if dag["is_paused"] == "True"] == [retention["dag_id"]]


def test_airflow_imports_the_connection_to_a_restored_bot(tmp_path: Path):
    conn = {
        "conn_type": "xenioo",
        "host": "https://node.example.com/bot",
        "extra": {"account_api_key": "a", "bot_api_key": "b", "bot_api_secret": "c"},
    }
    prepare = airflow_home(tmp_path / "airflow")
    value = json.dumps(conn).replace("'", "'\\''")
    put = f"airflow variables set xenioo_restored_secret '{value}' > /dev/null\n"
    look = "\nairflow connections get xenioo_restored --output json\nairflow variables list --output json"

    said = run(prepare + put + script("imported") + look, tmp_path / "rescue")

    assert '"host": "https://node.example.com/bot"' in said
    assert "xenioo_restored_secret" not in said.split('"host"')[1]
