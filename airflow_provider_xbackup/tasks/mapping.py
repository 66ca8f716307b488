"""Mapping whole task groups: arguments that no row of the map brings keep their defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def with_defaults(*never_mapped: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a task group's function be mapped with ``expand_kwargs`` over rows that leave arguments out.

    Airflow hands such a function a stand-in for every argument that is not in ``.partial()``, whether the
    rows hold it or not, and fails with a KeyError at run time where they do not. What rows that come from
    a task will hold is not known when the DAG is parsed: they have to hold all arguments that can be mapped.

    :param never_mapped: the arguments that are the same in all rows; rows that come from a task never bring them
    :return: the decorator. The function is then called with its own defaults for what no row brings, and
        the call raises ValueError for what only some rows bring
    """

    def decorate(group: Callable[P, R]) -> Callable[P, R]:
        defaults = {name: each.default for name, each in inspect.signature(group).parameters.items()}

        @functools.wraps(group)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            _check_rows(kwargs.values(), known=defaults.keys())
            for name in defaults.keys() & kwargs.keys():
                if _is_in_no_row(kwargs[name], never_mapped=name in never_mapped):
                    kwargs[name] = defaults[name]
            return group(*args, **kwargs)

        return call

    return decorate


def _check_rows(arguments: Iterable[object], *, known: Collection[str]) -> None:
    """Refuse a map without rows, and rows with keys that no argument has: Airflow drops them silently.

    :param arguments: what the group was called with
    :param known: the names of its arguments
    :raises ValueError: when nothing would be backed up, or not what the row says
    """
    for argument in arguments:
        rows = getattr(getattr(argument, "_input", None), "value", None)
        if not isinstance(rows, Sequence):
            continue
        if not rows:
            raise ValueError("The list to map over is empty: nothing would be backed up.")
        for number, row in enumerate(rows, 1):
            unknown = sorted(row.keys() - set(known)) if isinstance(row, Mapping) else []
            if unknown:
                raise ValueError(
                    f"Row {number} of the map has {unknown[0]!r}, which is no argument. "
                    f"Known are {', '.join(sorted(known))}."
                )


def _is_in_no_row(argument: object, *, never_mapped: bool) -> bool:
    """Tell whether an argument stands for a key that no row of a map brings.

    :param argument: what the group was called with
    :param never_mapped: whether rows that are not known yet count as rows without the key
    :raises ValueError: when a row is known to lack what others may bring
    """
    rows = getattr(getattr(argument, "_input", None), "value", None)
    key = getattr(argument, "_key", None)
    if hasattr(rows, "iter_references"):
        return never_mapped
    if not isinstance(rows, Sequence) or not rows:
        return False
    lacking = [number for number, row in enumerate(rows, 1) if isinstance(row, Mapping) and key not in row]
    later = sum(not isinstance(row, Mapping) for row in rows)
    if len(lacking) + (later if never_mapped else 0) == len(rows):
        return True
    if lacking:
        raise ValueError(
            f"Row {lacking[0]} of the map has no {key!r}, which other rows have or may have: "
            f"give it in every row, or for all of them with .partial({key}=…)."
        )
    return False
