"""
### Make a new bot of a backup

Chooses a backup and holds it, asks a person, and then makes a **brand-new bot** of it. The old bot stays as it is.
What is approved is what is restored: the backup is chosen before the question.

**Before it runs**

1. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
2. Create a connection of type *Xenioo* to any bot of the account that gets the new one, with the account's key
   and the bot's two keys: the account's key goes into the new bot's connection.
3. Trigger it, and say which backup: an id, `latest-verified`, or `as-of 2026-11-23T06:00:00Z`. Answer the question
   under *Required Actions*.

**After it ran**

The keys of the new bot are in the Variable that you named, as a connection. Import it and delete the Variable:

    airflow connections add xenioo_new --conn-json "$(airflow variables get xenioo_restored_secret)"
    airflow variables delete xenioo_restored_secret

**Good to know**

- The question tells the state of the backup. A suspect one is restored only where its whole id was given.
- A bot can be restored once an hour. Met by that limit, the task waits without holding a worker.
- A restore whose answer was lost is never repeated by itself: it could make a second bot. The task says what now.
- No endpoint deletes bots. Remove one that is not wanted in the product.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag

from airflow_provider_xbackup.operators.vault import HoldBackupOperator
from airflow_provider_xbackup.operators.xenioo import XeniooRestoreBotOperator

CHOSEN = "{{ ti.xcom_pull(task_ids='choose')['backup_id'] }}"
STATE = "{{ ti.xcom_pull(task_ids='choose')['state'] }}"
FLAWS = "{{ ti.xcom_pull(task_ids='choose')['flaws'] | join(' ') }}"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "account": Param("welcome", type="string", description="Whose backup, as it is called in the vault"),
        "backup_id": Param("latest-verified", type="string", description="Which of them"),
        "connection": Param("xenioo_welcome", type="string", description="A bot of the account"),
        "variable": Param("xenioo_restored_secret", type="string", description="Where the new keys go"),
    },
    tags=["xbackup", "xenioo"],
    doc_md=__doc__,
)
def xenioo_restore() -> None:
    """Choose a backup, ask, restore it."""
    # [START howto_operator_hold_backup]
    choose = HoldBackupOperator(
        task_id="choose",
        vault="{{ var.value.xbackup_vault }}",
        backup_id="{{ params.backup_id }}",
        service="xenioo",
        account="{{ params.account }}",
        why="chosen for a restore",
        hold_for=timedelta(days=7),
    )
    # [END howto_operator_hold_backup]
    approve = ApprovalOperator(
        task_id="approve",
        subject="Make a new bot of {{ params.account }}?",
        body=f"Of the backup `{CHOSEN}`, state **{STATE}**. {FLAWS} The old bot stays as it is.",
    )
    # [START howto_operator_xenioo_restore_bot]
    restore = XeniooRestoreBotOperator(
        task_id="restore",
        vault="{{ var.value.xbackup_vault }}",
        # All that the hold returned, not the id alone: a suspect that `latest` came upon is refused, and restored
        # only where somebody asked for it by its id.
        backup_id=choose.output,
        account="{{ params.account }}",
        keys_variable="{{ params.variable }}",
        xenioo_conn_id="{{ params.connection }}",
    )
    # [END howto_operator_xenioo_restore_bot]
    choose >> approve >> restore


xenioo_restore()
