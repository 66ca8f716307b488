"""The vaults that the page shows: ``[xbackup] vaults`` in Airflow's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.plan import GRACE
from airflow_provider_xbackup.vault.retention import Duration, RetentionPolicy
from airflow_provider_xbackup.vault.status import AccountName, Promise
from airflow_provider_xbackup.vault.url import VaultUrl

_FIELDS = ("name", "url", "expected_accounts", "rpo", "verified_rpo", "retention", "grace")


@dataclass(frozen=True, slots=True)
class WatchedVault:
    """One vault, and what was promised of it.

    :param name: what it is called on the page and in its addresses
    :param url: where it is
    :param promise: whose backups there must be, and how new
    :param policy: what retention keeps in it, None where nobody said
    :param grace: how long an expired backup can be brought back
    """

    name: str
    url: VaultUrl
    promise: Promise = field(default_factory=Promise)
    policy: RetentionPolicy | None = None
    grace: timedelta = GRACE


def read_vaults(text: str) -> tuple[WatchedVault, ...]:
    """Read the option.

    :param text: a JSON list of objects with ``name`` and ``url``, and where wanted ``expected_accounts`` (a list
        such as ``["xray/acme"]``), ``rpo`` and ``verified_rpo`` (``"26h"``, ``"8d"`` or seconds), ``retention``
        (the fields of a :class:`~.RetentionPolicy`) and ``grace``
    :return: the vaults, none where the text is empty
    :raises InvalidArgumentError: when something in it cannot be meant; the text says which vault and field
    """
    if not text.strip():
        return ()
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise _refused(f"it is no JSON: {exc}") from None
    if not isinstance(values, list):
        raise _refused("it must be a JSON list.")
    vaults = tuple(_read_vault(value, number) for number, value in enumerate(values, 1))
    names = [vault.name for vault in vaults]
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"two vaults are called {name!r}.")
    return vaults


def _read_vault(value: object, number: int) -> WatchedVault:
    if not isinstance(value, Mapping):
        raise _refused(f'vault {number} must be an object such as {{"name": "main", "url": "s3://…"}}.')
    where = f"vault {value.get('name', number)!r}"
    unknown = [name for name in value if name not in _FIELDS]
    if unknown:
        raise _refused(f"{where} has an unknown field {unknown[0]!r}; known are {', '.join(_FIELDS)}.")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 80 or "/" in name or not name.isprintable():
        raise _refused(f"{where} needs a name of 1 to 80 characters without a slash.")
    accounts = value.get("expected_accounts") or []
    if not isinstance(accounts, list):
        raise _refused(f"{where}: expected_accounts must be a list.")
    policy = value.get("retention")
    try:
        return WatchedVault(
            name,
            VaultUrl.parse(value.get("url") or ""),
            Promise(
                frozenset(AccountName.parse(each) for each in accounts),
                _length(value, "rpo"),
                _length(value, "verified_rpo"),
            ),
            None if policy is None else RetentionPolicy.of(policy),
            _length(value, "grace") or GRACE,
        )
    except (InvalidArgumentError, TypeError) as exc:
        raise _refused(f"{where}: {exc}") from None


def _length(value: Mapping[str, Any], name: str) -> timedelta | None:
    given = value.get(name)
    if given is None:
        return None
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given < 1e10:
        return timedelta(seconds=given)
    duration = Duration.parse(given)
    if not duration or duration.years or duration.months:
        raise InvalidArgumentError(f"{name} must be days and hours such as 26h or 8d, or seconds.")
    return timedelta(days=duration.days, hours=duration.hours)


def _refused(problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"[xbackup] vaults in Airflow's configuration cannot be used: {problem}")
