"""The zips of a backup, written entry by entry in the layout that readers of real ones describe."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import IO, Any, Self

from airflow_provider_xbackup.simulator.data import Attachment, TenantData, random_blocks

#: Time stamp of every entry where two jobs are to give the same zip.
_NO_TIME = datetime(2020, 1, 1, tzinfo=UTC)
#: Padding comes in entries of about this size.
_PADDING_ENTRY = 8 << 20
#: 3 random bytes make 4 of base64, so that padding is valid JSON.
_PADDING_BLOCK = 3 << 18
#: Level 0 wraps what cannot be compressed anyway at the speed of a copy.
_NO_EFFORT, _LITTLE_EFFORT = 0, 1
_ITEMS_AT_ONCE = 50


class BuildStoppedError(Exception):
    """The simulator ends while a zip is being made."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What goes into the zips of a job.

    :param data: the tenant's data when the job was asked for
    :param project_ids: limits the projects; None is all
    :param since: only what changed since then; None is a full backup
    :param made_at: time stamp of the entries
    :param marker: comment of the zips
    """

    data: TenantData
    project_ids: tuple[str, ...] | None
    since: datetime | None
    made_at: datetime
    marker: str


def write_data(target: IO[bytes], extract: Extract, stopped: Callable[[], bool]) -> None:
    """Write the data zip.

    :param target: a file; the zip is never held in memory
    :param stopped: asked often; true ends the work
    :raises BuildStoppedError: when ``stopped`` said so
    """
    settings = extract.data.settings
    with _ZipWriter(target, extract, stopped) as writer:
        for project in extract.data.projects(extract.project_ids):
            for entity in extract.data.entities():
                name = settings.entity_names.get(entity, entity)
                items = extract.data.items(project, entity, extract.since)
                for number, chunk in enumerate(_chunks(items, settings.chunk, settings.empty_files)):
                    writer.add(f"{name}_{project}_{number}.json", _document(name, chunk))
            if extract.since is None:
                _add_padding(writer, extract.data, project)


def write_attachments(target: IO[bytes], extract: Extract, stopped: Callable[[], bool]) -> None:
    """Write the attachments zip; parameters and errors as in :func:`write_data`."""
    with _ZipWriter(target, extract, stopped) as writer:
        for project in extract.data.projects(extract.project_ids):
            seen = False
            for attachment in extract.data.attachments(project, extract.since):
                seen = True
                writer.add(attachment.id, attachment.blocks(), size=attachment.size, effort=_NO_EFFORT)
            if seen:
                metadata = _metadata(extract.data.attachments(project, extract.since))
                writer.add(f"metadata_{project}.json", metadata)


class _ZipWriter:
    """A zip file in the making."""

    def __init__(self, target: IO[bytes], extract: Extract, stopped: Callable[[], bool]) -> None:
        settings = extract.data.settings
        self._varies = settings.zip_varies
        self._method = zipfile.ZIP_STORED if settings.zip_stored else zipfile.ZIP_DEFLATED
        time = extract.made_at.astimezone(UTC) if self._varies else _NO_TIME
        self._time = (time.year, time.month, time.day, time.hour, time.minute, time.second)
        self._stopped = stopped
        pipe: Any = target if settings.zip_layout == "seekable" else _Pipe(target)
        self._zip = zipfile.ZipFile(pipe, "w")
        self._zip.comment = extract.marker.encode() if self._varies else b""

    def add(self, name: str, blocks: Iterable[bytes], *, size: int = 0, effort: int = _LITTLE_EFFORT) -> None:
        info = zipfile.ZipInfo(name, self._time)
        info.compress_type = self._method
        info._compresslevel = effort  # type: ignore[attr-defined]
        # Compressed data may be a little longer than plain data.
        large = size * 1.01 > zipfile.ZIP64_LIMIT
        with self._zip.open(info, "w", force_zip64=large) as entry:
            for block in blocks:
                if self._stopped():
                    raise BuildStoppedError
                entry.write(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


class _Pipe:
    """A file that can only be written forwards: what makes zipfile stream."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()


def _chunks(items: Iterator[dict[str, Any]], size: int, empty_files: bool) -> Iterator[Iterator[dict[str, Any]]]:
    """Cut items into chunks that are read while they are made, so they must be used in order."""
    first = next(items, None)
    if first is None and empty_files:
        yield iter(())
    while first is not None:
        yield chain([first], islice(items, size - 1))
        first = next(items, None)


def _document(name: str, items: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON object with one list, in pieces."""
    yield f"{{{json.dumps(name)}: [".encode()
    separator = ""
    while some := list(islice(items, _ITEMS_AT_ONCE)):
        yield (separator + ", ".join(json.dumps(item) for item in some)).encode()
        separator = ", "
    yield b"]}"


def _add_padding(writer: _ZipWriter, data: TenantData, project: str) -> None:
    """Add history entries whose text is noise, until the wanted size is reached."""
    settings = data.settings
    left = settings.padding_bytes // len(settings.projects)
    name = settings.entity_names.get("issueHistory", "issueHistory")
    number = -(-data.count(project, "issueHistory") // settings.chunk)
    while left > 0:
        size = min(left, _PADDING_ENTRY)
        padding = _padding(name, project, number, size, f"{settings.seed}/{settings.revision}")
        writer.add(f"{name}_{project}_{number}.json", padding, effort=_NO_EFFORT)
        left -= size
        number += 1


def _padding(name: str, project: str, number: int, size: int, version: str) -> Iterator[bytes]:
    head = {"id": f"{project}9{number:06d}", "projectId": project}
    yield f"{{{json.dumps(name)}: [{json.dumps(head)[:-1]}, ".encode() + b'"changes": [{"to": "'
    for block in random_blocks(f"{version}/{project}/{number}", size * 3 // 4, _PADDING_BLOCK):
        yield base64.b64encode(block)
    yield b'"}]}]}'


def _metadata(attachments: Iterator[Attachment]) -> Iterator[bytes]:
    yield b'{"attachment_metadata": {'
    separator = ""
    for attachment in attachments:
        entry = {"filename": attachment.filename, "size": attachment.size, "mimeType": "image/png"}
        yield f"{separator}{json.dumps(attachment.id)}: {json.dumps(entry)}".encode()
        separator = ", "
    yield b"}}"
