"""Bringing tests of a backup out: files for Xray's bulk import, and the attachments beside them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from airflow_provider_xbackup.contents.bulkimport import MOST_TESTS, attachments_of, bulk_test, folders_of
from airflow_provider_xbackup.contents.elements import Element
from airflow_provider_xbackup.contents.entities import EntityFile
from airflow_provider_xbackup.contents.filenames import safe_filename
from airflow_provider_xbackup.contents.references import is_attachment_list, names_of_blob
from airflow_provider_xbackup.contents.zipwalk import EntryReader
from airflow_provider_xbackup.vault.errors import DifferentFileError
from airflow_provider_xbackup.vault.inside import Inside
from airflow_provider_xbackup.vault.placing import fsync, place, telling

_THEN = "run again"
#: A longer list of names is not read; the attachments are then named by their ids.
_LONGEST_LIST = 64 * 1024 * 1024
_BLOCK = 1024 * 1024

#: Attachments by their ids, each with the tests that name it and the file name that they give.
Wanted = dict[str, list[tuple[str, str | None]]]


@dataclass(frozen=True, slots=True)
class ExportedTests:
    """Tests that were written for the bulk import.

    :param files: the files, each for one call
    :param count: how many tests are in them
    :param left_out: what could not be taken along, with the number of tests of which it is true
    :param attachments: the files that their steps name
    """

    files: tuple[Path, ...]
    count: int
    left_out: dict[str, int]
    attachments: Wanted = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExportedAttachments:
    """Attachments that were written.

    :param files: the files
    :param missing: ids that no file of the backup has
    :param ambiguous: ids that several files of the backup have, with these: which one is meant nobody can tell, so
        none was written
    """

    files: tuple[Path, ...]
    missing: tuple[str, ...]
    ambiguous: dict[str, tuple[str, ...]]


def export_tests(
    inside: Inside,
    tests: Callable[[], Iterator[Element]],
    target: Path,
    *,
    want: Callable[[EntityFile], bool] = lambda _: True,
    project_key: str | None = None,
) -> ExportedTests:
    """Write tests in the form that ``POST /api/v2/import/test/bulk`` takes: docs/vendor-apis.md#xray-bulk-import.

    One call takes 1,000 tests; further ones go to further files, ``tests-2.json`` beside ``tests.json``. The files
    get their names when all of them are whole. They are for their owner's eyes only (0600).

    :param inside: the backup
    :param tests: reads the tests that were chosen
    :param target: the first file
    :param want: the files of the backup in which folders of the test repository are looked for
    :param project_key: the key of the project to make them in; None for those they came from, by their ids
    :return: what was written; no file where there was no test
    :raises DifferentFileError: when something has the name of a file
    :raises NoSpaceError: when the disk is full
    :raises UnwritableFolderError: when the folder cannot be written
    :raises BackupError: when the backup cannot be read; nothing is left then
    """
    left_out: Counter[str] = Counter()
    attachments: Wanted = {}
    with telling(target.parent, _THEN), _Parts(target) as parts:
        repository = inside.elements(lambda file: file.entity == "testRepository" and want(file))
        folders: dict[tuple[str, str], str] = {}
        for element in repository:
            for test_id, path in folders_of(element.value):
                folders.setdefault((element.project, test_id), path)
        for test in tests():
            folder = folders.get((test.project, test.id or ""))
            made = bulk_test(test, project_key=project_key, folder=folder)
            left_out.update(made.left_out)
            _name_attachments(test, attachments)
            parts.add(made.value)
        files = parts.place()
    return ExportedTests(files, parts.count, dict(left_out), attachments)


def attachments_named(tests: Iterable[Element]) -> Wanted:
    """Collect the attachments that tests name.

    :param tests: the tests
    """
    attachments: Wanted = {}
    for test in tests:
        _name_attachments(test, attachments)
    return attachments


def _name_attachments(test: Element, attachments: Wanted) -> None:
    for attachment in attachments_of(test.value):
        attachments.setdefault(attachment.id, []).append((test.id or "", attachment.filename))


class _Parts:
    """Files that hold a list of values each, and get their names together."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._files: list[tuple[Path, IO[str]]] = []
        self.count = 0

    def __enter__(self) -> _Parts:
        _refuse(self._target)
        return self

    def __exit__(self, *_: object) -> None:
        for target, file in self._files:
            file.close()
            _hidden(target).unlink(missing_ok=True)

    def add(self, value: object) -> None:
        number, place_in_file = divmod(self.count, MOST_TESTS)
        if number == len(self._files):
            target = self._target if not number else self._numbered(number + 1)
            _refuse(target)
            self._files.append((target, _open_hidden(target, "w")))
        file = self._files[-1][1]
        file.write(("[\n" if place_in_file == 0 else ",\n") + json.dumps(value))
        self.count += 1

    def place(self) -> tuple[Path, ...]:
        for _, file in self._files:
            file.write("\n]\n")
            file.flush()
            os.fsync(file.fileno())
        for target, _ in self._files:
            _place(target)
        return tuple(target for target, _ in self._files)

    def _numbered(self, number: int) -> Path:
        return self._target.with_name(f"{self._target.stem}-{number}{self._target.suffix}")


