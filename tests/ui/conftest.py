"""A browser, a real API server of Airflow, and vaults in every condition behind it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "page"))

from airflow_server import AirflowServer, api_server
from sample_vault import SampleVault, fill_with_everything

from airflow_provider_xbackup.vault import Vault

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# `make test-ui` installs what drives a browser; where it is not, there is nothing to collect.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

#: How long the page waits for a vault in these tests, in seconds.
PAGE_TIMEOUT = 2


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    """An Airflow with four vaults: one of everything, one that is empty, one that is large, one that is silent."""
    folder = tmp_path_factory.mktemp("ui")
    samples = {name: SampleVault(Vault.open((folder / name).as_uri())) for name in ("main", "new", "large")}
    for sample in samples.values():
        sample.vault.prepare()
    fill_with_everything(samples["main"])
    for number in range(1000):
        samples["large"].add(f"xenioo/bot-{number:04}", 0.2, size=10)
    policy = {"keep_daily": 30, "keep_weekly": 8}
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        vaults = [
            {
                "name": "main",
                "url": str(samples["main"].vault.url),
                "rpo": "26h",
                "expected_accounts": ["xray/zorg"],
                "retention": policy,
            },
            {"name": "silent", "url": "s3://backups/xbackup", "rpo": "50h"},
            {"name": "new", "url": str(samples["new"].vault.url)},
            {"name": "large", "url": str(samples["large"].vault.url), "rpo": "26h"},
        ]
        with api_server(
            folder / "airflow",
            vaults,
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
            AIRFLOW__XBACKUP__PAGE_TIMEOUT=str(PAGE_TIMEOUT),
        ) as server:
            yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    executable = which("chromium")
    assert executable, "make test-ui installs chromium"
    with sync_playwright() as playwright:
        # In containers of root chromium's own sandbox cannot be had; what it shows here is ours.
        running = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


Visit = Callable[..., Any]


@pytest.fixture
def visit(airflow: AirflowServer, browser: Browser) -> Iterator[Visit]:
    """Open a page of Airflow as somebody. What the page complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def visit(path: str, user: str | None = "viewer", *, theme: str = "light", width: int = 1440) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme)  # type: ignore[arg-type]
        contexts.append(context)
        if user is not None:
            context.add_cookies([{"name": "_token", "value": airflow.token(user), "url": airflow.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "console",
            lambda told: complaints.append(told.text) if "Content Security Policy" in told.text else None,
        )
        page.goto(f"{airflow.url}{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
