"""Write the example DAGs into FOLDER, to be looked at and changed. No file that is there is touched.

Each says at its top what it needs before it runs. They come with the package, but in no folder that Airflow looks
into on its own: none of them runs unless somebody put it among the DAGs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from airflow_provider_xbackup.cli import errors, text
from airflow_provider_xbackup.errors import InvalidArgumentError

NAME = "examples"
HELP = "write the example DAGs into a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", metavar="FOLDER", help="where to; made where it does not exist")
    parser.add_argument("--json", action="store_true", help="write an array of the files' paths")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    folder = Path(args.folder)
    files = sorted(example_dags().glob("*.py"))
    if taken := [file.name for file in files if (folder / file.name).exists()]:
        raise InvalidArgumentError(
            f"{folder} holds {', '.join(taken)} already, and nothing is overwritten. Name another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
    except OSError as exc:
        text.complain(f"The examples cannot be written into {folder}: {exc.strerror or exc}.")
        return errors.FINDING
    written = [str(folder / file.name) for file in files]
    print(json.dumps(written) if args.json else "\n".join(written))
    return errors.FINE


def example_dags() -> Path:
    """Return the folder of the example DAGs: inside an installed package, beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "examples"
    return shipped if shipped.is_dir() else package.parent / "example_dags"
