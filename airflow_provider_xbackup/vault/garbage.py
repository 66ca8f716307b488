"""Garbage: what attempts that failed, and processes that died, have left in a vault.

No manifest names it, so no reader ever sees it; it only costs. What is garbage, and what is left alone, is in
docs/vault-format.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Literal

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import read_manifest
from airflow_provider_xbackup.vault.errors import (
    ManifestError,
    ObjectMissingError,
    StoreUnavailableError,
    UnwritableFolderError,
    VaultAccessError,
    VaultError,
)
from airflow_provider_xbackup.vault.holds import is_held
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.leftovers import Leftover
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.stored import StoredObject
from airflow_provider_xbackup.vault.vault import Vault

#: How long it is left alone: far longer than any attempt takes.
GARBAGE_AFTER = timedelta(days=7)

What = Literal["attempt", "record", "clock", "temporary", "folder", "upload"]


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that may go.

    :param path: its path inside the vault; of an upload, that of the object it was to become
    :param size: bytes
    :param last_modified: its last sign of life, by the store's clock
    :param what: a file of an ``attempt`` that no manifest names; a ``record`` without a backup; an object that
        told the store's ``clock``; a ``temporary`` file or an empty ``folder`` on disk; an open multipart
        ``upload`` on S3
    """

    path: str
    size: int
    last_modified: datetime
    what: What
    _leftover: Leftover | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that the store did not let go. The next collection tries again.

    :param path: its path inside the vault
    :param reason: what the store said, for people
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """What came of collecting garbage.

    :param removed: what is gone
    :param refused: what the store did not let go
    """

    removed: tuple[Garbage, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes are gone. In a bucket that keeps versions they stay until its own rule removes them."""
        return sum(garbage.size for garbage in self.removed)


def _now() -> datetime:
    return datetime.now(UTC)


def find_garbage(
    vault: Vault, *, older_than: timedelta = GARBAGE_AFTER, now: Callable[[], datetime] = _now
) -> Iterator[Garbage]:
    """Find what :func:`collect_garbage` would remove, and remove nothing.

    The vault is listed once, the folder of one backup held at a time. Only folders in which something could
    be garbage are looked at closer: each is listed again and its manifest read.

    :param vault: the vault
    :param older_than: how long it must have shown no sign of life, by the store's clock and by this machine's;
        with zero its age does not matter, which is safe only while nothing else writes into the vault
    :param now: what the time is here
    :return: the garbage, found while it is iterated
    :raises InvalidArgumentError: when the age is negative
    :raises VaultError: when the store does not answer
    """

    def clock(path: str) -> datetime:
        try:
            return vault.store.clock(path)
        except (VaultAccessError, UnwritableFolderError):
            return now()  # who may only read may look all the same

    age = _Age(older_than, now, clock)
    yield from _unnamed(vault.store, age)
    yield from _unfinished(vault.store, age)


def collect_garbage(
    vault: Vault, *, older_than: timedelta = GARBAGE_AFTER, now: Callable[[], datetime] = _now
) -> Collection:
    """Remove the garbage of a vault. It may be repeated, and killed anywhere.

    Immediately before something of a folder goes, the folder is listed again and its manifest read again, so
    that a backup that was committed meanwhile keeps its files.

    :param vault: the vault
    :param older_than: see :func:`find_garbage`
    :param now: what the time is here
    :return: what went, and what the store refused to remove
    :raises InvalidArgumentError: when the age is negative
    :raises VaultError: when the store does not answer, or does not tell what there is
    """
    store = vault.store
    age = _Age(older_than, now, store.clock)
    removed: list[Garbage] = []
    refused: list[Refusal] = []

    def remove(found: Iterable[Garbage]) -> None:
        for garbage in found:
            try:
                gone = _remove(store, garbage)
            except StoreUnavailableError:
                raise
            except VaultError as exc:
                refused.append(Refusal(garbage.path, str(exc)))
            else:
                if gone:
                    removed.append(garbage)

    remove(_unnamed(store, age))
    try:
        remove(_unfinished(store, age))
    except VaultAccessError as exc:  # to see them takes a permission of its own
        refused.append(Refusal("", str(exc)))
    return Collection(tuple(removed), tuple(refused))


class _Age:
    """Tells what is old: by this machine's clock, and by the store's, which is asked once and only if needed."""

    def __init__(
        self, older_than: timedelta, now: Callable[[], datetime], clock: Callable[[str], datetime]
    ) -> None:
        if older_than < timedelta(0):
            raise InvalidArgumentError(f"Garbage cannot be younger than nothing: {older_than} is negative.")
        self._older_than = older_than
        self._now = now()
        self._clock = clock
        self._clocks: datetime | None = None

    @property
    def now(self) -> datetime:
        """This machine's time when the search began."""
        return self._now

    def is_over(self, stored: datetime | None, service: str) -> bool:
        """Tell whether something that showed its last sign of life at an instant is old."""
        if not self._older_than:
            return True
        if stored is None or self._now - stored < self._older_than:
            return False
        if self._clocks is None:
            self._clocks = min(self._now, self._clock(layout.clock_path(service)))
        return self._clocks - stored >= self._older_than


@dataclass(frozen=True, slots=True)
class _Folder:
    """A backup's folder of which something may go."""

    objects: Mapping[str, StoredObject]
    manifest: Manifest | None

    @property
    def kept(self) -> frozenset[str]:
        """The nonces of the attempts whose files count."""
        if self.manifest is None:
            return frozenset()
        return frozenset(filter(None, (layout.nonce_of(artifact.name) for artifact in self.manifest.artifacts)))


def _unnamed(store: Store, age: _Age) -> Iterator[Garbage]:
    """Find the objects that no manifest names. A listing holds the objects of a folder side by side."""
    for service in layout.SERVICES:
        for path, neighbours in groupby(store.list(service), key=_folder_of):
            if path is None:
                for stored in neighbours:
                    if layout.is_clock(stored.path) and age.is_over(stored.last_modified, service):
                        yield _garbage(stored, "clock")
            elif _needs_a_look(_by_name(path, neighbours), age, service):
                yield from _in_folder(store, path, age)


def _needs_a_look(objects: Mapping[str, StoredObject], age: _Age, service: str) -> bool:
    """Tell whether a folder may hold garbage: one with a manifest and the files of one attempt does not."""
    nonces = {layout.nonce_of(name) for name in objects} - {None}
    if layout.MANIFEST in objects and len(nonces) < 2:
        return False
    return any(_is_ours(name) and age.is_over(found.last_modified, service) for name, found in objects.items())


def _in_folder(store: Store, path: BackupPath, age: _Age) -> list[Garbage]:
    folder = _look_into(store, path, age.now)
    if folder is None:
        return []
    garbage: list[Garbage] = []
    attempts: dict[str, list[StoredObject]] = {}
    for name, stored in folder.objects.items():
        nonce = layout.nonce_of(name)
        if nonce is not None and nonce not in folder.kept:
            attempts.setdefault(nonce, []).append(stored)
    for files in attempts.values():
        if _are_old(files, age, path.service):
            garbage += (_garbage(stored, "attempt") for stored in files)
    if folder.manifest is None and _are_old(folder.objects.values(), age, path.service):
        garbage += (
            _garbage(stored, "record") for name, stored in folder.objects.items() if layout.is_record(name)
        )
    return garbage


def _look_into(store: Store, path: BackupPath, now: datetime) -> _Folder | None:
    """List a folder, then read its manifest, whose word is the last.

    :return: the folder, or None where nothing of it may go
    """
    objects = _by_name(path, store.list(path.folder))
    try:
        manifest = read_manifest(store, path)
    except ManifestError:
        return None  # nobody knows what it names
    except ObjectMissingError:
        # A tombstone means that a removal has begun and will be finished.
        if layout.TOMBSTONE in objects or (layout.HOLD in objects and is_held(store, path, now)):
            return None
        return _Folder(objects, None)
    if any(artifact.name not in objects for artifact in manifest.artifacts):
        return None  # another attempt's files may be the only ones that are left
    return _Folder(objects, manifest)


def _unfinished(store: Store, age: _Age) -> Iterator[Garbage]:
    """Find what listings do not show."""
    for service in layout.SERVICES:
        for leftover in store.leftovers(service):
            path = _owner_of(leftover)
            if (
                path is not None
                and age.is_over(leftover.last_modified, service)
                and _look_into(store, path, age.now) is not None
            ):
                yield Garbage(leftover.path, leftover.size, leftover.last_modified, leftover.kind, leftover)


def _owner_of(leftover: Leftover) -> BackupPath | None:
    """Return the backup whose folder something is, or lies in; None where it is foreign."""
    found = BackupPath.of(f"{leftover.target}/" if leftover.kind == "folder" else leftover.target)
    if found is None:
        return None
    path, name = found
    ours = name in ("", f"{layout.CHECKS}/") if leftover.kind == "folder" else _is_ours(name)
    return path if ours else None


def _is_ours(name: str) -> bool:
    return name == layout.MANIFEST or layout.nonce_of(name) is not None or layout.is_record(name)


def _are_old(files: Iterable[StoredObject], age: _Age, service: str) -> bool:
    """Tell whether all are old: an attempt, or a copy that goes on, is as young as its last file."""
    return all(age.is_over(stored.last_modified, service) for stored in files)


def _remove(store: Store, garbage: Garbage) -> bool:
    return store.delete(garbage.path) if garbage._leftover is None else store.clear(garbage._leftover)


def _garbage(stored: StoredObject, what: What) -> Garbage:
    return Garbage(stored.path, stored.size, stored.last_modified or _now(), what)


def _folder_of(stored: StoredObject) -> BackupPath | None:
    found = BackupPath.of(stored.path)
    return found[0] if found else None


def _by_name(path: BackupPath, objects: Iterable[StoredObject]) -> dict[str, StoredObject]:
    return {stored.path.removeprefix(f"{path.folder}/"): stored for stored in objects}
