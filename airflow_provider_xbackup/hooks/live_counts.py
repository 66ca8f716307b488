"""What Xray holds right now, for those below the Airflow line who compare with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.hooks.xray import XrayHook


def count_live(xray_conn_id: str) -> Callable[[str], Mapping[str, int]]:
    """Return who counts the entities of a project, given its id.

    :param xray_conn_id: the connection, of type ``xray``
    :return: the function; raises :class:`~airflow_provider_xbackup.errors.BackupError` where nobody answers
    """
    from airflow_provider_xbackup.errors import BackupError

    hook = XrayHook(xray_conn_id)

    def count(project_id: str) -> Mapping[str, int]:
        try:
            return hook.count_entities(project_id)
        except XBackupError as exc:
            error = exc.error or BackupError(str(exc))
        raise error

    return count
