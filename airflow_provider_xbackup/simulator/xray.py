"""The Xray Cloud API, as its documents read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_xbackup.simulator import graphql
from airflow_provider_xbackup.simulator.answers import (
    RefusedError,
    bearer,
    canned,
    fill,
    json_answer,
    json_object,
    origin,
    waiting_words,
)
from airflow_provider_xbackup.simulator.files import file_response
from airflow_provider_xbackup.simulator.settings import XraySettings
from airflow_provider_xbackup.simulator.tenants import ATTACHMENTS, DATA, Job, JobRequest, Tenant
from airflow_provider_xbackup.simulator.tokens import InvalidTokenError
from airflow_provider_xbackup.simulator.world import World

#: How long a request waits for files that take longer to make than the job lasts.
_PATIENCE = 10.0


class XrayApi:
    """The endpoints under ``/api/v2`` (and the file endpoints under ``/api/v1``).

    :param world: the simulator's state
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.router = APIRouter()
        routes: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
            ("POST", "/api/v2/authenticate", self.authenticate),
            ("POST", "/api/v2/backup", self.create_backup),
            ("GET", "/api/v2/backup/{job_id}/status", self.status),
            ("POST", "/api/v2/graphql", self.graphql),
        ]
        for version in ("v1", "v2"):
            routes.append(("GET", f"/api/{version}/backup/file", self.data_file))
            routes.append(("GET", f"/api/{version}/backup/file/attachment", self.attachments_file))
        for method, path, endpoint in routes:
            self.router.add_api_route(path, endpoint, methods=[method], name=f"{method} {path}")

    @property
    def _settings(self) -> XraySettings:
        return self._world.settings.xray

    async def authenticate(self, request: Request) -> Response:
        """Client id and secret for a token."""
        body = await json_object(request)
        if body is None or not all(isinstance(body.get(key), str) for key in ("client_id", "client_secret")):
            return Response("Error in the syntax of the request", status_code=400, media_type="text/plain")
        tenant = self._world.tenants.settings_of(body["client_id"])
        if tenant is None or tenant.client_secret != body["client_secret"]:
            return canned(self._settings.wrong_secret)
        self._admit(request, body["client_id"])
        token = self._world.xray_tokens.issue(
            body["client_id"],
            self._world.clock.now(),
            seconds=self._settings.token_seconds,
            with_exp=self._settings.token_has_exp,
        )
        content = json.dumps(token) if self._settings.token_quoted else token
        return Response(content, media_type="application/json")

    async def create_backup(self, request: Request) -> Response:
        """Start a job, unless one runs or ended too short a time ago."""
        tenant = await self._tenant(request)
        wanted = await self._job_request(request, tenant)
        refusal = self._world.tenants.refusal(tenant, wanted)
        if refusal is not None:
            text = self._settings.running_text if refusal.running else self._settings.cooldown_text
            words = waiting_words(self._settings.cooldown_seconds, refusal.seconds)
            raise self._error(400, fill(text, words))
        job = self._world.tenants.start(tenant, wanted)
        request.state.entry.job_id = job.id
        return self._json({"jobId": job.id})

    async def status(self, request: Request, job_id: str) -> Response:
        """How far a job is."""
        tenant = await self._tenant(request)
        job = next((job for job in tenant.jobs if job.id == job_id), None)
        if job is None or self._is_forgotten(job):
            raise self._error(404, "job not found.")
        if job.final_word is None:
            return self._json(self._progress(job))
        answer = {"status": job.final_word}
        if job.succeeded:
            file_url = f"{self._settings.file_url_origin or origin(request)}/api/v1/backup/file"
            answer["fileUrl"] = file_url
            asked = {"always": True, "never": False}.get(
                self._settings.attachment_url, job.request.with_attachment
            )
            if asked:
                answer["attachmentUrl"] = f"{file_url}/attachment"
        return self._json(answer)

    async def data_file(self, request: Request) -> Response:
        """The data of the tenant's newest backup."""
        return await self._file(request, DATA)

    async def attachments_file(self, request: Request) -> Response:
        """The attachments of the tenant's newest backup."""
        return await self._file(request, ATTACHMENTS)

    async def graphql(self, request: Request) -> Response:
        """Live totals."""
        tenant = await self._tenant(request)
        body = await json_object(request)
        if body is None or not isinstance(body.get("query"), str):
            return json_answer({"errors": [{"message": "Must provide query string."}]}, status=400)
        variables = body.get("variables")
        data = self._world.tenants.data(tenant)
        try:
            totals = graphql.totals(
                body["query"],
                variables if isinstance(variables, dict) else {},
                data,
                counts_tenant=self._settings.counts_tenant,
            )
        except graphql.QueryError as error:
            return json_answer({"errors": [{"message": str(error)}], "data": None})
        return json_answer({"data": totals})

    async def _file(self, request: Request, role: str) -> Response:
        tenant = await self._tenant(request)
        job = self._world.tenants.job_served(tenant, role)
        if job is None:
            raise self._error(404, "Backup file is not available.")
        download = self._settings.download
        if not download.redirect:
            return file_response(request, job.files[role], download)
        path = self._world.links.sign(job, role, self._world.clock.now(), download.link_seconds)
        location = f"{download.link_origin or origin(request)}{path}"
        return Response(status_code=download.redirect_status, headers={"location": location})

    def _progress(self, job: Job) -> dict[str, str]:
        """The answer while a job runs: words and values are spread over its time."""
        share = job.share_done(self._world.clock.now())
        words, values = self._settings.running_words, self._settings.progress
        answer = {"status": words[int(share * len(words))]}
        if values is None:
            answer["progressValue"] = f"{share:.0%}"
        elif values:
            answer["progressValue"] = values[int(share * len(values))]
        return answer

    def _is_forgotten(self, job: Job) -> bool:
        kept = self._settings.job_kept_seconds
        return (
            kept is not None
            and job.final_word is not None
            and self._world.clock.now() >= job.due + timedelta(seconds=kept)
        )

    async def _tenant(self, request: Request) -> Tenant:
        """The caller, with its jobs brought up to date.

        :raises RefusedError: with 401 when the token is invalid, with 429 when there are too many requests
        """
        try:
            client_id = self._world.xray_tokens.read(
                bearer(request), self._world.clock.now(), seconds=self._settings.token_seconds
            )
        except InvalidTokenError as error:
            raise self._error(401, f"Invalid JWT: {error}") from error
        if self._world.tenants.settings_of(client_id) is None:
            raise self._error(401, "Invalid JWT: unknown tenant")
        tenant = self._world.tenants.get(client_id)
        self._admit(request, client_id)
        builds = [asyncio.wrap_future(job.build) for job in self._world.tenants.unsettled(tenant)]
        if builds:
            await asyncio.wait(builds, timeout=_PATIENCE)
        self._world.tenants.settle(tenant)
        return tenant

    def _admit(self, request: Request, client_id: str) -> None:
        """Let a request of a tenant through.

        :raises RefusedError: with 429 when there were too many
        """
        request.state.entry.tenant = client_id
        wait = self._world.tenants.throttle_wait(self._world.tenants.get(client_id))
        if wait:
            headers = {"retry-after": str(wait)} if self._settings.throttle_retry_after else {}
            raise RefusedError(json_answer({"error": "Too many requests"}, status=429, headers=headers))

    async def _job_request(self, request: Request, tenant: Tenant) -> JobRequest:
        """What the body of a backup request asks for.

        :raises RefusedError: with 400 when the body cannot be read
        """
        body = await json_object(request) if await request.body() else {}
        if body is None:
            raise self._error(400, "The body must be a JSON object.")
        projects, attachments = body.get("projectIds"), body.get("withAttachment", False)
        if projects is not None and not (
            isinstance(projects, list) and all(isinstance(project, str) for project in projects)
        ):
            raise self._error(400, "projectIds must be a list of strings.")
        if not isinstance(attachments, bool):
            raise self._error(400, "withAttachment must be a boolean.")
        known = self._world.tenants.data(tenant).settings.projects
        unknown = [project for project in projects or () if project not in known]
        if unknown and self._settings.unknown_projects == "refuse":
            raise self._error(400, f"Project not found: {', '.join(unknown)}.")
        # An empty list is read like a missing one: all projects.
        return JobRequest(tuple(projects) if projects else None, self._instant(body), attachments)

    def _instant(self, body: dict[str, Any]) -> datetime | None:
        text = body.get("modifiedSince")
        if text is None:
            return None
        try:
            instant = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            instant = None
        if instant is None or instant.tzinfo is None:
            raise self._error(400, "modifiedSince must be an ISO 8601 instant.")
        return instant

    def _json(self, payload: dict[str, str]) -> Response:
        return json_answer(payload, case=self._settings.json_case)

    def _error(self, status: int, message: str) -> RefusedError:
        return RefusedError(json_answer({"error": message}, status=status, case=self._settings.json_case))
