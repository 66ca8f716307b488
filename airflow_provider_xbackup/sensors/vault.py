"""Watching over the age of backups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_xbackup.exceptions import XBackupSensorTimeout, airflow_errors
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, metrics
from airflow_provider_xbackup.tasks.metrics import Metric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_xbackup.vault.catalog import Backup, Finding
    from airflow_provider_xbackup.vault.status import AccountStatus


class BackupFreshnessSensor(BaseSensorOperator):
    """Wait until every account has the backups it was promised, and fail when they do not come.

    Succeeds as soon as no backup is missing, late or doubtful; otherwise its timeout ends it, with one line
    for each account that is not as promised. With ``timeout=0`` it asks once: an alarm for a DAG that runs
    by the clock. Reads the vault only, and with ``bots_of`` a vendor's list of bots. Returns the age in
    seconds of the newest whole backup of every account, by ``service/account``.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param rpo: how old the newest whole backup of an account may be
    :param verified_rpo: how old the newest verified backup of an account may be; None for any age
    :param expect: accounts that must have a backup, such as ``xray/acme``; all others in the vault are
        looked at as well
    :param bots_of: a connection of type ``xenioo`` with the account's API key, or a token of the account: a
        bot of the account that no backup covers is late as well; not together with ``account``, or with the
        service ``xray``
    :param service: look at this service only
    :param account: look at this account only
    :param poke_interval: seconds between two looks
    :param timeout: seconds after which the wait ends with AirflowSensorTimeout
    """

    template_fields: Sequence[str] = ("vault", "expect", "bots_of", "service", "account")
    ui_color = "#e8e0f3"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        rpo: timedelta,
        verified_rpo: timedelta | None = None,
        expect: Sequence[str] = (),
        bots_of: str | None = None,
        service: str | None = None,
        account: str | None = None,
        poke_interval: timedelta | float = 300,
        timeout: timedelta | float = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.vault = vault
        self.rpo = rpo
        self.verified_rpo = verified_rpo
        self.expect = expect
        self.bots_of = bots_of
        self.service = service
        self.account = account
        arguments.check_literals(self, self._checks)
        self._late: tuple[Finding, ...] = ()

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template field; a secret that comes of it is refused."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> Any:
        """Wait for the backups.

        :return: the age of the newest whole backup of every account, in seconds
        :raises XBackupSensorTimeout: when the time is over and something is still not as promised
        """
        arguments.check_all(self, self._checks)
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            told = " ".join(finding.text for finding in self._late)
            raise XBackupSensorTimeout(
                f"The vault {self.vault} is not as promised: {told} `xbackup status` shows all accounts."
            ) from None

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Look once.

        :return: whether all is as promised
        :raises XBackupError: when the vault cannot be read
        """
        from airflow_provider_xbackup.hooks.account_bots import bots_of
        from airflow_provider_xbackup.hooks.vault import VaultHook
        from airflow_provider_xbackup.vault.coverage import Coverage
        from airflow_provider_xbackup.vault.status import AccountName, Promise, judge, survey

        now = datetime.now(UTC)
        with airflow_errors(f"The vault {self.vault}"):
            promise = Promise(
                frozenset(AccountName.parse(name) for name in self.expect), self.rpo, self.verified_rpo
            )
            vault = VaultHook(self.vault).vault
            self.subject = Subject(vault.url, self.service, self.account)
            backups, coverage = vault.backups(self.service, self.account), Coverage()
            accounts = survey(coverage.watch(backups), promise.accounts)
        uncovered = () if self.bots_of is None else coverage.uncovered(bots_of(self.bots_of))
        self._late = (*judge(accounts, promise, now), *uncovered, *backups.findings)
        self.subject = _concerned(self.subject, self._late)
        for finding in self._late:
            self.log.warning("%s: %s", finding.code, finding.text)
        for account in accounts:
            _tell_ages(account, now)
        ages = {
            str(account.name): (now - account.newest.instant).total_seconds()
            for account in accounts
            if account.newest is not None
        }
        return PokeReturnValue(is_done=not self._late, xcom_value=ages)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "rpo": arguments.check_rpo,
            "verified_rpo": arguments.check_rpo,
            "expect": arguments.check_accounts,
            "bots_of": self._check_bots_of,
            "service": arguments.check_service,
            "account": arguments.check_account,
        }

    def _check_bots_of(self, value: str | None) -> None:
        from airflow_provider_xbackup.vault.coverage import check_all_looked_at

        if value is not None:
            arguments.check_conn_id(value)
            # What a template becomes is checked when the task runs.
            filters = [each if arguments.is_literal(each) else None for each in (self.service, self.account)]
            check_all_looked_at(*filters)


def _tell_ages(account: AccountStatus[Backup], now: datetime) -> None:
    newest = ((Metric.AGE_OF_WHOLE, account.newest), (Metric.AGE_OF_VERIFIED, account.verified))
    for metric, backup in newest:
        if backup is not None:
            age, name = now - backup.instant, account.name
            metrics.tell(metric, age.total_seconds(), service=name.service, account=name.account)


def _concerned(watched: Subject, findings: Sequence[Finding]) -> Subject:
    """Return the one account that findings are about; all that was watched where they are about several."""
    accounts = {tuple(finding.path.split("/")[:2]) for finding in findings}
    if len(accounts) == 1 and len(parts := accounts.pop()) == 2:
        return replace(watched, service=parts[0], account=parts[1])
    return watched
