"""Checking what a DAG author wrote: literals when the DAG is parsed, the rest first thing when it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import airflow_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

T = TypeVar("T")
Checks = Mapping[str, Callable[[Any], object]]
"""For each argument the function that raises when its value cannot be meant."""

_LONGEST = timedelta(days=36525)
COOLDOWN_CHOICES = ("wait", "skip", "fail")


def check_literals(task: BaseOperator, checks: Checks) -> None:
    """Check the arguments whose values are known already when the DAG is parsed.

    That is every literal, and every argument that is no template field: nothing fills those in later.

    :param task: the operator, its arguments set
    :param checks: its checks
    :raises XBackupError: when one cannot be meant
    """
    templated = set(task.template_fields)
    known = {name for name in checks if name not in templated or is_literal(getattr(task, name))}
    _check(task, {name: check for name, check in checks.items() if name in known})


def check_all(task: BaseOperator, checks: Checks) -> None:
    """Check all arguments, now that templates are rendered and mapped values are there.

    :param task: the operator
    :param checks: its checks
    :raises XBackupError: when one cannot be meant
    """
    _check(task, checks)


def without_secrets(task: BaseOperator, rendered: T) -> T:
    """Refuse a secret that a template became: Airflow stores rendered fields in plain text, for all to see.

    Called from an operator's ``render_template``, which is before that.

    :param task: the operator
    :param rendered: what became of a template field, or of a part of it
    :return: the same
    :raises XBackupError: when it is or holds a private key, or a URL with a password
    """
    if isinstance(rendered, str):
        from airflow_provider_xbackup.vault.encoding import refuse_private_key
        from airflow_provider_xbackup.vault.url import refuse_password

        with airflow_errors(f"Task {task.task_id!r}"):
            refuse_private_key(rendered)
            refuse_password(rendered)
    elif isinstance(rendered, (list, tuple)):
        # What another task returned comes in one piece.
        for each in rendered:
            without_secrets(task, each)
    return rendered


def is_literal(value: object) -> bool:
    """Tell whether a value is what it will be at run time: no template, no output of another task."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, (list, tuple)):
        return all(is_literal(item) for item in value)
    if isinstance(value, dict):
        return all(is_literal(item) for item in value.values())
    if hasattr(value, "joinpath"):
        return is_literal(str(value))
    # What Airflow fills in later says which tasks it refers to.
    return not hasattr(value, "iter_references")


def check_vault(value: object) -> None:
    """Check a vault's URL.

    :raises InvalidArgumentError: when it is none
    """
    from airflow_provider_xbackup.vault.url import VaultUrl

    VaultUrl.parse(value)


def check_account(value: str | None) -> None:
    """Check an account's name; None stands for the connection's id.

    :raises InvalidArgumentError: when it cannot be the name of a folder
    """
    from airflow_provider_xbackup.vault.layout import check_account as check

    if value is not None:
        check(value)


def check_accounts(value: object) -> None:
    """Check a list of accounts, each written as ``xray/acme``.

    :raises InvalidArgumentError: when one names no account
    """
    from airflow_provider_xbackup.vault.status import AccountName

    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidArgumentError(f"expect must be a list of accounts such as ['xray/acme'] and is {value!r}.")
    for name in value:
        AccountName.parse(name)


def check_service(value: str | None) -> None:
    """Check a service's name; None stands for all.

    :raises InvalidArgumentError: when it is not known
    """
    from airflow_provider_xbackup.vault.layout import check_service as check

    if value is not None:
        check(value)


def check_rpo(value: object) -> None:
    """Check how old a backup may be; None stands for any age.

    :raises InvalidArgumentError: when it is no duration
    """
    if value is not None:
        check_above_zero("rpo", value)


def check_recipients(value: object) -> None:
    """Check the keys to encrypt to.

    :raises InvalidArgumentError: when one is no age public key
    """
    from airflow_provider_xbackup.vault.encoding import parse_recipients

    parse_recipients(value)  # type: ignore[arg-type]


def check_job(value: object) -> None:
    """Check a job's dict.

    :raises InvalidArgumentError: when it is not what the creating operator returns
    """
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob

    XrayBackupJob.from_dict(value)


