"""Release a held backup, so that it can expire when retention says so.

With --json, an object with the keys url and released: the hold that was there (who, why, at, until), or null.
"""

from __future__ import annotations

import argparse
import json
import sys

from airflow_provider_xbackup.cli import errors, text, vaults

NAME = "release"
HELP = "let a held backup expire again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.holds import release

    vault = vaults.open_vault(args)
    backup = vaults.find_backup(vault, args)
    released = release(vault, backup.path)
    if args.json:
        hold = released and {name: value for name, value in released.to_dict().items() if name != "schema"}
        sys.stdout.write(json.dumps({"url": backup.location, "released": hold}, indent=2) + "\n")
    elif released is None and not backup.held:
        print(text.safe(f"The backup {backup.location} was not held."))
    else:
        by = "" if released is None else f": it was held by {released.who}, {released.why}"
        print(text.safe(f"The backup {backup.location} is released{by}"))
    return errors.FINE
