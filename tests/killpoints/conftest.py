"""The world of the storage faults: both services, a disk, an object store, and processes to kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from killpoint_world import PART, SIDE_BY_SIDE, Nursery, World, earlier_backups

from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.simulator.settings import DataSettings

_S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An object store in a process of its own that takes small parts."""
    process = subprocess.Popen(
        [sys.executable, "-c", _S3_SERVER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={"S3_UPLOAD_PART_MIN_SIZE": str(PART)},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        process.stdin.close()


@pytest.fixture(scope="session")
def world(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything a fault is tried on."""
    import boto3
    import pyrage

    from airflow_provider_xbackup.http.endpoint import Endpoint
    from airflow_provider_xbackup.http.sync import Client
    from airflow_provider_xbackup.http.tokens import RenewableToken
    from airflow_provider_xbackup.services import xray, xray_jobs

    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    client.create_bucket(Bucket="killpoints")
    folder: Path = tmp_path_factory.mktemp("killpoints")
    settings = SimulatorSettings()
    settings.xray.job_seconds = 0
    settings.xray.tenants["demo-client"].data = DataSettings(tests=10, attachment_bytes=3 * PART)
    with Simulator(settings) as sim:
        nurseries = [Nursery() for _ in range(SIDE_BY_SIDE)]

        def login():
            return xray.read_token((yield xray.authenticate_request("demo-client", "demo-secret")))

        tenant = Client(Endpoint(sim.url), RenewableToken(login, sim.url))
        request = xray_jobs.XrayBackupRequest.checked(None, None, True)
        job = xray.read_job(tenant.call(xray.create_backup_request(request)), request)
        done = xray.read_status(tenant.call(xray.status_request(job.job_id)), job.job_id)
        tenant.close()
        recipient = str(pyrage.x25519.Identity.generate().to_public())
        earlier, finished = earlier_backups(folder / "earlier"), job.finished(done.at).to_dict()
        world = World(folder, sim, s3_server, client, earlier, finished, recipient)
        for nursery, bot in zip(nurseries, sim.settings.xenioo.bots, strict=True):
            nursery.wait_until_ready()
            world.nurseries.put((nursery, bot))
        try:
            yield world
        finally:
            for nursery in nurseries:
                nursery.close()
