"""Asking Xray Cloud for a backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import (
    XBackupCooldownError,
    XBackupFailError,
    account_label,
    airflow_errors,
)
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, cooldown
from airflow_provider_xbackup.tasks.job_memory import JobMemory
from airflow_provider_xbackup.tasks.unanswered import UnansweredRequest

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_xbackup.services.xray import JobStatus
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob, XrayBackupRequest
    from airflow_provider_xbackup.vault.catalog import Backup

AUTO = "auto"

#: A refusal counts from the end of a job, which may take hours.
_EXPLAINED = timedelta(hours=12)
_PROBABLY = (
    "An earlier try of this task asked at {at} and got no answer: that request was probably accepted, and is what "
    "has to be waited for. Its backup stays with Xray, since its job id is lost."
)
_PERHAPS = (
    "Perhaps an earlier try of this task asked and got no answer: then that is what has to be waited for, and its "
    "backup stays with Xray, since its job id is lost."
)


class XrayCreateBackupOperator(BaseOperator):
    """Ask Xray Cloud to make a backup of a tenant, once.

    The accepted job is remembered (Airflow 3.3 and newer): a retry, or a clear with the same arguments
    while the vendor's six hours last, picks it up instead of asking again. Returns the job as a dict of
    ``job_id``, ``requested_at``, ``kind``, ``base``, ``project_ids``, ``modified_since`` and
    ``with_attachments``.

    A tenant has one backup file: put all projects of a tenant into one job, and set ``max_active_runs=1``.

    :param project_ids: numeric ids of the Jira projects, or None for all that have Xray data
    :param modified_since: an ISO 8601 instant: only entities changed since then (a partial backup);
        ``"auto"``: since the newest full in ``vault``; None: a full backup
    :param with_attachments: whether the attachments are backed up as well
    :param on_cooldown: when the six hours since the last backup are not over: ``wait`` for the instant
        the server names without holding a worker, ``skip`` the task, or ``fail`` it at once
    :param max_wait: the longest wait for the cooldown, over all refusals together
    :param vault: where the backup will go. ``modified_since="auto"`` looks there for its base; nothing is
        asked for while it cannot be written; and a job of an earlier try whose backup is stored there is
        not asked for again, however old
    :param lock_for: how long the transfer will lock the backup; nothing is asked for while ``vault`` cannot
    :param account: the account's name; default the connection id
    :param full_every: with ``"auto"``: how old a full may be before the next one is made
    :param overlap: with ``"auto"``: how far before its base a partial backup starts
    :param xray_conn_id: the connection, of type ``xray``
    """

    template_fields: Sequence[str] = (
        "project_ids",
        "modified_since",
        "with_attachments",
        "on_cooldown",
        "vault",
        "lock_for",
        "account",
        "xray_conn_id",
    )
    ui_color = "#dff0e6"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        project_ids: Sequence[str | int] | None = None,
        modified_since: str | datetime | None = None,
        with_attachments: bool = False,
        on_cooldown: str = "wait",
        max_wait: timedelta = timedelta(hours=12),
        vault: str | ObjectStoragePath | None = None,
        lock_for: timedelta | str | None = None,
        account: str | None = None,
        full_every: timedelta = timedelta(days=7),
        overlap: timedelta = timedelta(minutes=10),
        xray_conn_id: str = XrayHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_ids = project_ids
        self.modified_since = modified_since
        self.with_attachments = with_attachments
        self.on_cooldown = on_cooldown
        self.max_wait = max_wait
        self.vault = vault
        self.lock_for = lock_for
        self.account = account
        self.full_every = full_every
        self.overlap = overlap
        self.xray_conn_id = xray_conn_id
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template field; a secret that comes of it is refused."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask for the backup, or find the job that an earlier try was granted.

        :return: the job
        """
        arguments.check_all(self, self._checks)
        return self._create(context, give_up_at=cooldown.read_end(None, self.max_wait), refusals=0)

    def try_again(
        self, context: Context, event: object = None, give_up_at: str | None = None, refusals: int = 1
    ) -> dict[str, Any]:
        """Ask again after a cooldown.

        :param context: the task's context
        :param event: that the instant has come
        :param give_up_at: when waiting ends; None, as ``dag.test()`` drops it, to count anew
        :param refusals: how many refusals there were
        :return: the job
        """
        self.log.info("The cooldown should be over (%s); asking again.", event)
        return self._create(context, give_up_at=cooldown.read_end(give_up_at, self.max_wait), refusals=refusals)

    def _create(self, context: Context, *, give_up_at: datetime, refusals: int) -> dict[str, Any]:
        self._lead_to_account()
        memory = JobMemory(context, self._asked_for)
        known = memory.recall()
        job = self._running_or_fresh(known, memory)
        if job is None:
            self._prepare_vault()
            unanswered = UnansweredRequest(context, self._asked_for, within=_EXPLAINED)
            try:
                with unanswered.noted():
                    job = self._hook.create_backup(*self._request())
                    self.log.info("Xray accepted the %s backup job %s.", job.kind, job.job_id)
                    memory.keep(job)
            except XBackupCooldownError as refusal:
                if known is not None and self._may_have_just_ended(known):
                    self.log.info("Picking up job %s, whose end the cooldown may be counted from.", known.job_id)
                    return known.to_dict()
                cooldown.handle(
                    refusal,
                    self,
                    on_cooldown=self.on_cooldown,
                    give_up_at=give_up_at,
                    refusals=refusals,
                    service="xray",
                    account=self._account,
                    because=unanswered.explain(_PROBABLY, _PERHAPS),
                )
        return job.to_dict()

    def _may_have_just_ended(self, job: XrayBackupJob) -> bool:
        """Tell whether a long job may be the one that the service's refusal is about.

        When it ended is not known, only that it has. The transfer takes its file only where no other job can
        have made that.
        """
        from airflow_provider_xbackup.services.xray import JobPhase
        from airflow_provider_xbackup.services.xray_cooldown import COOLDOWN

        if datetime.now(UTC) >= job.alone_until + COOLDOWN:
            return False
        status = self._status(job)
        return status is not None and status.phase is JobPhase.SUCCEEDED

    def _running_or_fresh(self, job: XrayBackupJob | None, memory: JobMemory) -> XrayBackupJob | None:
        """Return a remembered job whose file is to come, there, or stored; None to ask for a new one."""
        from airflow_provider_xbackup.services.xray import JobPhase

        if job is None:
            return None
        status = self._status(job)
        if status is not None and status.phase is JobPhase.RUNNING:
            self.log.info("Picking up job %s, which runs.", job.job_id)
            running = job.seen_running(status.at)
            memory.keep(running)
            return running
        if status is not None and status.phase is JobPhase.SUCCEEDED and datetime.now(UTC) < job.alone_until:
            self.log.info("Picking up job %s, which an earlier try was granted.", job.job_id)
            return job
        stored = self._find_stored(job)
        # One that has expired is on its way out, and a damaged one is none: whoever runs this again wants another.
        if stored is not None and not stored.tombstoned and not stored.damaged:
            self.log.info("The backup of job %s is stored: %s.", job.job_id, stored.location)
            return job.finished(stored.manifest.completed_at)
        self.log.info("Job %s of an earlier try is of no use any more; asking for a new one.", job.job_id)
        return None

    def _status(self, job: XrayBackupJob) -> JobStatus | None:
        """Ask how far a remembered job is; None where the service forgot it."""
        from airflow_provider_xbackup.services.errors import JobNotFoundError

        try:
            return self._hook.get_backup_status(job.job_id)
        except XBackupFailError as error:
            if not isinstance(error.error, JobNotFoundError):
                raise
            self.log.warning("%s", error)
            return None

    def _lead_to_account(self) -> None:
        if self.vault is not None:
            from airflow_provider_xbackup.hooks.vault import VaultHook

            self.subject = Subject(VaultHook(self.vault).url, "xray", self._account)

    def _prepare_vault(self) -> None:
        """Find out that the backup could not be stored before the six hours are spent on it."""
        if self.vault is None:
            return
        from airflow_provider_xbackup.hooks.vault import VaultHook
        from airflow_provider_xbackup.vault.locks import Lock

        with airflow_errors(account_label("Xray", self._account, self.xray_conn_id)):
            vault = VaultHook(self.vault).vault
            vault.prepare(Lock.of(self.lock_for))
            vault.warn_of_little_room("xray", self._account)

    def _find_stored(self, job: XrayBackupJob) -> Backup | None:
        """Return the backup that was made of a job, where the vault is known."""
        if self.vault is None:
            return None
        from airflow_provider_xbackup.hooks.vault import VaultHook
        from airflow_provider_xbackup.vault.layout import digits_of, make_backup_id

        with airflow_errors(account_label("Xray", self._account, self.xray_conn_id)):
            backup_id = make_backup_id(job.requested_at, job.kind, digits_of(job.job_id))
            return VaultHook(self.vault).vault.find("xray", self._account, backup_id)

    def _request(self) -> tuple[XrayBackupRequest, str | None]:
        """Return what to ask for and the backup it builds on."""
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

        since: object = self.modified_since
        base = None
        if since == AUTO:
            found = self._find_base()
            since = None if found is None else found.manifest.requested_at - self.overlap
            base = None if found is None else found.backup_id
        return XrayBackupRequest.checked(self.project_ids, since, self.with_attachments), base  # type: ignore[arg-type]

    def _find_base(self) -> Backup | None:
        from airflow_provider_xbackup.hooks.vault import VaultHook
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest
        from airflow_provider_xbackup.vault.chain import find_base
        from airflow_provider_xbackup.vault.manifest import Scope

        asked = XrayBackupRequest.checked(self.project_ids, None, self.with_attachments)
        with airflow_errors(account_label("Xray", self._account, self.xray_conn_id)):
            vault = VaultHook(self.vault).vault
            return find_base(
                vault.backups("xray", self._account),
                Scope(project_ids=asked.sorted_project_ids, attachments=asked.with_attachments),
                now=datetime.now(UTC),
                full_every=self.full_every,
            )

    @property
    def _account(self) -> str:
        return self.account or self.xray_conn_id

    @cached_property
    def _hook(self) -> XrayHook:
        return XrayHook(self.xray_conn_id, self._account)

    @property
    def _asked_for(self) -> dict[str, Any]:
        """What makes two tries of this task ask for the same, however it is written."""
        from airflow_provider_xbackup.services.instants import format_instant
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

        auto = self.modified_since == AUTO
        asked = XrayBackupRequest.checked(
            self.project_ids, None if auto else self.modified_since, self.with_attachments
        )
        since = asked.modified_since
        return {
            "xray_conn_id": self.xray_conn_id,
            "project_ids": asked.sorted_project_ids,
            "modified_since": AUTO if auto else since and format_instant(since),
            "with_attachments": asked.with_attachments,
        }

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "xray_conn_id": arguments.check_conn_id,
            "account": arguments.check_account,
            "vault": self._check_vault,
            "lock_for": self._check_lock_for,
            "on_cooldown": arguments.check_on_cooldown,
            "max_wait": arguments.check_max_wait,
            "full_every": arguments.check_full_every,
            "overlap": arguments.check_overlap,
            "project_ids": partial(_check_request, "project_ids"),
            "modified_since": self._check_modified_since,
            "with_attachments": partial(_check_request, "with_attachments"),
        }

    def _check_vault(self, vault: object) -> None:
        if vault is not None:
            arguments.check_vault(vault)

    def _check_lock_for(self, lock_for: object) -> None:
        if lock_for is not None and self.vault is None:
            raise InvalidArgumentError("lock_for is looked at beforehand: vault must say what will be locked.")
        arguments.check_lock_for(lock_for, self.vault)

    def _check_modified_since(self, modified_since: object) -> None:
        if modified_since != AUTO:
            _check_request("modified_since", modified_since)
        elif self.vault is None:
            raise InvalidArgumentError(
                "modified_since='auto' starts from the newest full backup: vault must say where to look for it."
            )


def _check_request(name: str, value: Any) -> None:
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

    XrayBackupRequest.checked(**{name: value})
