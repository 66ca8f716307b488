"""What is published: the wheel, installed where there was nothing, and the source distribution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_xbackup import __version__

pytestmark = [pytest.mark.package, pytest.mark.xdist_group("package")]

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"

USE = """
from datetime import timedelta

from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.vault import RetentionPolicy, Vault

vault: Vault = Vault.open("file:///srv/backups")
newest: str = next(iter(vault.backups("xray"))).backup_id
policy = RetentionPolicy(keep_daily=14)
ok: tuple[bool, str] = XrayHook().test_connection()
create = XrayCreateBackupOperator(task_id="create", max_wait=timedelta(hours=1))
"""
MISUSE = """
from airflow_provider_xbackup.vault import Vault

vault: int = Vault.open("file:///srv/backups")
"""

PARSE = """
import sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1])
assert not bag.import_errors, bag.import_errors
print(len(bag.dags))
"""
BUNDLES = """
from airflow.dag_processing.bundles.manager import DagBundlesManager
print(*DagBundlesManager()._bundle_config)
"""

Run = Callable[..., str]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder, ROOT], check=True)
    return folder


@pytest.fixture(scope="session")
def clean(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the wheel and what it demands, and nothing else."""
    place = tmp_path_factory.mktemp("clean") / "venv"
    (wheel,) = distributions.glob("*.whl")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place], check=True)
    command = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", place / "bin" / "python"]
    subprocess.run([*command, "--constraint", ROOT / "requirements" / "dev.txt", wheel], check=True)
    return place / "bin"


@pytest.fixture
def run(clean: Path, tmp_path: Path) -> Run:
    """Run a command of that environment, far from this tree."""

    def run(name: str, *arguments: str | Path, **variables: str) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHONPATH"))}
        home = {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        done = subprocess.run(
            [clean / name, *arguments],
            cwd=tmp_path,
            env=kept | home | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def tracked(folder: str) -> set[str]:
    listed = subprocess.check_output(["git", "ls-files", "--", folder], cwd=ROOT, text=True)
    return set(listed.splitlines())


in_a_checkout = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git what there is")


@in_a_checkout
def test_the_wheel_holds_the_package_and_the_examples_and_nothing_else(distributions: Path):
    (wheel,) = distributions.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    examples = {
        name.replace("example_dags/", "airflow_provider_xbackup/examples/") for name in tracked("example_dags")
    }
    assert names == tracked("airflow_provider_xbackup") | examples


@in_a_checkout
def test_the_source_distribution_holds_all_that_is_needed_to_work_on_it(distributions: Path):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}

    assert names == tracked(".") - tracked(".ci") | {"PKG-INFO"}


def test_airflow_lists_the_provider_with_its_connection_types(run: Run):
    providers = json.loads(run("airflow", "providers", "list", "--output", "json"))
    hooks = json.loads(run("airflow", "providers", "hooks", "--output", "json"))

    assert ("airflow-provider-xbackup", __version__) in {
        (each["package_name"], each["version"]) for each in providers
    }
    assert {"xray", "xenioo"} <= {each["connection_type"] for each in hooks}


def test_the_demo_runs(run: Run, tmp_path: Path):
    said = run("xbackup", "demo", tmp_path / "here")

    listed = json.loads(run("xbackup", "list", (tmp_path / "here" / "demo-vault").as_uri(), "--json"))
    assert sorted(each["service"] for each in listed) == ["xenioo", "xenioo", "xenioo", "xray"]
    assert "What to try next" in said


def test_the_examples_are_written_where_they_are_wanted_and_can_be_parsed(run: Run, tmp_path: Path):
    written = json.loads(run("xbackup", "examples", tmp_path / "dags", "--json"))

    assert {Path(each).name for each in written} == {path.name for path in (ROOT / "example_dags").glob("*.py")}
    assert int(run("python", "-c", PARSE, tmp_path / "dags").splitlines()[-1]) == len(written)


def test_airflow_parses_no_example_that_nobody_asked_for(run: Run):
    names = run("python", "-c", BUNDLES, AIRFLOW__CORE__LOAD_EXAMPLES="True").split()

    assert "example_dags" in names
    assert not [name for name in names if "xbackup" in name]


def test_a_store_whose_extra_is_not_installed_is_said_so(clean: Path, tmp_path: Path):
    command = [clean / "xbackup", "list", "s3://bucket/prefix"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2, done.stderr
    assert "airflow-provider-xbackup[s3]" in done.stderr


@pytest.mark.parametrize(
    ("code", "finding"),
    [pytest.param(USE, "Success", id="right"), pytest.param(MISUSE, 'has type "Vault"', id="wrong")],
)
def test_a_type_checker_knows_the_types_of_the_installed_package(
    clean: Path, tmp_path: Path, code: str, finding: str
):
    (tmp_path / "use.py").write_text(code)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", clean / "python"]

    done = subprocess.run([*mypy, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert finding in done.stdout, done.stdout + done.stderr


def test_the_tests_run_from_the_unpacked_source_distribution(distributions: Path, tmp_path: Path):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    pytest_there = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    collected = subprocess.run(
        [*pytest_there, "--collect-only", "-m", ""], cwd=tree, capture_output=True, text=True, check=False
    )
    parts = ("tests/upgrade", "tests/docs/test_documentation.py", "tests/vault/test_vault_decoding.py")
    ran = subprocess.run([*pytest_there, *parts], cwd=tree, capture_output=True, text=True, check=False)

    assert collected.returncode == 0, collected.stdout[-3000:]
    assert ran.returncode == 0, ran.stdout[-5000:]