def check_on_cooldown(value: object) -> None:
    """Check what to do about a cooldown.

    :raises InvalidArgumentError: when it is not one of the three words
    """
    if value not in COOLDOWN_CHOICES:
        raise InvalidArgumentError(f"on_cooldown must be 'wait', 'skip' or 'fail' and is {value!r}.")


def check_max_wait(value: object) -> None:
    """Check how long to wait for a cooldown.

    :raises InvalidArgumentError: when it is no duration
    """
    check_above_zero("max_wait", value)


def check_full_every(value: object) -> None:
    """Check how old a full backup may be.

    :raises InvalidArgumentError: when it is no duration
    """
    check_above_zero("full_every", value)


def check_overlap(value: object) -> None:
    """Check how far before its base a partial backup starts.

    :raises InvalidArgumentError: when it is no duration
    """
    check_zero_or_more("overlap", value)


def check_outage_tolerance(value: object) -> None:
    """Check how long a service may be out of reach.

    :raises InvalidArgumentError: when it is neither a duration nor a number of seconds
    """
    known = isinstance(value, (timedelta, int, float)) and not isinstance(value, bool)
    if not known or not 0 <= seconds_of(value) < math.inf:  # type: ignore[arg-type]
        raise InvalidArgumentError(
            f"outage_tolerance must be a timedelta or a number of seconds, 0 or more, and is {value!r}."
        )


def seconds_of(duration: timedelta | float) -> float:
    """Return a duration, or a number of seconds, as seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def check_lock_for(value: object, vault: object) -> None:
    """Check how long backups are locked; None stands for no lock.

    :param value: how long
    :param vault: where they are, which may not be known yet
    :raises InvalidArgumentError: when it is no duration
    :raises UnlockableStoreError: when no vault of this kind locks backups
    """
    from airflow_provider_xbackup.vault.locks import Lock, check_lockable
    from airflow_provider_xbackup.vault.url import VaultUrl

    lock = Lock.of(value)  # type: ignore[arg-type]
    if lock is not None and is_literal(vault):
        check_lockable(VaultUrl.parse(vault), lock)


def check_lock_mode(value: object) -> None:
    """Check how hard backups are locked.

    :raises InvalidArgumentError: when it is not one of the two words
    """
    from airflow_provider_xbackup.vault.locks import check_mode

    check_mode(value)


def check_compress(value: object) -> None:
    """Check whether to compress.

    :raises InvalidArgumentError: when it is no bool
    """
    check_bool("compress", value)


def check_accept_identical(value: object) -> None:
    """Check whether to take a file that equals another job's.

    :raises InvalidArgumentError: when it is no bool
    """
    check_bool("accept_identical", value)


def check_conn_id(value: object) -> None:
    """Check a connection id.

    :raises InvalidArgumentError: when it is empty or no text
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"A connection id must be the name of an Airflow connection and is {value!r}.")


def check_optional_conn_id(value: object) -> None:
    """Check a connection id that may be left out.

    :raises InvalidArgumentError: when it is empty or no text
    """
    if value is not None:
        check_conn_id(value)


def check_above_zero(name: str, value: object) -> None:
    """Check a duration.

    :raises InvalidArgumentError: when it is none, or nothing
    """
    if not isinstance(value, timedelta) or value <= timedelta():
        raise InvalidArgumentError(f"{name} must be a timedelta above 0 and is {value!r}.")
    _check_longest(name, value)


def check_zero_or_more(name: str, value: object) -> None:
    """Check a duration that may be nothing.

    :raises InvalidArgumentError: when it is none
    """
    if not isinstance(value, timedelta) or value < timedelta():
        raise InvalidArgumentError(f"{name} must be a timedelta of 0 or more and is {value!r}.")
    _check_longest(name, value)


def _check_longest(name: str, value: timedelta) -> None:
    """Refuse a duration that would lead off the calendar."""
    if value > _LONGEST:
        raise InvalidArgumentError(f"{name} must be 100 years at most and is {value!r}.")


def check_bool(name: str, value: object) -> None:
    """Check a switch.

    :raises InvalidArgumentError: when it is no bool
    """
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} must be True or False and is {value!r}.")


def _check(task: BaseOperator, checks: Checks) -> None:
    for name, check in checks.items():
        with airflow_errors(f"Task {task.task_id!r}, argument {name}"):
            check(getattr(task, name))
