"""The objects of a vault: one API for local disk, S3, GCS and Azure, over obstore.

Every error of a store leaves as one of :mod:`airflow_provider_xbackup.vault.errors`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_xbackup.vault.console import Console
from airflow_provider_xbackup.vault.errors import (
    IncompleteWriteError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableObjectError,
    VaultError,
)
from airflow_provider_xbackup.vault.leftovers import Leftover
from airflow_provider_xbackup.vault.remembered import Remembered
from airflow_provider_xbackup.vault.source import Source
from airflow_provider_xbackup.vault.stored import StoredObject, version_of
from airflow_provider_xbackup.vault.translate import (
    GoneUploadError,
    LostAnswerError,
    UnclearDeletionError,
    UnconditionalStoreError,
    translated,
)
from airflow_provider_xbackup.vault.url import VaultUrl
from airflow_provider_xbackup.vault.waiting import begin, handed_over, interruptible, result_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore
    from tenacity import AttemptManager

    from airflow_provider_xbackup.vault.objectlocks import ObjectLocks
    from airflow_provider_xbackup.vault.uploads import OpenUploads
    from airflow_provider_xbackup.vault.versions import BucketVersions

T = TypeVar("T")

_MIB = 1024 * 1024
#: Of one part of an upload. S3 takes 5 MiB at least, and 10,000 parts at most: 97 GiB of unknown length.
PART_SIZE = 10 * _MIB
MAX_PARTS = 10_000
#: Of all parts under way at once; it bounds the memory of an upload.
_IN_FLIGHT = 40 * _MIB
_READ_SIZE = 8 * _MIB
_LIST_CHUNK = 1000


def part_size(expected_size: int | None) -> int:
    """Return the size of the parts of an upload, so that their number stays within every store's limit.

    :param expected_size: the length that is expected, with 10 % of grace; None when unknown
    :return: bytes, whole MiB
    """
    needed = -(-(expected_size or 0) * 11 // (10 * MAX_PARTS))
    return max(PART_SIZE, -(-needed // _MIB) * _MIB)


class Store:
    """The objects below a vault URL. Paths are relative to it and never begin with a slash.

    :param url: the vault, for messages
    :param connect: makes the obstore store, rooted at the vault
    :param connect_quickly: the same, with timeouts short enough to tell at once that nobody answers;
        used for the first request only
    :param uploads: the store's open multipart uploads, where there is a way to see them
    :param versions: what the store keeps of deleted objects, where there is a way to see it
    :param locks: the store's object locks, where it has such
    :param of_streams: attributes of what :meth:`put_stream` writes, such as ``Storage-Class``
    :param console: where the store's vendor shows objects to people, None where that is not known
    :param account: the storage account of a container on Azure, which its URL does not name
    :param endpoint: the address of its server, None for the vendor's own
    """

    def __init__(
        self,
        url: VaultUrl,
        connect: Callable[[], ObjectStore],
        connect_quickly: Callable[[], ObjectStore] | None = None,
        *,
        uploads: OpenUploads | None = None,
        versions: BucketVersions | None = None,
        locks: ObjectLocks | None = None,
        of_streams: Mapping[str, str] = MappingProxyType({}),
        console: Console | None = None,
        account: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        self.url = url
        self.versions = versions
        self.locks = locks
        self.account = account
        self.endpoint = endpoint
        self._of_streams = of_streams
        self._console = console
        self._connect = connect
        self._connect_quickly = connect_quickly or connect
        self._uploads = uploads
        self._opened: ObjectStore | None = None
        self._prepared = False
        self._remembered = Remembered()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.url)!r})"

    # -- the vault itself ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make sure that the vault can be written, before anything costly is done. Cheap when repeated.

        On disk the folder is made, and some bytes are written and flushed; elsewhere one listing request asks
        for the bucket.

        :raises MissingBucketError: when the bucket does not exist
        :raises UnwritableFolderError: when the folder cannot be made or written
        :raises NoSpaceError: when its disk takes no bytes
        :raises VaultAccessError: when the credentials are refused
        :raises StoreUnavailableError: when nobody answers
        """
        if not self._prepared:
            self._prepare()
            self._prepared = True

    def require(self) -> None:
        """Make sure that there is a vault to read.

        :raises MissingVaultError: when its folder does not exist
        :raises MissingBucketError: when its bucket does not exist
        :raises VaultAccessError: when the credentials are refused
        :raises StoreUnavailableError: when nobody answers
        """
        self.prepare()

    def _prepare(self) -> None:
        import obstore

        probe = self._connect_quickly()
        self._do("open", "", lambda: obstore.list_with_delimiter(probe))

    def console_url(self, path: str) -> str | None:
        """Return where the store's vendor shows an object to people, or None where that is not known."""
        return None if self._console is None else self._console(self.url.bucket, self.url.key(path))

    def free_space(self) -> int | None:
        """Return how many bytes can still be stored, or None where that is not known.

        :raises VaultError: when the store does not tell
        """
        return None

    # -- writing ---------------------------------------------------------------------------------------

    def put_stream(
        self,
        path: str,
        blocks: Iterable[bytes],
        *,
        expected_size: int | None = None,
        media_type: str | None = None,
    ) -> StoredObject:
        """Write an object from blocks of any size, in flat memory.

        An error of the iterator leaves no object, no temporary file and no open upload, and is raised as
        it is.

        :param path: where
        :param blocks: the bytes
        :param expected_size: about how many there will be, None when unknown
        :param media_type: stored as Content-Type, where the store keeps one
        :return: what was written
        :raises VaultError: when the store does not take it
        """
        return self._write(path, blocks, expected_size, {**self._attributes(media_type), **self._of_streams})

    def put(self, path: str, data: bytes, *, media_type: str | None = None) -> StoredObject:
        """Write a small object, replacing one that is there.

        :raises VaultError: when the store does not take it
        """
        return self._write(path, [data], len(data), self._attributes(media_type))

    def _write(
        self, path: str, blocks: Iterable[bytes], expected_size: int | None, attributes: dict[str, str]
    ) -> StoredObject:
        source = Source(blocks)
        try:
            result = self._save(path, source, expected_size, attributes)
        except BaseException:
            self._cleanup(path)
            error, source.error = source.error, None
            if error is not None:
                try:
                    raise error from None
                finally:
                    del error  # as in _told
            raise
        return StoredObject(path, source.size, result["e_tag"], version_of(result["version"]))

    def _save(self, path: str, source: Source, expected_size: int | None, attributes: dict[str, str]) -> Any:
        """Write what a source holds; an error of the source may come out as the store's."""
        import obstore

        part = part_size(expected_size)
        head = source.take(part)
        in_parts = not source.exhausted
        body: Any = itertools.chain(head, source) if in_parts else b"".join(head)
        del head

        def put(body: Any) -> Any:
            return obstore.put(
                self._raw(write=True),
                path,
                body,
                attributes=attributes,
                use_multipart=in_parts,
                chunk_size=part,
                max_concurrency=max(1, min(4, _IN_FLIGHT // part)),
            )

        if in_parts:
            return self._in_parts(path, source, lambda: handed_over(body, put))
        return self._do("write", path, lambda: put(body))

    def _in_parts(self, path: str, source: Source, put: Callable[[], Any]) -> Any:
        """Write an object in parts. A lost answer to the last request is asked for again, and finds no parts."""
        try:
            return self._told("write", path, put)
        except GoneUploadError:
            folder = path.rpartition("/")[0]
            there = next((found for found in self.list(folder) if found.path == path), None)
            if there is None or there.size != source.size:
                raise IncompleteWriteError(
                    f"{self.url.join(path)} was not written: its parts went before they were put together. Look "
                    "for what aborts uploads there, then try again."
                ) from None
        return {"e_tag": there.etag, "version": None}

    def create(self, path: str, data: bytes, *, media_type: str | None = "application/json") -> StoredObject:
        """Write a small object that must not exist yet.

        Its absence is asked for first, because some stores ignore the condition of a write without a word.
        There two writers at the same instant may both succeed, and the last one's bytes stay; everywhere
        else one of them gets the error.

        :raises ObjectExistsError: when it exists
        :raises VaultError: when the store does not take it
        """
        import obstore

        attributes = self._attributes(media_type)

        def put(mode: str) -> Any:
            return obstore.put(
                self._raw(write=True),
                path,
                data,
                attributes=attributes,
                mode=mode,  # type: ignore[arg-type]
                use_multipart=False,
            )

        if self.exists(path):
            raise ObjectExistsError(f"{self.url.join(path)} exists already.")
        try:
            result = self._do("create", path, lambda: put("create"))
        except UnconditionalStoreError:
            result = self._do("create", path, lambda: put("overwrite"))
        return StoredObject(path, len(data), result["e_tag"], version_of(result["version"]))

    def delete(self, path: str) -> bool:
        """Remove an object.

        :return: False where the store said that there was none; S3 does not say
        :raises VaultError: when the store refuses
        """
        import obstore

        try:
            for attempt in _repeating():
                with attempt:
                    self._do("remove", path, lambda: obstore.delete(self._raw(), path))
        except ObjectMissingError:
            return False
        except UnclearDeletionError:  # as juicefs answers
            if self.exists(path):
                raise
        return True

    # -- reading ---------------------------------------------------------------------------------------

    def remember(self, remembered: Remembered) -> None:
        """Read manifests and records once: those that a listing shows unchanged are not asked for again.

        It is meant for whoever looks at a vault and changes nothing in it.

        :param remembered: what was read of this vault before
        """
        self._remembered = remembered

    def head(self, path: str) -> StoredObject:
        """Ask for an object's size and the like.

        :raises ObjectMissingError: when there is none
        :raises VaultError: when the store does not answer
        """
        import obstore

        return StoredObject.of(self._do("look at", path, lambda: obstore.head(self._raw(), path)))

    def exists(self, path: str) -> bool:
        """Tell whether an object exists.

        :raises VaultError: when the store does not answer
        """
        try:
            self.head(path)
        except ObjectMissingError:
            return False
        return True

    def read(self, path: str, *, limit: int = 64 * _MIB) -> bytes:
        """Read a small object whole.

        :param limit: refuse a larger one, which cannot be what it says it is
        :raises ObjectMissingError: when there is none
        :raises UnreadableObjectError: when it is larger, or this one object cannot be read
        :raises VaultError: when the store does not answer
        """
        data = self._remembered.recall(path)
        if data is None or len(data) > limit:
            data, etag = self._read(path, limit)
            self._remembered.keep(path, etag, data)
        return data

    def _read(self, path: str, limit: int) -> tuple[bytes, str | None]:
        import obstore

        def get() -> tuple[bytes | None, Any]:
            result = obstore.get(self._raw(), path)
            return (bytes(result.bytes()) if result.meta["size"] <= limit else None), result.meta

        data, meta = self._do("read", path, get)
        if data is None:
            raise UnreadableObjectError(
                f"{self.url.join(path)} has {meta['size']} bytes, more than the {limit} it may have."
            )
        return data, meta["e_tag"]

    def open_stream(self, path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Read an object block by block, one request for every 8 MiB, one of them ahead.

        So no request lives longer than its timeout, however slow the reader is, and memory stays flat.

        :param path: the object
        :param start: the first byte
        :param end: the byte after the last one, None for all
        :return: blocks
        :raises ObjectMissingError: when there is none
        :raises UnreadableObjectError: when this one object cannot be read, or changed meanwhile
        :raises VaultError: when the store does not answer
        """
        import obstore

        meta = self.head(path)
        end = meta.size if end is None else min(end, meta.size)
        raw = self._raw()

        def fetch(at: int) -> bytes:
            options: Any = {"range": (at, min(at + _READ_SIZE, end)), "if_match": meta.etag}
            block = self._told("read", path, lambda: bytes(obstore.get(raw, path, options=options).bytes()))
            if len(block) != min(_READ_SIZE, end - at):
                raise StoreUnavailableError(f"{self.url.join(path)} could not be read whole. Try again.")
            return block

        if start >= end:
            return
        following = begin(partial(fetch, start))
        try:
            for at in range(start + _READ_SIZE, end, _READ_SIZE):
                block = result_of(following)
                following = begin(partial(fetch, at))
                yield block
            yield result_of(following)
        finally:
            del following

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List all objects below a folder, one request for every 1,000, in no certain order.

        :param prefix: the folder, without a slash at the end; empty for the whole vault
        :return: the objects
        :raises VaultError: when the store does not answer
        """
        import obstore

        stream = self._do(
            "list", prefix, lambda: iter(obstore.list(self._raw(), prefix or None, chunk_size=_LIST_CHUNK))
        )
        while True:
            chunk = self._do("list", prefix, lambda: next(stream, None))
            if chunk is None:
                return
            for meta in chunk:
                found = StoredObject.of(meta)
                self._remembered.show(found)
                yield found

    def list_folders(self, prefix: str = "") -> tuple[str, ...]:
        """List the names of the folders directly below a folder, sorted.

        :param prefix: the folder, without a slash at the end; empty for the whole vault
        :raises VaultError: when the store does not answer
        """
        import obstore

        found = self._do("list", prefix, lambda: obstore.list_with_delimiter(self._raw(), prefix or None))
        names = (folder.rstrip("/").rsplit("/", 1)[-1] for folder in found["common_prefixes"])
        return tuple(sorted(names))

    # -- leftovers -------------------------------------------------------------------------------------

    def clock(self, path: str) -> datetime:
        """Tell what the time is by the store's own clock: an empty object is written, looked at and removed.

        :param path: where there is no object
        :raises VaultError: when the store does not take it
        """
        self.put(path, b"")
        try:
            written = self.head(path).last_modified or datetime.now(UTC)
        finally:
            with contextlib.suppress(VaultError):  # a store that locks its objects
                self.delete(path)
        # A HEAD tells whole seconds, rounded down.
        return written + timedelta(seconds=1)

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """Find writes that have not ended, which no listing shows, below a folder.

        They are found on disk and on S3; elsewhere a lifecycle rule of the bucket removes them.

        :param prefix: the folder, without a slash at the end
        :return: what is under way, and what was left by a process that died
        :raises VaultError: when the store does not answer
        """
        return iter(()) if self._uploads is None else self._uploads.find(prefix)

    def clear(self, leftover: Leftover) -> bool:
        """Remove a leftover.

        :return: False where it ended, went or went on meanwhile
        :raises VaultError: when the store refuses
        """
        return self._uploads is not None and self._uploads.abort(leftover)

    # -- below -----------------------------------------------------------------------------------------

    def _raw(self, *, write: bool = False) -> ObjectStore:  # noqa: ARG002 - a folder is made only to write
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    def _do(self, action: str, path: str, call: Callable[[], T]) -> T:
        """Do a call of the store, for whose end a signal need not wait."""
        return self._told(action, path, lambda: interruptible(call))

    def _told(self, action: str, path: str, call: Callable[[], T]) -> T:
        """Do a call, and tell what a store's error means."""
        return translated(self.url, action, path, call)

    def _attributes(self, media_type: str | None) -> dict[str, str]:
        return {"Content-Type": media_type} if media_type else {}

    def _cleanup(self, path: str) -> None:
        """Remove what a failed write may have left beside the object."""


def _repeating() -> Iterable[AttemptManager]:
    """Attempts at what may be done twice, where obstore does not ask again by itself."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    return Retrying(
        retry=retry_if_exception_type(LostAnswerError),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=5),
        reraise=True,
    )
