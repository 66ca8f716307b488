"""The tenants of Xray: their jobs, the cooldown between them, the files that come of them."""

from __future__ import annotations

import hashlib
import math
import secrets
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from airflow_provider_xbackup.simulator.archive import Extract, write_attachments, write_data
from airflow_provider_xbackup.simulator.clock import Clock
from airflow_provider_xbackup.simulator.data import Revision, TenantData
from airflow_provider_xbackup.simulator.settings import (
    DataSettings,
    TenantSettings,
    XraySettings,
    whole_seconds,
)

DATA, ATTACHMENTS = "file", "attachment"
_WRITERS = {DATA: write_data, ATTACHMENTS: write_attachments}
_FILE_NAMES = {DATA: "backup.zip", ATTACHMENTS: "attachments.zip"}
#: Files of so many successful jobs stay on disk: the newest, the one before (a stale cache), one spare.
_JOBS_WITH_FILES = 3


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that can be downloaded.

    :param path: where it is on disk
    :param name: name for the user
    :param size: bytes
    :param md5: digest of the content
    :param modified: when the vendor finished it
    """

    path: Path
    name: str
    size: int
    md5: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What was asked for; see the vendor's fields of the same names."""

    project_ids: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    with_attachment: bool = False


@dataclass(slots=True)
class Job:
    """A backup job.

    :param id: the vendor's job id
    :param request: what was asked for
    :param started: when it was accepted
    :param due: when it ends, if its files are made by then
    :param build: the making of its files
    :param final_word: status word at the end, None while it runs
    :param files: the files by role; empty for a job that failed
    """

    id: str
    request: JobRequest
    started: datetime
    due: datetime
    build: Future[dict[str, StoredFile]]
    final_word: str | None = None
    files: dict[str, StoredFile] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.final_word is not None and self.final_word.lower() == "successful"

    def share_done(self, now: datetime) -> float:
        """Progress from 0 to just under 1."""
        length = (self.due - self.started).total_seconds()
        return min(0.99, max(0.0, (now - self.started).total_seconds() / length)) if length > 0 else 0.99


