"""Run the benchmarks, and keep what they print for the documentation: ``make bench``.

Each part is a script with arguments that prints Markdown. Together they take less than twenty minutes on two
cores; the large ones run when they are named only.

    python benchmarks/bench.py [startup catalog waiting verify transfer costs] [large ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results"

#: The parts in their order: a script, and what it is told to fit into the time.
PARTS: dict[str, list[str]] = {
    "startup": ["startup"],
    "catalog": ["catalog"],
    "waiting": ["waiting"],
    "verify": ["verify", "--gib", "0.5", "--entities", "25000", "--runs", "1"],
    "transfer": ["transfer", "--parts", "stores", "--runs", "3"],
    "costs": ["transfer", "--parts", "costs", "bots", "--runs", "1"],
}
LARGE: dict[str, list[str]] = {
    "resume": ["resume"],
    "large-transfer": ["transfer", "--parts", "longer", "--runs", "3"],
    "large": ["transfer", "--parts", "memory", "breaks", "links"],
    "large-verify": ["verify", "--runs", "1"],
    "large-catalog": ["catalog", "--sizes", "100000", "--s3-sizes", "--restic-sizes", "--runs", "1"],
    "large-catalog-s3": ["catalog", "--sizes", "--s3-sizes", "100000", "--restic-sizes", "--runs", "1"],
}


def run(name: str) -> None:
    """Run a part, show what it prints, and keep it."""
    script, *arguments = (PARTS | LARGE)[name]
    command = [sys.executable, "-u", str(HERE / f"{script}.py"), *arguments]
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
    known = [*PARTS, *LARGE]
    parser.add_argument("names", nargs="*", metavar="PART", help=" ".join(known))
    names = parser.parse_args().names or list(PARTS)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no part {' '.join(unknown)}; there are {' '.join(known)}")
    for name in names:
        began = time.monotonic()
        run(name)
        print(f"{name} took {(time.monotonic() - began) / 60:.1f} minutes.\n", file=sys.stderr)


if __name__ == "__main__":
    main()
