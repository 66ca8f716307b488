"""Which backups a task works on: what DAG authors write, and what other tasks return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.choose import Selector


@dataclass(frozen=True, slots=True)
class Chosen:
    """The backups that are meant.

    :param selectors: which; none means all
    :param service: only this service
    :param account: only this account
    :param asked_for: what somebody wrote to choose a single one, also in a task before; None where nobody knows
    """

    selectors: tuple[Selector, ...]
    service: str | None = None
    account: str | None = None
    asked_for: str | None = None

    @classmethod
    def of(cls, value: object, service: str | None = None, account: str | None = None) -> Chosen:
        """Read which backups are meant.

        :param value: a selector, see :meth:`~airflow_provider_xbackup.vault.choose.Selector.parse`, a list of
            them, what a transfer or a hold returned, or None for all
        :param service: only this service
        :param account: only this account
        :raises InvalidArgumentError: when it is something else
        """
        from airflow_provider_xbackup.vault.choose import FORMS, Selector

        if value is None:
            return cls((), service, account)
        if isinstance(value, str):
            return cls((Selector.parse(value),), service, account, value.strip())
        if isinstance(value, Mapping):
            known = [value.get(name) for name in ("service", "account", "backup_id")]
            if all(isinstance(each, str) and each for each in known):
                selectors = (Selector.parse(str(known[2])),)
                return cls(selectors, str(known[0]), str(known[1]), value.get("asked_for"))
        elif isinstance(value, (list, tuple)) and value and all(isinstance(each, str) for each in value):
            return cls(tuple(Selector.parse(each) for each in value), service, account)
        raise InvalidArgumentError(
            f"backup_id takes {FORMS}, a list of these, or what a transfer or a hold returned, and is "
            f"{str(value)[:80]!r}."
        )


def check_chosen(value: object) -> None:
    """Check which backups are meant.

    :raises InvalidArgumentError: when nobody can tell
    """
    Chosen.of(value)


def check_one(value: object) -> None:
    """Check which backup is meant.

    :raises InvalidArgumentError: when nobody can tell, or several are
    """
    if len(Chosen.of(value).selectors) != 1:
        raise InvalidArgumentError(f"backup_id names one backup here, and is {str(value)[:80]!r}.")
