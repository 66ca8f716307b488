"""Telling people about backups that failed or are late, through whatever notifier they use."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.exceptions import airflow_errors
from airflow_provider_xbackup.links import Subject, page_of
from airflow_provider_xbackup.tasks.arguments import is_literal

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Finding
    from airflow_provider_xbackup.vault.status import Promise
    from airflow_provider_xbackup.vault.url import VaultUrl

log = logging.getLogger(__name__)

_ALERT = "backup_alert"


@dataclass(frozen=True, slots=True)
class BackupAlert:
    """What somebody has to know: what happened, to whom, and where to look.

    What Airflow masks in the log of the process that makes it is masked in it, too.

    :param subject: one line
    :param lines: the text
    :param links: addresses to look at, by what they lead to
    """

    subject: str
    lines: tuple[str, ...]
    links: Mapping[str, str]

    @property
    def text(self) -> str:
        """All of it but the subject, for chats and plain mails."""
        return "\n".join((*self.lines, *(f"{name}: {url}" for name, url in self.links.items())))

    @property
    def html(self) -> str:
        """The same as HTML."""
        links = (f'<a href="{escape(url)}">{escape(name)}</a>' for name, url in self.links.items())
        return "<br>".join((*map(escape, self.lines), *links))

    @classmethod
    def of_task(cls, context: Mapping[str, Any]) -> BackupAlert:
        """Tell of a task that failed.

        :param context: what Airflow hands to ``on_failure_callback`` and its like
        """
        ti, task = context["ti"], context["task"]
        subject: Subject | None = getattr(task, "subject", None)
        about = (_account_of(task) or ti.dag_id) if subject is None else subject.label
        mapped = "" if ti.map_index in (None, -1) else f" [{ti.rendered_map_index or ti.map_index}]"
        page = _page(subject)
        return cls(
            f"{about}: {ti.task_id}{mapped} failed",
            (
                _masked(str(context.get("exception") or "The task ended without an error of its own.")),
                f"Task {ti.task_id}{mapped} of DAG {ti.dag_id}, run {ti.run_id}, try {ti.try_number}.",
            ),
            {**({"Backup": page} if page else {}), "Log": ti.log_url},
        )

    @classmethod
    def of_findings(cls, findings: Sequence[tuple[VaultUrl, Finding]], occasion: str) -> BackupAlert:
        """Tell of what vaults lack.

        :param findings: what is not as it was promised, see :func:`~.status.judge`, and of which vault
        :param occasion: why somebody looked
        """
        if not findings:
            return cls("All backups are as promised", (occasion, "All backups are as promised all the same."), {})
        texts = [_masked(f"{url.without_connection}: {finding.text}") for url, finding in findings]
        subject = texts[0] if len(texts) == 1 else f"{len(texts)} things are wrong with backups"
        page = next(filter(None, (_page(Subject(url)) for url, _ in findings)), "")
        return cls(subject, (occasion, *texts), {"Backups": page} if page else {})


def _account_of(task: Any) -> str | None:
    """Return whose backup a task was to be about that knows of no vault yet, where its DAG says that."""
    account = getattr(task, "account", None)
    return account if isinstance(account, str) and is_literal(account) else None


def _page(subject: Subject | None) -> str:
    """Return where a mail may lead to; nothing where ``[api] base_url`` does not tell Airflow's address."""
    page = page_of(subject)
    return page if page.startswith("http") else ""


def _masked(text: str) -> str:
    # Imported here, as DAG files import this module.
    from airflow.providers.common.compat.sdk import redact

    return str(redact(text))


class BackupNotifier(BaseNotifier):
    """Lets other notifiers say what happened to a backup, in ``backup_alert`` of their templates.

    For ``on_failure_callback`` and ``on_retry_callback`` of tasks; of those of this package it tells more. The
    notifiers' templates have ``backup_alert.subject``, ``backup_alert.text`` and ``backup_alert.html``.

    :param notifiers: who sends it, such as a ``SmtpNotifier``
    """

    def __init__(self, *notifiers: BaseNotifier) -> None:
        super().__init__()
        self.notifiers = notifiers

    def notify(self, context: Any) -> None:
        """Send what happened through all of them; one that fails does not keep the others from it.

        :param context: the task's context
        :raises RuntimeError: when one failed, after all were tried
        """
        context[_ALERT] = BackupAlert.of_task(context)
        _send(self.notifiers, context)


