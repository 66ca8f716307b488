"""What a hostile server, disk or store may hand in, for a process with little time and memory: ``READER``.

Plays all inputs on one reader, and says before each which it is. Ends by a signal where one takes too much time,
and with ``MemoryError`` where it takes too much memory.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from airflow_provider_xbackup.contents.botname import BotName
from airflow_provider_xbackup.contents.jsonend import JsonEnd, may_begin_json
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.endpoint import check_proxy, read_url
from airflow_provider_xbackup.http.message import Answer, read_content_range, read_http_date
from airflow_provider_xbackup.http.places import places_of
from airflow_provider_xbackup.quoting import quotable, without
from airflow_provider_xbackup.services import instants, xenioo, xray, xray_cooldown, xray_jobs
from airflow_provider_xbackup.transfer.spool import Spool
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.records import Acceptance, Hold, Tombstone
from airflow_provider_xbackup.vault.translate import translate
from airflow_provider_xbackup.vault.url import VaultUrl, refuse_password

SIZE = 500_000
SECONDS, BYTES = 10, 1 << 30
"""Of the processor, for one input; and of memory, for all of the process. A second and 220 MB are needed."""

NOW = datetime(2026, 11, 23, tzinfo=UTC)
THE_END = "all were read"
SECRETS = ("s3cret", "another-secret")
PIECES = (
    "in ", "in 1 hour ", "in:", "already ", "once every ", "too ", "not ", "token=", "eyJ", "a.", "://", "https://a:",
    "@", "<", "<html", "&lt;", "%25", "\\u00", "\\", '"', "'", " ", "\n", "\0", "\ud800", "9", "1.", ":1", "[",
    "/", "../", "-", "s3cre", "20261123T", "bytes 1-", "٣",
)  # fmt: skip
HEADERS = (
    "date", "retry-after", "content-length", "content-range", "content-type", "content-encoding", "last-modified",
    "location", "etag",
)  # fmt: skip


@cache
def texts() -> dict[str, str]:
    """Long sentences and huge numbers."""
    sentences = {f"{piece!r} without end": piece * (SIZE // len(piece)) for piece in PIECES}
    numbers = {
        "a huge number": "9" * SIZE,
        "a huge power": "1e" + "9" * SIZE,
        "a tiny one": "0." + "0" * SIZE + "1",
    }
    return sentences | numbers


@cache
def bodies() -> dict[str, bytes]:
    """Deep nesting, many values, and all texts: alone, as JSON, and as what a server says."""
    return {
        "nested lists": b"[" * SIZE,
        "nested objects": b'{"a":' * (SIZE // 5),
        "nested and closed": b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
        "many names": json.dumps({str(number): number for number in range(SIZE // 15)}).encode(),
        "many lists": json.dumps([[] for _ in range(SIZE // 4)]).encode(),
        "one string that does not end": b'"' + b"\\u0041" * (SIZE // 6),
        "no JSON": b"\xff" * SIZE,
        **{f"{name}, in an error": json.dumps({"error": text}).encode() for name, text in texts().items()},
        **{f"{name}, alone": text.encode("utf-8", "replace") for name, text in texts().items()},
    }


def answers_with(*reads: Callable[[Answer], object]) -> dict[str, Callable[[], object]]:
    """Every body, as success and as error, for each of some functions."""
    return {
        f"{number}, {status}, {name}": partial(read, Answer(status, {}, body, NOW, SECRETS))
        for number, read in enumerate(reads, start=1)
        for name, body in bodies().items()
        for status in (200, 400)
    }


def headers() -> dict[str, Callable[[], object]]:
    """Every text as every header there is."""

    def read(text: str) -> None:
        read_http_date(text)
        read_content_range(text)
        for status in (200, 206, 302, 401, 429, 503):
            answer = Answer(status, dict.fromkeys(HEADERS, text), b"", NOW, SECRETS)
            _ = answer.date, answer.retry_after, answer.length
            for reader in (xray.read_file, xray.read_linked_file, xray.read_redirect, xenioo.read_backup):
                _outcome(partial(reader, answer))

    return {name: partial(read, text) for name, text in texts().items()}


def texts_with(*calls: Callable[[str], object]) -> dict[str, Callable[[], object]]:
    """Every text, for each of some functions."""
    return {
        f"{number}, {name}": partial(call, text)
        for number, call in enumerate(calls, start=1)
        for name, text in texts().items()
    }


def objects() -> dict[str, Callable[[], object]]:
    """Every body as every object of a vault."""
    reads = {kind.__name__: kind.from_json for kind in (Manifest, Hold, Acceptance, Tombstone, Check)}
    return {
        f"{kind}, {name}": partial(read, body) for kind, read in reads.items() for name, body in bodies().items()
    }


def spool_files() -> dict[str, Callable[[], object]]:
    """Every body as the record of an answer in the spool."""

    def read(body: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(Path(folder))
            spool._path("key", ".json").write_bytes(body)
            spool._path("bot", ".lost").write_bytes(body)
            _outcome(partial(spool.find, "key"))
            _outcome(partial(spool.find_lost_answer, "bot"))

    return {name: partial(read, body) for name, body in bodies().items()}


def backups() -> dict[str, Callable[[], object]]:
    """Every body as a bot."""

    def read(body: bytes) -> None:
        end, name = JsonEnd(body[:100]), BotName()
        for start in range(0, len(body), 1 << 16):
            end.feed(body[start : start + (1 << 16)])
            name.feed(body[start : start + (1 << 16)])
        may_begin_json(body)
        xenioo.check_start(body)

    return {name: partial(read, body) for name, body in bodies().items()}


def _job(text: str) -> object:
    return xray_jobs.XrayBackupJob.from_dict({"job_id": text, "requested_at": text, "project_ids": [text]})


READERS: dict[str, Callable[[], dict[str, Callable[[], object]]]] = {
    "answers of Xray": lambda: answers_with(
        xray.read_token,
        lambda answer: xray.read_job(answer, xray_jobs.XrayBackupRequest()),
        lambda answer: xray.read_status(answer, "x"),
        xray.read_counts,
    ),
    "answers of Xenioo": lambda: answers_with(
        xenioo.read_token, xenioo.read_backup, xenioo.read_restored, xenioo.read_bots
    ),
    "headers": headers,
    "sentences": lambda: texts_with(
        xray_cooldown.read_remaining,
        quotable,
        lambda text: without(SECRETS, text),
        lambda text: translate(RuntimeError(f"<Message>{text}"), VaultUrl.parse("s3://bucket/x"), "read", "x"),
        lambda text: instants.parse_instant(text, "x"),
        _job,
    ),
    "names": lambda: texts_with(
        layout.nonce_of,
        layout.is_record,
        layout.is_clock,
        layout.BackupPath.of,
        layout.parse_backup_id,
        layout.check_account,
        VaultUrl.parse,
        refuse_password,
    ),
    "addresses": lambda: texts_with(
        places_of,
        read_url,
        lambda text: read_url(f"https://{text}"),
        lambda text: check_proxy("https://xray.example", text, allow_http=False),
        lambda text: VaultUrl.parse(f"s3://{text}"),
    ),
    "objects of a vault": objects,
    "files in the spool": spool_files,
    "bots that are backed up": backups,
}


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except BackupError as error:
        return str(error)


def play(inputs: Mapping[str, Callable[[], object]], seconds: int = SECONDS) -> None:
    """Play inputs one after the other, each with its own share of the processor.

    :param inputs: what reads each, by name
    :param seconds: of the processor, for one
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for name, call in inputs.items():
        print(name[:100], flush=True)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, resource.RLIM_INFINITY))
        _outcome(call)
    print(THE_END, flush=True)


if __name__ == "__main__":
    play(READERS[sys.argv[1]]())