@dataclass(slots=True)
class Tenant:
    """One tenant.

    :param client_id: its name
    :param as_of: newest change of its data before any revision
    :param revisions: the revisions its data went through
    :param jobs: its jobs, oldest first
    :param requests: when it sent its newest requests
    """

    client_id: str
    as_of: datetime
    revisions: tuple[Revision, ...] = ()
    jobs: list[Job] = field(default_factory=list)
    requests: deque[datetime] = field(default_factory=deque)

    def snapshot(self, settings: DataSettings, now: datetime) -> TenantData:
        """The data as it is now. A revision that was not seen before counts as made now."""
        known = self.revisions[-1].number if self.revisions else 0
        if settings.revision != known:
            self.revisions += (Revision(settings.revision, whole_seconds(now)),)
        return TenantData(settings.model_copy(), settings.as_of or self.as_of, self.revisions)

    def successful_jobs(self) -> list[Job]:
        """The jobs that ended well, in the order in which they ended."""
        return sorted((job for job in self.jobs if job.succeeded), key=lambda job: job.due)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no job is made now.

    :param running: a job still runs; otherwise it is the cooldown
    :param seconds: seconds until a new job can be made, as far as known
    """

    running: bool
    seconds: float


class Tenants:
    """All tenants and the making of their files.

    :param settings: gives the settings as they are now
    :param clock: the simulator's clock
    """

    def __init__(self, settings: Callable[[], XraySettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._born = whole_seconds(clock.now())
        self._tenants: dict[str, Tenant] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="xbackup-simulator-", ignore_cleanup_errors=True)
        self._builders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="simulator-build")
        self._stopped = threading.Event()

    def settings_of(self, client_id: str) -> TenantSettings | None:
        """The settings of a tenant, None where there is no such tenant."""
        return self._settings().tenants.get(client_id)

    def get(self, client_id: str) -> Tenant:
        """A tenant by its client id.

        :raises KeyError: where there is no such tenant
        """
        if client_id not in self._settings().tenants:
            raise KeyError(client_id)
        return self._tenants.setdefault(client_id, Tenant(client_id, self._born))

    def data(self, tenant: Tenant) -> TenantData:
        """What a tenant holds now."""
        return tenant.snapshot(self._settings().tenants[tenant.client_id].data, self._clock.now())

    def start(self, tenant: Tenant, request: JobRequest, *, finished: bool = False) -> Job:
        """Start a job, whether or not the rules allow one.

        :param finished: it ends at once
        """
        now = self._clock.now()
        job_id = secrets.token_hex(16)
        extract = Extract(self.data(tenant), request.project_ids, request.modified_since, now, job_id)
        due = now + timedelta(seconds=0 if finished else self._settings().job_seconds)
        job = Job(job_id, request, now, due, self._build(extract, request.with_attachment, due))
        tenant.jobs.append(job)
        return job

    def refusal(self, tenant: Tenant, request: JobRequest) -> Refusal | None:
        """Why the tenant may not start a job now, None where it may."""
        settings, now = self._settings(), self._clock.now()
        jobs = [
            job
            for job in tenant.jobs
            if settings.cooldown_scope == "tenant" or job.request.project_ids == request.project_ids
        ]
        running = [job for job in jobs if job.final_word is None]
        if running:
            left = max((job.due - now).total_seconds() for job in running)
            return Refusal(True, left + settings.cooldown_seconds)
        ends = [
            job.due + timedelta(seconds=settings.cooldown_seconds)
            for job in jobs
            if job.succeeded or settings.failed_jobs_count
        ]
        left = max(((end - now).total_seconds() for end in ends), default=0.0)
        return Refusal(False, left) if left > 0 else None

    def unsettled(self, tenant: Tenant) -> list[Job]:
        """The jobs whose time is over but whose end is not yet decided."""
        now = self._clock.now()
        return [job for job in tenant.jobs if job.final_word is None and job.due <= now]

    def settle(self, tenant: Tenant) -> None:
        """Decide the end of the jobs whose time is over and whose files are made."""
        settings = self._settings()
        for job in self.unsettled(tenant):
            if job.build.done():
                job.final_word = settings.final_word
                if job.succeeded:
                    job.files = job.build.result()
        for job in tenant.successful_jobs()[:-_JOBS_WITH_FILES]:
            _remove(job.files)
            job.files = {}

    def finish_jobs(self) -> int:
        """End all running jobs now. Waits for their files.

        :returns: how many there were
        """
        now, ended = self._clock.now(), 0
        for tenant in tuple(self._tenants.values()):
            running = [job for job in tenant.jobs if job.final_word is None]
            wait([job.build for job in running])
            for job in running:
                job.due = min(job.due, now)
            self.settle(tenant)
            ended += len(running)
        return ended

    def job_served(self, tenant: Tenant, role: str) -> Job | None:
        """The job whose file the tenant's file endpoint serves, None where there is no file."""
        settings, now = self._settings(), self._clock.now()
        jobs = tenant.successful_jobs()
        if settings.file_served == "previous":
            jobs = jobs[:-1]
        if role == ATTACHMENTS and settings.attachments_survive:
            jobs = [job for job in jobs if role in job.files]
        if not jobs or (role == ATTACHMENTS and settings.attachments_missing):
            return None
        kept = settings.file_kept_seconds
        if kept is not None and now >= jobs[-1].due + timedelta(seconds=kept):
            return None
        return jobs[-1] if role in jobs[-1].files else None

    def throttle_wait(self, tenant: Tenant) -> int:
        """Count a request of the tenant.

        :returns: seconds to wait because there were too many, 0 where it is let through
        """
        settings, now = self._settings(), self._clock.now()
        window = timedelta(seconds=settings.throttle_window)
        while tenant.requests and tenant.requests[0] <= now - window:
            tenant.requests.popleft()
        if settings.throttle and len(tenant.requests) >= settings.throttle_requests:
            oldest = tenant.requests[0] if tenant.requests else now
            return max(1, math.ceil((oldest + window - now).total_seconds()))
        tenant.requests.append(now)
        return 0

    def replace_files(self) -> None:
        """Make the newest files of every tenant anew, from the next revision of its data."""
        for client_id, tenant_settings in self._settings().tenants.items():
            tenant = self.get(client_id)
            jobs = tenant.successful_jobs()
            tenant_settings.data.revision += 1
            if not jobs:
                continue
            job, now = jobs[-1], self._clock.now()
            request = job.request
            extract = Extract(self.data(tenant), request.project_ids, request.modified_since, now, job.id)
            old, job.build = job.files, self._build(extract, request.with_attachment, now)
            job.files = job.build.result()
            _remove(old)

    def forget(self) -> None:
        """Forget all jobs, cooldowns and files; the data counts as made now."""
        for tenant in self._tenants.values():
            for job in tenant.jobs:
                job.files = {}
                job.build.add_done_callback(_remove_made)
        self._tenants = {}
        self._born = whole_seconds(self._clock.now())

    def close(self) -> None:
        """Stop making files and remove them all."""
        self._stopped.set()
        self._builders.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()

    def _build(self, extract: Extract, with_attachment: bool, modified: datetime) -> Future[dict[str, StoredFile]]:
        roles = (DATA, ATTACHMENTS) if with_attachment else (DATA,)
        return self._builders.submit(self._make_files, extract, roles, modified)

    def _make_files(self, extract: Extract, roles: tuple[str, ...], modified: datetime) -> dict[str, StoredFile]:
        files = {}
        for role in roles:
            path = Path(self._folder.name) / f"{secrets.token_hex(8)}.zip"
            with path.open("wb+") as target:
                _WRITERS[role](target, extract, self._stopped.is_set)
                files[role] = StoredFile(path, _FILE_NAMES[role], target.tell(), _md5(target), modified)
        return files


def _remove(files: dict[str, StoredFile]) -> None:
    for stored in files.values():
        stored.path.unlink(missing_ok=True)


def _remove_made(build: Future[dict[str, StoredFile]]) -> None:
    """Remove the files of a job, as soon as they are made."""
    if not build.cancelled() and build.exception() is None:
        _remove(build.result())


def _md5(target: IO[bytes]) -> str:
    """The digest that storages give as ``ETag``; nothing rests on its strength."""
    target.seek(0)
    return hashlib.file_digest(target, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()  # type: ignore[arg-type]
