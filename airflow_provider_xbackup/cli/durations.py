"""Durations on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

#: Longer ones would lead off the calendar.
_LONGEST = timedelta(days=36525)
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"([0-9]{1,6})\s*(min|h|d|w)")


def duration(text: str) -> timedelta:
    """Read ``26h``, ``3d``, ``90min``, ``2w`` or ``1d12h``; for argparse's ``type``.

    :param text: what the user wrote
    :return: the duration
    :raises argparse.ArgumentTypeError: when it is none
    """
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90min, 26h, 3d, 2w or 1d12h")
    try:
        found = timedelta(**{_UNITS[unit]: sum(int(n) for n, u in parts if u == unit) for _, unit in parts})
    except OverflowError:
        found = timedelta.max
    if found > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is longer than 100 years, which nobody can mean")
    return found
