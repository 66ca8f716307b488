from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.cli import text
from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import StoreUnavailableError
from airflow_provider_xbackup.vault.store import Store

IDS = ["20261101T000000Z-full-00000001", "20261102T000000Z-partial-00000002"]


def take(vault: Vault, account: str = "acme", backup_id: str = IDS[0], **fields: Any) -> Any:
    draft = vault.draft("xray", account, backup_id)
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    fields = {"requested_at": datetime(2026, 11, 1, tzinfo=UTC), "producer": {"package_version": "1"}, **fields}
    return draft.commit(**fields)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "my vault")


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    # What a command of another test, run in this process, has told Airflow here is not for this one.
    own = {name: value for name, value in os.environ.items() if name != "_AIRFLOW_PROCESS_CONTEXT"}
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_xbackup.cli.main", *args],
        capture_output=True, text=True, env={**own, **env},
    )  # fmt: skip


def test_list_shows_a_table(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    take(vault, "other", IDS[1], condition={"state": "suspect", "reasons": []})
    assert main(["list", str(vault.url)]) == 0
    out = capsys.readouterr().out
    assert out.index(IDS[1]) < out.index(IDS[0])
    assert "xray/acme" in out
    assert "1.5 KB" in out
    assert "suspect" in out
    assert f"2 backups, 3 KB in {vault.url}" in out


def test_the_table_fits_80_columns_and_loses_nothing(
    vault: Vault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    take(vault, "a-rather-long-name-of-an-account", IDS[1])
    assert main(["list", str(vault.url)]) == 0
    table = capsys.readouterr().out.split("\n\n")[0]
    assert all(len(line) <= 80 for line in table.splitlines())
    assert IDS[1] in table
    assert "a-rather-long-name-of-an-account" in "".join(
        line[35:].split("  ")[0].strip() for line in table.splitlines()[1:]
    )


def test_nothing_is_folded_for_a_pipe(
    vault: Vault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    backup = take(vault, "acme", IDS[1])
    assert main(["show", str(vault.url), IDS[1]]) == 0
    assert backup.manifest.artifacts[0].sha256 in capsys.readouterr().out


def test_list_json_is_an_array_with_stable_keys(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    take(vault, "other", IDS[1])
    assert main(["list", str(vault.url), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["backup_id"] for one in found] == [IDS[1], IDS[0]]
    assert found[1] == {
        "service": "xray",
        "account": "acme",
        "backup_id": IDS[0],
        "kind": "full",
        "state": "ok",
        "flaws": [],
        "held": False,
        "in_future": False,
        "base": None,
        "requested_at": "2026-11-01T00:00:00Z",
        "completed_at": found[1]["completed_at"],
        "size": 1500,
        "stored_size": 1500,
        "entities": None,
        "url": f"{vault.url}/xray/acme/{IDS[0]}",
    }


def test_list_can_be_narrowed(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    take(vault, "other", IDS[1])
    for options, expected in (
        (["--account", "other"], [IDS[1]]),
        (["--service", "xenioo"], []),
        (["--service", "xray", "--account", "acme"], [IDS[0]]),
    ):
        assert main(["list", str(vault.url), "--json", *options]) == 0
        assert [one["backup_id"] for one in json.loads(capsys.readouterr().out)] == expected


def test_an_empty_vault_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", f"file://{tmp_path}"]) == 0
    assert "No backups" in capsys.readouterr().out
    assert main(["list", f"file://{tmp_path}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_damaged_manifest_is_a_finding_beside_the_others(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    take(vault)
    vault.store.put(f"xray/acme/{IDS[1]}/manifest.json", b"{")
    assert main(["list", str(vault.url), "--json"]) == 1
    told = capsys.readouterr()
    assert [one["backup_id"] for one in json.loads(told.out)] == [IDS[0]]
    assert told.err.startswith("xbackup: damaged-manifest: ")
    assert len(told.err.splitlines()) == 1
    assert main(["show", str(vault.url), IDS[1]]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_a_backup_of_the_future_is_a_finding(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault, backup_id=f"{datetime.now(UTC) + timedelta(days=3):%Y%m%dT%H%M%SZ}-full-00000001")
    assert main(["list", str(vault.url)]) == 1
    told = capsys.readouterr()
    assert "dated-in-future" in told.err
    assert "future" in told.out


def test_show_tells_a_backup_and_its_files(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(
        vault,
        scope={"project_ids": ["10042"], "attachments": True},
        entities={"tests": 2000},
        remote={"job_id": "job-7", "host": "xray.example"},
        condition={"state": "incomplete", "reasons": ["the attachments are missing"]},
    )
    assert main(["show", str(vault.url), IDS[0]]) == 0
    out = capsys.readouterr().out
    for word in ("xray/acme", "2,000 tests", "job-7", "10042", "the attachments are missing", "1.5 KB"):
        assert word in out
    assert backup.manifest.artifacts[0].name in out


def test_show_json_holds_the_manifest_as_stored(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault)
    assert main(["show", str(vault.url), IDS[0], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == [
        "vault", "url", "state", "flaws", "held", "accepted", "tombstoned", "verified", "acceptance", "check",
        "manifest",
    ]  # fmt: skip
    assert shown["acceptance"] is None
    assert shown["manifest"] == json.loads(vault.store.read(backup.path.manifest))


def test_show_says_when_there_is_no_such_backup(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    assert main(["show", str(vault.url), IDS[1]]) == 1
    assert "There is no backup" in capsys.readouterr().err


def test_show_asks_for_the_account_when_it_matters(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault, "a")
    take(vault, "b")
    assert main(["show", str(vault.url), IDS[0]]) == 2
    assert "xray/a, xray/b" in capsys.readouterr().err
    assert main(["show", str(vault.url), IDS[0], "--account", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["account"] == "b"


@pytest.mark.parametrize(
    ("args", "word"),
    [
        pytest.param(["list", "ftp://x/y"], "unknown scheme", id="unknown scheme"),
        pytest.param(["list", "/srv/backups"], "file:///srv/backups", id="a path"),
        pytest.param(["list", "file:///no/such/folder"], "no vault at file:///no/such/folder", id="unknown vault"),
        pytest.param(["show", "{vault}", "newest"], "names no backup", id="no backup id"),
        pytest.param(["list", "{vault}", "--account", "../x"], "account name", id="account that escapes"),
        pytest.param(["list", "{vault}", "--service", "jira"], "invalid choice", id="unknown service"),
        pytest.param(["list"], "VAULT", id="no vault"),
        pytest.param(["frobnicate"], "invalid choice", id="unknown command"),
        pytest.param([], "COMMAND", id="nothing"),
        pytest.param(["simulate", "--set", "xray.nothing=1"], "xray.nothing", id="unknown setting"),
        pytest.param(["simulate", "--tests", "-1"], "tests", id="impossible setting"),
        pytest.param(["simulate", "--host", "0.0.0.0"], "cannot listen", id="simulator for all to reach"),
    ],
)
def test_wrong_use_ends_with_2_and_one_line(
    args: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([arg.replace("{vault}", f"file://{tmp_path}") for arg in args]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert word in told.err
    assert "Traceback" not in told.err


def test_names_from_a_vault_are_only_ever_text(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault, "[red]<img onerror=x>")
    take(vault, "a\u202eb", IDS[1], remote={"host": "evil\x1b[2Jhost\n"})
    assert main(["list", str(vault.url)]) == 0
    listed = capsys.readouterr().out
    assert main(["show", str(vault.url), IDS[1]]) == 0
    shown = capsys.readouterr().out
    for out in (listed, shown):
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "[red]" in listed
    assert "\\x1b[2Jhost\\n" in shown


def test_a_debug_flag_shows_the_traceback() -> None:
    done = command("list", "file:///no/such/folder", "--debug")
    assert "Traceback" in done.stderr
    assert "Traceback" not in command("list", "file:///no/such/folder").stderr


def test_the_exit_code_of_the_process_is_that_of_the_command(vault: Vault) -> None:
    take(vault)
    assert command("list", str(vault.url)).returncode == 0
    assert command("show", str(vault.url), IDS[1]).returncode == 1
    assert command("list", "nothing").returncode == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xbackup {__version__}\n"


@pytest.mark.parametrize(
    ("args", "absent"),
    [
        (["--help"], ["airflow", "obstore", "pydantic", "rich", "boto3", "uvicorn"]),
        (["simulate", "--help"], ["airflow", "obstore", "pydantic", "rich", "boto3", "uvicorn"]),
        (["list", "{vault}"], ["airflow", "boto3", "fastapi"]),
        (["list", "{vault}", "--json"], ["airflow", "boto3", "rich"]),
    ],
)
def test_only_what_is_needed_is_imported(args: list[str], absent: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from airflow_provider_xbackup.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        f"print([name for name in {absent!r} if name in sys.modules], file=sys.stderr)\n"
    )
    args = [arg.replace("{vault}", f"file://{tmp_path}") for arg in args]
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["list", "{vault}", "--json"], id="JSON"),
        pytest.param(["list", "{vault}"], id="a table and a line"),
        pytest.param(["show", "{vault}", IDS[0]], id="tables"),
        pytest.param(["show", "{vault}", IDS[0], "--chain"], id="what is needed"),
        pytest.param(["status", "{vault}"], id="status"),
        pytest.param(["retention", "plan", "{vault}", "--keep-last", "1"], id="a plan"),
        pytest.param(["verify", "{vault}"], id="lines"),
        pytest.param(["garbage", "{vault}"], id="a line"),
    ],
)
def test_a_reader_that_leaves_is_no_error(vault: Vault, args: list[str]) -> None:
    take(vault)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_xbackup.cli.main",
         *(arg.replace("{vault}", str(vault.url)) for arg in args)],
        stdout=write, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (1536, "1.54 KB"), (23_400_000, "23.4 MB"), (999_600, "1 MB"),
     (5 * 10**15, "5 PB")],
)  # fmt: skip
def test_sizes_are_for_people(number: int, expected: str) -> None:
    assert text.size(number) == expected


@pytest.mark.parametrize(
    ("delta", "expected"),
    [(timedelta(seconds=5), "5 s"), (timedelta(minutes=90), "90 min"), (timedelta(hours=30), "30 h"),
     (timedelta(days=12), "12 d"), (timedelta(hours=-1), "future")],
)  # fmt: skip
def test_ages_are_for_people(delta: timedelta, expected: str) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert text.age(now - delta, now) == expected


def test_the_simulator_says_how_to_connect_and_ends_with_ctrl_c() -> None:
    import requests

    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_xbackup.cli.main", "simulate", "--port", "0", "--tests", "3",
         "--bots", "alpha,beta", "--set", "xray.tenants.demo-client.client_secret=other"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().split(" at ")[1].split()[0]
        assert requests.get(url, timeout=10).status_code < 600
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()  # both end with the process
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert "AIRFLOW_CONN_XRAY_DEFAULT=" in out
    assert '"password": "other"' in out
    assert "AIRFLOW_CONN_XENIOO_BETA=" in out
    assert "Traceback" not in err


# -- vaults that name a connection -------------------------------------------------------------------------


def test_a_warning_after_airflow_has_started_is_told_once_and_on_stderr(tmp_path: Path) -> None:
    script = (
        "import logging, threading\n"
        "from airflow_provider_xbackup.cli import vaults\n"
        "def start():\n"
        "    import airflow_provider_xbackup.hooks.vault\n"
        "    from airflow import settings\n"
        "    settings.initialize()\n"
        "    assert logging.root.handlers, 'Airflow gives the root logger no handler any more'\n"
        "vaults.with_airflow(start, 'why', 'instead', debug=False)\n"
        "log = logging.getLogger('airflow_provider_xbackup.http.retry')\n"
        "threading.Thread(target=log.warning, args=('try %d', 2)).start()\n"
        "logging.getLogger('airflow.task').error('of Airflow')\n"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines().count("try 2") == 1
    assert "Logging error" not in done.stderr


def test_an_unknown_connection_names_what_was_searched(tmp_path: Path) -> None:
    done = command("list", "s3://nobody@bucket/p", AIRFLOW_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "AIRFLOW_CONN_NOBODY in the environment" in done.stderr
    assert "metadata database" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "airflow.db").exists()


def test_a_manifest_far_too_large_leaves_json_that_can_be_read(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = take(vault, "acme", IDS[0])
    take(vault, "acme", IDS[1])
    vault.store.put_stream(huge.path.manifest, (b" " * 2**20 for _ in range(65)))

    assert main(["list", str(vault.url), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [each["backup_id"] for each in json.loads(out)] == [IDS[1]]
    assert err.startswith("xbackup: damaged-manifest: ")


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_store_that_stops_answering_leaves_json_that_can_be_read(
    vault: Vault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    ids = [f"20261101T{number:06}Z-full-00000001" for number in range(60)]
    for backup_id in ids:
        take(vault, "acme", backup_id)
    read = Store.read

    def gone(self: Store, path: str, **options: Any) -> bytes:
        if ids[0] in path and path.endswith("manifest.json"):
            raise StoreUnavailableError("The store does not answer.")
        return read(self, path, **options)

    monkeypatch.setattr(Store, "read", gone)
    assert (
        main([command, str(vault.url), "--json", *(["--level", "presence"] if command == "verify" else [])]) == 1
    )
    out, err = capsys.readouterr()
    assert isinstance(json.loads(out), list)
    assert err == "xbackup: The store does not answer.\n"


def test_damage_is_shown_with_its_reason(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault, "acme", IDS[0])
    name = backup.manifest.artifacts[0].name
    vault.store.delete(backup.path.file(name))

    assert main(["list", str(vault.url)]) == 0
    assert "damaged" in capsys.readouterr().out
    assert main(["list", str(vault.url), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["state"], listed["flaws"]) == ("damaged", [f"{name} is not there."])
    assert main(["show", str(vault.url), IDS[0]]) == 0
    assert f"damaged; {name} is not there." in capsys.readouterr().out
    assert main(["status", str(vault.url), "--rpo", "100w"]) == 1
    out, err = capsys.readouterr()
    assert "damaged" in out
    assert [line.split()[1] for line in err.splitlines()] == ["late:", "damaged:"]
