"""Airflow as teams run it, all of it real processes that are really killed. Run by ``make test-deployment``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from celery_deployment import Deployment
from deployed_flows import Flows
from processes import wait_for

HERE = Path(__file__).parent
_DEPLOYMENT: pytest.StashKey[Deployment] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and keep them in one process: they share one Airflow."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.deployment)
            item.add_marker(pytest.mark.column("Outcome"))
            item.add_marker(pytest.mark.xdist_group("deployed airflow"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a failed test what all processes and the test's tasks said last."""
    outcome: Any = yield
    report = outcome.get_result()
    deployment = item.session.stash.get(_DEPLOYMENT, None)
    if report.failed and deployment is not None and HERE in item.path.parents:
        report.sections.extend(deployment.api.last_words())


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = request.session.stash[_DEPLOYMENT] = Deployment(tmp_path_factory.mktemp("deployment"))
    # Whoever stops the tests from outside must not leave servers behind, however impatient he is: fixtures are not
    # ended where an interrupt comes while others end.
    with contextlib.ExitStack() as stack:
        request.config.add_cleanup(stack.close)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        yield stack.enter_context(deployment.running())


@pytest.fixture(autouse=True)
def versions(deployment: Deployment, outcome_fact: Callable[[str, str], None]) -> None:
    """Tell what was tried with the table of what came of it."""
    for name, package in (("Airflow", "apache-airflow"), ("celery", "celery"), ("moto", "moto")):
        outcome_fact(name, version(package))
    outcome_fact("PostgreSQL", deployment.postgres.version())
    outcome_fact("Redis", deployment.redis.version())


@pytest.fixture
def airflow(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment that all tests share; what a test leaves running is ended, what it killed is started."""
    deployment.api.runs.clear()
    deployment.vendors.reset()
    yield deployment
    deployment.start_missing()
    for run in deployment.api.unfinished_runs():
        run.end()
    wait_for("free slots", lambda: not deployment.occupied_slots())


@pytest.fixture
def flows(
    request: pytest.FixtureRequest, airflow: Deployment, outcome_figure: Callable[[str, str], None]
) -> Flows:
    return Flows(airflow, request.node.name.partition("[")[0].removeprefix("test_"), outcome_figure)
