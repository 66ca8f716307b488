"""
### Verify new backups, then let old ones expire

Runs after every backup: it is scheduled on the assets that backups update, and looks after the accounts that have
a new one. Nothing of an account expires while its newest backup cannot be verified, and nothing where no new ones
come.

**Before it runs**

1. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
2. Name below the accounts that are not mapped, as they are called in the vault. Mapped ones come by themselves.
3. Say below what you want to keep.
4. Look at what would happen first: `dry_run=True` below, or `xbackup retention plan` on a terminal.

**Good to know**

- A run that somebody triggers follows no backup. It looks after the accounts that are named below.
- An expired backup can be brought back for three days: `xbackup undelete`. `xbackup hold` keeps one for good.
- Whatever the policy says, the newest verified backup stays, and a plan that looks like a mistake is refused.
- A bucket with versions or an object lock keeps the bytes until its own rule removes them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import AssetAny, dag, task, task_group

from airflow_provider_xbackup.assets import account_of, backup_alias, backup_asset
from airflow_provider_xbackup.operators.vault import ApplyRetentionOperator, VerifyBackupOperator
from airflow_provider_xbackup.vault import RetentionPolicy

VAULT = "{{ var.value.xbackup_vault }}"
ACCOUNTS = [("xray", "acme")]
POLICY = RetentionPolicy(keep_daily=14, keep_weekly=8, keep_monthly=12, keep_yearly=5)

ANY_BACKUP = AssetAny(
    *(backup_asset(service, account) for service, account in ACCOUNTS),
    # Mapped flows tell of their backups through the alias of their service.
    backup_alias("xray"),
    backup_alias("xenioo"),
)


@dag(
    schedule=ANY_BACKUP,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["xbackup"],
    doc_md=__doc__,
)
def xbackup_retention() -> None:
    """Verify, then expire, account by account."""

    @task
    def accounts(triggering_asset_events: Any) -> list[dict[str, str]]:
        new = {account_of(event.asset.uri) for events in triggering_asset_events.values() for event in events}
        return [{"service": service, "account": account} for service, account in sorted(new or ACCOUNTS)]

    @task_group(prefix_group_id=False)
    def look_after(service: str, account: str) -> None:
        common = {"vault": VAULT, "service": service, "account": account}
        # [START howto_operator_verify_backup]
        # The whole content: every CRC, every JSON. An encrypted backup is verified as it is stored, unless the
        # worker has a private key.
        verify = VerifyBackupOperator(task_id="verify", backup_id="latest", level="content", **common)
        # [END howto_operator_verify_backup]
        # [START howto_operator_apply_retention]
        # dry_run=True tells in the log what would be kept and what would go, with the reasons, and touches
        # nothing. Begin with that. It has to become False some day, or the vault grows for ever.
        expire = ApplyRetentionOperator(task_id="expire", policy=POLICY, dry_run=False, **common)
        # [END howto_operator_apply_retention]
        verify >> expire

    look_after.expand_kwargs(accounts())


xbackup_retention()
