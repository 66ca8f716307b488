"""Verify backups, and append a check record to each.

Levels: presence (objects and sizes), digest (SHA-256 as stored and of the plain bytes), content (zips, JSON,
counts, references), source (counts at Xray, too; of one account at a time). Without a private key encrypted
backups are verified as they are stored; with one that does not fit as well, and the exit code is 1. With --json,
an array of objects with the keys service, account, backup_id, url, record and check, which is the record itself.
Errors go to stderr and make the exit code 1, and so does a verification that had nothing to look at.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import errors, keys, text, vaults
from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_xbackup.vault.verify import Verified

NAME = "verify"
HELP = "look whether backups are what they should be"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    parser.add_argument(
        "backups",
        nargs="*",
        metavar="BACKUP_ID",
        help="only these: a backup id or its beginning, latest, latest-verified, 'as-of INSTANT'",
    )
    parser.add_argument(
        "--level",
        default="digest",
        choices=("presence", "digest", "content", "source"),
        help="how deep to look (%(default)s)",
    )
    parser.add_argument("--subset", metavar="N/T", help="the N-th of T parts, so that T runs look at everything")
    keys.add_identity(parser)
    parser.add_argument("--xray-conn-id", metavar="CONN", help="Airflow connection to count with, for source")
    parser.add_argument(
        "--max-drop",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="how far a full may fall below its predecessor (%(default)s)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="how far the newest full may fall behind the source (%(default)s)",
    )
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write an array of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup import __version__
    from airflow_provider_xbackup.vault.checks import Level
    from airflow_provider_xbackup.vault.choose import Selector
    from airflow_provider_xbackup.vault.drops import check_share
    from airflow_provider_xbackup.vault.examination import Wanted
    from airflow_provider_xbackup.vault.manifest import Producer
    from airflow_provider_xbackup.vault.verify import Subset, Verification

    check_share("--max-drop", args.max_drop)
    check_share("--tolerance", args.tolerance)
    wanted = Wanted(
        Level(args.level),
        Producer(package_version=__version__),
        identities=keys.read_identities(args),
        max_drop=args.max_drop,
        tolerance=args.tolerance,
        count_live=_count_live(args) if args.level == "source" else None,
    )
    selectors = [Selector.parse(text) for text in args.backups]
    subset = Subset.parse(args.subset)
    verification = Verification(
        vaults.open_vault(args),
        wanted,
        service=args.service,
        account=args.account,
        selectors=selectors,
        subset=subset,
    )
    fine = _write_json(verification) if args.json else _write_lines(verification)
    code = vaults.report(verification.findings)
    return code if fine else errors.FINDING


def _count_live(args: argparse.Namespace) -> Callable[[str], Mapping[str, int]]:
    if args.xray_conn_id is None:
        raise InvalidArgumentError(
            "--level source needs --xray-conn-id, the Airflow connection to ask what Xray holds."
        )

    def connect() -> Callable[[str], Mapping[str, int]]:
        from airflow_provider_xbackup.hooks.live_counts import count_live

        return count_live(args.xray_conn_id)

    return vaults.with_airflow(
        connect, "--level source asks an Airflow connection", "Use --level content.", debug=args.debug
    )


def _write_json(verification: Iterable[Verified]) -> bool:
    fine = True

    def values() -> Iterator[dict[str, Any]]:
        nonlocal fine
        for verified in verification:
            yield {
                "service": verified.backup.path.service,
                "account": verified.backup.path.account,
                "backup_id": verified.backup.backup_id,
                "url": verified.backup.location,
                "record": verified.record,
                "check": verified.check.to_dict(),
            }
            sys.stdout.flush()  # the next one can take hours
            fine = _complain(verified) and fine

    text.write_array(values())
    return fine


def _write_lines(verification: Iterable[Verified]) -> bool:
    number = failed = read = 0
    fine = True
    for verified in verification:
        check, path = verified.check, verified.backup.path
        number += 1
        failed += not check.passed
        read += check.bytes_
        word = "passed" if check.passed else "FAILED"
        print(text.safe(f"{word}  {path.backup_id}  {check.reached:<13}  {path.service}/{path.account}"))
        for finding in check.findings:
            if finding.kind == "warning":
                print(text.safe(f"        {finding.code}: {finding}"))
        sys.stdout.flush()
        fine = _complain(verified) and fine
    if number:
        print(f"\n{text.count(number, 'backup')} verified, {failed} failed, {text.size(read)} read")
    return fine


def _complain(verified: Verified) -> bool:
    """Say what is wrong; return whether nothing is."""
    for finding in verified.check.findings:
        if finding.kind == "error":
            text.complain(f"{finding.code}: {verified.backup.backup_id}: {finding}")
    if verified.obstacle is not None:
        finding = verified.obstacle.finding
        text.complain(f"{finding.code}: {verified.backup.backup_id}: {finding.text}")
    return verified.check.passed and verified.obstacle is None