def export_attachments(inside: Inside, wanted: Wanted, directory: Path) -> ExportedAttachments:
    """Write attachments to ``directory/<test id>/<file name>``.

    The names are made safe: they are of users. A file gets its name when the zip has been read and is not damaged;
    where another file has the name already, that one stays. Of several files for one attachment the one counts
    that is called as the tests, or the vendor's list, call it.

    :param inside: the backup
    :param wanted: the attachments
    :param directory: where; made where it does not exist
    :return: what was written, and what is not in the backup
    :raises DifferentFileError: when another file has the name of one
    :raises NoSpaceError: when the disk is full
    :raises UnwritableFolderError: when the folder cannot be written
    :raises BackupError: when the backup cannot be read
    """
    with telling(directory, _THEN):
        return _Attachments(inside, wanted, directory).run()


class _Attachments:
    def __init__(self, inside: Inside, wanted: Wanted, directory: Path) -> None:
        self._inside = inside
        self._wanted = dict(wanted)
        self._directory = directory
        self._nameless = any(name is None for tests in wanted.values() for _, name in tests)
        self._names: dict[str, str] = {}
        self._blobs: list[_Blob] = []
        self._ambiguous: dict[str, tuple[str, ...]] = {}
        self._taken: set[Path] = set()

    def run(self) -> ExportedAttachments:
        files: list[Path] = []
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for _ in self._inside.read_attachments(self._wants, self._reader):
                files += self._place()
        finally:
            for blob in self._blobs:
                blob.discard()
        return ExportedAttachments(tuple(files), tuple(sorted(self._wanted)), self._ambiguous)

    def _wants(self, name: str) -> bool:
        return (self._nameless and is_attachment_list(name)) or self._meant(name) is not None

    def _meant(self, entry: str) -> str | None:
        return next((name for name in names_of_blob(entry) if name in self._wanted), None)

    def _reader(self, name: str) -> EntryReader:
        attachment = self._meant(name)
        if attachment is None:
            return _NameList(self._names)
        hidden = _hidden(self._directory / f"{safe_filename(attachment)}-{len(self._blobs)}")
        blob = _Blob(attachment, name, hidden)
        self._blobs.append(blob)
        return blob

    def _place(self) -> Iterator[Path]:
        for blob in self._chosen():
            tests = self._wanted.pop(blob.attachment)
            for number, (test, name) in enumerate(tests, 1):
                folder = self._directory / safe_filename(test)
                folder.mkdir(mode=0o700, exist_ok=True)
                said = name or self._names.get(blob.attachment, blob.attachment)
                target = folder / safe_filename(said, blob.attachment)
                if target in self._taken:
                    target = target.with_name(f"{target.stem}-{safe_filename(blob.attachment)}{target.suffix}")
                self._taken.add(target)
                _place_same(blob.path if number == len(tests) else _copied(blob.path, target), target)
                yield target
        for blob in self._blobs:
            blob.discard()
        self._blobs.clear()

    def _chosen(self) -> Iterator[_Blob]:
        """Choose the one file of each attachment."""
        found: dict[str, list[_Blob]] = {}
        for blob in self._blobs:
            found.setdefault(blob.attachment, []).append(blob)
        for attachment, blobs in found.items():
            names = {name for _, name in self._wanted[attachment]} | {self._names.get(attachment)}
            called_so = [blob for blob in blobs if blob.entry.rsplit("/", 1)[-1] in names]
            chosen = blobs if len(blobs) == 1 else called_so
            if len(chosen) == 1:
                yield chosen[0]
            else:
                del self._wanted[attachment]
                self._ambiguous[attachment] = tuple(blob.entry for blob in blobs)


class _Blob:
    """Writes an entry to a file that has no name for others yet."""

    def __init__(self, attachment: str, entry: str, path: Path) -> None:
        self.attachment = attachment
        self.entry = entry
        self.path = path
        self._file = open(os.open(path, _FLAGS, 0o600), "wb")  # noqa: SIM115 - closed by discard at last

    def feed(self, data: bytes | memoryview) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class _NameList:
    """Reads the vendor's list of the names of attachments, unless it is very long."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._data = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        if len(self._data) <= _LONGEST_LIST:
            self._data += data

    def finish(self) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(self._data) if len(self._data) <= _LONGEST_LIST else None
            listed = value.get("attachment_metadata") if isinstance(value, dict) else None
            for attachment, told in (listed if isinstance(listed, dict) else {}).items():
                if isinstance(told, dict) and isinstance(told.get("filename"), str):
                    self._names[attachment] = told["filename"]


_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def _open_hidden(target: Path, mode: str) -> IO[str]:
    return open(os.open(_hidden(target), _FLAGS, 0o600), mode, encoding="utf-8")


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def _place(target: Path) -> None:
    try:
        place(_hidden(target), target)
    except FileExistsError:
        raise _different(target) from None
    fsync(target.parent)


def _copied(path: Path, target: Path) -> Path:
    copy = _hidden(target)
    with path.open("rb") as source, open(os.open(copy, _FLAGS, 0o600), "wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    return copy


def _place_same(path: Path, target: Path) -> None:
    """Give a file a name; one that is there already and the same will do."""
    try:
        place(path, target)
    except FileExistsError:
        if target.is_symlink() or not _same(path, target):
            raise _different(target) from None
    finally:
        path.unlink(missing_ok=True)
    fsync(target.parent)


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        return all(block == b.read(_BLOCK) for block in _blocks(a))


def _blocks(file: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: file.read(_BLOCK), b"")


def _refuse(target: Path) -> None:
    if os.path.lexists(target):
        raise _different(target)


def _different(target: Path) -> DifferentFileError:
    return DifferentFileError(f"{target} is there already and was left as it is. Move it, or choose another name.")
