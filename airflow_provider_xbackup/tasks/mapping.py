"""Mapping whole task groups: rows may leave arguments out, and each account has one row."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from airflow_provider_xbackup.tasks.arguments import is_literal

P = ParamSpec("P")
R = TypeVar("R")

# What the decorators tell of a function, for the rows that a task reads.
_NEVER_MAPPED, _CONN_ID = "never_mapped", "conn_id"


def with_defaults(*never_mapped: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a task group's function be mapped with ``expand_kwargs`` over rows that leave arguments out.

    Airflow hands such a function a stand-in for every argument that is not in ``.partial()``, whether the
    rows hold it or not, and fails with a KeyError at run time where they do not. What rows that come from
    a task will hold is not known when the DAG is parsed: they have to hold all arguments that can be mapped.

    :param never_mapped: the arguments that are the same in all rows; rows that come from a task never bring them
    :return: the decorator. The function is then called with its own defaults for what no row brings, and
        the call raises ValueError for what only some rows bring, and for a row that brings what is the same in all
    """

    def decorate(group: Callable[P, R]) -> Callable[P, R]:
        defaults = {name: each.default for name, each in inspect.signature(group).parameters.items()}

        @functools.wraps(group)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            _check_rows(kwargs.values(), known=defaults.keys())
            for name in defaults.keys() & kwargs.keys():
                if _is_in_no_row(kwargs[name], never_mapped=name in never_mapped):
                    kwargs[name] = defaults[name]
            for name in never_mapped:
                if hasattr(kwargs.get(name), "iter_references"):  # what Airflow fills in row by row
                    raise ValueError(_same_for_all(name))
            return group(*args, **kwargs)

        vars(call)[_NEVER_MAPPED] = never_mapped
        return call

    return decorate


def one_row_an_account(conn_id: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse a map with two rows for one account: their jobs would meet each other's cooldown.

    Only rows whose account is known when the DAG is parsed can be compared.

    :param conn_id: the name of the argument that holds the connection id: the account's name where none is given
    :return: the decorator. The call raises ValueError for the second row of an account
    """

    def decorate(group: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(group)

        @functools.wraps(group)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            _check_accounts(
                _in_row(given.arguments["account"], row) or _in_row(given.arguments[conn_id], row)
                for row in _known_rows(given.arguments.values())
            )
            return group(*args, **kwargs)

        vars(call)[_CONN_ID] = conn_id
        return call

    return decorate


def complete_rows(group: Callable[..., Any], rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Check rows that a task has read, and fill in what they leave out.

    :param group: a task group's function, with both decorators of this module
    :param rows: arguments of the function, a row an account
    :return: the rows, each with every argument that can be mapped and has a default
    :raises ValueError: when there is no row, one is no mapping or has a key that cannot be mapped, or an account
        has two
    """
    parameters = inspect.signature(group).parameters
    never_mapped, conn_id = vars(group)[_NEVER_MAPPED], vars(group)[_CONN_ID]
    given = list(rows)
    if not all(isinstance(row, Mapping) for row in given):
        raise ValueError("A row of the map is no object: rows are written as a list of objects with arguments.")
    _check_keys(given, known=parameters.keys())
    for name in never_mapped:
        if any(name in row for row in given):
            raise ValueError(_same_for_all(name))
    defaults = {
        name: each.default
        for name, each in parameters.items()
        if each.default is not each.empty and name not in never_mapped
    }
    complete = [{**defaults, **row} for row in given]
    _check_accounts(row["account"] or row[conn_id] for row in complete)
    return complete


def _check_accounts(names: Iterable[object]) -> None:
    """Refuse a second row for an account.

    :param names: the account of each row; what is not known yet is no text
    """
    seen: dict[object, int] = {}
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not is_literal(name):
            continue
        if name in seen:
            raise ValueError(
                f"Rows {seen[name]} and {number} of the map are both for the account {name!r}, which has "
                "one backup at a time: the second row would be refused, or replace the first one's file. "
                "Put everything of an account into one row."
            )
        seen[name] = number


def _same_for_all(name: str) -> str:
    return f"{name} is the same for all accounts: give it with .partial({name}=…)."


def _known_rows(arguments: Iterable[object]) -> Iterator[Mapping[str, Any] | None]:
    """Yield the rows of a map as far as they are known when the DAG is parsed; None for one that is not.

    :param arguments: what the group was called with; without a map there are no rows
    """
    for argument in arguments:
        mapped = getattr(getattr(argument, "_input", None), "value", None)
        if isinstance(mapped, Mapping):
            # What .expand() was given: every combination of the lists is a row.
            if all(isinstance(values, (list, tuple)) for values in mapped.values()):
                yield from (dict(zip(mapped, row, strict=True)) for row in itertools.product(*mapped.values()))
            return
        if isinstance(mapped, Sequence):
            yield from (row if isinstance(row, Mapping) else None for row in mapped)
            return


def _in_row(argument: object, row: Mapping[str, Any] | None) -> object:
    """Return what an argument is in a row; what is not known yet is returned as it is, no text."""
    key = getattr(argument, "_key", None)
    return argument if key is None or row is None else row.get(key)


def _check_rows(arguments: Iterable[object], *, known: Collection[str]) -> None:
    """Refuse a map without rows, and rows with keys that no argument has: Airflow drops them silently.

    :param arguments: what the group was called with
    :param known: the names of its arguments
    :raises ValueError: when nothing would be backed up, or not what the row says
    """
    for argument in arguments:
        rows = getattr(getattr(argument, "_input", None), "value", None)
        if isinstance(rows, Sequence):
            _check_keys(rows, known=known)


def _check_keys(rows: Sequence[object], *, known: Collection[str]) -> None:
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
