"""Taking an Xray backup: from a finished job to a whole backup in a vault, or nothing."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from airflow_provider_xbackup.contents.zipcheck import ZipInspector, ZipReport
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.services.errors import (
    FileNotAvailableError,
    ServiceError,
)
from airflow_provider_xbackup.services.xray import (
    Artifact,
    RemoteFile,
    count_request,
    is_done,
    read_counts,
    read_status,
    status_request,
)
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.transfer.attempts import Attempts
from airflow_provider_xbackup.transfer.download import Download, identify
from airflow_provider_xbackup.transfer.errors import (
    ExpiredBackupError,
    IncompleteBackupError,
    RefusedFileError,
    StaleFileError,
    UntakenFileError,
)
from airflow_provider_xbackup.transfer.judge import (
    check_clock,
    check_counts,
    check_fresh,
    check_not_superseded,
    check_projects,
)
from airflow_provider_xbackup.transfer.meanwhile import Meanwhile
from airflow_provider_xbackup.transfer.options import Check
from airflow_provider_xbackup.transfer.parts import CONNECTIONS, Budget
from airflow_provider_xbackup.transfer.tally import Tally
from airflow_provider_xbackup.vault.acceptance import how_to_accept
from airflow_provider_xbackup.vault.beside import beside
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.chain import newest_reliable_full
from airflow_provider_xbackup.vault.draft import Draft
from airflow_provider_xbackup.vault.drops import find_drops, sizes_of
from airflow_provider_xbackup.vault.encoding import is_encoded_so
from airflow_provider_xbackup.vault.errors import DamagedBackupError
from airflow_provider_xbackup.vault.layout import digits_of, make_backup_id
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Artifact as StoredArtifact
from airflow_provider_xbackup.vault.manifest import Condition, Producer, Remote, Scope
from airflow_provider_xbackup.vault.vault import Vault

log = logging.getLogger(__name__)

MOST_COUNTED = 50
"""How many projects are counted live, a request each: the vendor allows 300 requests in 5 minutes."""

_ROLES = {Artifact.DATA: "backup", Artifact.ATTACHMENTS: "attachments"}
_MEDIA_TYPE = "application/zip"
_NOT_COUNTED = (ServiceError, ConnectionFailedError, InvalidArgumentError)


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
    :param connections: how many bring a file at the same time where one is slow
    :param patience: how long a file that is not there yet is asked for again
    :param tally: counts what happens
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
    connections: int = CONNECTIONS
    patience: timedelta = timedelta(minutes=10)
    tally: Tally = field(default_factory=Tally, repr=False, compare=False)
    # A file may be looked at many times within the tenant's budget of requests: each project is counted once, and
    # the tenant as a whole, which is None.
    _counted: dict[str | None, Mapping[str, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    # When the job's files were written, once they were seen: one that is written later is another job's.
    _written: dict[Artifact, datetime] = field(default_factory=dict, init=False, repr=False, compare=False)
    _budget: Budget = field(init=False, repr=False, compare=False)
    # One that is an earlier backup's is not transferred again to find that out again, by what identifies it.
    _refused: dict[object, StaleFileError] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        files = 2 if self.job.with_attachments else 1
        object.__setattr__(self, "_budget", Budget(files))

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
        :raises ForeignBackupError: when the vault holds another job's backup under the same id
        :raises ExpiredBackupError: when it was stored and has expired since
        :raises DamagedBackupError: when it was stored and is damaged
        :raises BackupError: when the service or the vault is in the way
        """
        stored = self.vault.find("xray", self.account, self.backup_id)
        if stored is not None:
            stored.refuse_other_job(self.job.job_id)
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
                "again: a new run asks for a new backup. Where another vault holds a copy, "
                "`xbackup replicate COPY VAULT --repair` brings this one back."
            )
        if stored is None and self.job.finished_at is None:
            return replace(self, job=self._seen_done()).run()
        if stored is None:
            stored = self._take()
            self.tally.store(stored.stored_size)
        else:
            log.info("Backup %s is in the vault already; nothing has to be done.", stored.location)
            self._warn_of_other_keys(stored)
            self.vault.keep_locked(stored, self.lock)
        if stored.manifest.condition.state == "incomplete":
            raise IncompleteBackupError(
                f"The backup {stored.backup_id} is stored without its attachments, which were asked for: "
                f"{' '.join(stored.manifest.condition.reasons)} The data is safe. Run the DAG again once the "
                "cause is gone: a new run asks for a new backup; clearing this run's tasks finds this one again."
            )
        return stored

    def _warn_of_other_keys(self, stored: Backup) -> None:
        """Say when an earlier try stored the job's backup for others than those who are to read it now."""
        if all(is_encoded_so(artifact, self.recipients) for artifact in stored.manifest.artifacts):
            return
        encrypted = any(artifact.encryption for artifact in stored.manifest.artifacts)
        log.warning(
            "Backup %s is %s, and stays so: an earlier try stored it, and encrypt_to has changed since. A new run "
            "encrypts its backup as encrypt_to says now.",
            stored.location,
            "encrypted to other keys than encrypt_to names" if encrypted else "NOT encrypted",
        )

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
        with contextlib.ExitStack() as undo:
            # What is stored stays: a file that breaks or comes late costs no second download of the other.
            draft = undo.enter_context(self.vault.draft("xray", self.account, self.backup_id, lock=self.lock))
            attachments = None
            if self.job.with_attachments:
                attachments = undo.enter_context(Meanwhile(partial(self._add_attachments, draft)))
            attempts = self._attempts(Artifact.DATA)
            remote, report = attempts.persist(lambda: self._add_data(draft, attempts))
            missing = "" if attachments is None else attachments.result()
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
                projects=report.projects,
                producer=self.producer,
            )

    def _add_data(self, draft: Draft, attempts: Attempts) -> tuple[RemoteFile, ZipReport]:
        """Store the data, and nothing where it is refused."""
        with attempts.open() as download, contextlib.closing(download.blocks()) as blocks:
            if known := self._refused.get(identify(download.remote)):
                raise StaleFileError(*known.args)
            inspection = Inspection(self.check, entities=True)
            data = self._add(draft, Artifact.DATA, download, inspection.watched(blocks, self._judge))
        if inspection.report.entries and not self.accept_identical:
            try:
                self._refuse_identical(data, download.remote)
            except BackupError:
                draft.take_back(data.role)
                raise
        return download.remote, inspection.report

    def _add(
        self, draft: Draft, artifact: Artifact, download: Download, blocks: Iterator[bytes]
    ) -> StoredArtifact:
        now = datetime.now(UTC)
        check_clock(download.remote.date, now)
        check_fresh(download.remote, self.job, now)
        check_not_superseded(self._written.get(artifact), download.remote)
        if download.remote.last_modified is not None:
            self._written.setdefault(artifact, download.remote.last_modified)
        role = _ROLES[artifact]
        size = download.remote.length if download.remote.encoding is None else None
        log.info("Storing the %s of job %s (%s bytes).", artifact.label, self.job.job_id, size or "unknown")
        added = draft.add(role, blocks, media_type=_MEDIA_TYPE, expected_size=size, recipients=self.recipients)
        log.info("Stored %s: %d bytes, sha256 %s.", added.name, added.stored_size, added.stored_sha256)
        return added

    def _add_attachments(self, draft: Draft, this: Meanwhile[str]) -> str:
        """Store the attachments; return why they could not be had, or an empty text."""
        attempts = self._attempts(Artifact.ATTACHMENTS)

        def add() -> None:
            with attempts.open() as download, contextlib.closing(download.blocks()) as blocks:
                inspection = Inspection(self.check, entities=False)
                wanted = this.while_wanted(inspection.watched(blocks))
                self._add(draft, Artifact.ATTACHMENTS, download, wanted)

        # The data passes, or does not, by itself: whatever is wrong with its attachments is no reason to lose it.
        try:
            attempts.persist(add)
        except (UntakenFileError, RefusedFileError) as error:
            return error.finding
        except ServiceError as error:
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
        """Return what the service counts right now; nothing where it does not answer for all there should be.

        A file that is not the job's may lack whole projects: where all were asked for, they are not taken from it.
        """
        if self.job.project_ids is not None:
            return self._count_projects(self.job.project_ids)
        return self._count_tenant() or self._count_projects(found, probably=self._projects_before() - found)

    def _count_tenant(self) -> Mapping[str, int]:
        try:
            totals = self._count(None)
        except _NOT_COUNTED as error:
            log.info("Xray does not count the whole tenant at once, so its projects are counted: %s", error)
            self._counted[None] = totals = {}
        return totals if "tests" in totals else {}

    def _count_projects(self, sure: Collection[str], probably: Collection[str] = ()) -> Mapping[str, int]:
        """Add up projects: nothing if one that is there is not counted; one that may be gone may fail."""
        totals: Counter[str] = Counter()
        if len(sure) + len(probably) > MOST_COUNTED:
            log.info("The backup of %d projects is not compared with live totals: too many requests.", len(sure))
            return {}
        for project_id in (*sorted(sure), *sorted(probably)):
            try:
                totals.update(self._count(project_id))
            except _NOT_COUNTED as error:
                if project_id in sure:
                    log.warning("The backup is not compared with the live totals: %s", error)
                    return {}
        return totals

    def _count(self, project_id: str | None) -> Mapping[str, int]:
        if project_id not in self._counted:
            self._counted[project_id] = read_counts(self.client.call(count_request(project_id)))
        return self._counted[project_id]

    def _projects_before(self) -> frozenset[str]:
        earlier = self._newest_reliable_full()
        return frozenset() if earlier is None else frozenset(earlier.manifest.projects or ())

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
                    "If the tenant really did not change, set accept_identical=True.",
                )
                if (identity := identify(remote)) is not None:
                    self._refused[identity] = refusal
                # What it was taken for it was not: the job's own is still to come.
                self._written.pop(Artifact.DATA, None)
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
        gone = sorted(frozenset(earlier.manifest.projects or ()) - report.projects)
        falls = (
            *(f"The {drop}" for drop in find_drops(now, before, self.max_drop, report.unread)),
            *(f"Nothing of project {project_id} is left" for project_id in gone),
        )
        reasons = tuple(f"{fall}, against backup {earlier.backup_id}." for fall in falls)
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

    def _attempts(self, artifact: Artifact) -> Attempts:
        return Attempts(
            partial(Download, self.client, artifact, self.connections, self._budget, self.tally),
            f"{artifact.label} of job {self.job.job_id}",
            self.patience,
            self.tally,
        )


class Inspection:
    """Looks into a zip as it passes on its way to the store.

    :param check: how closely
    :param entities: whether its JSON files are the vendor's entities; attachments are anybody's files
    """

    def __init__(self, check: Check, *, entities: bool) -> None:
        self._check = check
        self._inspector = ZipInspector(content=check == "content", entities=entities)
        self._report: ZipReport | None = None

    def watched(self, blocks: Iterator[bytes], *judges: Callable[[ZipReport], None]) -> Iterator[bytes]:
        """Pass the blocks on; a zip that is refused never ends, so that it is never stored.

        :param blocks: the zip
        :param judges: called with the report at the end; what they raise refuses the zip
        :raises DamagedZipError: when it is broken
        """
        yield from self._shown(blocks)
        self._report = self._inspector.finish()
        for judge in judges:
            judge(self._report)

    def _shown(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        if self._check == "content":
            yield from beside(blocks, self._inspector.feed, name="xbackup-inspect")
            return
        # Keeping the end takes less time than handing it to a thread.
        for block in blocks:
            self._inspector.feed(block)
            yield block

    @property
    def report(self) -> ZipReport:
        """What was seen, once the last block has passed."""
        if self._report is None:
            raise BackupError("The zip was not read to its end.")
        return self._report