async def tell_of_late_backups(
    vault: str | None = None,
    rpo_hours: float | None = None,
    expect: Sequence[str] = (),
    notifier: str | None = None,
    notifier_kwargs: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> str:
    """Look into vaults when a deadline was missed, and tell which backups are not as they were promised.

    For Airflow's ``DeadlineAlert``: ``AsyncCallback(tell_of_late_backups, kwargs={…})``. It runs in the triggerer
    and reads the vaults themselves: a run that hangs is no alarm as long as its backups are there, and missing
    ones are an alarm where no worker is left. A vault that does not answer is one, too. What is found is written
    to the log, also without a notifier; where nothing is, nothing is sent.

    :param vault: the vault; None for those of ``[xbackup] vaults``, with what is promised there
    :param rpo_hours: with ``vault``: how old the newest whole backup of an account may be; None for any age
    :param expect: with ``vault``: accounts that must have a backup, such as ``xray/acme``; all others in it are
        looked at as well
    :param notifier: the import path of a notifier, such as
        ``airflow.providers.smtp.notifications.smtp.SmtpNotifier``
    :param notifier_kwargs: its arguments; their templates have ``backup_alert``, ``dag_run`` and ``deadline``
    :param context: what Airflow hands in
    :return: the text
    :raises XBackupError: when it is not known which vault is meant
    :raises RuntimeError: when the notifier failed
    """
    from asgiref.sync import sync_to_async

    known = dict(context or {})
    dag_run = known.get("dag_run") or {}
    run = f" of run {dag_run.get('dag_run_id')} of DAG {dag_run.get('dag_id')}" if dag_run else ""
    # Stores and notifiers would block the triggerer's loop. A thread of asyncio's own would ask Airflow for
    # connections beside that loop, which ends the triggerer of 3.1; the one that all share would wait for stores.
    findings = await sync_to_async(_look, thread_sensitive=False)(vault, rpo_hours, expect)
    alert = BackupAlert.of_findings(findings, f"The deadline{run} was missed.")
    (log.warning if findings else log.info)("%s", alert.text)
    if notifier is not None and findings:
        send = resolve_name(notifier)(**notifier_kwargs or {})
        await sync_to_async(_send, thread_sensitive=False)([send], known | {_ALERT: alert})
    return alert.text


def _look(vault: str | None, rpo_hours: float | None, expect: Sequence[str]) -> list[tuple[VaultUrl, Finding]]:
    with airflow_errors("The deadline's callback"):
        promised = _promised(vault, rpo_hours, expect)
    return [(url, finding) for url, promise in promised for finding in _judge(url, promise)]


def _promised(
    vault: str | None, rpo_hours: float | None, expect: Sequence[str]
) -> Sequence[tuple[VaultUrl, Promise]]:
    from airflow_provider_xbackup.vault.status import AccountName, Promise
    from airflow_provider_xbackup.vault.url import VaultUrl

    if vault is not None:
        rpo = None if rpo_hours is None else timedelta(hours=rpo_hours)
        return [(VaultUrl.parse(vault), Promise(frozenset(map(AccountName.parse, expect)), rpo))]
    watched = configuration.vaults()
    if not watched:
        raise InvalidArgumentError("it knows no vault. Hand in vault, or set [xbackup] vaults for the triggerer.")
    return [(each.url, each.promise) for each in watched]


def _judge(url: VaultUrl, promise: Promise) -> list[Finding]:
    """Return what a vault lacks; that it cannot be looked at is a finding, and keeps nobody from the others."""
    from airflow_provider_xbackup.hooks.vault import VaultHook
    from airflow_provider_xbackup.vault.catalog import Finding
    from airflow_provider_xbackup.vault.status import judge, survey

    try:
        backups = VaultHook(url).vault.backups()
        return [*judge(survey(backups, promise.accounts), promise, datetime.now(UTC)), *backups.findings]
    except BackupError as error:
        return [Finding("unreadable", "", str(error))]


def _send(notifiers: Sequence[BaseNotifier], context: Any) -> None:
    failed = []
    for notifier in notifiers:
        try:
            # Rendering a notifier's templates replaces them, and the same one is to send the next alert.
            copy.copy(notifier)(context)
        except Exception:  # noqa: BLE001 - whatever its kind, the others are to be told; Airflow has logged it
            failed.append(type(notifier).__name__)
    if failed:
        raise RuntimeError(f"{', '.join(failed)} did not send the alert about backups; the log above says why.")
