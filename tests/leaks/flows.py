"""Every flow of the package, and the requests it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.http import tokens

if TYPE_CHECKING:
    from conftest import Scene

LOGIN, CREATE, STATUS = "/authenticate$", "/api/v2/backup$", "/status$"
DATA, ATTACHMENTS, LINK, COUNT = "/backup/file$", "/file/attachment$", "^/_storage/", "/graphql$"
KEYS, OLDER_KEYS = "/authorization/integration$", "/authorization/code$"
BOT, BOTS, RESTORE = "/bots/backup$", "/bots$", "/bots/restore$"


def job_of(scene: Scene, *, finished: bool = True) -> dict[str, Any]:
    """Ask for a backup, and forget the token that it took."""
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

    hook = XrayHook("acme")
    job = hook.create_backup(XrayBackupRequest(with_attachments=True))
    if finished:
        scene.sim.finish_jobs()
        job = job.finished(hook.get_backup_status(job.job_id).at)
    hook.client.close()
    tokens._cache.clear()
    return job.to_dict()


def prepare_nothing(scene: Scene) -> None:
    pass


def prepare_job(scene: Scene) -> None:
    scene.job = job_of(scene)


def prepare_running_job(scene: Scene) -> None:
    scene.sim.settings.xray.job_seconds = 3600
    scene.job = job_of(scene, finished=False)


def create(scene: Scene, **arguments: Any) -> None:
    from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator

    task = XrayCreateBackupOperator(
        task_id="create", xray_conn_id="acme", vault=str(scene.vault.url), **{"on_cooldown": "fail", **arguments}
    )
    scene.keep("XCom", task.execute(scene.context))
    # Once more: what is remembered is picked up.
    scene.keep("XCom", task.execute(scene.context))


def poke(scene: Scene) -> None:
    from airflow_provider_xbackup.sensors.xray import XrayBackupSensor

    unfinished = {name: value for name, value in scene.job.items() if name != "finished_at"}
    sensor = XrayBackupSensor(task_id="wait", job=unfinished, xray_conn_id="acme", outage_tolerance=0)
    scene.keep("XCom", sensor.execute(scene.context))


def defer(scene: Scene) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    from airflow_provider_xbackup.sensors.xray import XrayBackupSensor

    sensor = XrayBackupSensor(task_id="wait", job=scene.job, xray_conn_id="acme", deferrable=True, timeout=2)
    try:
        scene.keep("XCom", sensor.execute(scene.context))
    except TaskDeferred as deferral:
        scene.keep("trigger row", list(deferral.trigger.serialize()))
        scene.sim.finish_jobs()
        for event in _events(deferral.trigger):
            scene.keep("trigger event", event)
            scene.keep("XCom", sensor.execute_complete(scene.context, event))


def trigger(scene: Scene) -> None:
    from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

    one = XrayBackupTrigger(
        job_id=scene.job["job_id"],
        xray_conn_id="acme",
        account="acme",
        poll_interval=0.01,
        deadline=time.time() + 5,
        outage_tolerance=0,
    )
    scene.keep("trigger row", list(one.serialize()))
    for event in _events(one):
        scene.keep("trigger event", event)
    scene.keep("trigger row", list(one.serialize()))


def _events(one: Any) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event.payload async for event in one.run()]

    return asyncio.run(collect())


def store_xray(scene: Scene, **arguments: Any) -> None:
    from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

    task = XrayToObjectStorageOperator(
        task_id="store", job=scene.job, xray_conn_id="acme", **{"vault": str(scene.vault.url), **arguments}
    )
    scene.keep("XCom", task.execute(scene.context))


def store_bot(scene: Scene, conn_id: str = "bot", **arguments: Any) -> None:
    from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator

    task = XeniooToObjectStorageOperator(
        task_id="store",
        xenioo_conn_id=conn_id,
        **{"vault": str(scene.vault.url), "on_cooldown": "fail", **arguments},
    )
    scene.keep("XCom", task.execute(scene.context))


def store_bot_with_keys(scene: Scene) -> None:
    store_bot(scene, "keys")


def try_xray(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xray import XrayHook

    scene.keep("answer to the user", list(XrayHook("acme").test_connection()))


def try_keys(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xenioo import XeniooHook

    scene.keep("answer to the user", list(XeniooHook("keys").test_connection()))
    scene.keep("answer to the user", list(XeniooHook("bot").test_connection()))


def list_bots(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xenioo import XeniooHook

    bots = XeniooHook("account").list_bots()
    scene.evidence.add_object("bots", bots)


def restore(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xenioo import XeniooHook

    scene.evidence.add_object("restored bot", XeniooHook("bot").restore_backup(b'{"Name": "again"}'))


def count(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xray import XrayHook

    scene.keep("counts", XrayHook("acme").count_entities("10042"))


def open_file(scene: Scene) -> None:
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray import Artifact

    file = XrayHook("acme").open_backup_file(Artifact.DATA)
    try:
        scene.evidence.add_object("open file", file)
        for _ in file.blocks():
            pass
    finally:
        file.close()


@dataclass(frozen=True)
class Flow:
    """A flow, what has to be there before, and the endpoints it talks to."""

    run: Callable[[Scene], None]
    prepare: Callable[[Scene], None]
    endpoints: tuple[str, ...]


FLOWS = {
    "create": Flow(create, prepare_nothing, (LOGIN, CREATE, STATUS)),
    "poke": Flow(poke, prepare_job, (LOGIN, STATUS)),
    "defer": Flow(defer, prepare_running_job, (LOGIN, STATUS)),
    "trigger": Flow(trigger, prepare_job, (LOGIN, STATUS)),
    "store a tenant": Flow(store_xray, prepare_job, (LOGIN, DATA, ATTACHMENTS, LINK, COUNT)),
    "open a file": Flow(open_file, prepare_job, (LOGIN, DATA, LINK)),
    "store a bot": Flow(store_bot, prepare_nothing, (BOT,)),
    "store a bot with keys": Flow(store_bot_with_keys, prepare_nothing, (KEYS, OLDER_KEYS, BOT)),
    "test Xray's connection": Flow(try_xray, prepare_nothing, (LOGIN,)),
    "test Xenioo's connections": Flow(try_keys, prepare_nothing, (KEYS, OLDER_KEYS)),
    "list bots": Flow(list_bots, prepare_nothing, (KEYS, BOTS)),
    "restore a bot": Flow(restore, prepare_nothing, (RESTORE,)),
    "count entities": Flow(count, prepare_nothing, (LOGIN, COUNT)),
}
