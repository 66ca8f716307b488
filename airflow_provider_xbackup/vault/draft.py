"""One attempt to store a backup in a vault: what it writes, in which order, and what it takes back."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup, read_manifest
from airflow_provider_xbackup.vault.encoding import Digest, Encoded
from airflow_provider_xbackup.vault.errors import (
    DifferentBytesError,
    IncompleteWriteError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    VaultAccessError,
    VaultError,
)
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.locks import Lock, lock_files
from airflow_provider_xbackup.vault.manifest import (
    Artifact,
    Condition,
    Manifest,
    Producer,
    Remote,
    Scope,
    to_json,
)
from airflow_provider_xbackup.vault.waiting import GRACE, within

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.vault import Vault

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Facts about bytes that were encoded before they reach the vault.

    :param size: length of the plain bytes
    :param sha256: digest of the plain bytes
    :param stored_size: length as stored
    :param stored_sha256: digest as stored
    :param compression: ``zstd`` or None
    :param encryption: ``age`` or None
    :param recipients_sha256: what tells the keys it is encrypted to
    """

    size: int
    sha256: str
    stored_size: int
    stored_sha256: str
    compression: str | None = None
    encryption: str | None = None
    recipients_sha256: str | None = None

    @classmethod
    def of(cls, encoded: Encoded) -> StoredBytes:
        """Take the facts of an encoding that has ended."""
        return cls(
            encoded.plain.size,
            encoded.plain.sha256,
            encoded.stored.size,
            encoded.stored.sha256,
            encoded.compression,
            encoded.encryption,
            encoded.recipients_sha256,
        )


