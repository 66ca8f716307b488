"""Keep a backup from expiring, whatever retention says, until it is released.

Who, why and until when is written beside it. A backup that has expired and whose data is still there comes back.
With --json, an object with the keys url, who, why, at, until, revived (folders that came back) and missing_base.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, people, text, vaults
from airflow_provider_xbackup.cli.durations import duration

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.holds import Held
    from airflow_provider_xbackup.vault.layout import BackupPath
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "hold"
HELP = "keep a backup from expiring"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_backup(parser)
    people.add_words(parser)
    add_end(parser, "until it is released")
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.holds import hold

    vault = vaults.open_vault(args)
    path = vaults.find_backup(vault, args).path
    now = datetime.now(UTC)
    done = hold(vault, path, who=people.who(args), why=args.why, until=end(args, now), now=now)
    return tell(vault, path, done, as_json=args.json)


def add_end(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the arguments that say how long a hold lasts; :func:`end` reads them."""
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--for", type=duration, dest="lasts", metavar="AGE", help=f"how long: 90d, 26w ({default})")
    until.add_argument(
        "--until", type=_instant, metavar="TIME", help="or until when: 2027-01-31, 2027-01-31T12:00Z"
    )


def end(args: argparse.Namespace, now: datetime) -> datetime | None:
    """Return when the hold ends; None where nobody said."""
    lasts: timedelta | None = args.lasts
    until: datetime | None = args.until
    return until if lasts is None else now + lasts


def tell(vault: Vault, path: BackupPath, done: Held, *, as_json: bool) -> int:
    """Say what came of holding a backup.

    :return: the exit code: 1 where the base that it needs is gone
    """
    url = vault.url.join(path.folder)
    if as_json:
        said = {name: value for name, value in done.hold.to_dict().items() if name != "schema"}
        value = {
            "url": url,
            **said,
            "revived": [each.folder for each in done.revived],
            "missing_base": done.missing_base and done.missing_base.folder,
        }
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        until = "it is released" if done.hold.until is None else text.when(done.hold.until)
        print(text.safe(f"The backup {url} is held until {until}, by {done.hold.who}: {done.hold.why}"))
        for each in done.revived:
            print(text.safe(f"{each.backup_id} had expired and is back."))
    if done.missing_base is None:
        return errors.FINE
    text.complain(
        f"The full {done.missing_base.backup_id} that {path.backup_id} builds on is gone. Alone, it holds only "
        "what had changed."
    )
    return errors.FINDING


def _instant(words: str) -> datetime:
    try:
        instant = datetime.fromisoformat(words)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is no time; write 2027-01-31 or 2027-01-31T12:00Z") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
