"""What backups a vault holds, read from the vault itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import READERS, read_ahead
from airflow_provider_xbackup.vault.checks import NO_EVIDENCE, Evidence, read_evidence
from airflow_provider_xbackup.vault.errors import (
    ForeignBackupError,
    ManifestError,
    ObjectMissingError,
    UnknownFormatError,
    UnreadableObjectError,
)
from airflow_provider_xbackup.vault.folders import Folder, Folders, Order
from airflow_provider_xbackup.vault.layout import CLOCK_TOLERANCE, BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest, Scope
from airflow_provider_xbackup.vault.standing import Standing, Verdict, judge
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.url import VaultUrl

_NAMED_BASE = re.compile(rb'"base"\s*:\s*"([0-9]{8}T[0-9]{6}Z-full-[0-9a-f]{8})"')


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a vault that somebody should look at.

    :param code: what it is, for scripts: ``damaged-manifest`` or ``dated-in-future``
    :param path: the object it is about
    :param text: what it is, for people
    """

    code: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Backups that can stand in for one another: what retention, comparisons and "latest" work on.

    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :param scope: what was asked to be in them
    """

    service: str
    account: str
    scope: Scope

    def __str__(self) -> str:
        parts = [f"{self.service}/{self.account}"]
        if self.scope.project_ids is not None:
            parts.append(f"projects {' '.join(self.scope.project_ids)}")
        if self.scope.attachments:
            parts.append("with attachments")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of a vault.

    :param url: the vault
    :param path: its folder
    :param manifest: its manifest
    :param names: what lies in its folder, as found when it was listed; None where nobody looked
    :param in_future: whether it is dated in the future, by this machine's clock
    :param evidence: what its checks add up to
    :param base_gone: whether it is a partial and the full that it builds on is in the vault no longer
    """

    url: VaultUrl
    path: BackupPath
    manifest: Manifest
    names: frozenset[str] | None = field(default=None, repr=False)
    in_future: bool = False
    evidence: Evidence = field(default=NO_EVIDENCE, repr=False)
    base_gone: bool = False

    @property
    def backup_id(self) -> str:
        """The id."""
        return self.path.backup_id

    @property
    def instant(self) -> datetime:
        """The instant in the id."""
        return layout.parse_backup_id(self.backup_id).instant

    @property
    def base(self) -> str | None:
        """The id of the full backup that it builds on, None where it stands alone."""
        return self.manifest.base

    @property
    def stored_size(self) -> int:
        """Bytes of all its files, as stored."""
        return self.manifest.stored_size

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is wrong with it, in sentences; empty where nothing is."""
        return self.verdict.flaws

    @property
    def held(self) -> bool:
        """Whether a hold kept it from expiring when it was listed."""
        return layout.HOLD in (self.names or ())

    @property
    def accepted(self) -> bool:
        """Whether it was suspect and a person accepted it."""
        return layout.ACCEPTED in (self.names or ())

    @property
    def tombstoned(self) -> bool:
        """Whether it had expired and was in its grace period when it was listed."""
        return layout.TOMBSTONE in (self.names or ())

    @property
    def without_tombstone(self) -> Backup:
        """The same as it would be if it had not expired."""
        return replace(self, names=self.names - {layout.TOMBSTONE}) if self.names and self.tombstoned else self

    def refuse_other_job(self, job_id: str | None) -> None:
        """Make sure that it is the backup of a job: its id tells the second and 8 digits of the job, and no more.

        :param job_id: the vendor's job; None where there is none
        :raises ForeignBackupError: when it is another job's
        """
        own = self.manifest.remote.job_id
        if None not in (own, job_id) and own != job_id:
            raise ForeignBackupError(
                f"The backup {self.url.join(self.path.folder)} is the one of job {own}, and not of job {job_id}, "
                "which was asked for in the same second and has an id that begins alike. Is "
                f"{self.path.account!r} the account of two tenants? Give each its own, and clear this task."
            )

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it."""
        return self._judged(in_future=self.in_future)

    def _judged(self, *, in_future: bool) -> Verdict:
        return judge(self.manifest, self.names, self.evidence, in_future=in_future, base_gone=self.base_gone)

    @property
    def state(self) -> str:
        """One word for people, of what it is and whether it is dated in the future or not.

        ``ok``, ``suspect``, ``accepted``, ``damaged``, ``incomplete``, ``held`` or ``expired``.
        """
        standing = self._judged(in_future=False).standing
        if standing is not Standing.WHOLE:
            return standing.value
        return "accepted" if self.accepted else "held" if self.held else "ok"

    @property
    def reliable(self) -> bool:
        """Whether it may be taken for what it says: it is whole, neither expired nor of the future."""
        return self.verdict.standing is Standing.WHOLE

    @property
    def damaged(self) -> bool:
        """Whether a file is gone, or a check found that something is not what it should be; not if it expired."""
        return self.verdict.standing is Standing.DAMAGED

    @property
    def verified(self) -> bool:
        """Whether all its bytes were read and found right in this vault, and nothing speaks against it since."""
        return self.verdict.verified

    @property
    def group(self) -> Group:
        """The backups that it belongs to."""
        return Group(self.path.service, self.path.account, self.manifest.scope)

    @property
    def location(self) -> str:
        """The full URL of its folder."""
        return self.url.join(self.path.folder)


