"""What Xray holds right now, for those below the Airflow line who compare with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.exceptions import plain_errors
from airflow_provider_xbackup.hooks.xray import XrayHook


def count_live(xray_conn_id: str) -> Callable[[str], Mapping[str, int]]:
    """Return who counts the entities of a project, given its id.

    The connection is tried at once: what a person has to correct is told before hours are spent on verifying. A
    service that does not answer right now may do so by then.

    :param xray_conn_id: the connection, of type ``xray``
    :return: the function; raises :class:`~airflow_provider_xbackup.errors.BackupError` where nobody answers
    :raises BackupError: when there is no such connection, or its credentials are refused
    """
    hook = XrayHook(xray_conn_id)

    def count(project_id: str) -> Mapping[str, int]:
        with plain_errors():
            return hook.count_entities(project_id)

    with plain_errors():
        client = hook.client
    try:
        client.authenticate()
    except BackupError as error:
        if not error.retryable:
            raise
    return count
