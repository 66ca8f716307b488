"""Reading a file of an Xray backup to its end: redirects, broken connections, encoded bodies."""

from __future__ import annotations

import logging
import random
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from tenacity import nap

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.message import Answer, Request, read_content_range
from airflow_provider_xbackup.http.sync import Client, Stream
from airflow_provider_xbackup.services.errors import (
    FileNotAvailableError,
    ServerFaultError,
    ServiceError,
    SpentLinkError,
    ThrottledError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.services.xray import (
    Artifact,
    RemoteFile,
    file_request,
    read_file,
    read_file_end,
    read_linked_file,
    read_redirect,
)
from airflow_provider_xbackup.transfer.errors import ReplacedFileError, WrongLengthError
from airflow_provider_xbackup.transfer.judge import check_not_superseded
from airflow_provider_xbackup.transfer.parts import Budget, NoPartsError, Parts, is_worth_parts, tried
from airflow_provider_xbackup.transfer.tally import Tally

log = logging.getLogger(__name__)

# What may be different a moment later, while the bytes that are here stay good.
_PASSING = (ConnectionFailedError, FileNotAvailableError, ServerFaultError, SpentLinkError, ThrottledError)

RESUMES = 7
"""How often in a row a download goes on where it broke without getting a single byte further."""

LONGEST_PAUSE = 30.0
"""Seconds. The pauses before so many resumes add up to a minute and a half: as long as a gateway may restart."""

_REDIRECTS = 3
_SETTLED = timedelta(minutes=1)
_DECODED_AT_ONCE = 1 << 20
_REPLACED = "The server's backup file changed while it was being downloaded."


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file whose headers are read and whose bytes are still on their way. To be closed.

    :param remote: what the headers say
    :param stream: the open answer
    :param link: the redirect that led there, or None; it may be a credential
    """

    remote: RemoteFile
    stream: Stream
    link: str | None = field(default=None, repr=False)

    def blocks(self) -> Iterator[bytes]:
        """Read the bytes of this one connection.

        :raises ConnectionFailedError: when it breaks off
        """
        return decoded(self.stream.blocks(), self.remote.encoding)

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()


def open_file(
    client: Client, artifact: Artifact, resume: Resume | None = None, link: str | None = None
) -> OpenFile:
    """Ask for a file, and follow the redirect to a storage if there is one: without the token, each time anew.

    :param client: the client of the tenant's connection
    :param artifact: which file
    :param resume: where to go on, or None for the whole file
    :param link: a redirect that led there before, to follow it again; None to ask for one
    :raises ServiceError: when there is no file to be had
    :raises ConnectionFailedError: when the server cannot be reached
    """
    request = file_request(artifact)
    if resume is not None:
        request = request.with_headers(Range=resume.range, If_Range=resume.validator)
    stream = client.open(request) if link is None else client.open_link(_link_request(request), link)
    read = read_file if link is None else read_linked_file
    for _ in range(_REDIRECTS):
        location = read_redirect(stream.answer)
        if location is None:
            # Only who resumes names a range.
            return _opened(stream, read_file_end if resume and stream.status == 416 else read, link)
        stream.close()
        stream = client.open_link(_link_request(request), location)
        read, link = read_linked_file, location
    stream.close()
    raise UnreadableAnswerError("Xray redirects the download of the backup file in circles.")


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a download goes on.

    :param offset: bytes that are here already
    :param validator: what says that the file is still the same: a strong ETag or its Last-Modified
    :param end: the byte after the last that is wanted, or None for all
    """

    offset: int
    validator: str
    end: int | None = None

    @property
    def range(self) -> str:
        """The value of ``Range``."""
        return f"bytes={self.offset}-{'' if self.end is None else self.end - 1}"


class Download:
    """One file of a backup, read to its end over as many connections as that takes.

    A connection that breaks is resumed where it broke if the server serves ranges and names something
    that identifies the file; a file that changed in between is never spliced. Where the connection is slow
    and the server serves ranges, several bring parts of the rest at the same time.

    :param client: the client of the tenant's connection
    :param artifact: which file
    :param connections: how many at the same time
    :param budget: what parts may cost of the service's requests
    :param tally: counts what happens
    :ivar remote: what its headers said when it was begun
    :ivar received: how many of its bytes have come
    :ivar resumed: how often it went on after a break
    :raises ServiceError: when there is no file to be had
    """

    def __init__(
        self,
        client: Client,
        artifact: Artifact,
        connections: int = 1,
        budget: Budget | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._client = client
        self._artifact = artifact
        self._connections = connections
        self._budget = budget or Budget()
        self._tally = tally or Tally()
        self._open = open_file(client, artifact)
        self.remote = self._open.remote
        self.received = 0
        self.resumed = 0

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def blocks(self) -> Generator[bytes, None, None]:
        """Read the file from its first byte to its last. To be closed by who may not take all of it.

        :raises ConnectionFailedError: when it broke off and cannot be resumed
        :raises ReplacedFileError: when the server has another file by now
        :raises SupersededFileError: when that one is a later backup's
        :raises WrongLengthError: when the file is not as long as was announced
        """
        skip = failures = 0
        broken = False
        while True:
            try:
                if broken:
                    skip = self._reopen(self.received)
                    broken = False
                    self.resumed += 1
                    self._tally.resume()
                for block in self._arriving(skip):
                    fresh = block[skip:]
                    skip -= len(block) - len(fresh)
                    if fresh:
                        self.received += len(fresh)
                        failures = 0
                        yield fresh
                self._check_length()
            except _PASSING as error:
                failures += 1
                broken = True
                self._open.close()
                if _validator(self.remote) is None or failures > RESUMES:
                    raise
                pause = _pause_after(failures)
                where = (self.received, self._artifact.label)
                log.warning("%s Resuming at byte %d of the %s in %.0f s.", error, *where, pause)
                nap.sleep(pause)
            else:
                return

    def _arriving(self, skip: int) -> Iterator[bytes]:
        """Read on over the open connection, and over several where it shows to be slow."""
        blocks = self._open.blocks()
        # What begins anew instead of going on comes from a server without ranges.
        if skip == 0 and self._divisible and (yield from tried(blocks)):
            self._open.close()
            yield from self._in_parts()
        else:
            yield from blocks

    @property
    def _divisible(self) -> bool:
        """Whether the rest can be had in parts, and is long enough."""
        return (
            self._connections > 1
            and is_worth_parts((self.remote.length or 0) - self.received)
            and self.remote.accepts_ranges
            and _strong_validator(self.remote) is not None
        )

    def _in_parts(self) -> Iterator[bytes]:
        link = self._open.link
        source = _PartSource(self._client, self._artifact, self.remote, link, self._budget)
        connections = self._budget.connections(self._connections, costly=link is None)
        log.info("One connection is slow: the rest of the file comes over %d.", connections)
        try:
            parts = Parts(source.open, connections, self._budget.part_size(connections))
            yield from parts.blocks(self.received, self.remote.length or 0)
        except BackupError as error:
            # One connection goes on, and judges what is in the way. A server may also stand fewer of them.
            self._connections = 1 if isinstance(error, NoPartsError) else self._connections // 2
            raise ConnectionFailedError(f"{error} One connection goes on where the file has got to.") from None

    def _reopen(self, done: int) -> int:
        """Open the file again and return how many bytes at the start of its body are here already."""
        self._open = open_file(self._client, self._artifact, Resume(done, _validator(self.remote) or ""))
        try:
            return self._overlap(done)
        except BackupError:
            self._open.close()
            raise

    def _overlap(self, done: int) -> int:
        here, there = self.remote, self._open.remote
        check_not_superseded(here.last_modified, there)
        status, headers = self._open.stream.status, self._open.stream.answer.headers
        if status == 416:
            if self._changed() or there.length not in (None, done):
                raise ReplacedFileError(_REPLACED)
            announced = "no length" if here.length is None else f"{here.length} bytes"
            raise WrongLengthError(
                f"The server announced {announced} of the file and says after {done} bytes that there are no more."
            )
        if status == 206:
            found = read_content_range(headers.get("content-range"))
            if not found or found[0] != done or self._changed():
                raise ReplacedFileError(_REPLACED)
            self._compare_lengths(found[1])
            return 0
        # A whole file instead of the rest is spliced only where it names itself the same, and not by silence.
        if _validator(there) != _validator(here):
            raise ReplacedFileError(_REPLACED)
        self._compare_lengths(there.length)
        return done

    def _compare_lengths(self, length: int | None) -> None:
        """Refuse a file that has another length than announced: the same one where it names itself so."""
        here, there = self.remote, self._open.remote
        if None in (here.length, length) or here.length == length:
            return
        if _validator(there) != _validator(here):
            raise ReplacedFileError(_REPLACED)
        raise WrongLengthError(
            f"The server announced {here.length} bytes of the file, and {length} when it was asked again."
        )

    def _changed(self) -> bool:
        return _differs(self.remote, self._open.remote)

    def _check_length(self) -> None:
        if self.remote.encoding is None and self.remote.length not in (None, self.received):
            raise ConnectionFailedError("The download ended before its announced end.")


class _PartSource:
    """Opens parts of a file, and nothing that is not exactly the part of that file.

    A link that led to the file is followed again as long as the storage takes it: links may be good for once.

    :param client: the client of the tenant's connection
    :param artifact: which file
    :param remote: what its headers said when it was begun
    :param link: the link that led there, or None where the service itself sends it
    :param budget: what may be asked of the service
    """

    def __init__(
        self, client: Client, artifact: Artifact, remote: RemoteFile, link: str | None, budget: Budget
    ) -> None:
        self._client = client
        self._artifact = artifact
        self._remote = remote
        self._link = link
        self._budget = budget
        self._lasting = True
        self._reused = False

    def open(self, start: int, end: int) -> Stream:
        """Open the bytes from one offset to another.

        :raises NoPartsError: when something else came
        :raises BackupError: when nothing came
        """
        opened = self._open(Resume(start, _strong_validator(self._remote) or "", end))
        found = read_content_range(opened.stream.answer.headers.get("content-range"))
        there = opened.remote
        is_part = opened.stream.status == 206 and there.length == end - start and there.encoding is None
        if not is_part or found != (start, self._remote.length) or _differs(self._remote, there):
            opened.close()
            raise NoPartsError("The server did not send the part of the file that was asked for.")
        return opened.stream

    def _open(self, resume: Resume) -> OpenFile:
        if (link := self._link) is not None:
            try:
                opened = open_file(self._client, self._artifact, resume, link)
            except SpentLinkError:
                # One that was good more than once has grown too old, and the next is again.
                self._link, self._lasting = None, self._reused
            else:
                self._reused = True
                return opened
        self._budget.spend()
        opened = open_file(self._client, self._artifact, resume)
        if self._lasting:
            self._link = opened.link
        return opened


def decoded(blocks: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Undo a content coding that was applied although it was declined.

    :param blocks: the body as sent
    :param encoding: its ``Content-Encoding``, or None
    :raises UnreadableAnswerError: for a coding that is not known, and a body that is not in it
    :raises ConnectionFailedError: when the body ends before the coding does
    """
    if encoding is None:
        yield from blocks
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnreadableAnswerError(f"The file came in the coding {encoding[:40]!r}, which was not asked for.")
    decoder = _new_decoder()
    for block in blocks:
        try:
            coded = block
            while coded:
                # gzip allows several members, one after the other.
                decoder = _new_decoder() if decoder.eof else decoder
                plain = decoder.decompress(coded, _DECODED_AT_ONCE)
                while plain:
                    yield plain
                    plain = decoder.decompress(decoder.unconsumed_tail, _DECODED_AT_ONCE)
                coded = decoder.unused_data
        except zlib.error:
            raise UnreadableAnswerError(f"The file is not in the coding {encoding!r} it claims.") from None
    if not decoder.eof:
        raise ConnectionFailedError("The download ended in the middle of its content coding.")


def identify(remote: RemoteFile) -> tuple[object, ...] | None:
    """Return what tells a file from every other one without its bytes, or None where the headers do not.

    :param remote: what the headers say
    """
    validator = _validator(remote)
    # The same bytes may be another job's: what was written anew counts as another file.
    return None if validator is None else (validator, remote.last_modified, remote.length)


def _validator(remote: RemoteFile) -> str | None:
    """Return what identifies a file: a weak ETag does not, and a decoded body cannot be cut."""
    etag, modified = remote.etag, remote.last_modified
    if remote.encoding is not None:
        return None
    if etag and not etag.startswith("W/"):
        return etag
    return f"{modified:%a, %d %b %Y %H:%M:%S GMT}" if modified and not etag else None


def _pause_after(failures: int) -> float:
    """Return how long to wait after so many failures in a row: many downloads may have broken at once."""
    return min(2.0 ** (failures - 1), LONGEST_PAUSE) + random.random()  # noqa: S311 - spreads load, hides nothing


def _strong_validator(remote: RemoteFile) -> str | None:
    """Return what identifies every byte of a file: a time does only once it has passed (RFC 9110, 8.8.2.2)."""
    settled = remote.last_modified is not None and remote.date - remote.last_modified >= _SETTLED
    return _validator(remote) if remote.etag or settled else None


def _differs(here: RemoteFile, there: RemoteFile) -> bool:
    """Tell whether an answer names another file than the one that was begun."""
    return (there.etag or here.etag, there.last_modified or here.last_modified) != (here.etag, here.last_modified)


def _new_decoder() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)


def _opened(stream: Stream, read: Callable[[Answer], RemoteFile], link: str | None) -> OpenFile:
    try:
        return OpenFile(read(stream.answer), stream, link)
    except ServiceError:
        stream.close()
        raise


def _link_request(request: Request) -> Request:
    return Request(request.method, request.path, headers=request.headers, authenticated=False)
