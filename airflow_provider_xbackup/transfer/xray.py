"""Taking an Xray backup: from a finished job to a whole backup in a vault, or nothing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential, wait_random

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipcheck import ZipInspector, ZipReport
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.sync import Client
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
    XrayBackupJob,
    count_request,
    is_done,
    read_counts,
    read_status,
    status_request,
)
from airflow_provider_xbackup.transfer.download import Download, identify
from airflow_provider_xbackup.transfer.errors import (
    ExpiredBackupError,
    ForeignFileError,
    IncompleteBackupError,
    RefusedFileError,
    ReplacedFileError,
    StaleFileError,
)
from airflow_provider_xbackup.transfer.judge import (
    check_clock,
    check_counts,
    check_fresh,
    check_projects,
)
from airflow_provider_xbackup.transfer.options import Check
from airflow_provider_xbackup.vault.acceptance import how_to_accept
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.chain import newest_reliable_full
from airflow_provider_xbackup.vault.drops import find_drops, sizes_of
from airflow_provider_xbackup.vault.errors import DamagedBackupError
from airflow_provider_xbackup.vault.layout import digits_of, make_backup_id
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Artifact as StoredArtifact
from airflow_provider_xbackup.vault.manifest import Condition, Producer, Remote, Scope
from airflow_provider_xbackup.vault.vault import Draft, Vault

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_COUNTED = 50
"""How many projects are counted live, a request each: the vendor allows 300 requests in 5 minutes."""

BROKEN_TRIES = 3
"""How often a file is taken from its beginning after its download broke beyond resuming."""

_ROLES = {Artifact.DATA: "backup", Artifact.ATTACHMENTS: "attachments"}
_MEDIA_TYPE = "application/zip"
_NOT_THERE_YET = (FileNotAvailableError, StaleFileError)
_BROKEN = (
    ConnectionFailedError,
    DamagedZipError,
    ReplacedFileError,
    ServerFaultError,
    SpentLinkError,
    ThrottledError,
    UnreadableAnswerError,
)


@dataclass(frozen=True, slots=True)
class XrayTransfer:
    """One finished job on its way into a vault.

    :param client: the tenant's client
    :param vault: where the backup goes
    :param job: the job; done, as its sensor saw
    :param account: the account's name
    :param producer: who makes the backup
    :param recipients: age public keys to encrypt to
    :param check: ``content`` inflates every entry and checks its CRC as it passes; ``structure`` looks at
        the zip's directory only
    :param accept_identical: take a data zip that equals another job's byte for byte
    :param max_drop: the share by which a full may fall below its predecessor before it is suspect
    :param lock: for how long, and how hard, the backup is locked
    :param patience: how long a file that is not there yet is asked for again
    """

    client: Client
    vault: Vault
    job: XrayBackupJob
    account: str
    producer: Producer
    recipients: tuple[str, ...] = ()
    check: Check = "content"
    accept_identical: bool = False
    max_drop: float = 0.5
    lock: Lock | None = None
    patience: timedelta = timedelta(minutes=10)
    # A file may be looked at many times within the tenant's budget of requests: each project is counted once.
    _counted: dict[str, Mapping[str, int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    # One that is an earlier backup's is not transferred again to find that out again, by what identifies it.
    _refused: dict[object, StaleFileError] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def backup_id(self) -> str:
        """The id of the backup; the same however often the job's transfer is tried."""
        return make_backup_id(self.job.requested_at, self.job.kind, digits_of(self.job.job_id))

    def run(self) -> Backup:
        """Store the backup, or return the one that an earlier attempt stored.

        :return: the backup, whole
        :raises RefusedFileError: when the server's file is not this job's
        :raises DamagedZipError: when the zip is broken
        :raises IncompleteBackupError: when attachments were asked for and could not be had: the data is
            stored then
        :raises ExpiredBackupError: when it was stored and has expired since
        :raises DamagedBackupError: when it was stored and is damaged
        :raises BackupError: when the service or the vault is in the way
        """
        stored = self.vault.find("xray", self.account, self.backup_id)
        if stored is not None and stored.tombstoned:
            raise ExpiredBackupError(
                f"The backup {stored.location} of job {self.job.job_id} has expired and will be removed, so it "
                "counts as gone, and what is served now is not taken in its place. Bring it back with "
                "`xbackup undelete`, or run the DAG again: a new run asks for a new backup."
            )
        if stored is not None and stored.damaged:
            raise DamagedBackupError(
                f"The backup {stored.location} of job {self.job.job_id} is stored, and damaged: "
                f"{' '.join(stored.verdict.flaws)} What is served now is not taken in its place. Run the DAG "
                "again: a new run asks for a new backup."
            )
        if stored is None and self.job.finished_at is None:
            return replace(self, job=self._seen_done()).run()
        if stored is None:
            stored = self._take()
        else:
            log.info("Backup %s is in the vault already; nothing has to be done.", stored.location)
            self.vault.keep_locked(stored, self.lock)
        if stored.manifest.condition.state == "incomplete":
            raise IncompleteBackupError(
                f"The backup {stored.backup_id} is stored without its attachments, which were asked for: "
                f"{' '.join(stored.manifest.condition.reasons)} The data is safe. Run the DAG again once the "
                "cause is gone: a new run asks for a new backup; clearing this run's tasks finds this one again."
            )
        return stored

    def _seen_done(self) -> XrayBackupJob:
        """Return the job as done, which no sensor has seen yet."""
        status = read_status(self.client.call(status_request(self.job.job_id)), self.job.job_id)
        if not is_done(status, self.job.job_id):
            raise FileNotAvailableError(
                f"Xray says of job {self.job.job_id}: {status}. Its file is taken only when it is done: put an "
                "XrayBackupSensor before the transfer."
            )
        return self.job.finished(status.at)

    def _take(self) -> Backup:
        # What is stored stays: an attachments file that breaks or comes late costs no second download of the data.
        draft, remote, report = self._persistently(self._begin)
        with draft:
            missing = self._add_attachments(draft) if self.job.with_attachments else ""
            return draft.commit(
                modified_since=self.job.modified_since,
                base=self.job.base,
                scope=self._scope,
                requested_at=self.job.requested_at,
                condition=self._condition(draft, report, missing),
                remote=Remote(
                    job_id=self.job.job_id,
                    host=self.client.endpoint.host,
                    etag=remote.etag,
                    last_modified=remote.last_modified,
                ),
                entities=report.entities,
                producer=self.producer,
            )

    def _begin(self) -> tuple[Draft, RemoteFile, ZipReport]:
        """Begin a draft with the data in it."""
        with contextlib.ExitStack() as undo:
            draft = undo.enter_context(self.vault.draft("xray", self.account, self.backup_id, lock=self.lock))
            with Download(self.client, Artifact.DATA) as download:
                if known := self._refused.get(identify(download.remote)):
                    raise StaleFileError(*known.args)
                inspection = Inspection(self.check, entities=True)
                blocks = inspection.watched(download.blocks(), self._judge)
                data = self._add(draft, Artifact.DATA, download, blocks)
            if inspection.report.entries and not self.accept_identical:
                self._refuse_identical(data, download.remote)
            undo.pop_all()
        return draft, download.remote, inspection.report

    def _add(
        self, draft: Draft, artifact: Artifact, download: Download, blocks: Iterator[bytes]
    ) -> StoredArtifact:
        now = datetime.now(UTC)
        check_clock(download.remote.date, now)
        check_fresh(download.remote, self.job, now)
        role = _ROLES[artifact]
        size = download.remote.length if download.remote.encoding is None else None
        log.info("Storing the %s file of job %s (%s bytes).", role, self.job.job_id, size or "unknown")
        added = draft.add(role, blocks, media_type=_MEDIA_TYPE, expected_size=size, recipients=self.recipients)
        log.info("Stored %s: %d bytes, sha256 %s.", added.name, added.stored_size, added.stored_sha256)
        return added

    def _add_attachments(self, draft: Draft) -> str:
        """Store the attachments; return why they could not be had, or an empty text."""

        def add() -> None:
            with Download(self.client, Artifact.ATTACHMENTS) as download:
                inspection = Inspection(self.check, entities=False)
                self._add(draft, Artifact.ATTACHMENTS, download, inspection.watched(download.blocks()))

        # The data has passed as the job's own: whatever is wrong with its attachments is no reason to lose it.
        try:
            self._persistently(add)
        except (StaleFileError, ForeignFileError) as error:
            return error.finding
        except (ServiceError, ConnectionFailedError, DamagedZipError, RefusedFileError) as error:
            return str(error)
        return ""

    def _judge(self, report: ZipReport) -> None:
        check_projects(report.projects, self.job)
        absent = sorted(set(self.job.project_ids or ()) - report.projects)
        if absent and self.job.kind == "full":
            log.warning("The backup holds nothing of project %s: is that the id you meant?", ", ".join(absent))
        if self.job.kind == "full" and report.entities is not None:
            check_counts(report.entities, self._count_live(report.projects), self.job, report.unread)

    def _count_live(self, found: frozenset[str]) -> Mapping[str, int]:
        """Add up what the service counts right now; nothing where it does not answer for every project."""
        totals: dict[str, int] = {}
        projects = sorted(found if self.job.project_ids is None else self.job.project_ids)
        if len(projects) > MOST_COUNTED:
            log.info(
                "The backup of %d projects is not compared with live totals: too many requests.", len(projects)
            )
            return {}
        for project_id in projects:
            try:
                if project_id not in self._counted:
                    self._counted[project_id] = read_counts(self.client.call(count_request(project_id)))
            except (ServiceError, ConnectionFailedError, InvalidArgumentError) as error:
                log.warning("The backup is not compared with the live totals: %s", error)
                return {}
            for entity, count in self._counted[project_id].items():
                totals[entity] = totals.get(entity, 0) + count
        return totals

    def _refuse_identical(self, data: StoredArtifact, remote: RemoteFile) -> None:
        """Refuse a file that is another job's byte for byte, unless it was written after that one."""
        for earlier in self.vault.backups("xray", self.account):
            then = earlier.manifest.remote.last_modified or earlier.manifest.completed_at
            newer = remote.last_modified is not None and remote.last_modified > then
            same = any(one.role == data.role and one.sha256 == data.sha256 for one in earlier.manifest.artifacts)
            # Another try of this very transfer may have stored the job's file while this one was under way.
            if same and not newer and earlier.backup_id != self.backup_id:
                refusal = StaleFileError(
                    f"The server's file equals that of the earlier backup {earlier.backup_id} byte for byte, and "
                    "nothing proves that it is new: it is probably that backup's file.",
                    "Nothing was stored. If the tenant really did not change, set accept_identical=True.",
                )
                if (identity := identify(remote)) is not None:
                    self._refused[identity] = refusal
                raise refusal

    def _condition(self, draft: Draft, report: ZipReport, missing: str) -> Condition:
        if missing:
            return Condition(state="incomplete", reasons=(missing,))
        earlier = self._newest_reliable_full() if self.job.kind == "full" else None
        if earlier is None:
            return Condition()
        before, now = sizes_of(earlier.manifest.artifacts), sizes_of(draft.artifacts)
        if report.entities is not None:
            before |= earlier.manifest.entities or {}
            now |= report.entities
        reasons = tuple(
            f"{drop}, against backup {earlier.backup_id}."
            for drop in find_drops(now, before, self.max_drop, report.unread)
        )
        if not reasons:
            return Condition()
        log.warning(
            "The backup is stored as suspect, because much is missing: %s Look at the tenant. %s",
            " ".join(reasons),
            how_to_accept(self.vault.url, self.backup_id),
        )
        return Condition(state="suspect", reasons=reasons)

    def _newest_reliable_full(self) -> Backup | None:
        return newest_reliable_full(self.vault.backups("xray", self.account), self._scope)

    @property
    def _scope(self) -> Scope:
        return Scope(project_ids=self.job.request.sorted_project_ids, attachments=self.job.with_attachments)

    def _persistently(self, take: Callable[[], T]) -> T:
        retrying = Retrying(
            retry=retry_if_exception_type((*_NOT_THERE_YET, *_BROKEN)),
            wait=wait_exponential(multiplier=1, max=60) + wait_random(0, 1),
            stop=_Patience(self.patience),
            before_sleep=_tell,
            reraise=True,
        )
        taken: T = retrying(take)
        return taken


