"""Whole backup flows in one call, for one account or mapped over many.

.. code-block:: python

    xray_backup(vault="s3://backups@acme-backups/xray", account="acme", with_attachments=True)

    xenioo_backup.partial(vault="s3://backups@acme-backups/bots").expand_kwargs(
        [
            {"account": "welcome", "xenioo_conn_id": "xenioo_welcome"},
            {"account": "support", "xenioo_conn_id": "xenioo_support"},
        ]
    )

Map whole groups, never three mapped operators: those would make every account wait for the slowest.
``pool``, ``deferrable``, ``poke_interval``, ``timeout``, ``lock_for`` and ``lock_mode`` are the same for all
accounts: give them with ``.partial()``. An argument that stands in one row stands in all of them, and an account
has one row. Rows that come from a task (``expand_kwargs(rows())``) hold every argument that is neither given with
``.partial()`` nor one of these; :func:`rows_for` completes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import task_group

from airflow_provider_xbackup.assets import backup_alias, backup_asset
from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.tasks.arguments import is_literal
from airflow_provider_xbackup.tasks.mapping import complete_rows, one_row_an_account, with_defaults
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, AssetAlias, ObjectStoragePath


@task_group
@with_defaults("pool", "deferrable", "poke_interval", "timeout", "lock_for", "lock_mode")
@one_row_an_account("xray_conn_id")
def xray_backup(
    vault: str | ObjectStoragePath,
    account: str | None = None,
    project_ids: Sequence[str | int] | None = None,
    modified_since: str | datetime | None = None,
    with_attachments: bool = False,
    on_cooldown: str = "wait",
    encrypt_to: str | Sequence[str] | None = None,
    xray_conn_id: str = XrayHook.default_conn_name,
    pool: str | None = None,
    deferrable: bool | None = None,
    poke_interval: timedelta | float | None = None,
    timeout: timedelta | float | None = None,
    lock_for: timedelta | str | None = None,
    lock_mode: str = "governance",
) -> XrayToObjectStorageOperator:
    """Back up a tenant of Xray Cloud: ask for the backup, wait for it, store it.

    All projects of a tenant go into one job: the tenant has one backup file. The transfer updates the
    asset of the account.

    :param vault: where the backup goes
    :param account: the account's name; default the connection id
    :param project_ids: numeric ids of the Jira projects, or None for all
    :param modified_since: an ISO 8601 instant for a partial backup, ``"auto"``, or None for a full one
    :param with_attachments: whether the attachments are backed up as well
    :param on_cooldown: ``wait``, ``skip`` or ``fail`` when the vendor's six hours are not over
    :param encrypt_to: age public keys to encrypt to, or None
    :param xray_conn_id: the connection, of type ``xray``
    :param pool: the pool of sensor and transfer; not of the creating task, so that a wait for the
        cooldown never blocks a transfer
    :param deferrable: whether the sensor waits in the triggerer; default Airflow's setting
    :param poke_interval: seconds between two questions of the sensor
    :param timeout: seconds after which the sensor gives up
    :param lock_for: how long S3 is to lock the backup, for example ``90d``; None for no lock
    :param lock_mode: ``governance``, or ``compliance``, which nobody can take back
    :return: the transfer, whose output says what was stored
    """
    create = XrayCreateBackupOperator(
        task_id="create",
        project_ids=project_ids,
        modified_since=modified_since,
        with_attachments=with_attachments,
        on_cooldown=on_cooldown,
        vault=vault,
        lock_for=lock_for,
        account=account,
        xray_conn_id=xray_conn_id,
    )
    wait = XrayBackupSensor(
        task_id="wait",
        job=create.output,
        account=account,
        xray_conn_id=xray_conn_id,
        **_given(pool=pool, deferrable=deferrable, poke_interval=poke_interval, timeout=timeout),
    )
    return XrayToObjectStorageOperator(
        task_id="store",
        job=wait.output,
        vault=vault,
        account=account,
        encrypt_to=encrypt_to,
        lock_for=lock_for,
        lock_mode=lock_mode,
        xray_conn_id=xray_conn_id,
        outlets=[_outlet("xray", account, xray_conn_id)],
        **_given(pool=pool),
    )


@task_group
@with_defaults("pool", "lock_for", "lock_mode")
@one_row_an_account("xenioo_conn_id")
def xenioo_backup(
    vault: str | ObjectStoragePath,
    account: str | None = None,
    on_cooldown: str = "wait",
    encrypt_to: str | Sequence[str] | None = None,
    xenioo_conn_id: str = XeniooHook.default_conn_name,
    pool: str | None = None,
    lock_for: timedelta | str | None = None,
    lock_mode: str = "governance",
) -> XeniooToObjectStorageOperator:
    """Back up a Xenioo bot. The transfer updates the asset of the account.

    :param vault: where the backup goes
    :param account: the account's name; default the connection id
    :param on_cooldown: ``wait``, ``skip`` or ``fail`` when the bot's hour is not over
    :param encrypt_to: age public keys to encrypt to, or None
    :param xenioo_conn_id: the connection, of type ``xenioo``
    :param pool: the pool of the transfer
    :param lock_for: how long S3 is to lock the backup, for example ``90d``; None for no lock
    :param lock_mode: ``governance``, or ``compliance``, which nobody can take back
    :return: the transfer, whose output says what was stored
    """
    return XeniooToObjectStorageOperator(
        task_id="store",
        vault=vault,
        account=account,
        on_cooldown=on_cooldown,
        encrypt_to=encrypt_to,
        lock_for=lock_for,
        lock_mode=lock_mode,
        xenioo_conn_id=xenioo_conn_id,
        outlets=[_outlet("xenioo", account, xenioo_conn_id)],
        **_given(pool=pool),
    )


def rows_for(group: Any, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Check the rows that a task has read somewhere, such as an Airflow Variable, and fill in what they leave out.

    .. code-block:: python

        @task
        def bots():
            return rows_for(xenioo_backup, Variable.get("xbackup_bots", deserialize_json=True))

        xenioo_backup.partial(vault="s3://backups@acme-backups/bots").expand_kwargs(bots())

    :param group: :func:`xray_backup` or :func:`xenioo_backup`
    :param rows: arguments of the group, a row an account
    :return: the rows, complete; what is given with ``.partial()`` counts where both say something
    :raises XBackupFailError: when there is no row, a row has what is no argument or the same for all accounts, or
        an account has two rows
    """
    try:
        return complete_rows(group.function, rows)
    except ValueError as error:
        raise XBackupFailError(f"{error} Correct the list, then clear this task.") from None


def _outlet(service: str, account: str | None, conn_id: str) -> Asset | AssetAlias:
    name = conn_id if account is None else account
    return backup_asset(service, name) if is_literal(name) else backup_alias(service)


def _given(**arguments: Any) -> dict[str, Any]:
    """Leave out what was not given, so that the operators' own defaults hold."""
    return {name: value for name, value in arguments.items() if value is not None}