class Catalog:
    """The backups of a vault, newest first, read while it is iterated. Every iteration lists anew; memory is flat.

    :param url: the vault
    :param store: its objects
    :param service: only this service
    :param account: only this account
    :param now: what the time is
    """

    def __init__(
        self,
        url: VaultUrl,
        store: Store,
        service: str | None = None,
        account: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._store = store
        self._service = service if service is None else layout.check_service(service)
        self._account = account if account is None else layout.check_account(account)
        self._now = now
        #: What the last iteration found on its way; complete when it has ended.
        self.findings: list[Finding] = []
        #: Of these, the backups whose manifest cannot be read.
        self.unreadable: list[BackupPath] = []
        #: Folders whose removal had begun when they were listed: a tombstone is left in them, and no manifest.
        self.half_removed: tuple[BackupPath, ...] = ()

    def __iter__(self) -> Iterator[Backup]:
        """Yield the backups, newest first; see :meth:`by_account` for the errors."""
        return self._read(Order.NEWEST_FIRST)

    def by_account(self) -> Iterator[Backup]:
        """Yield the backups account by account, each account's newest first.

        :raises VaultError: when the store does not answer; a damaged manifest is a finding instead
        :raises ScratchError: when the vault is very large and there is no room for temporary files
        """
        return self._read(Order.BY_ACCOUNT)

    def _read(self, order: Order) -> Iterator[Backup]:
        self.findings, self.unreadable = [], []
        now = self._now()
        folders = self.folders(order)

        def read(folder: Folder) -> Backup | Finding | None:
            path, names = folder
            try:
                return read_backup(self._url, self._store, path, names, now, folders.__contains__)
            except ObjectMissingError:  # expired between the listing and now
                return None
            except ManifestError as exc:
                return Finding("damaged-manifest", path.manifest, str(exc))

        for (path, _), found in read_ahead(read, folders, READERS):
            if isinstance(found, Finding):
                self.findings.append(found)
                self.unreadable.append(path)
            elif found is not None:
                if found.in_future:
                    self.findings.append(_dated_in_future(found))
                yield found

    def latest(self) -> Backup | None:
        """Return the newest backup that is neither expired nor dated in the future."""
        return next((backup for backup in self if not backup.tombstoned and not backup.in_future), None)

    def folders(self, order: Order = Order.NEWEST_FIRST) -> Folders:
        """List the folders that hold a manifest, with the names of all they hold.

        :param order: in which order
        :raises VaultError: when the store does not answer
        :raises ScratchError: when the vault is very large and there is no room for temporary files
        """
        services = layout.SERVICES if self._service is None else (self._service,)
        if self._account is not None:
            prefixes = [f"{service}/{self._account}" for service in services]
        else:
            prefixes = [self._service or ""]
        folders = Folders((found.path for prefix in prefixes for found in self._store.list(prefix)), order)
        self.half_removed = folders.half_removed()
        return folders


def read_backup(
    url: VaultUrl,
    store: Store,
    path: BackupPath,
    names: Iterable[str],
    now: datetime,
    is_there: Callable[[BackupPath], bool] | None = None,
) -> Backup:
    """Read a backup that was listed: its manifest, and what its checks add up to.

    :param url: the vault
    :param store: its objects
    :param path: the backup's folder
    :param names: what lies in it
    :param now: what the time is
    :param is_there: tells whether another backup is in the vault; None to ask the store
    :return: the backup
    :raises ObjectMissingError: when it is gone
    :raises ManifestError: when its manifest cannot be used, see :func:`read_manifest`
    :raises VaultError: when the store does not answer
    """
    return weigh_backup(url, store, path, read_manifest(store, path), names, now, is_there)


def weigh_backup(
    url: VaultUrl,
    store: Store,
    path: BackupPath,
    manifest: Manifest,
    names: Iterable[str],
    now: datetime,
    is_there: Callable[[BackupPath], bool] | None = None,
) -> Backup:
    """Complete a backup whose manifest was read with what its checks add up to; see :func:`read_backup`."""
    listed = frozenset(names)
    evidence = read_evidence(store, path, listed, str(url.without_connection), now)
    # A listing is not of one instant: it may show a manifest and have missed a file that came just before it.
    missed = {
        one.name for one in manifest.artifacts if one.name not in listed and _is_there(store, path, one.name)
    }
    in_future = layout.parse_backup_id(path.backup_id).instant > now + CLOCK_TOLERANCE
    base_gone = manifest.base is not None and not (is_there or _asked_of(store))(
        BackupPath(path.service, path.account, manifest.base)
    )
    return Backup(url, path, manifest, listed | missed, in_future, evidence, base_gone)


def _asked_of(store: Store) -> Callable[[BackupPath], bool]:
    return lambda path: _is_there(store, path, layout.MANIFEST)


def _is_there(store: Store, path: BackupPath, name: str) -> bool:
    try:
        return store.exists(path.file(name))
    except UnreadableObjectError:
        return True


def read_manifest(store: Store, path: BackupPath) -> Manifest:
    """Read the manifest of a backup.

    :raises ObjectMissingError: when there is none, so that there is no such backup
    :raises UnknownFormatError: when it is of an unknown version
    :raises ManifestError: when it is damaged, is another backup's, or cannot be read though the store answers
    :raises VaultError: when the store does not answer
    """
    return read_stored_manifest(store, path)[0]


def read_stored_manifest(store: Store, path: BackupPath) -> tuple[Manifest, bytes]:
    """Read the manifest of a backup, and return it as it is stored as well; see :func:`read_manifest`."""
    kind: type[ManifestError] = ManifestError
    try:
        data = store.read(path.manifest)
        manifest = Manifest.from_json(data)
    except UnknownFormatError as exc:
        kind, reason = UnknownFormatError, str(exc)
    except (ManifestError, UnreadableObjectError) as exc:
        reason = str(exc).removesuffix(".")
    else:
        named = BackupPath(manifest.service, manifest.account, manifest.backup_id)
        if named == path:
            return manifest, data
        reason = f"it belongs to {named.folder!r}"
    raise kind(
        f"The manifest {store.url.join(path.manifest)} cannot be used: {reason}. The backup's other files "
        "are untouched; other backups are not affected."
    )


def read_named_base(store: Store, path: BackupPath) -> str | None:
    """Read out of a manifest that cannot be used which full its backup builds on, as far as that can be told.

    :param store: the vault's objects
    :param path: the backup
    :return: the id of the full; None where nobody knows
    :raises VaultError: when the store does not answer
    """
    try:
        named = set(_NAMED_BASE.findall(store.read(path.manifest)))
    except (ObjectMissingError, UnreadableObjectError):
        return None
    return named.pop().decode() if len(named) == 1 else None


def _dated_in_future(backup: Backup) -> Finding:
    return Finding(
        "dated-in-future",
        backup.path.manifest,
        f"The backup {backup.location} is dated in the future and never counts as the latest. The clock of "
        "this machine, or of the one that made it, is wrong.",
    )