class _Patience(stop_base):
    """A file that is not there yet is worth a wait; one that breaks again and again is not.

    :param wait: how long a file that is not there yet is asked for again; downloading does not count
    """

    def __init__(self, wait: timedelta) -> None:
        self._wait = wait.total_seconds()
        self._broken = 0

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _NOT_THERE_YET):
            return state.idle_for >= self._wait
        self._broken += 1
        return self._broken >= BROKEN_TRIES


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s The file is asked for again in %.0f s.", error, state.upcoming_sleep)


class Inspection:
    """Looks into a zip as it passes on its way to the store.

    :param check: how closely
    :param entities: whether its JSON files are the vendor's entities; attachments are anybody's files
    """

    def __init__(self, check: Check, *, entities: bool) -> None:
        self._inspector = ZipInspector(content=check == "content", entities=entities)
        self._report: ZipReport | None = None

    def watched(self, blocks: Iterator[bytes], *judges: Callable[[ZipReport], None]) -> Iterator[bytes]:
        """Pass the blocks on; a zip that is refused never ends, so that it is never stored.

        :param blocks: the zip
        :param judges: called with the report at the end; what they raise refuses the zip
        :raises DamagedZipError: when it is broken
        """
        for block in blocks:
            self._inspector.feed(block)
            yield block
        self._report = self._inspector.finish()
        for judge in judges:
            judge(self._report)

    @property
    def report(self) -> ZipReport:
        """What was seen, once the last block has passed."""
        if self._report is None:
            raise BackupError("The zip was not read to its end.")
        return self._report
