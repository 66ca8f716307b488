"""The object storage behind the file endpoints, reached by signed links only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from airflow_provider_xbackup.simulator.files import file_response
from airflow_provider_xbackup.simulator.tenants import Job

if TYPE_CHECKING:
    from airflow_provider_xbackup.simulator.world import World


@dataclass(slots=True)
class _Link:
    job: Job
    role: str
    end: datetime
    spent: bool = False


class Links:
    """The signed links given out. Each is a credential of its own."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    def sign(self, job: Job, role: str, now: datetime, seconds: float) -> str:
        """A new link to a file of a job. What it leads to may be replaced, as an object may.

        :returns: its path on the storage
        """
        token = secrets.token_urlsafe(24)
        self._links[token] = _Link(job, role, now + timedelta(seconds=seconds))
        return f"/_storage/{token}"

    def use(self, token: str, now: datetime, *, one_time: bool) -> tuple[Job, str] | None:
        """The job and role a link leads to, None where the link is unknown, over or spent."""
        link = self._links.get(token)
        if link is None or now >= link.end or (link.spent and one_time):
            return None
        link.spent = True
        return link.job, link.role

    def forget(self) -> None:
        """Make all links invalid."""
        self._links.clear()


class StorageApi:
    """The storage over HTTP.

    :param world: the simulator's state
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.router = APIRouter()
        self.router.add_api_route("/_storage/{token}", self.download, methods=["GET"])

    async def download(self, request: Request, token: str) -> Response:
        """Serve a file, to a request without credentials in its headers."""
        settings = self._world.settings.xray.download
        if "authorization" in request.headers:
            return _refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        target = self._world.links.use(token, self._world.clock.now(), one_time=settings.link_one_time)
        if target is None:
            return _refusal(403, "AccessDenied", "Request has expired")
        job, role = target
        stored = job.files.get(role)
        if stored is None:
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        return file_response(request, stored, settings)


def _refusal(status: int, code: str, message: str) -> Response:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    )
    return Response(body, status_code=status, media_type="application/xml")
