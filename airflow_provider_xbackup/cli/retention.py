"""Expire old backups: say what a policy keeps and why (plan), or carry it out (apply).

A backup is kept when any of the --keep rules keeps it. Held backups, the newest verified ones and what others
build on are kept whatever the rules say. An expired backup can be brought back for --grace, then its data goes.
A plan that looks like a mistake is refused: nothing of that group is touched, the exit code is 1, and the message
names what to give to --override.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.cli import errors, policies, text, vaults
from airflow_provider_xbackup.cli.durations import duration
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from rich.text import Text

    from airflow_provider_xbackup.vault.catalog import Finding
    from airflow_provider_xbackup.vault.expire import Applied, Plans
    from airflow_provider_xbackup.vault.layout import BackupPath
    from airflow_provider_xbackup.vault.plan import Decision, RetentionPlan
    from airflow_provider_xbackup.vault.vault import Vault

NAME = "retention"
HELP = "expire old backups by a policy, or say what would expire"

_STYLES = {"keep": "green", "revive": "green", "expire": "bold yellow", "remove": "bold red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    plan = actions.add_parser("plan", help="say what would become of every backup, and why; do nothing")
    apply = actions.add_parser("apply", help="expire backups, and remove those that expired long enough ago")
    for sub in (plan, apply):
        _add_policy(sub)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    apply.add_argument(
        "--garbage-after",
        type=duration,
        default=timedelta(days=7),
        metavar="AGE",
        help="how old the leavings of failed attempts must be to go (7d)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.expire import apply_retention, plan_retention
    from airflow_provider_xbackup.vault.plan import check_overrides

    policy = policies.read(args)
    if policy is None:
        raise InvalidArgumentError(
            "Say what to keep: at least one of the --keep options, such as --keep-daily 30."
        )
    options: dict[str, Any] = {
        "service": args.service,
        "account": args.account,
        "grace": args.grace,
        "override": check_overrides(args.override),
        "now": datetime.now(UTC),
    }
    if args.action == "plan":
        vault = vaults.open_remembered(args)
        plans = plan_retention(vault, policy, **options)
        stopped: list[RetentionPlan] = []
        noted = _noting_stopped(plans, stopped)
        try:
            _write_json(_head(vault, options["now"]), noted, plans) if args.json else _write_plans(noted)
        except BackupError:
            _report(stopped, plans.findings)  # what was found before it
            raise
        return _report(stopped, plans.findings)
    vault = vaults.open_vault(args)
    applied = apply_retention(vault, policy, garbage_after=args.garbage_after, **options)
    if args.json:
        _write_json(_head(vault, options["now"]) | _done(applied), applied.plans, applied)
    else:
        _write_summary(applied)
    for refused in applied.not_let_go:
        text.complain(f"not removed: {refused.reason} The next apply tries again.")
    code = _report(applied.plans, applied.findings)
    return code or (errors.FINDING if applied.not_let_go else errors.FINE)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    vaults.add_vault(parser)
    policies.add_rules(parser)
    parser.add_argument(
        "--grace",
        type=duration,
        default=timedelta(days=3),
        metavar="AGE",
        help="time to bring expired ones back (3d)",
    )
    parser.add_argument(
        "--override", action="append", default=[], metavar="NAME", help="go over a refusal; may be repeated"
    )
    vaults.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def _noting_stopped(plans: Iterable[RetentionPlan], stopped: list[RetentionPlan]) -> Iterator[RetentionPlan]:
    """Pass plans on, and keep of those that are paused or refused what is to be said in the end."""
    for plan in plans:
        if plan.paused or plan.refusals:
            stopped.append(replace(plan, decisions=()))
        yield plan


def _report(plans: Iterable[RetentionPlan], findings: Collection[Finding]) -> int:
    refused = False
    for plan in plans:
        if plan.paused:
            text.complain(
                f"paused: nothing of {plan.group} expires, because {plan.paused}. Look at it; if it is what it "
                "should be, accept it with 'xbackup accept'."
            )
        for refusal in plan.refusals:
            refused = True
            text.complain(
                f"refused: {plan.group}: {refusal.text}. Nothing of this group expires. If it is meant, give "
                f"--override {refusal.name}."
            )
    return vaults.report(findings) or (errors.FINDING if refused else errors.FINE)


def _head(vault: Vault, now: datetime) -> dict[str, Any]:
    return {"vault": str(vault.url), "now": now.isoformat(timespec="seconds").replace("+00:00", "Z")}


def _write_json(head: dict[str, Any], plans: Iterable[RetentionPlan], source: Plans | Applied) -> None:
    def findings() -> Iterator[dict[str, str]]:
        yield from map(asdict, source.findings)  # complete when the plans have been written

    def group(plan: RetentionPlan) -> text.Streamed:
        return text.Streamed(plan.to_dict(), {"backups": (each.to_dict() for each in plan.decisions)})

    text.write_object(head, groups=map(group, plans), findings=findings())


def _done(applied: Applied) -> dict[str, Any]:
    def folders(paths: Iterable[BackupPath]) -> list[str]:
        return [path.folder for path in paths]

    return {
        "expired": folders(applied.expired),
        "revived": folders(applied.revived),
        "removed": folders(applied.removed),
        "freed": applied.freed,
        "bytes_remain": applied.hidden,
        "not_let_go": [{"path": refused.path, "reason": refused.reason} for refused in applied.not_let_go],
        "garbage": {"removed": len(applied.garbage.removed), "bytes": applied.garbage.bytes},
    }


def _write_plans(plans: Iterable[RetentionPlan]) -> None:
    from rich.table import Column

    columns = (
        Column("Backup", no_wrap=True),
        Column("Age", no_wrap=True, justify="right"),
        Column("Size", no_wrap=True, justify="right"),
        Column("Action", no_wrap=True),
        Column("Why", overflow="fold"),
    )
    console = text.console()
    for plan in plans:
        console.print(text.cell(f"{plan.group}: {_counts(plan)}", "bold"), soft_wrap=True)
        text.print_table(columns, map(_row, plan.decisions))
        console.print()


def _row(decision: Decision) -> tuple[Text, ...]:
    entry, action = decision.entry, decision.action.value
    return (
        text.cell(entry.backup_id),
        text.cell(text.age(entry.instant)),
        text.cell(text.size(entry.size)),
        text.cell(action, _STYLES.get(action, "dim")),
        text.cell(", ".join(decision.reasons)),
    )


def _counts(plan: RetentionPlan) -> str:
    number = Counter(each.action.value for each in plan.decisions)
    names = (
        ("keep", "kept"),
        ("expire", "to expire"),
        ("remove", "to remove"),
        ("revive", "to revive"),
        ("pass", "no candidates"),
    )
    refused = " (refused)" if plan.refusals else " (paused)" if plan.paused else ""
    return ", ".join(f"{number[action]:,} {words}" for action, words in names if number[action]) + refused


def _write_summary(applied: Applied) -> None:
    parts = [
        f"{text.count(len(applied.expired), 'backup')} expired",
        f"{len(applied.removed):,} removed ({text.size(applied.freed)})",
    ]
    if applied.revived:
        parts.append(f"{len(applied.revived):,} revived")
    if applied.garbage.removed:
        parts.append(f"garbage removed: {text.size(applied.garbage.bytes)}")
    damaged = sum(each.entry.standing == "damaged" for plan in applied.plans for each in plan.decisions)
    if damaged:
        parts.append(f"{damaged:,} damaged, which count for nothing: 'xbackup retention plan' says why")
    kept = sum(len(plan.keep) for plan in applied.plans)
    print(f"{text.count(len(applied.plans), 'group')}, {kept:,} kept. {', '.join(parts)}.")
    if applied.hidden:
        print(
            "The bucket keeps versions. What was removed is hidden, bytes remain, until the bucket's rule for "
            "noncurrent versions removes them; 'xbackup undelete --versions' brings a backup back until then."
        )
