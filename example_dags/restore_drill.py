"""
### Prove that a bot can be got back

A backup that was never restored is a hope. After a person agreed, this makes a new bot of the newest verified
backup, backs the new bot up into a vault of its own, and compares the two backups: the order of fields and the
spacing do not matter, and ids that a copy cannot share are counted apart. It ends by saying which bot to remove,
since no endpoint deletes bots.

**Before it runs**

1. Set the Airflow Variables `xbackup_vault` and `xbackup_drill_vault`, for example `s3://my_aws_conn@my-bucket/drills`.
2. Create the connection `xenioo_welcome` with the account's key and the bot's two keys. With a token alone the new
   bot's keys cannot make a token, and its backup fails.

**Good to know**

- The new bot's keys go into an Airflow Variable, one a run. The transfer reads its connection from there:
  `xenioo_conn_id="variable:…"`. They are in no XCom and no log.
- A restore and a backup count once an hour for each bot. Met by that limit, a task waits without holding a worker.
- The run fails when the drill does: when there is no restore or no backup of the new bot, and when the comparison
  finds a difference. It names the places, never the values.
- Which bot to remove is said in either case. That task is a teardown: it always runs, and does not decide the run.
"""

from __future__ import annotations

import logging
from typing import Any

import pendulum
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import dag, teardown

from airflow_provider_xbackup.operators.xenioo import XeniooCompareBackupsOperator, XeniooRestoreBotOperator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator

ACCOUNT = "welcome"
CONNECTION = "xenioo_welcome"
KEYS = "xenioo_drill_secret_{{ run_id }}"
"""The Variable of a run that holds the connection to its new bot."""


@dag(
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["xbackup", "xenioo"],
    doc_md=__doc__,
)
def restore_drill() -> None:
    """Restore, back up, compare, and say what to remove."""
    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Drill: make a new bot of the newest verified backup of {ACCOUNT}?",
        body="It has to be removed in the product afterwards; the last task says which one it is.",
    )
    restore = XeniooRestoreBotOperator(
        task_id="restore",
        vault="{{ var.value.xbackup_vault }}",
        backup_id="latest-verified",
        account=ACCOUNT,
        keys_variable=KEYS,
        xenioo_conn_id=CONNECTION,
    )
    # [START howto_transfer_xenioo_to_object_storage]
    back_up = XeniooToObjectStorageOperator(
        task_id="back_up",
        vault="{{ var.value.xbackup_drill_vault }}",
        account=ACCOUNT,
        xenioo_conn_id=f"variable:{KEYS}",
        retries=2,
    )
    # [END howto_transfer_xenioo_to_object_storage]
    # [START howto_operator_xenioo_compare_backups]
    compare = XeniooCompareBackupsOperator(task_id="compare", original=restore.output, copy=back_up.output)
    # [END howto_operator_xenioo_compare_backups]

    # A teardown without a setup: as a setup, the restore would run again, and make another bot, whenever one of
    # the other tasks is cleared.
    @teardown
    def say_what_to_remove(restored: dict[str, Any] | None) -> str:
        if not restored:
            return "No new bot is known of. If the restore failed, its log says whether one was made all the same."
        bot = restored["bot"] or "that was made last"
        said = f"Remove the bot {bot} in the product, and then the Variable {restored['keys_variable']}."
        logging.getLogger(__name__).warning(said)
        return said

    approve >> restore >> back_up
    compare >> say_what_to_remove(restore.output)


restore_drill()
