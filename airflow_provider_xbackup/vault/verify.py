"""Verifying the backups of a vault: which ones, in what order, and what is written down of it."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.ahead import READERS, read_ahead
from airflow_provider_xbackup.vault.catalog import Backup, Finding, Group
from airflow_provider_xbackup.vault.checks import Check, Level, append_check
from airflow_provider_xbackup.vault.choose import Selector, choose, some
from airflow_provider_xbackup.vault.errors import ManifestError, ObjectMissingError, VaultError
from airflow_provider_xbackup.vault.examination import Examination, Obstacle, Subject, Wanted
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.vault import Vault

#: How many backups are read at once. Each takes some 120 MB, whatever its size.
_READ_AT_ONCE = 2
_SUBSET = re.compile(r"(?P<number>\d{1,6})/(?P<of>\d{1,6})")


class NothingVerifiedError(VaultError):
    """There was nothing to look at, and a verification that looked at nothing has not passed."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Subset:
    """One of several parts of a vault, so that as many runs look at everything.

    :param number: which part, from 1
    :param of: how many there are
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str | None) -> Subset | None:
        """Read ``n/t``, for example ``2/7``.

        :param text: the text; None means everything
        :raises InvalidArgumentError: when it is not such a text
        """
        if text is None:
            return None
        match = _SUBSET.fullmatch(text.strip()) if isinstance(text, str) else None
        subset = cls(int(match["number"]), int(match["of"])) if match else None
        if subset is None or not 1 <= subset.number <= subset.of:
            raise InvalidArgumentError(
                f"A subset is written n/t, with n from 1 to t, for example 2/7, and not {str(text)[:40]!r}."
            )
        return subset

    def __contains__(self, backup: Backup) -> bool:
        """Tell whether a backup belongs to it: always to the same, whatever else is in the vault."""
        digest = hashlib.sha256(backup.path.folder.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one backup.

    :param backup: the backup
    :param check: what was found
    :param record: the path of its check record
    :param obstacle: what kept somebody from looking as deep as was asked, though the backup is not to blame
    """

    backup: Backup
    check: Check
    record: str
    obstacle: Obstacle | None = None


class Verification:
    """Verifies backups of a vault and appends a check record to each. Iterate it once.

    :param vault: the vault
    :param wanted: what to look at
    :param service: only this service
    :param account: only this account
    :param selectors: only these backups; none means all that are neither expired nor dated in the future
    :param subset: only these of them; where a subset is empty, the newest backup takes its place
    """

    def __init__(
        self,
        vault: Vault,
        wanted: Wanted,
        *,
        service: str | None = None,
        account: str | None = None,
        selectors: Sequence[Selector] = (),
        subset: Subset | None = None,
    ) -> None:
        self._vault = vault
        self._wanted = wanted
        self._service = service
        self._account = account
        self._selectors = selectors
        self._subset = subset
        #: What was found beside the backups, such as damaged manifests; complete when the iteration has ended.
        self.findings: list[Finding] = []

    def __iter__(self) -> Iterator[Verified]:
        """Yield what was found, backup by backup.

        :raises NothingVerifiedError: at the end, when there was nothing to look at
        :raises InvalidArgumentError: when a selector can mean several, or the source is one of several tenants
        :raises NoSuchBackupError: when there is no such backup
        :raises VaultError: when the store does not answer
        """
        stopped = threading.Event()

        def verify(subject: Subject) -> Verified | None:
            return self._verify(subject, stopped.is_set)

        at_once = READERS if self._wanted.level is Level.PRESENCE else _READ_AT_ONCE
        seen = 0
        for _, verified in read_ahead(verify, self._subjects(), at_once, stopped.set):
            if verified is not None:
                seen += 1
                yield verified
        if not seen and not self.findings:
            of = "/".join(part for part in (self._service, self._account) if part)
            raise NothingVerifiedError(
                f"Nothing was verified: {self._vault.url} holds no backup{f' of {of}' if of else ''} that has not "
                "expired. Is it the right vault, and do backups still arrive there?"
            )

    def _verify(self, subject: Subject, stopped: Callable[[], bool]) -> Verified | None:
        examination = Examination(self._vault.store, subject, self._wanted, stopped)
        backup = subject.backup
        try:
            check, record = append_check(
                self._vault.store, backup.path, examination.run(), accepted=backup.accepted
            )
        except ObjectMissingError:  # retention removed it meanwhile
            return None
        return Verified(backup, check, record, examination.obstacle)

    def _subjects(self) -> Iterator[Subject]:
        if self._selectors:
            return self._chosen()
        return self._all()

    def _check_one_tenant(self, accounts: Collection[str]) -> None:
        if len(accounts) > 1:
            raise InvalidArgumentError(
                "What one connection counts is one tenant's, and these backups are of several accounts of Xray: "
                f"{some(accounts)}. Choose one of them, and another connection for the next."
            )

    def _all(self) -> Iterator[Subject]:
        if self._wanted.level is Level.SOURCE and self._service in (None, "xray") and self._account is None:
            self._check_one_tenant(self._vault.store.list_folders("xray"))
        catalog = self._vault.backups(self._service, self._account)
        subset = self._subset
        if subset is None:
            yield from _paired(catalog, _is_current)
        else:
            newest: Backup | None = None

            def of_subset(backup: Backup) -> bool:
                nonlocal newest
                newest = newest or (backup if _is_current(backup) else None)
                return _is_current(backup) and backup in subset

            any_yet = False
            for subject in _paired(catalog, of_subset):
                any_yet = True
                yield subject
            if not any_yet and newest is not None:
                yield from self._one(newest)
        self.findings += catalog.findings

    def _chosen(self) -> Iterator[Subject]:
        backups: dict[BackupPath, Backup] = {}
        for selector in self._selectors:
            try:
                backup = choose(self._vault, selector, self._service, self._account)
            except ManifestError as exc:  # the others can be looked at
                self.findings.append(Finding("damaged-manifest", str(selector), str(exc)))
            else:
                backups[backup.path] = backup
        if self._wanted.level is Level.SOURCE:
            self._check_one_tenant({path.account for path in backups if path.service == "xray"})
        for backup in backups.values():
            yield from self._one(backup)

    def _one(self, backup: Backup) -> Iterator[Subject]:
        catalog = self._vault.backups(backup.path.service, backup.path.account)
        subject = next(_paired(catalog, lambda each: each.path == backup.path), None)
        if subject is not None:  # None when retention removed it meanwhile
            yield subject


def _is_current(backup: Backup) -> bool:
    return not backup.tombstoned and not backup.in_future


def _paired(backups: Iterable[Backup], wanted: Callable[[Backup], bool]) -> Iterator[Subject]:
    """Give every wanted backup its predecessor: the next older full of its group that can be relied on.

    A backup waits until that has come by, so no more is held than lies between two fulls.

    :param backups: newest first
    """
    waiting: dict[Group, list[tuple[Backup, bool]]] = {}
    met: set[Group] = set()
    for backup in backups:
        full = backup.manifest.kind == "full"
        if full and backup.reliable:
            for each, newest in waiting.pop(backup.group, ()):
                yield Subject(each, backup, newest)
        if wanted(backup):
            waiting.setdefault(backup.group, []).append((backup, full and backup.group not in met))
        if full and _is_current(backup):
            met.add(backup.group)
    for group in waiting.values():
        for each, newest in group:
            yield Subject(each, None, newest)
