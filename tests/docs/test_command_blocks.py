"""The command blocks of every page but the tutorials: typed where there is what they name, or told not to be."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
import requests
from not_run import not_run
from pages import SHELLS, Block, blocks, pages
from processes import free_port, wait_for
from stand_in import connect, connections, finished_job, make_context, naps, sim, spool_dir
from terminal import Terminal

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

__all__ = ["connect", "connections", "finished_job", "naps", "sim", "spool_dir"]

MAIN, ACME = "s3://backups/xbackup", "s3://acme-backups/vault"
SAMPLE = "20261123T014500Z-full-1a2b3c4d"
"""The backup that pages speak of."""

_numbers = itertools.count()


@dataclass(frozen=True)
class Scene:
    """What a page takes for granted.

    :param fixtures: names of the fixtures that see to it
    :param before: what is typed before the block that begins with a line, so that it makes sense
    """

    fixtures: tuple[str, ...] = ()
    before: dict[str, str] = field(default_factory=dict)


SCENES = {
    "README.md": Scene(("two_accounts",)),
    "docs/cli.md": Scene(("suspect", "earlier", "copies")),
    "docs/connections.md": Scene(("airflow",)),
    "docs/deployment.md": Scene(("airflow",)),
    "docs/quickstart.md": Scene(("airflow", "acme_vault")),
    "docs/retention.md": Scene(
        ("acme_vault",),
        {
            # Retention has let the one in the middle expire; the sample is it.
            f"xbackup undelete {ACME} {SAMPLE}": f"xbackup retention apply {ACME} --keep-daily 1",
            f"xbackup undelete {ACME} --versions                                    # which can come back?": (
                f"xbackup release {ACME} {SAMPLE}; xbackup retention apply {ACME} --keep-daily 1 --grace 0d;"
                f" xbackup retention apply {ACME} --keep-daily 1 --grace 0d"
            ),
        },
    ),
    "docs/simulator.md": Scene(("simulator",)),
    "docs/vault-format.md": Scene(("artifact",)),
    "docs/verification.md": Scene(("two_accounts", "key")),
}


def to_type(page: str) -> list[Block]:
    """The blocks of a page that are typed here."""
    return [
        block
        for block in blocks(page)
        if block.language in SHELLS
        and not block.word.startswith("runbook")
        and (page, block.first) not in not_run()
    ]


def test_every_command_block_is_typed_by_a_test_or_told_not_to_be():
    typed = {page for page in pages() if page in SCENES or page.startswith("docs/tutorials/")}

    assert [
        f"{block.page}:{block.line}: {block.first}"
        for page in pages()
        for block in to_type(page)
        if page not in typed
    ] == []


def test_every_exception_is_of_a_block_that_there_is():
    there = {(page, block.first) for page in pages() for block in blocks(page) if block.language in SHELLS}

    assert not_run().keys() - there == set()


@pytest.mark.parametrize("page", SCENES)
def test_the_commands_of_a_page_do_what_they_are_there_for(
    page: str, request: pytest.FixtureRequest, open_terminal: Callable[..., Terminal], sim: Simulator, store: Store
):
    scene = SCENES[page]
    for name in scene.fixtures:
        request.getfixturevalue(name)
    terminal = open_terminal(store.stand_ins, **store.environment)
    steps = to_type(page)
    assert scene.before.keys() <= {step.first for step in steps}

    for step in steps:
        if step.first in scene.before:
            code, shown = terminal.type(scene.before[step.first], strict=True)
            assert code == 0, shown
        terminal.follow(step)


@dataclass
class Store:
    """An S3 server, what finds it, and what stands in for the samples of the pages."""

    environment: dict[str, str]
    folder: Path
    stand_ins: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server in a process of its own: what is in it can be forgotten, and is nobody else's."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", url.rpartition(":")[2]]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("moto", lambda: server.poll() is None and _answers(url))
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=20).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def store(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """An S3 server with the buckets that the pages speak of, both with versions and empty."""
    import boto3

    requests.post(f"{s3_server}/moto-api/reset", timeout=20)
    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    for bucket in ("backups", "acme-backups"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    folder = tmp_path / "you"
    folder.mkdir()
    return Store(values, folder)


@pytest.fixture
def take(sim: Simulator, finished_job: Callable[..., dict[str, Any]], spool_dir: Path) -> Callable[..., str]:
    """Store a backup of a tenant or a bot; returns its id."""
    from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
    from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

    sim.configure({"xray": {"cooldown_seconds": 0}, "xenioo": {"cooldown_seconds": 0}})

    def take(service: str, url: str, **arguments: Any) -> str:
        sim.advance(2)
        common = {"task_id": "store", "vault": url, **arguments}
        transfer: Any = (
            XrayToObjectStorageOperator(
                job=finished_job(with_attachments=True), account="acme", xray_conn_id="acme", **common
            )
            if service == "xray"
            else XeniooToObjectStorageOperator(account="welcome", xenioo_conn_id="welcome", **common)
        )
        backup_id: str = transfer.execute(make_context(run_id=str(next(_numbers))))["backup_id"]
        return backup_id

    return take


@pytest.fixture
def two_accounts(take: Callable[..., str], store: Store) -> list[str]:
    return [take("xray", MAIN), take("xray", MAIN), take("xenioo", MAIN)]


@pytest.fixture
def earlier(two_accounts: list[str], store: Store) -> None:
    """The instant of the first backup, and a test that there is."""
    vault = Vault.open(MAIN)
    first = vault.find("xray", "acme", two_accounts[0])
    assert first is not None
    store.stand_ins["2026-11-22T00:00:00Z"] = f"{first.instant + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    store.stand_ins["--test 10501"] = "--test 100420000000"


@pytest.fixture
def suspect(sim: Simulator, take: Callable[..., str], two_accounts: list[str], store: Store) -> None:
    """A tenant that was small for a while; everything that can be verified is."""
    from airflow_provider_xbackup.cli.main import main

    sim.change_data(tests=4)
    store.stand_ins[SAMPLE] = take("xray", MAIN)
    sim.change_data(tests=40)
    take("xray", MAIN)
    main(["verify", MAIN])


@pytest.fixture
def copies(store: Store) -> None:
    store.stand_ins["gs://copies/xbackup"] = (store.folder / "copies").as_uri()


@pytest.fixture
def acme_vault(take: Callable[..., str], store: Store) -> None:
    ids = [take("xray", ACME) for _ in range(3)]
    store.stand_ins[SAMPLE] = ids[1]


@pytest.fixture
def key(store: Store) -> Any:
    identity = pyrage.x25519.Identity.generate()
    (store.folder / "key.txt").write_text(f"{identity}\n")
    return identity


@pytest.fixture
def artifact(key: Any, take: Callable[..., str], store: Store, tmp_path: Path) -> None:
    """An artifact that is compressed and encrypted, copied to where somebody works."""
    if not (shutil.which("age") and shutil.which("zstd")):
        pytest.skip("age and zstd are not installed")
    take("xenioo", (tmp_path / "vault").as_uri(), compress=True, encrypt_to=str(key.to_public()))
    (file,) = (tmp_path / "vault").rglob("bot.*")
    shutil.copy(file, store.folder / "bot.1a2b3c4d.json.zst.age")


@pytest.fixture
def simulator(sim: Simulator, store: Store) -> None:
    store.stand_ins["8091"] = sim.url.rpartition(":")[2]


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow with a database."""
    home = {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=os.environ | home, check=True, capture_output=True)
    return home


@pytest.fixture
def airflow(store: Store, airflow_home: dict[str, str]) -> None:
    store.environment.update(airflow_home)
