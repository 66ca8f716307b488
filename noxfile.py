"""The suite on every supported version: ``make test-matrix``.

A cell is an Airflow, a Python and a way to resolve the dependencies. ``make test-matrix CELL=3.1.8-py3.12-lowest``
runs one, ``nox --list`` shows all. Each runs the suite with every extra in an environment of its own and writes
its row of ``docs/results/versions.md``. With ``SUITE=airflow`` it runs only the tests that meet Airflow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")

#: The versions of Airflow, and the day after their release.
AIRFLOWS = {"3.1.8": "2026-03-12", "3.2.2": "2026-05-30", "3.3.2": "2026-09-18"}

#: The oldest and the newest Airflow on every Python, with what pyproject.toml demands at least (``lowest``) and
#: with what is new today (``highest``); and every Airflow with what was new when it was released (``released``),
#: which is what its constraints file asks for.
CELLS = (
    *((python, airflow, "lowest") for airflow in ("3.1.8", "3.3.2") for python in PYTHONS),
    *((python, airflow, "highest") for airflow in ("3.1.8", "3.3.2") for python in PYTHONS),
    *(("3.12", airflow, "released") for airflow in AIRFLOWS),
)

#: Airflow's core and what it brings; without an upper bound of its own it would pull ours up.
AIRFLOWS_OWN = ("common-io", "common-sql", "http", "smtp")

#: What others demand too little of, so that the lowest of ours would meet something that never worked with it.
OTHERS_BOUNDS = (
    "sagemaker-studio<1.1",  # of the amazon provider, which says so itself since 9.39
    "botocore<1.42",  # boto3 goes with its own minor version; the newest botocore would pull it up
)

#: The same, of one Airflow.
AIRFLOWS_BOUNDS = {
    "3.3.2": (
        "pydantic>=2.12",  # whose FieldInfo it copies, though it allows 2.11
        "apache-airflow-providers-openlineage>=2.16",  # older ones count with a metric that it does not know
    )
}

#: Which tests can be run.
SUITES = {
    "all": "tests",
    "airflow": (
        "tests/dags tests/hooks tests/operators tests/page tests/sensors tests/tasks tests/transfers "
        "tests/triggers tests/upgrade tests/leaks/test_airflow_keeps_no_secret.py tests/test_assets.py "
        "tests/test_extra_links.py tests/test_imports.py tests/test_lineage.py tests/test_notifications.py "
        "tests/test_provider_info.py tests/test_task_groups.py"
    ),
}
SUITE = os.environ.get("SUITE") or "all"
TESTS = SUITES[SUITE].split()

TOOLS = ("--group", "test", "--group", "docs", "--group", "release")

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"


def _offer_pyenv() -> None:
    """Let every Python of pyenv be found: its commands answer only for the versions that are asked for."""
    pyenv = shutil.which("pyenv")
    if pyenv and "PYENV_VERSION" not in os.environ:
        versions = subprocess.check_output([pyenv, "versions", "--bare"], text=True).split()
        os.environ["PYENV_VERSION"] = ":".join(each for each in versions if each.startswith(PYTHONS))


_offer_pyenv()


@nox.session
@nox.parametrize(
    ("python", "airflow", "resolution"),
    [nox.param(python, *cell, id=f"{cell[0]}-py{python}-{cell[1]}") for python, *cell in CELLS],
)
def suite(session: nox.Session, airflow: str, resolution: str) -> None:
    """Run the suite on one Airflow; what follows ``--`` goes to pytest instead and no row is written."""
    pins = _resolve(session, airflow, resolution)
    session.run_install("uv", "pip", "sync", "--quiet", "--compile-bytecode", str(pins))
    session.run_install("uv", "pip", "install", "--quiet", "--no-deps", "--editable", ".")
    session.run_install("uv", "pip", "check", "--quiet")
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    report = _folder(session) / "report.xml"
    pytest = ("python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", f"--junitxml={report}")
    session.run(*pytest, *TESTS, success_codes=[0, 1])
    session.run("python", "scripts/versions.py", resolution, SUITE, str(report))


def _resolve(session: nox.Session, airflow: str, resolution: str) -> Path:
    """Write the exact versions of a cell: first what the package needs, then the newest tools that go with it."""
    folder = _folder(session)
    pins, constraints = folder / "pins.txt", folder / "constraints.txt"
    constraints.write_text("\n".join([f"apache-airflow=={airflow}", *_bounds(session, airflow, resolution)]))
    options = []
    if resolution == "lowest":
        days = [f"apache-airflow-providers-{name}={AIRFLOWS[airflow]}" for name in AIRFLOWS_OWN]
        options = ["--resolution", "lowest-direct", *(f"--exclude-newer-package={each}" for each in days)]
    _compile(session, pins, "pyproject.toml", "--all-extras", "--constraint", str(constraints), *options)
    everything = folder / "everything.txt"
    _compile(session, everything, str(pins), *TOOLS)
    return everything


def _bounds(session: nox.Session, airflow: str, resolution: str) -> list[str]:
    if resolution == "lowest":
        return [*OTHERS_BOUNDS, *AIRFLOWS_BOUNDS.get(airflow, ())]
    if resolution == "highest":
        return []
    folder = _folder(session)
    wanted, released = folder / "airflow.in", folder / "released.txt"
    wanted.write_text(
        f"apache-airflow=={airflow}\napache-airflow-providers-amazon\napache-airflow-providers-standard\n"
        f"azure-identity\ngoogle-auth\n{OTHERS_BOUNDS[0]}\n"
    )
    _compile(session, released, str(wanted), "--exclude-newer", AIRFLOWS[airflow])
    return released.read_text().splitlines()


def _folder(session: nox.Session) -> Path:
    """The folder of a cell's own files; nox's create_tmp would put what tests write into this repository."""
    folder = Path(session.virtualenv.location) / "cell"
    folder.mkdir(exist_ok=True)
    return folder


def _compile(session: nox.Session, output: Path, *arguments: str) -> None:
    command = ("uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header", "--upgrade")
    session.run_install(*command, "--python", str(session.python), "--output-file", str(output), *arguments)
