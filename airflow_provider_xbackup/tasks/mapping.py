"""Mapping whole task groups: arguments that no row of the map brings keep their defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def with_defaults(group: Callable[P, R]) -> Callable[P, R]:
    """Let a task group's function be mapped with ``expand_kwargs`` over rows that leave arguments out.

    Airflow hands such a function a stand-in for every argument that is not in ``.partial()``, whether the
    rows hold it or not, and fails with a KeyError at run time where they do not.

    :param group: the function
    :return: the function, called with its own defaults for what no row brings
    """
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(group).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }

    @functools.wraps(group)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, default in defaults.items():
            if name in kwargs and _is_in_no_row(kwargs[name]):
                kwargs[name] = default
        return group(*args, **kwargs)

    return call


def _is_in_no_row(argument: object) -> bool:
    """Tell whether an argument stands for a key that none of the literal rows of a map holds."""
    rows = getattr(getattr(argument, "_input", None), "value", None)
    key = getattr(argument, "_key", None)
    return (
        isinstance(rows, Sequence)
        and bool(rows)
        and all(isinstance(row, Mapping) and key not in row for row in rows)
    )
