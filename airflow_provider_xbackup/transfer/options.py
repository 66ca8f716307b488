"""How closely a transfer looks at what it stores."""

from __future__ import annotations

from typing import Literal

from airflow_provider_xbackup.errors import InvalidArgumentError

Check = Literal["content", "structure"]


def check_mode(check: str) -> Check:
    """Check how closely a transfer shall look.

    :raises InvalidArgumentError: when it is not one of the two words
    """
    known: tuple[Check, ...] = ("content", "structure")
    for word in known:
        if check == word:
            return word
    raise InvalidArgumentError(f"check must be 'content' or 'structure' and is {check!r}.")


def check_max_drop(max_drop: object) -> None:
    """Check the share by which a full may fall below its predecessor.

    :raises InvalidArgumentError: when it is no share
    """
    from airflow_provider_xbackup.vault.drops import check_share

    check_share("max_drop", max_drop)
