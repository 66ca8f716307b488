"""Raises processes that run one errand each: a transfer below Airflow, with something going wrong on the way.

Everything is imported once; every errand has a fork of its own, so it begins with fresh objects in a process
that may be killed. Errands and endings are lines of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import obstore.auth.boto3
import obstore.store  # noqa: F401 - warm
import pyrage  # noqa: F401 - warm
import zstandard  # noqa: F401 - warm
from killpoint_gate import open_gate
from killpoint_plan import Plan
from killpoint_seams import watch

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import GivenToken, RenewableToken
from airflow_provider_xbackup.services import xray
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.transfer.xenioo import XeniooTransfer
from airflow_provider_xbackup.transfer.xray import XrayTransfer
from airflow_provider_xbackup.vault import Vault, connect, store
from airflow_provider_xbackup.vault.garbage import collect_garbage
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.url import VaultUrl

#: Seconds after which an errand counts as hanging.
PATIENCE = 100

_SESSION = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
_SESSION.client("s3", endpoint_url="http://127.0.0.1:1")


def _vault(errand: dict[str, Any], plan: Plan) -> Vault:
    url = VaultUrl.parse(errand["vault"])
    if url.scheme == "file":
        watch(plan, [url.prefix, *([errand["spool"]] if errand.get("spool") else [])])
        return Vault(url, connect.open_store(url))
    gate = open_gate(plan, errand["s3"], conditions=errand.get("conditions", True))
    return Vault(url, connect.open_store(url, connect.s3_access(url, _SESSION, endpoint=gate)))


def _transfer(errand: dict[str, Any], vault: Vault) -> XrayTransfer | XeniooTransfer:
    endpoint = Endpoint(errand["host"])
    producer = Producer(
        package_version="0", dag_id="nightly", run_id="run 1", task_id="transfer", try_number=errand["try"]
    )
    recipients = tuple(errand.get("recipients", ()))
    if errand["service"] == "xenioo":
        client = Client(endpoint, GivenToken(errand["token"], endpoint.url))
        return XeniooTransfer(
            client,
            vault,
            errand["account"],
            producer,
            spool_dir=Path(errand["spool"]),
            recipients=recipients,
            compress=bool(recipients),
        )

    def login() -> Any:
        return xray.read_token((yield xray.authenticate_request("demo-client", "demo-secret")))

    client = Client(endpoint, RenewableToken(login, endpoint.url))
    return XrayTransfer(
        client,
        vault,
        XrayBackupJob.from_dict(errand["job"]),
        errand["account"],
        producer,
        recipients,
        patience=timedelta(0),
    )


def _run(errand: dict[str, Any], log: int) -> dict[str, Any]:
    plan = Plan(**errand.get("plan", {}), log=log)
    store.part_size = lambda _: errand["part"]
    if not errand.get("repeats"):  # by default one fault is enough for the store's client to give up
        connect.WORKING = replace(connect.WORKING, retries=0)
        connect.PROBING = replace(connect.PROBING, retries=0)
    if (limit := errand.get("limit")) is not None:
        if errand["kills"]:  # the kernel kills whoever writes past the limit, in the middle of the write
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    vault = _vault(errand, plan)
    ending: dict[str, Any] = {}
    if errand["do"] in ("transfer", "transfer and collect"):
        try:
            backup = _transfer(errand, vault).run()
            ending = {"backup_id": backup.backup_id, "manifest": backup.manifest.to_json().decode()}
        except BackupError as error:
            ending = {"error": type(error).__name__, "message": str(error), "retryable": error.retryable}
    if errand["do"] in ("collect", "transfer and collect"):
        try:
            done = collect_garbage(vault, older_than=timedelta(0))
            ending |= {"refused": [refusal.reason for refusal in done.refused]}
        except BackupError as error:
            ending |= {"refused": [str(error)]}
    plan.end()
    return ending | {"hit": plan.hit}


def _errand(errand: dict[str, Any], told: int) -> None:
    log = os.open(errand["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    noise = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(noise, stream)
    signal.alarm(PATIENCE)
    try:
        ending = _run(errand, log)
    except BaseException as error:  # noqa: BLE001 - told to the test, which has the say
        where = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
            if "airflow_provider_xbackup" in frame.filename
        ]
        ending = {"error": "unexpected", "message": f"{error!r} in {' > '.join(where)}"}
    os.write(told, json.dumps(ending).encode())


def _start(errand: dict[str, Any]) -> tuple[int, int]:
    mouth, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mouth)
        _errand(errand, told)
        os._exit(0)
    os.close(told)
    return child, mouth


def _await(child: int, mouth: int) -> dict[str, Any]:
    with open(mouth, "rb") as answer:
        ending = answer.read()
    _, status = os.waitpid(child, 0)
    values: dict[str, Any] = json.loads(ending) if ending else {}
    return values | {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}


def main() -> None:
    """Start the errands that come in, and tell their endings when asked: ``{"await": <pid>}``."""
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared
    print("ready", flush=True)
    under_way: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "await" in asked:
            answer: object = _await(asked["await"], under_way.pop(asked["await"]))
        else:
            answer, mouth = _start(asked)
            under_way[answer] = mouth
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