class Draft:
    """One attempt to store one backup. What it writes is invisible until :meth:`commit` wrote the manifest.

    Artifacts may be added from several threads. Used as a context manager it discards itself when an
    error passes through.

    :param vault: the vault
    :param path: the backup's folder
    :param lock: for how long, and how hard, the backup is locked
    """

    def __init__(self, vault: Vault, path: BackupPath, lock: Lock | None = None) -> None:
        self.vault = vault
        self.path = path
        self.lock = lock
        self.nonce = layout.new_nonce()
        self._store = vault.store
        self._lock = threading.Lock()
        self._tried: dict[str, str] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._manifest_tried = False

    def __repr__(self) -> str:
        return f"Draft({self.vault.url.join(self.path.folder)!r}, nonce={self.nonce!r})"

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        if issubclass(kind, Exception):
            self.discard()
        else:  # an interrupted process has seconds, and a store that does not answer takes minutes
            within(GRACE, self._abandon)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What was added so far, in the order of the roles."""
        with self._lock:
            return tuple(self._artifacts[role] for role in layout.ROLES if role in self._artifacts)

    def add(
        self,
        role: str,
        blocks: Iterable[bytes],
        *,
        media_type: str,
        expected_size: int | None = None,
        compress: bool = False,
        recipients: Sequence[str] = (),
    ) -> Artifact:
        """Store one file from its plain bytes: digest, zstd, age, digest, store, in flat memory.

        When it fails it may be called again for the same role; an error of the iterator is raised as it
        is and leaves nothing in the store.

        :param role: ``backup``, ``attachments`` or ``bot``
        :param blocks: the plain bytes
        :param media_type: of the plain bytes
        :param expected_size: about how many there will be, None when unknown
        :param compress: whether to compress them
        :param recipients: age public keys to encrypt to, see :func:`encoding.parse_recipients`
        :return: what the manifest will say about it
        :raises VaultError: when the store does not take it
        """
        encoded = Encoded(blocks, compress=compress, recipients=recipients)
        name = layout.artifact_name(role, self.nonce, compressed=compress, encrypted=bool(recipients))
        version_id = self._put(role, name, encoded, expected_size, media_type)
        return self._keep(role, name, media_type, StoredBytes.of(encoded), version_id)

    def add_stored(self, role: str, blocks: Iterable[bytes], facts: StoredBytes, *, media_type: str) -> Artifact:
        """Store one file whose bytes were encoded before, and spooled.

        :param role: ``backup``, ``attachments`` or ``bot``
        :param blocks: the bytes as they are to be stored
        :param facts: what is known about them
        :param media_type: of the plain bytes
        :return: what the manifest will say about it
        :raises DifferentBytesError: when the bytes are not those of the facts; nothing is stored
        :raises VaultError: when the store does not take it
        """
        name = layout.artifact_name(
            role, self.nonce, compressed=facts.compression is not None, encrypted=facts.encryption is not None
        )
        checked = matching(blocks, facts, self.vault.url.join(self.path.file(name)))
        version_id = self._put(role, name, checked, facts.stored_size, media_type)
        return self._keep(role, name, media_type, facts, version_id)

    def commit(
        self,
        *,
        requested_at: datetime,
        producer: Producer | Mapping[str, Any],
        scope: Scope | Mapping[str, Any] = Scope(),  # noqa: B008 - immutable
        modified_since: datetime | None = None,
        base: str | None = None,
        condition: Condition | Mapping[str, Any] = Condition(),  # noqa: B008 - immutable
        remote: Remote | Mapping[str, Any] = Remote(),  # noqa: B008 - immutable
        entities: Mapping[str, int] | None = None,
        projects: Collection[str] | None = None,
        completed_at: datetime | None = None,
    ) -> Backup:
        """Make the backup exist: look at every artifact, write the manifest, look at every artifact again.

        A backup that is to be locked has its artifacts locked before its manifest is written, so that there
        is none where that fails, and its manifest right after. Where another attempt has committed the same
        backup before, that one is returned; compare :attr:`Backup.manifest` to tell. From here on this attempt
        deletes nothing any more.

        :param requested_at: when the vendor was asked, by the vendor's clock
        :param producer: what made the backup
        :param scope: what was asked for
        :param modified_since: what a partial reaches back to
        :param base: the id of the full backup that a partial builds on
        :param condition: whether the backup can be relied on
        :param remote: where it came from
        :param entities: counts by type, None where the content was not read
        :param projects: ids of the projects that something of is in it, None where nobody looked
        :param completed_at: when all artifacts were stored; default now
        :return: the backup, this attempt's or the one that was first
        :raises IncompleteWriteError: when an artifact is missing or has another size; there is no backup
        :raises ForeignBackupError: when the one that was first is another job's
        :raises VaultError: when the store does not take the manifest, or a lock; run again, it converges
        """
        self._make_sure_of_artifacts()
        manifest = Manifest.model_validate(
            {
                "service": self.path.service,
                "account": self.path.account,
                "backup_id": self.path.backup_id,
                "kind": layout.parse_backup_id(self.path.backup_id).kind,
                "modified_since": modified_since,
                "base": base,
                "scope": scope,
                "requested_at": requested_at,
                "completed_at": completed_at or datetime.now(UTC),
                "condition": condition,
                "remote": remote,
                "artifacts": self.artifacts,
                "entities": None if entities is None else dict(entities),
                "projects": None if projects is None else sorted(projects, key=lambda one: (len(one), one)),
                "producer": producer,
            }
        )
        return self._publish(manifest, manifest.to_json())

    def commit_copy(self, original: bytes) -> Backup:
        """Make the copy of a backup exist, in the order of :meth:`commit`.

        :param original: the manifest of the original, as stored: what it says stays, but for the names of
            this copy's files. Fields that this release does not know stay as well.
        :return: the backup, this attempt's or the one that was first
        :raises ManifestError: when the original is damaged
        :raises IncompleteWriteError: when an artifact is missing or has another size; there is no backup
        :raises VaultError: when the store does not take the manifest; run again, it converges
        """
        Manifest.from_json(original)
        self._make_sure_of_artifacts()
        files = [artifact.model_dump(mode="json") for artifact in self.artifacts]
        data = to_json(json.loads(original) | {"artifacts": files})
        return self._publish(Manifest.from_json(data), data)

    def _publish(self, manifest: Manifest, data: bytes) -> Backup:
        self._manifest_tried = True
        try:
            self._store.create(self.path.manifest, data)
        except ObjectExistsError:
            # Another attempt's, or our own: a store's client may repeat a write that had succeeded.
            found = read_manifest(self._store, self.path)
            if not self._own(found):
                return self._of_the_first(found, manifest)
            manifest = found
        except StoreUnavailableError:
            if not self._is_published():  # only the answer may have been lost
                raise
        try:
            self._look_at(self.artifacts)
        except IncompleteWriteError:
            if not self._withdraw():
                return self._of_the_first(read_manifest(self._store, self.path), manifest)
            raise
        return self._committed(manifest)

    def _of_the_first(self, found: Manifest, own: Manifest) -> Backup:
        """Take the backup of the attempt that was first, if it is of the same job."""
        Backup(self.vault.url, self.path, found).refuse_other_job(own.remote.job_id)
        return self._committed(found)

    def _committed(self, manifest: Manifest) -> Backup:
        backup = Backup(self.vault.url, self.path, manifest)
        self.vault.keep_locked(backup, self.lock)
        return backup

    def _make_sure_of_artifacts(self) -> None:
        """Look at all that was added, and lock it where the backup is to be locked and nobody was first."""
        listed = self._look_at(self.artifacts)
        if self.lock is not None and self.path.manifest not in listed:
            lock_files(self._store, self.lock, self.path, self.artifacts)

    def take_back(self, role: str) -> None:
        """Remove a file that was added, as far as that is possible; another may be added in its place.

        :param role: ``backup``, ``attachments`` or ``bot``
        """
        with self._lock:
            artifact = self._artifacts.pop(role)
        with contextlib.suppress(VaultError):  # it is written over, or is garbage that retention collects
            self._store.delete(self.path.file(artifact.name))

    def discard(self) -> None:
        """Remove what this attempt has stored, as far as that is possible, unless a manifest was tried."""
        if self._manifest_tried:
            return
        with self._lock:
            names = list(self._tried.values())
            self._tried.clear()
            self._artifacts.clear()
        for name in names:
            # What stays is garbage that retention collects; the error that led here matters more.
            with contextlib.suppress(Exception):
                self._store.delete(self.path.file(name))

    def _abandon(self) -> None:
        """Discard, and abort uploads that were left to themselves because they could not end in time."""
        with self._lock:
            targets = {self.path.file(name) for name in self._tried.values()}
        if self._manifest_tried or not targets:
            return
        self.discard()
        with contextlib.suppress(Exception):
            for leftover in self._store.leftovers(self.path.folder):
                if leftover.target in targets:
                    self._store.clear(leftover)

    def _put(
        self, role: str, name: str, blocks: Iterable[bytes], expected_size: int | None, media_type: str
    ) -> str | None:
        with self._lock:
            if role in self._artifacts or self._manifest_tried:
                raise ValueError(f"the role {role!r} of {self!r} is taken")
            self._tried[role] = name
        stored = self._store.put_stream(
            self.path.file(name), blocks, expected_size=expected_size, media_type=media_type
        )
        return stored.version_id

    def _keep(self, role: str, name: str, media_type: str, facts: StoredBytes, version_id: str | None) -> Artifact:
        artifact = Artifact(
            name=name,
            role=role,
            size=facts.size,
            sha256=facts.sha256,
            stored_size=facts.stored_size,
            stored_sha256=facts.stored_sha256,
            media_type=media_type,
            compression=facts.compression,
            encryption=facts.encryption,
            recipients_sha256=facts.recipients_sha256,
            version_id=version_id,
        )
        with self._lock:
            self._artifacts[role] = artifact
        return artifact

    def _look_at(self, artifacts: Sequence[Artifact]) -> Collection[str]:
        """Compare the artifacts with what the store lists: to list takes no right to read them.

        :return: what lies in the backup's folder
        """
        if not artifacts:
            raise IncompleteWriteError(f"Nothing was stored for the backup {self._where}.")
        sizes = {found.path: found.size for found in self._store.list(self.path.folder)}
        for artifact in artifacts:
            size = sizes.get(self.path.file(artifact.name))
            if size != artifact.stored_size:
                found = "is missing" if size is None else f"has {size} bytes"
                raise IncompleteWriteError(
                    f"{self.vault.url.join(self.path.file(artifact.name))} {found} after "
                    f"{artifact.stored_size} bytes were written. The backup {self._where} does not exist; "
                    "run the task again. If it happens again, look for what removes objects there."
                )
        return sizes

    def _is_published(self) -> bool:
        try:
            return self._own(read_manifest(self._store, self.path))
        except VaultError:
            return False

    def _withdraw(self) -> bool:
        """Remove the own manifest; False when it is another's by now."""
        try:
            if not self._own(read_manifest(self._store, self.path)):
                return False
        except ObjectMissingError:
            return True
        try:
            self._store.delete(self.path.manifest)
        except VaultAccessError as refusal:  # of a worker that may delete nothing
            raise IncompleteWriteError(
                f"A file of the backup {self._where} went when its manifest was written, and the manifest could "
                "not be taken back, so the backup is damaged. Have its folder removed, then run the task again. "
                f"{refusal}"
            ) from None
        return True

    def _own(self, manifest: Manifest) -> bool:
        return any(layout.nonce_of(artifact.name) == self.nonce for artifact in manifest.artifacts)

    @property
    def _where(self) -> str:
        return self.vault.url.join(self.path.folder)


def matching(blocks: Iterable[bytes], facts: StoredBytes, where: str) -> Iterator[bytes]:
    """Pass stored bytes on, and fail at their end if they are not those of the facts.

    :param blocks: the bytes as they are to be stored
    :param facts: what is known about them
    :param where: where they go, for the error
    :raises DifferentBytesError: so that a store never completes the object
    """
    digest = Digest()
    yield from digest.of(blocks)
    if (digest.size, digest.sha256) != (facts.stored_size, facts.stored_sha256):
        what = (
            f"their SHA-256 is {digest.sha256} and should be {facts.stored_sha256}"
            if digest.size == facts.stored_size
            else f"{digest.size} bytes instead of {facts.stored_size}"
        )
        raise DifferentBytesError(
            f"The bytes for {where} are not those that were announced: {what}. Nothing was stored."
        )
