"""How far a backup fell below its predecessor: what makes it suspect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.manifest import Artifact

_FILES = {"backup": "data file", "attachments": "attachments file", "bot": "bot's backup"}


def sizes_of(artifacts: Iterable[Artifact]) -> dict[str, int]:
    """Return the plain sizes of a backup's files, by the names that :func:`find_drops` tells of."""
    return {f"size of the {_FILES.get(one.role, one.role)}": one.size for one in artifacts}


def find_drops(
    now: Mapping[str, int], before: Mapping[str, int], max_drop: float, unread: frozenset[str] = frozenset()
) -> Sequence[str]:
    """Compare sizes and counts of a full with those of the newest accepted full of its group.

    :param now: what the new backup holds, by name
    :param before: what the earlier one held, by the same names
    :param max_drop: the share that may be missing, 0 to 1
    :param unread: names of which nobody knows how many the new backup holds
    :return: a sentence for everything that fell by more; empty when nothing did
    """
    return [
        f"{name} fell from {old:,} to {now.get(name, 0):,}"
        for name, old in sorted(before.items())
        if old > 0 and name not in unread and now.get(name, 0) < old * (1 - max_drop)
    ]


def check_share(name: str, value: object) -> None:
    """Check a share that may be missing.

    :param name: what it is called
    :param value: the share
    :raises InvalidArgumentError: when it is no number from 0 to 1
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InvalidArgumentError(f"{name} must be a share between 0 and 1 and is {value!r}.")
