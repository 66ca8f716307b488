"""A retention policy on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_xbackup.vault.retention import RetentionPolicy

_OTHERS = ("timezone", "min_verified", "max_delete_fraction")
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

    :raises InvalidArgumentError: when it is no policy, or has options and no rule
    """
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.retention import COUNTS, DURATIONS, RetentionPolicy

    def given(names: Iterable[str]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(args, name)) is not None}

    rules, others = given((*COUNTS, *DURATIONS)), given(_OTHERS)
    if others and not rules:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise InvalidArgumentError(
            f"{options} alone keeps nothing and is no policy: give one of the --keep options as well, such as "
            "--keep-daily 30."
        )
    return RetentionPolicy(**rules, **others) if rules else None


def _count(words: str) -> int:
    from airflow_provider_xbackup.vault.retention import UNLIMITED

    return UNLIMITED if words == "unlimited" else int(words)


_count.__name__ = "number"  # argparse names it


def _noun(period: str) -> str:
    return "days" if period == "daily" else f"{period.removesuffix('ly')}s"
