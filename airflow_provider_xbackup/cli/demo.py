"""Run both example DAGs through Airflow, against simulated vendors, into a vault on this disk.

Makes FOLDER/demo-vault and FOLDER/demo-airflow, a private Airflow with SQLite. Nothing is sent to Xray or Xenioo.
Nothing in it is special: the same DAGs run in any Airflow that has the connections and the Variable.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_xbackup.cli import errors
from airflow_provider_xbackup.cli.examples import example_dags
from airflow_provider_xbackup.errors import BackupError

NAME = "demo"
HELP = "run the example DAGs against simulated vendors"

_BOTS = ("welcome", "support", "sales")
_DAGS = {
    "xray_nightly_backup": "An Xray tenant: 2,000 tests in two projects, 20 MB of attachments",
    "xenioo_nightly_backup": f"Xenioo bots: {', '.join(_BOTS)}",
}
_TIME_LIMIT = 180
_USER = "admin"
_XBACKUP = (sys.executable, "-m", "airflow_provider_xbackup.cli.main")
_AIRFLOW = (sys.executable, "-m", "airflow")
# Servers of logs would listen on all addresses, as those of `airflow standalone` do. All logs are on this disk.
_PARTS = (
    ("api-server",),
    ("dag-processor",),
    ("scheduler", "--skip-serve-logs"),
    ("triggerer", "--skip-serve-logs"),
)

# Airflow writes "<time> [info     ] <message> [<logger>] <key=value ...>".
_LOG_LINE = re.compile(r"\[(?P<level>\w+) *\] (?P<message>.*?) +\[(?P<logger>[\w.]*xbackup[\w.]*)\]")
_FAILED = re.compile(r"new_state=(failed|up_for_retry)|state=failed")


class DemoError(BackupError):
    """The demo could not be run to its end; the text says where to look."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps what it makes.

    :param folder: the folder above
    """

    folder: Path

    @property
    def vault_folder(self) -> Path:
        """Where the vault lies."""
        return self.folder / "demo-vault"

    @property
    def vault(self) -> str:
        """The vault's URL."""
        return self.vault_folder.as_uri()

    @property
    def home(self) -> Path:
        """Airflow's home."""
        return self.folder / "demo-airflow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where to put it all (here)")
    parser.add_argument("--ui", action="store_true", help="then run an Airflow on 127.0.0.1 that shows the vault")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    started = time.monotonic()
    places = Places(Path(args.folder).resolve())
    places.home.mkdir(parents=True, exist_ok=True)
    # Told to end, it stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with _simulator() as url:
        _say(f"Both vendors are simulated at {url}.")
        environment = _environment(places, url)
        page = f"http://127.0.0.1:{_free_port()}"
        if args.ui:
            environment |= _page_options(places, page)
        _say(f"Setting up a private Airflow (SQLite) in {places.home} ...")
        _set_up(places, environment)
        for dag_id, about in _DAGS.items():
            _say(f"{about}. Running the DAG {dag_id} ...")
            _run_dag(dag_id, places, environment)
        _say(f"Done in {time.monotonic() - started:.0f} s. This is in the vault {places.vault}:\n")
        subprocess.run([*_XBACKUP, "list", places.vault], check=True)
        listed = subprocess.check_output([*_XBACKUP, "list", places.vault, "--json"])
        _say(_next(places, json.loads(listed)[0]["backup_id"]))
        if args.ui:
            _say("Verifying the backups ...")
            subprocess.run([*_XBACKUP, "verify", places.vault], check=True, stdout=subprocess.DEVNULL)
            _show_page(places, page, environment)
    return errors.FINE


