"""A retention policy on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to keep."""
    rules = parser.add_argument_group("rules", "a number, or 'unlimited'; durations such as 1y2m3d4h, 90d, 36h")
    rules.add_argument("--keep-last", type=_count, metavar="N", help="the newest N")
    for period in _PERIODS:
        rules.add_argument(
            f"--keep-{period}",
            type=_count,
            metavar="N",
            help=f"the newest of each of the newest N {_noun(period)}",
        )
    rules.add_argument(
        "--keep-within", metavar="DURATION", help="all that are less than so much older than the newest"
    )
    for period in _PERIODS:
        rules.add_argument(
            f"--keep-within-{period}",
            metavar="DURATION",
            help=f"of those, the newest of each of the {_noun(period)}",
        )
    rules.add_argument("--timezone", metavar="NAME", help="where days begin, such as Europe/Berlin (UTC)")
    rules.add_argument("--min-verified", type=int, metavar="N", help="always keep the newest N verified ones (1)")
    rules.add_argument(
        "--max-delete-fraction", type=float, metavar="SHARE", help="refuse to expire more of a group at once (0.5)"
    )


def read(args: argparse.Namespace) -> RetentionPolicy | None:
    """Return the policy that was given; None where no rule was.

    :raises InvalidArgumentError: when it is no policy
    """
    from airflow_provider_xbackup.vault.retention import COUNTS, DURATIONS, RetentionPolicy

    rules = {name: getattr(args, name) for name in (*COUNTS, *DURATIONS) if getattr(args, name) is not None}
    if not rules:
        return None
    others = {name: getattr(args, name) for name in ("timezone", "min_verified", "max_delete_fraction")}
    return RetentionPolicy(**rules, **{name: value for name, value in others.items() if value is not None})


def _count(words: str) -> int:
    from airflow_provider_xbackup.vault.retention import UNLIMITED

    return UNLIMITED if words == "unlimited" else int(words)


_count.__name__ = "number"  # argparse names it


def _noun(period: str) -> str:
    return "days" if period == "daily" else f"{period.removesuffix('ly')}s"
