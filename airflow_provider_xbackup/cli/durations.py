"""Durations on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d{1,6})\s*(min|h|d|w)")


def duration(text: str) -> timedelta:
    """Read ``26h``, ``3d``, ``90min``, ``2w`` or ``1d12h``; for argparse's ``type``.

    :param text: what the user wrote
    :return: the duration
    :raises argparse.ArgumentTypeError: when it is none
    """
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90min, 26h, 3d, 2w or 1d12h")
    return timedelta(**{_UNITS[unit]: sum(int(n) for n, u in parts if u == unit) for _, unit in parts})
