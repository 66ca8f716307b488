"""The main job from nothing: both example DAGs, run by Airflow against the simulator, into ./demo-vault.

Started by ``make demo``; a folder as argument takes ``demo-vault`` and ``demo-airflow`` instead of this one.
Nothing in it is special: the same DAGs run in any Airflow that has the connections and the Variable that are
set here through the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
VAULT = FOLDER / "demo-vault"
HOME = FOLDER / "demo-airflow"
BOTS = ("welcome", "support", "sales")
DAGS = {
    "xray_nightly_backup": "An Xray tenant: 2,000 tests in two projects, 20 MB of attachments",
    "xenioo_nightly_backup": f"Xenioo bots: {', '.join(BOTS)}",
}
TIME_LIMIT = 180

# Airflow writes "<time> [info     ] <message> [<logger>] <key=value ...>".
_LOG_LINE = re.compile(r"\[(?P<level>\w+) *\] (?P<message>.*?) +\[(?P<logger>[\w.]*xbackup[\w.]*)\]")
_FAILED = re.compile(r"new_state=(failed|up_for_retry)|state=failed")


def main() -> int:
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    HOME.mkdir(exist_ok=True)
    try:
        with simulator() as url:
            say(f"Both vendors are simulated at {url}.")
            environment = airflow_environment(url)
            say("Setting up a private Airflow (SQLite) in ./demo-airflow ...")
            run_quietly([BIN / "airflow", "db", "migrate"], environment)
            for dag_id, about in DAGS.items():
                say(f"{about}. Running the DAG {dag_id} ...")
                run_dag(dag_id, environment)
    except KeyboardInterrupt:
        say("Stopped; nothing is left running.")
        return 130
    except RuntimeError as error:
        say(f"The demo failed: {error}")
        return 1
    say(f"Done in {time.monotonic() - started:.0f} s. This is in the vault {VAULT.as_uri()}:\n")
    subprocess.run([BIN / "xbackup", "list", VAULT.as_uri()], check=True)
    listed = subprocess.check_output([BIN / "xbackup", "list", VAULT.as_uri(), "--json"])
    print(NEXT.format(vault=VAULT.as_uri(), newest=json.loads(listed)[0]["backup_id"]))
    return 0


@contextlib.contextmanager
def simulator() -> Iterator[str]:
    """Run the simulator on a free port while the block runs."""
    command = [BIN / "xbackup", "simulate", "--port", "0", "--tests", "1000", "--attachments-mb", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    return
            raise RuntimeError("the simulator did not start; its message stands above")
        finally:
            stop(process)


def airflow_environment(url: str) -> dict[str, str]:
    """Give Airflow what a deployment would have: a home, a Variable and the connections."""
    connections = {
        "XRAY_DEFAULT": {"conn_type": "xray", "host": url, "login": "demo-client", "password": "demo-secret"}
    }
    for bot in BOTS:
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
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW_VAR_XBACKUP_VAULT": VAULT.as_uri(),
        **{f"AIRFLOW_CONN_{name}": json.dumps(values) for name, values in connections.items()},
    }


def run_quietly(command: list[str | Path], environment: dict[str, str]) -> None:
    log = HOME / "setup.log"
    with log.open("w") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"Airflow could not be set up; see {log}")


def run_dag(dag_id: str, environment: dict[str, str]) -> None:
    """Run a DAG as ``airflow dags test`` does, showing what the package itself says on the way."""
    log = HOME / f"{dag_id}.log"
    command = [BIN / "airflow", "dags", "test", dag_id]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        deadline = threading.Timer(TIME_LIMIT, process.kill)
        deadline.start()
        try:
            for line in process.stdout or ():
                file.write(line)
                if found := _LOG_LINE.search(line):
                    say(found["message"], indent="    ")
                if _FAILED.search(line):
                    raise RuntimeError(f"a task of {dag_id} failed; the whole story is in {log}")
        finally:
            deadline.cancel()
            stop(process)
    if process.returncode:
        raise RuntimeError(f"{dag_id} failed; the whole story is in {log}")


def stop(process: subprocess.Popen[str]) -> None:
    """End a process; ``airflow dags test`` takes a signal for the failure of a task and goes on."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def say(text: str, indent: str = "") -> None:
    print(f"{indent}{text}", flush=True)


NEXT = """
What to try next:
  everything about one of them     .venv/bin/xbackup show {vault} {newest}
  the list for scripts             .venv/bin/xbackup list {vault} --json
  vendors for DAGs of your own     .venv/bin/xbackup simulate
  the DAGs that just ran           example_dags/
  Airflow's own logs of them       demo-airflow/
  how to go on                     docs/quickstart.md
  remove all of this again         make clean
"""

if __name__ == "__main__":
    sys.exit(main())
