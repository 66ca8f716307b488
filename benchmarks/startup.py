"""Measure what it takes before anything is done: parsing DAG files, importing modules, starting the command.

Everything runs in processes of its own, in turn. Prints Markdown; takes about a minute.

    python benchmarks/startup.py [--parts parsing imports command] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from catalog import vault_on_disk
from measured import Figures, circumstances, compile_package, run

FLOWS = 50
_HEAD = """
import pendulum
from airflow.sdk import dag{imports}

@dag(schedule="@daily", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False)
def flows():
    for number in range({flows}):
        {body}

flows()
"""
OURS = _HEAD.format(
    flows=FLOWS,
    imports="\nfrom airflow_provider_xbackup.task_groups import xray_backup",
    body="""xray_backup.override(group_id=f"flow_{number}")(
            vault="file:///srv/backups", account=f"tenant-{number}", xray_conn_id=f"tenant_{number}"
        )""",
)
EMPTY = _HEAD.format(
    flows=FLOWS,
    imports=", task_group\nfrom airflow.providers.standard.operators.empty import EmptyOperator",
    body="""@task_group(group_id=f"flow_{number}")
        def flow():
            EmptyOperator(task_id="create") >> EmptyOperator(task_id="wait") >> EmptyOperator(task_id="store")
        flow()""",
)
WITH_ASSETS = EMPTY.replace("import dag,", "import Asset, dag,").replace(
    'task_id="store"', 'task_id="store", outlets=[Asset(f"nothing://tenant-{number}")]'
)
# What Airflow's DAG processor has loaded before it forks for a file.
_PARSE = """
import json, sys, time
import airflow.dag_processing.processor
import airflow.providers.common.compat.sdk, airflow.triggers.base
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

def clocks():
    return time.perf_counter(), time.process_time()

began = clocks()
bag = DagBag(sys.argv[1], safe_mode=False)
parsed = clocks()
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
size = len(json.dumps(DagSerialization.to_dict(dag)))
ended = clocks()
print(json.dumps({
    "tasks": len(dag.tasks), "size": size,
    "parse_wall": parsed[0] - began[0], "parse_cpu": parsed[1] - began[1],
    "store_wall": ended[0] - parsed[0], "store_cpu": ended[1] - parsed[1],
}))
"""
_IMPORT = """
import airflow.providers.common.compat.sdk, airflow.triggers.base, sys
from airflow.providers.common.compat.sdk import (
    Asset, AssetAlias, BaseHook, BaseOperator, BaseSensorOperator, PokeReturnValue, conf, task_group,
)
print("OURS", file=sys.stderr)
import airflow_provider_xbackup.task_groups
"""
_TIMED = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|(\s*)(\S+)")
_SHOWN = 12


def parsing(runs: int, folder: Path) -> Iterator[str]:
    """Compare a file of backup flows with the same number of tasks that do nothing."""
    files = {}
    texts = {"xray_backup": OURS, "EmptyOperator": EMPTY, "EmptyOperator, an asset for each flow": WITH_ASSETS}
    for number, (name, text) in enumerate(texts.items()):
        files[name] = folder / f"flows_{number}.py"
        files[name].write_text(text)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in files}
    for number in range(runs + 1):
        for name, path in files.items():
            done = _python("-c", _PARSE, str(path))
            if number:
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    yield f"### A DAG file of {FLOWS} flows, {3 * FLOWS} tasks\n"
    yield "| | Parse, ms | Parse, CPU ms | Serialize, CPU ms | Serialized, KB |"
    yield "|---|---:|---:|---:|---:|"
    medians = {}
    for name, all_of in found.items():
        one = {key: statistics.median(each[key] for each in all_of) for key in all_of[0]}
        medians[name] = one
        yield (
            f"| {name} | {1000 * one['parse_wall']:.0f} | {1000 * one['parse_cpu']:.0f} "
            f"| {1000 * one['store_cpu']:.0f} | {one['size'] / 1024:.0f} |"
        )
    ours, *others = medians.values()
    for name, other in zip(list(medians)[1:], others, strict=True):
        times = (f"{ours[key] / other[key]:.2f}" for key in ("parse_wall", "parse_cpu", "store_cpu", "size"))
        yield f"| times {name} | {' | '.join(times)} |"
    yield ""


def imports(runs: int, folder: Path) -> Iterator[str]:  # noqa: ARG001 - every part takes the same
    """Tell what an import of the task groups loads beyond what Airflow has loaded itself."""
    alone: dict[str, list[int]] = {}
    whole: list[int] = []
    for _ in range(runs):
        lines = _python("-X", "importtime", "-c", _IMPORT).stderr.partition("OURS\n")[2].splitlines()
        found = [match for line in lines if (match := _TIMED.match(line))]
        whole.append(sum(int(match[1]) for match in found))
        for match in found:
            alone.setdefault(match[4], []).append(int(match[1]))
    medians = sorted(((statistics.median(each), name) for name, each in alone.items()), reverse=True)
    yield f"### Importing the task groups: {len(medians)} modules, {statistics.median(whole) / 1000:.1f} ms\n"
    yield "| Module | Alone, ms |"
    yield "|---|---:|"
    for microseconds, name in medians[:_SHOWN]:
        yield f"| `{name}` | {microseconds / 1000:.1f} |"
    yield ""


def command(runs: int, folder: Path) -> Iterator[str]:  # noqa: ARG001 - every part takes the same
    """Tell how long the command takes that does next to nothing."""
    with vault_on_disk(20) as (url, _):
        program = str(Path(sys.executable).with_name("xbackup"))
        lines = {
            "`python -c pass`": [sys.executable, "-c", "pass"],
            "`xbackup --help`": [program, "--help"],
            "`xbackup list`, 20 backups": [program, "list", url],
            "`xbackup list --json`, 20 backups": [program, "list", url, "--json"],
        }
        took: dict[str, list[Figures]] = {name: [] for name in lines}
        for number in range(2 * runs + 1):
            for name, words in lines.items():
                one = run(words, {}, subprocess.DEVNULL)
                if number:
                    took[name].append(one)
    yield "### The command\n"
    yield "| | Wall ms, median | Wall ms, least | CPU ms, median |"
    yield "|---|---:|---:|---:|"
    for name, each in took.items():
        walls, cpus = [1000 * one.wall for one in each], [1000 * one.cpu for one in each]
        yield f"| {name} | {statistics.median(walls):.0f} | {min(walls):.0f} | {statistics.median(cpus):.0f} |"
    yield ""


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"python {words[:-1]} failed:\n{done.stderr}")
    return done


PARTS = {each.__name__: each for each in (parsing, imports, command)}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS), metavar="NAME")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often; the median counts")
    args = parser.parse_args()
    compile_package()
    print(circumstances())
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-") as folder:
        os.environ |= {
            "AIRFLOW_HOME": f"{folder}/airflow",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONWARNINGS": "ignore",
        }
        for name in args.parts:
            for line in PARTS[name](args.runs, Path(folder)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
