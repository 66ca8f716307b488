"""Release a suspect backup: say that it is what it should be.

From then on the next backups are compared with it and may build on it. Its manifest stays as it is; who, why
and when is written beside it. Accepting again changes nothing and tells who did it. With --json, an object with
the keys url, state, who, why, at and already (true where it had been accepted before).
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from airflow_provider_xbackup.cli import errors, people, text, vaults

NAME = "accept"
HELP = "release a suspect backup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    people.add_words(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.acceptance import accept

    vault = vaults.open_vault(args)
    backup = vaults.find_backup(vault, args)
    now = datetime.now(UTC)
    word = accept(vault, backup, people.who(args), args.why, now)
    already = word.at != now
    if args.json:
        said = {name: value for name, value in word.to_dict().items() if name in ("who", "why", "at")}
        value = {"url": backup.location, "state": "accepted", **said, "already": already}
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        what = "was accepted already" if already else "is accepted"
        print(text.safe(f"The backup {backup.location} {what}, by {word.who} on {text.when(word.at)}: {word.why}"))
    return errors.FINE
