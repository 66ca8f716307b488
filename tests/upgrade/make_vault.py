"""Write the vault that this release leaves to all later ones: ``python tests/upgrade/make_vault.py``.

Run once for every release, on its commit. The result goes to ``tests/upgrade/<version>/`` and is never written
again: ``vault/`` holds the objects, ``expected.json`` what the vendors had sent and what was done to it. The tests
beside this file read the vaults of all releases.

The vault is written to a bucket called ``released``, since checks name the vault they were made in.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEYS = HERE.parent / "vault" / "age"
IDENTITY = KEYS / "identity.txt"
BUCKET = "released"
URL = f"s3://{BUCKET}/vault"

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="xbackup-released-")
sys.path.insert(0, str(HERE.parent))

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer
from stand_in import ATTACHMENTS, DATA, make_context, quick_naps

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.cli.main import main as xbackup
from airflow_provider_xbackup.cli.simulate import connections
from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault


class Scene:
    """Both vendors, a bucket, and what is to be expected of it.

    :param sim: the vendors
    """

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.expected: list[dict[str, Any]] = []

    def tenant(
        self,
        account: str,
        state: str = "ok",
        *,
        attachments: bool = False,
        base: str | None = None,
        since: Any = None,
        **arguments: Any,
    ) -> str:
        """Take a backup of the tenant and note what Xray had sent."""
        self.sim.advance(2)  # ids sort by the second
        hook = XrayHook()
        request = XrayBackupRequest.checked(None, since, attachments)
        job = hook.create_backup(request, base)
        self.sim.finish_jobs()
        job = job.finished(hook.get_backup_status(job.job_id).at)
        files = {"backup": self._sent(DATA)}
        if attachments and state != "incomplete":
            files["attachments"] = self._sent(ATTACHMENTS)
        task = XrayToObjectStorageOperator(
            task_id="store", job=job.to_dict(), vault=URL, account=account, **arguments
        )
        return self._store(task, "xray", account, state, files)

    def bot(self, account: str, state: str = "ok", **arguments: Any) -> str:
        """Take a backup of a bot and note what Xenioo had sent."""
        self.sim.advance(2)
        task = XeniooToObjectStorageOperator(
            task_id="store", vault=URL, account=account, xenioo_conn_id=f"xenioo_{account}", **arguments
        )
        files = {"bot": self.sim._world.bots.find(account).content}
        return self._store(task, "xenioo", account, state, files)

    def now(self, backup_id: str, **facts: Any) -> None:
        """Note what has become of a backup."""
        (backup,) = (each for each in self.expected if each["backup_id"] == backup_id)
        backup.update(facts)

    def _sent(self, path: str) -> bytes:
        keys = {"client_id": "demo-client", "client_secret": "demo-secret"}
        token = requests.post(f"{self.sim.url}/api/v2/authenticate", json=keys, timeout=20).json()
        bearer = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{self.sim.url}{path}", headers=bearer, allow_redirects=False, timeout=20)
        if answer.is_redirect:
            answer = requests.get(answer.headers["location"], timeout=20)
        answer.raise_for_status()
        return answer.content

    def _store(self, task: Any, service: str, account: str, state: str, files: dict[str, bytes]) -> str:
        try:
            task.execute(make_context(run_id=f"run {len(self.expected)}"))
        except XBackupFailError:
            assert state == "incomplete"
        newest = next(iter(Vault.open(URL).backups(service, account)))
        self.expected.append(
            {
                "service": service,
                "account": account,
                "backup_id": newest.backup_id,
                "kind": newest.manifest.kind,
                "state": state,
                "verified": False,
                "files": {
                    role: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                    for role, content in files.items()
                },
            }
        )
        return newest.backup_id


def tell_the_story(scene: Scene) -> None:
    """Take backups of every kind, and let happen to them what may happen."""
    sim = scene.sim
    held = scene.tenant("acme", attachments=True)
    partial = scene.tenant("acme", base=held, attachments=True, since="2026-09-01T00:00:00Z")
    scene.tenant("moved")
    scene.tenant("wiped")
    sealed = scene.tenant("sealed", attachments=True, encrypt_to=recipient())
    sim.configure({"xray": {"attachments_missing": True}})
    scene.tenant("halved", "incomplete", attachments=True)
    sim.configure({"xray": {"attachments_missing": False}})
    sim.change_data(tests=1)
    accepted = scene.tenant("moved", "suspect")
    scene.tenant("wiped", "suspect")
    compressed = scene.bot("welcome", compress=True)
    scene.bot("support", compress=True, encrypt_to=recipient())
    expired = scene.bot("sales")
    sim.configure({"xenioo": {"bots": {"sales": {"revision": 1}}}})
    kept = scene.bot("sales")

    run("verify", URL, "--level", "content", "--account", "acme")
    run("verify", URL, sealed, "--level", "content", "--identity", str(IDENTITY))
    run("verify", URL, compressed, kept, "--level", "digest")
    for backup_id in (held, partial, sealed, compressed, kept):
        scene.now(backup_id, verified=True)
    run("hold", URL, held, "--who", "an auditor", "--why", "the audit of 2026")
    scene.now(held, state="held")
    run("accept", URL, accepted, "--who", "a person", "--why", "the projects have moved")
    scene.now(accepted, state="accepted")
    run("retention", "apply", URL, "--account", "sales", "--keep-last", "1")
    scene.now(expired, state="expired")


def recipient() -> str:
    """The public key of the tests' private one."""
    (line,) = (line for line in IDENTITY.read_text().splitlines() if line.startswith("# public key: "))
    return line.removeprefix("# public key: ")


def run(*arguments: str) -> None:
    """Run ``xbackup``."""
    if code := xbackup(arguments):
        sys.exit(f"xbackup {' '.join(arguments)} ended with {code}")


def save(client: Any, scene: Scene, target: Path) -> None:
    """Write the objects of the bucket and what is expected of them."""
    for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        file = target / found["Key"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())
    (target / "expected.json").write_text(json.dumps(scene.expected, indent=2) + "\n")


def environment(s3: ThreadedMotoServer, sim: Simulator) -> dict[str, str]:
    """What the bucket and the vendors are reached with."""
    host, port = s3.get_host_and_port()
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AIRFLOW__XBACKUP__SPOOL_DIR": f"{os.environ['AIRFLOW_HOME']}/spool",
        **{
            f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(values)
            for conn_id, values in connections(sim.url, sim.settings).items()
        },
    }


def main() -> None:
    """Write the vault of this release."""
    target = HERE / __version__
    if target.exists():
        sys.exit(f"{target} is there already, and a released vault is never written again.")
    settings = SimulatorSettings()
    settings.xray.cooldown_seconds = settings.xenioo.cooldown_seconds = 0
    tenant = settings.xray.tenants["demo-client"]
    tenant.data.tests, tenant.data.attachment_bytes = 3, 500
    for name in ("welcome", "support", "sales"):
        settings.xenioo.bots[name].backup_bytes = 2_000
    s3 = ThreadedMotoServer(port=0, verbose=False)
    s3.start()
    with Simulator(settings) as sim, pytest.MonkeyPatch.context() as patch:
        quick_naps(patch)
        for name, value in environment(s3, sim).items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        scene = Scene(sim)
        tell_the_story(scene)
        save(client, scene, target)
    s3.stop()
    print(f"Written to {target}: {sum(file.stat().st_size for file in target.rglob('*') if file.is_file())} bytes")


if __name__ == "__main__":
    main()
