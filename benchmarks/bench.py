"""Run the benchmarks, and keep what they print for the documentation: ``make bench``.

Each is a script of its own that prints Markdown. Together they take less than 20 minutes; the sizes that a script
measures by itself may take longer.

    python benchmarks/bench.py [startup catalog waiting verify transfer]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results"

#: The scripts in their order, and what each is told to fit into the time.
BENCHMARKS: dict[str, list[str]] = {
    "startup": [],
    "catalog": ["--sizes", "1000", "10000", "--s3-sizes", "1000", "--runs", "1"],
    "waiting": [],
    "verify": ["--gib", "1", "--entities", "50000", "--runs", "1"],
    "transfer": ["--parts", "stores", "costs", "--runs", "1"],
}


def run(name: str) -> None:
    """Run a benchmark, show what it prints, and keep it."""
    command = [sys.executable, "-u", str(HERE / f"{name}.py"), *BENCHMARKS[name]]
    printed = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed.append(line)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[2:])} ended with {process.returncode}")
    RESULTS.joinpath(f"{name}.md").write_text("".join(printed))


def main() -> None:
    """Run what is asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=" ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    for name in names:
        began = time.monotonic()
        run(name)
        print(f"{name} took {(time.monotonic() - began) / 60:.1f} minutes.\n", file=sys.stderr)


if __name__ == "__main__":
    main()
