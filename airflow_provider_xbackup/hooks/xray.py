"""The hook of Xray Cloud."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import XBackupError, account_label, airflow_errors
from airflow_provider_xbackup.hooks.connection import (
    find_connection,
    find_connection_async,
    form_behaviour,
    read_endpoint,
    read_options,
)
from airflow_provider_xbackup.hooks.recent import Recent

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_xbackup.http.aio import AsyncClient
    from airflow_provider_xbackup.http.endpoint import Endpoint
    from airflow_provider_xbackup.http.sync import Client
    from airflow_provider_xbackup.http.tokens import Conversation, TokenSource
    from airflow_provider_xbackup.services.xray import Artifact, JobStatus
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob, XrayBackupRequest
    from airflow_provider_xbackup.transfer.download import OpenFile

_REQUESTS, _PERIOD = 240, 300.0
"""Of the vendor's smaller budget of 300 requests in 5 minutes, what all triggers of a tenant take together: the
tasks have the rest (``docs/vendor-apis.md#rate-limits``)."""

_read_lately: Recent[tuple[Endpoint, TokenSource]] = Recent(lifetime=30.0)


class XrayHook(BaseHook):
    """Talks to Xray Cloud with the credentials of an Airflow connection.

    One hook serves operators and triggers: what triggers need has an ``async`` sibling.

    :param xray_conn_id: the connection: login is the client id, password the client secret
    :param account: what errors call the tenant; default the connection id
    """

    conn_name_attr = "xray_conn_id"
    default_conn_name = "xray_default"
    conn_type = "xray"
    hook_name = "Xray Cloud"

    def __init__(self, xray_conn_id: str = default_conn_name, account: str | None = None) -> None:
        super().__init__()
        self.xray_conn_id = xray_conn_id
        self.account = account or xray_conn_id
        self._reached: tuple[Endpoint, TokenSource] | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Describe the connection form to Airflow 3.1, which does not read the provider's fields."""
        return form_behaviour(cls.conn_type)

    @cached_property
    def client(self) -> Client:
        """The synchronous client of the connection.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        from airflow_provider_xbackup.http.sync import Client

        return Client(*self.credentials)

    @cached_property
    def credentials(self) -> tuple[Endpoint, TokenSource]:
        """Where the connection leads to, and what it says there.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        with airflow_errors(self._about):
            conn = find_connection(self, self.xray_conn_id, self.hook_name)
            return _read_connection(conn, conn.extra_dejson)

    def get_conn(self) -> Client:
        """Return the synchronous client of the connection."""
        return self.client

    def create_backup(self, request: XrayBackupRequest, base: str | None = None) -> XrayBackupJob:
        """Ask for a backup. The call is never repeated once the server may have seen it.

        :param request: what the backup shall hold
        :param base: id of the backup that a partial one builds on
        :return: the accepted job
        :raises XBackupCooldownError: when the vendor's six hours are not over
        :raises XBackupError: on anything else that is not a job
        """
        from airflow_provider_xbackup.services import xray

        with airflow_errors(self._about):
            # Read before anything is sent: an option that cannot be meant must not cost the accepted job.
            assumed_wait = configuration.xray_cooldown()
            answer = self.client.call(xray.create_backup_request(request))
            return xray.read_job(answer, request, base, assumed_wait=assumed_wait)

    def get_backup_status(self, job_id: str) -> JobStatus:
        """Ask how far a job is.

        :param job_id: the id that :meth:`create_backup` returned
        :raises XBackupFailError: when the service does not know the job
        :raises XBackupError: when there was no answer that can be read
        """
        from airflow_provider_xbackup.services import xray

        with airflow_errors(self._about):
            return xray.read_status(self.client.call(xray.status_request(job_id)), job_id)

    async def aget_backup_status(self, job_id: str) -> JobStatus:
        """Ask how far a job is, on the event loop: see :meth:`get_backup_status`."""
        with airflow_errors(self._about):
            async with self.async_client() as client:
                from airflow_provider_xbackup.services import xray  # loaded by now, off the event loop

                return xray.read_status(await client.call(xray.status_request(job_id)), job_id)

    def open_backup_file(self, artifact: Artifact) -> OpenFile:
        """Open a file of the tenant's latest backup for reading.

        Whether that is the file of a certain job is for the reader to judge: the endpoint takes no job id
        (``docs/vendor-apis.md#download``).

        :param artifact: which of the two files
        :return: the file's headers and its stream; to be closed by the caller
        :raises XBackupError: when there is no file
        """
        from airflow_provider_xbackup.transfer.download import open_file

        with airflow_errors(self._about):
            return open_file(self.client, artifact)

    def count_entities(self, project_id: str) -> dict[str, int]:
        """Count what a project holds right now, through GraphQL, in one request.

        :param project_id: numeric id of the Jira project
        :return: totals by entity: ``tests``, ``testSets``, ``testPlans``, ``preconditions``,
            ``testExecutions``; those that the service did not answer are missing
        :raises XBackupError: when nothing was counted
        """
        from airflow_provider_xbackup.services import xray

        with airflow_errors(self._about):
            return xray.read_counts(self.client.call(xray.count_request(project_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Authenticate, and start nothing.

        :return: whether it worked, and what to tell the user
        """
        try:
            with airflow_errors(self._about):
                self.client.authenticate()
        except XBackupError as error:
            return False, str(error)
        return True, f"Xray at {self.client.endpoint.host} accepted the API key."

    @contextlib.asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncClient]:
        """Use the asynchronous client that everybody on this event loop shares for the connection.

        It is closed with its last user: who polls keeps it open around the whole wait.

        :raises InvalidArgumentError: when the connection does not exist or cannot be meant
        """
        if self._reached is None:
            self._reached = await _read_lately.get(self.xray_conn_id, self._reach)
        endpoint, tokens = self._reached
        from airflow_provider_xbackup.http.aio import shared_client

        async with shared_client(endpoint, tokens, requests=_REQUESTS, period=_PERIOD) as client:
            yield client

    async def _reach(self) -> tuple[Endpoint, TokenSource]:
        conn, extra = await find_connection_async(self, self.xray_conn_id, self.hook_name)
        # Loading the modules and reading a CA bundle take longer than other triggers should have to wait.
        reached = await asyncio.to_thread(_read_connection, conn, extra)
        await asyncio.to_thread(import_module, "airflow_provider_xbackup.http.aio")
        return reached

    @property
    def _about(self) -> str:
        return account_label("Xray", self.account, self.xray_conn_id)


def _read_connection(conn: Connection, extra: object) -> tuple[Endpoint, TokenSource]:
    from airflow_provider_xbackup.http.tokens import RenewableToken
    from airflow_provider_xbackup.services import xray

    client_id, client_secret = conn.login, conn.password
    if not client_id or not client_secret:
        missing = "client secret (password)" if client_id else "client id (login)"
        raise InvalidArgumentError(
            f"The connection {conn.conn_id!r} has no {missing}. "
            "Make an API key in Xray's global settings and enter both of its parts."
        )

    def login() -> Conversation:
        return xray.read_token((yield xray.authenticate_request(client_id, client_secret)))

    endpoint = read_endpoint(conn.host or xray.HOSTS[0], conn.port, read_options(conn, extra))
    return endpoint, RenewableToken(login, endpoint.url, client_id, client_secret)