@contextlib.contextmanager
def _simulator() -> Iterator[str]:
    """Run the simulator on a free port while the block runs."""
    command = [*_XBACKUP, "simulate", "--port", "0", "--tests", "1000", "--attachments-mb", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    return
            raise DemoError("The simulator did not start; its message stands above.")
        finally:
            _stop(process)


def _environment(places: Places, url: str) -> dict[str, str]:
    """Give Airflow what a deployment would have: a home, a Variable and the connections."""
    connections: dict[str, dict[str, object]] = {
        "XRAY_DEFAULT": {"conn_type": "xray", "host": url, "login": "demo-client", "password": "demo-secret"}
    }
    for bot in _BOTS:
        connections[f"XENIOO_{bot.upper()}"] = {
            "conn_type": "xenioo",
            "host": f"{url}/xenioo/{bot}",
            "extra": {
                "account_api_key": "demo-account",
                "bot_api_key": f"{bot}-key",
                "bot_api_secret": f"{bot}-secret",
            },
        }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(places.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(example_dags()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW_VAR_XBACKUP_VAULT": places.vault,
        **{f"AIRFLOW_CONN_{name}": json.dumps(values) for name, values in connections.items()},
    }


def _set_up(places: Places, environment: dict[str, str]) -> None:
    log = places.home / "setup.log"
    with log.open("w") as file:
        command = [*_AIRFLOW, "db", "migrate"]
        done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise DemoError(f"Airflow could not be set up; see {log}.")


def _run_dag(dag_id: str, places: Places, environment: dict[str, str]) -> None:
    """Run a DAG as ``airflow dags test`` does, showing what the package itself says on the way."""
    log = places.home / f"{dag_id}.log"
    command = [*_AIRFLOW, "dags", "test", dag_id]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        deadline = threading.Timer(_TIME_LIMIT, process.kill)
        deadline.start()
        try:
            for line in process.stdout or ():
                file.write(line)
                if found := _LOG_LINE.search(line):
                    _say(f"    {found['message']}")
                if _FAILED.search(line):
                    raise DemoError(f"A task of {dag_id} failed; the whole story is in {log}.")
        finally:
            deadline.cancel()
            _stop(process)
    if process.returncode:
        raise DemoError(f"{dag_id} failed; the whole story is in {log}.")


def _show_page(places: Places, url: str, environment: dict[str, str]) -> None:
    """Run a whole Airflow that shows the vault on its page, until somebody ends it."""
    log = places.home / "airflow.log"
    _say("Starting Airflow, with its scheduler ...")
    parts: list[subprocess.Popen[bytes]] = []
    with log.open("w") as file:
        try:
            for part in _PARTS:
                command = [*_AIRFLOW, *part]
                parts.append(
                    subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
                )
            _await(f"{url}/api/v2/version", parts[0], log)
            _say(f"""
The page           {url}/plugin/xbackup
Sign in as         {_USER}, with the password {_USER}
Airflow's log      {log}
Ctrl-C ends it.
""")
            parts[0].wait()
        except KeyboardInterrupt:
            _say("Ending Airflow ...")
        finally:
            _stop_all(parts)


def _page_options(places: Places, url: str) -> dict[str, str]:
    """Name the vault to Airflow, and where it will listen: tasks put both into their links."""
    passwords = places.home / "passwords.json"
    passwords.write_text(json.dumps({_USER: _USER}))
    retention = {"keep_daily": 7, "keep_weekly": 4}
    vault = {"name": "demo", "url": places.vault, "rpo": "26h", "retention": retention}
    return {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__XBACKUP__VAULTS": json.dumps([vault]),
    }


def _free_port() -> int:
    """Return Airflow's usual port, or another one where that is taken."""
    for wanted in (8080, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", wanted)) as server:
            port: int = server.getsockname()[1]
            return port
    raise DemoError("There is no free port on 127.0.0.1.")


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    # Imported here: it brings HTTP and TLS, for which all commands would wait.
    import urllib.request

    deadline = time.monotonic() + _TIME_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):  # noqa: S310 - our own
            return
        time.sleep(0.5)
    raise DemoError(f"Airflow did not start; see {log}.")


def _stop_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and all that they have started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        deadline = time.monotonic() + 10
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process; ``airflow dags test`` takes a signal for the failure of a task and goes on."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say(said: str) -> None:
    print(said, flush=True)


def _next(places: Places, newest: str) -> str:
    command = _command()
    return f"""
What to try next:
  everything about one of them     {command} show {places.vault} {newest}
  the list for scripts             {command} list {places.vault} --json
  vendors for DAGs of your own     {command} simulate
  the DAGs that just ran           {command} examples FOLDER
  Airflow's own logs of them       {places.home}
  remove all of this again         rm -r {shlex.join(map(str, (places.vault_folder, places.home)))}
"""


def _command() -> str:
    """How the user calls xbackup: by its name where that is found, by its path where it is not."""
    here = Path(sys.executable).parent / "xbackup"
    return "xbackup" if shutil.which("xbackup") == str(here) else os.path.relpath(here)
