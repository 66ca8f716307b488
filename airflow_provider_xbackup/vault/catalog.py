"""What backups a vault holds, read from the vault itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.errors import ManifestError, ObjectMissingError, UnreadableObjectError
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest, Scope
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.url import VaultUrl

#: Clocks of different machines differ by so much without anybody being wrong.
CLOCK_TOLERANCE = timedelta(minutes=5)

_READERS = 16


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
    :param names: what else lies in its folder, as found when it was listed
    :param in_future: whether it is dated in the future, by this machine's clock
    """

    url: VaultUrl
    path: BackupPath
    manifest: Manifest
    names: frozenset[str] = field(default=frozenset(), repr=False)
    in_future: bool = False

    @property
    def backup_id(self) -> str:
        """The id."""
        return self.path.backup_id

    @property
    def instant(self) -> datetime:
        """The instant in the id."""
        return layout.parse_backup_id(self.backup_id).instant

    @property
    def held(self) -> bool:
        """Whether a hold kept it from expiring when it was listed."""
        return layout.HOLD in self.names

    @property
    def accepted(self) -> bool:
        """Whether it was suspect and a person accepted it."""
        return layout.ACCEPTED in self.names

    @property
    def tombstoned(self) -> bool:
        """Whether it had expired and was in its grace period when it was listed."""
        return layout.TOMBSTONE in self.names

    @property
    def state(self) -> str:
        """One word for people: ``ok``, ``suspect``, ``accepted``, ``incomplete``, ``held`` or ``expired``."""
        if self.tombstoned:
            return "expired"
        state: str = self.manifest.condition.state
        if state == "suspect" and self.accepted:
            state = "accepted"
        return "held" if self.held and state == "ok" else state

    @property
    def reliable(self) -> bool:
        """Whether it may be taken for what it says: whole by its manifest, neither expired nor of the future.

        A suspect is not, unless a person accepted it.
        """
        return self.state in ("ok", "held", "accepted") and not self.in_future

    @property
    def group(self) -> Group:
        """The backups that it belongs to."""
        return Group(self.path.service, self.path.account, self.manifest.scope)

    @property
    def location(self) -> str:
        """The full URL of its folder."""
        return self.url.join(self.path.folder)


class Catalog:
    """The backups of a vault, newest first, read while it is iterated. Every iteration lists anew.

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
        #: Folders whose removal had begun when they were listed: a tombstone is left in them, and no manifest.
        self.half_removed: tuple[BackupPath, ...] = ()

    def __iter__(self) -> Iterator[Backup]:
        """Yield the backups, newest first.

        :raises VaultError: when the store does not answer; a damaged manifest is a finding instead
        """
        self.findings = []
        entries = self.folders()
        newest_first = sorted(entries, key=lambda path: (path.backup_id, path.service, path.account), reverse=True)
        limit = self._now() + CLOCK_TOLERANCE
        for path, read in read_ahead(self._read, newest_first, _READERS):
            if isinstance(read, Finding):
                self.findings.append(read)
            elif read is not None:
                backup = Backup(self._url, path, read, frozenset(entries[path]))
                if backup.instant > limit:
                    backup = replace(backup, in_future=True)
                    self.findings.append(_dated_in_future(backup))
                yield backup

    def latest(self) -> Backup | None:
        """Return the newest backup that is neither expired nor dated in the future."""
        return next((backup for backup in self if not backup.tombstoned and not backup.in_future), None)

    def folders(self) -> dict[BackupPath, Collection[str]]:
        """List the folders that hold a manifest, with the names of all they hold.

        They are all in memory, and only they: a hundred thousand take about 40 MB.

        :raises VaultError: when the store does not answer
        """
        services = layout.SERVICES if self._service is None else (self._service,)
        if self._account is not None:
            prefixes = [f"{service}/{self._account}" for service in services]
        else:
            prefixes = [self._service or ""]
        # Lists, because they are the smallest that can grow; a store lists each object once.
        folders: dict[BackupPath, list[str]] = {}
        for prefix in prefixes:
            for stored in self._store.list(prefix):
                if found := BackupPath.of(stored.path):
                    folders.setdefault(found[0], []).append(found[1])
        self.half_removed = tuple(
            path for path, names in folders.items() if layout.TOMBSTONE in names and layout.MANIFEST not in names
        )
        return {path: tuple(names) for path, names in folders.items() if layout.MANIFEST in names}

    def _read(self, path: BackupPath) -> Manifest | Finding | None:
        try:
            return read_manifest(self._store, path)
        except ObjectMissingError:  # expired between the listing and now
            return None
        except ManifestError as exc:
            return Finding("damaged-manifest", path.manifest, str(exc))


def read_manifest(store: Store, path: BackupPath) -> Manifest:
    """Read the manifest of a backup.

    :raises ObjectMissingError: when there is none, so that there is no such backup
    :raises ManifestError: when it is damaged, of an unknown version, belongs to another backup, or cannot be
        read though the store answers
    :raises VaultError: when the store does not answer
    """
    try:
        manifest = Manifest.from_json(store.read(path.manifest))
    except (ManifestError, UnreadableObjectError) as exc:
        reason = str(exc).removesuffix(".")
    else:
        named = BackupPath(manifest.service, manifest.account, manifest.backup_id)
        if named == path:
            return manifest
        reason = f"it belongs to {named.folder!r}"
    raise ManifestError(
        f"The manifest {store.url.join(path.manifest)} cannot be used: {reason}. The backup's other files "
        "are untouched; other backups are not affected."
    )


def _dated_in_future(backup: Backup) -> Finding:
    return Finding(
        "dated-in-future",
        backup.path.manifest,
        f"The backup {backup.location} is dated in the future and never counts as the latest. The clock of "
        "this machine, or of the one that made it, is wrong.",
    )
