"""Copy the backups of one vault into another: only what is missing, checked on its way and where it lies.

With rules of a policy only what the policy would keep of both vaults together is copied. Copies that are damaged
are told of, and written anew with --repair; originals that are damaged are never copied. With --json, JSON
Lines, an object for every backup, with the keys service, account, backup_id, outcome (copied, present, repaired,
revived, half-removed, damaged-source, damaged-target, base-missing), bytes and problem.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, policies, text, vaults

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.replicate import Replicated

NAME = "replicate"
HELP = "copy backups into another vault"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", metavar="SOURCE", help="the vault with the originals")
    parser.add_argument("target", metavar="TARGET", help="the vault for the copies")
    parser.add_argument("--repair", action="store_true", help="write damaged copies anew")
    parser.add_argument(
        "--lock-for", metavar="DURATION", help="lock each copy in its bucket for so long, such as 90d or 1y6m"
    )
    parser.add_argument(
        "--lock-mode",
        choices=("governance", "compliance"),
        default="governance",
        help="how hard; nobody can take compliance back (governance)",
    )
    policies.add_rules(parser)
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write JSON Lines, an object a line")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup import __version__
    from airflow_provider_xbackup.vault.locks import Lock
    from airflow_provider_xbackup.vault.manifest import Producer
    from airflow_provider_xbackup.vault.replicate import PROBLEMS, Outcome, Replication

    policy = policies.read(args)
    source = vaults.connect(args.source, debug=args.debug)
    source.require()
    replication = Replication(
        source,
        vaults.connect(args.target, debug=args.debug),
        producer=Producer(package_version=__version__),
        now=datetime.now(UTC),
        service=args.service,
        account=args.account,
        policy=policy,
        repair=args.repair,
        lock=Lock.of(args.lock_for, args.lock_mode),
    )
    counts: Counter[Outcome] = Counter()
    copied = 0
    for replicated in replication:
        counts[replicated.outcome] += 1
        copied += replicated.copied
        if args.json:
            _write_json(replicated)
        elif replicated.outcome in (Outcome.COPIED, Outcome.REPAIRED, Outcome.REVIVED):
            where = replicated.path.folder
            text.console().print(text.cell(f"{replicated.outcome} {where}, {text.size(replicated.copied)}"))
        if replicated.problem:
            text.complain(f"{replicated.outcome}: {replicated.path.folder}: {replicated.problem}")
    if not counts and not replication.left_out:
        text.complain(f"There is no backup to copy in {source.url}. Check the vault's URL and the filters.")
        return errors.FINDING
    if not args.json:
        told = [f"{number:,} {outcome}" for outcome, number in sorted(counts.items())]
        if replication.left_out:
            told.append(f"{replication.left_out:,} left out by the policy")
        text.console().print(text.cell(f"{', '.join(told)}; {text.size(copied)} written"), soft_wrap=True)
    return errors.FINDING if any(counts[problem] for problem in PROBLEMS) else errors.FINE


def _write_json(replicated: Replicated) -> None:
    value = {
        "service": replicated.path.service,
        "account": replicated.path.account,
        "backup_id": replicated.path.backup_id,
        "outcome": replicated.outcome,
        "bytes": replicated.copied,
        "problem": replicated.problem or None,
    }
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
