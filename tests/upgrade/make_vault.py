"""Write the vault that this release leaves to all later ones: ``python tests/upgrade/make_vault.py``.

Run once for every release, on its commit. The result goes to ``tests/upgrade/<version>/``: ``vault/`` holds the
objects, ``expected.json`` what the vendors had sent and what was done to it. The tests beside this file read the
vaults of all releases. What was published is never written again; up to then a change of what can be written wants
that folder removed and made anew, and the story below told so that every field has a value in it.

The vault is written to a bucket called ``released``, since checks name the vault they were made in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEYS = HERE.parent / "vault" / "age"
IDENTITY = KEYS / "identity.txt"
BUCKET = "released"
URL = f"s3://{BUCKET}/vault"
ELSEWHERE = f"s3://{BUCKET}/elsewhere"

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
from airflow_provider_xbackup.operators.vault import VerifyBackupOperator
from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault


class Scene:
    """Both vendors, a bucket, and what is to be expected of it.

    :param sim: the vendors
    :param bucket: the bucket
    """

    def __init__(self, sim: Simulator, bucket: Any) -> None:
        self.sim = sim
        self.bucket = bucket
        self.expected: list[dict[str, Any]] = []

    def tenant(
        self,
        account: str,
        state: str = "ok",
        *,
        attachments: bool = False,
        base: str | None = None,
        since: Any = None,
        projects: list[str] | None = None,
        vault: str = URL,
        **arguments: Any,
    ) -> str:
        """Take a backup of the tenant and note what Xray had sent."""
        self.sim.advance(2)  # ids sort by the second
        hook = XrayHook()
        request = XrayBackupRequest.checked(projects, since, attachments)
        job = hook.create_backup(request, base)
        self.sim.finish_jobs()
        job = job.finished(hook.get_backup_status(job.job_id).at)
        files = {"backup": self._sent(DATA)}
        if attachments and state != "incomplete":
            files["attachments"] = self._sent(ATTACHMENTS)
        task = XrayToObjectStorageOperator(
            task_id="store", job=job.to_dict(), vault=vault, account=account, **arguments
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

    @contextlib.contextmanager
    def damage(self, backup_id: str) -> Iterator[None]:
        """Let a file of a backup hold other bytes while the block runs."""
        (file,) = (each for each in self.bucket.objects.all() if f"{backup_id}/backup." in each.key)
        content = file.get()["Body"].read()
        file.put(Body=bytes(len(content)))
        yield
        file.put(Body=content)

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
        newest = next(iter(Vault.open(task.vault).backups(service, account)))
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
    mended = scene.tenant("wiped")
    sealed = scene.tenant("sealed", attachments=True, encrypt_to=recipient())
    sim.configure({"xray": {"attachments_missing": True}})
    halved = scene.tenant("halved", "incomplete", attachments=True)
    sim.configure({"xray": {"attachments_missing": False}})
    sim.change_data(tests=1)
    accepted = scene.tenant("moved", "suspect")
    scene.tenant("wiped", "suspect")
    compressed = scene.bot("welcome", compress=True)
    scene.bot("support", compress=True, encrypt_to=recipient())
    expired = scene.bot("sales")
    sim.configure({"xenioo": {"bots": {"sales": {"revision": 1}}}})
    kept = scene.bot("sales")
    copied = scene.tenant("copied", projects=["10042"], vault=ELSEWHERE)

    run("verify", URL, "--level", "content", "--account", "acme")
    run("verify", URL, sealed, "--level", "content", "--identity", str(IDENTITY))
    run("verify", URL, compressed, halved, "--level", "digest")
    VerifyBackupOperator(task_id="verify", vault=URL, account="sales", level="digest").execute(make_context())
    with scene.damage(mended):
        run("verify", URL, mended, "--level", "digest", fails=True)
    # Looks too little to see it gone, and repeats what was found and when.
    run("verify", URL, mended, "--level", "presence", fails=True)
    run("verify", URL, mended, "--level", "digest")
    run("verify", ELSEWHERE, copied)
    run("replicate", ELSEWHERE, URL)
    for backup_id in (held, partial, mended, sealed, compressed, kept, copied):
        scene.now(backup_id, verified=True)
    run("hold", URL, held, "--who", "an auditor", "--why", "the audit of 2026")
    run("hold", URL, sealed, "--who", "an auditor", "--why", "the audit of 2098", "--until", "2099-01-31")
    for backup_id in (held, sealed):
        scene.now(backup_id, state="held")
    run("accept", URL, accepted, "--who", "a person", "--why", "the projects have moved")
    scene.now(accepted, state="accepted")
    run("retention", "apply", URL, "--account", "sales", "--keep-last", "1")
    scene.now(expired, state="expired")


def recipient() -> str:
    """The public key of the tests' private one."""
    (line,) = (line for line in IDENTITY.read_text().splitlines() if line.startswith("# public key: "))
    return line.removeprefix("# public key: ")


def run(*arguments: str, fails: bool = False) -> None:
    """Run ``xbackup``."""
    code = xbackup(arguments)
    if bool(code) != fails:
        sys.exit(f"xbackup {' '.join(arguments)} ended with {code}")


def save(scene: Scene, target: Path) -> None:
    """Write the objects of the vault and what is expected of them."""
    for found in scene.bucket.objects.filter(Prefix="vault/"):
        file = target / found.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(found.get()["Body"].read())
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
        # Each backup is taken two seconds after the one before, and none in what is the future to the vault.
        sim.advance(-60)
        bucket = boto3.resource("s3").create_bucket(Bucket=BUCKET)
        bucket.Versioning().enable()  # so that manifests name versions
        scene = Scene(sim, bucket)
        tell_the_story(scene)
        save(scene, target)
    s3.stop()
    print(f"Written to {target}: {sum(file.stat().st_size for file in target.rglob('*') if file.is_file())} bytes")


if __name__ == "__main__":
    main()
