"""How long to wait before a job is asked about again: soon at first, later the longer it takes."""

from __future__ import annotations

import math
import random

SHORTEST = 2.0
"""Seconds: even a job that has just begun is not asked about more often, where the user's interval is longer."""

_LARGEST_SHARE = 0.1
_USUAL_SHARE = 0.05
_SMALLEST_SHARE = 0.003


def pause(age: float, progress: float | None, longest: float) -> float:
    """Return the seconds until a job is asked about again.

    A share of the time it has taken so far: so a job is known to be done at most a tenth later than it could be,
    and a job of hours is not asked about as if it took minutes. Where the service tells how much is done, the
    pause is a quarter of the time that is left by that, so that the end of a job is met closely; within bounds,
    because progress may stand still, or jump.

    :param age: seconds since the job was asked for
    :param progress: share done, 0 to 1, or None where the service gave none
    :param longest: seconds that no pause is longer than
    """
    if progress is None:
        wanted = _USUAL_SHARE * age
    else:
        left = age * (1 - progress) / progress if progress else math.inf
        wanted = min(max(left / 4, _SMALLEST_SHARE * age), _LARGEST_SHARE * age)
    return min(max(wanted, SHORTEST), longest)


def spread(seconds: float) -> float:
    """Return a pause up to a fifth shorter: many who wait for one service shall not ask at the same instant.

    :param seconds: the pause
    """
    return seconds * random.uniform(0.8, 1.0)  # noqa: S311 - no secret depends on it
