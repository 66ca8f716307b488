"""Private keys from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_xbackup.hooks.connection import find_connection

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.identities import Identities


def read_identities(identity_conn_id: str | None) -> Identities | None:
    """Read the private keys that decrypt backups, where a task reads them.

    :param identity_conn_id: an Airflow connection of any type whose password is an age identity
        (``AGE-SECRET-KEY-1…``, several separated by blanks); None for what the worker's environment gives, see
        :func:`~airflow_provider_xbackup.vault.identities.identities_from_environment`
    :return: the keys; None where there is no connection and nothing in the environment
    :raises InvalidArgumentError: when the connection does not exist, or holds no private key
    :raises MissingDependencyError: when the extra ``encryption`` is not installed
    """
    from airflow_provider_xbackup.vault.identities import identities_from_environment, parse_identities

    if identity_conn_id is None:
        return identities_from_environment()
    connection = find_connection(BaseHook(), identity_conn_id, "generic, with an age identity as its password")
    return parse_identities(connection.password or "", f"the password of the connection {identity_conn_id!r}")
