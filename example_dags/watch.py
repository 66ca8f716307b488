"""
### Tell people when backups are late, damaged or missing

Looks every hour whether every account has the backups it was promised, and sends a mail where it has not. Should
this DAG itself not come to an end, Airflow's deadline asks the vaults instead, in the triggerer.

**Before it runs**

1. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
2. Name the accounts below, and how old their backups may be.
3. Name the vault and the same promises in `[xbackup] vaults` of Airflow's configuration, for the triggerer as
   well: the deadline reads them there, and the page in Airflow's UI shows them. Mails have links to it where
   `[api] base_url` tells Airflow's address.
4. Create the connection `smtp_default` for mails, and say below to whom they go. Any other notifier does as well.

**Good to know**

- The mail says what is wrong, with which account, what to do, and has a link to the backup's page.
- A deadline that is missed while all backups are as promised sends nothing.
- The sensor tells the ages of backups as metrics, too, with every look.
- The deadline's classes are imported from where every Airflow from 3.1 on has them; from 3.2 on `airflow.sdk` has
  them as well.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import dag
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_xbackup.notifications import BackupNotifier, tell_of_late_backups
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor

MAIL = {
    "to": "on-call@example.com",
    "from_email": "airflow@example.com",
    "subject": "{{ backup_alert.subject }}",
    "html_content": "{{ backup_alert.html }}",
}


@dag(
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=30),
        callback=AsyncCallback(
            tell_of_late_backups,
            kwargs={
                "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
                "notifier_kwargs": MAIL,
            },
        ),
    ),
    tags=["xbackup"],
    doc_md=__doc__,
)
def xbackup_watch() -> None:
    """Look once, and tell what is wrong."""
    # [START howto_notification_backup]
    BackupFreshnessSensor(
        task_id="fresh",
        vault="{{ var.value.xbackup_vault }}",
        rpo=timedelta(hours=26),
        verified_rpo=timedelta(days=8),
        expect=["xray/acme"],
        timeout=0,  # what is late now does not come by waiting: tell at once
        on_failure_callback=BackupNotifier(SmtpNotifier(**MAIL)),
    )
    # [END howto_notification_backup]


xbackup_watch()
