"""A zip is looked into as it passes: nothing of it is written anywhere, whatever it holds and calls itself."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipcheck import ZipInspector

_opened: list[tuple[str, Any]] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("open", "os.mkdir", "os.rename", "os.symlink", "os.link", "tempfile.mkstemp"):
        _opened.append((event, arguments))


sys.addaudithook(_watch)


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[str, Any]]]:
    """What is opened to be written, made or moved in the meantime."""
    global _watching
    _opened.clear()
    _watching = True
    try:
        yield _opened
    finally:
        _watching = False
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        _opened[:] = [each for each in _opened if each[0] != "open" or int(each[1][2] or 0) & writing]


def made(name: str, content: bytes = b'{"tests": []}' * 100_000) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("content", [True, False], ids=["content", "structure"])
@pytest.mark.parametrize("name", ["10042_tests_1.json", "../../up.json", "/tmp/absolute.json", "a/b/c.json"])
def test_an_entry_is_written_nowhere(content: bool, name: str) -> None:
    data = made(name)
    inspector = ZipInspector(content=content, entities=True)

    with watched() as opened, contextlib.suppress(DamagedZipError):
        for start in range(0, len(data), 500):
            inspector.feed(data[start : start + 500])
        inspector.finish()

    assert opened == []


def test_what_is_written_is_seen(tmp_path: Any) -> None:
    with watched() as opened:
        (tmp_path / "x").write_bytes(b"")

    assert opened
