"""Show how old the newest whole and the newest verified backup of every account are.

Made for people and for monitoring: every line on stderr is something to act on, and makes the exit code 1.
With --json, an object with the keys vault, now, accounts and findings. Each account has service, account,
newest, verified, oldest, last (each a backup id, state and age in seconds, or null), number and stored_size;
each finding has code (empty, absent, late, unverified, suspect, damaged, incomplete, uncovered-bot, no-bots,
damaged-manifest, dated-in-future), about and text.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import text, vaults
from airflow_provider_xbackup.cli.durations import duration

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.catalog import Backup, Finding
    from airflow_provider_xbackup.vault.coverage import AccountBot
    from airflow_provider_xbackup.vault.status import AccountStatus

NAME = "status"
HELP = "tell whether every account's backups are as new as they have to be"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    vaults.add_filters(parser)
    parser.add_argument("--rpo", type=duration, metavar="AGE", help="how old the newest whole backup may be: 26h")
    parser.add_argument(
        "--verified-rpo", type=duration, metavar="AGE", help="how old the newest verified backup may be: 8d"
    )
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="SERVICE/ACCOUNT",
        help="an account that must have a backup, such as xray/acme; may be repeated",
    )
    parser.add_argument(
        "--bots-of",
        metavar="CONN",
        help="name the bots of a Xenioo account that have no backup; an Airflow connection with the account's key",
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.coverage import Coverage, check_all_looked_at
    from airflow_provider_xbackup.vault.status import AccountName, Promise, judge, survey

    if args.bots_of is not None:
        check_all_looked_at(args.service, args.account)
    promise = Promise(frozenset(AccountName.parse(name) for name in args.expect), args.rpo, args.verified_rpo)
    vault = vaults.open_vault(args)
    now = datetime.now(UTC)
    bots = None if args.bots_of is None else _list_bots(args)
    backups, coverage = vault.backups(args.service, args.account), Coverage()
    accounts = survey(coverage.watch(backups), promise.accounts)
    uncovered = () if bots is None else coverage.uncovered(bots)
    findings = [*judge(accounts, promise, now), *uncovered, *backups.findings]
    if args.json:
        _write_json(str(vault.url), now, accounts, findings)
    else:
        _write_table(accounts, now)
    return vaults.report(findings)


def _list_bots(args: argparse.Namespace) -> tuple[AccountBot, ...]:
    def list_them() -> tuple[AccountBot, ...]:
        from airflow_provider_xbackup.exceptions import plain_errors
        from airflow_provider_xbackup.hooks.account_bots import bots_of

        with plain_errors():
            return bots_of(args.bots_of)

    return vaults.with_airflow(
        list_them, "--bots-of asks an Airflow connection", "Use --expect.", debug=args.debug
    )


def _write_json(vault: str, now: datetime, accounts: list[AccountStatus[Backup]], findings: list[Finding]) -> None:
    def of(backup: Backup | None) -> dict[str, Any] | None:
        if backup is None:
            return None
        age = round((now - backup.instant).total_seconds())
        return {"backup_id": backup.backup_id, "state": backup.state, "age": age}

    value = {
        "vault": vault,
        "now": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "accounts": [
            {
                "service": account.name.service,
                "account": account.name.account,
                "newest": of(account.newest),
                "verified": of(account.verified),
                "oldest": of(account.oldest),
                "last": of(account.last),
                "number": account.number,
                "stored_size": account.stored_size,
            }
            for account in accounts
        ],
        "findings": [{"code": found.code, "about": found.path, "text": found.text} for found in findings],
    }
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write_table(accounts: list[AccountStatus[Backup]], now: datetime) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Account", overflow="fold")
    for heading in ("Newest", "Verified", "Oldest", "Backups", "Size"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("Last", no_wrap=True)

    def age(backup: Backup | None) -> str:
        return "none" if backup is None else text.age(backup.instant, now)

    for account in accounts:
        state = "none" if account.last is None else account.last.state
        table.add_row(
            text.cell(account.name),
            *(text.cell(age(backup)) for backup in (account.newest, account.verified, account.oldest)),
            text.cell(f"{account.number:,}"),
            text.cell(text.size(account.stored_size)),
            text.state(state),
        )
    if accounts:
        text.console().print(table)
