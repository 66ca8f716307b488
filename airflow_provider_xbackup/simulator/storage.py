"""The object storage behind the file endpoints, reached by signed links only."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from airflow_provider_xbackup.simulator.files import file_response
from airflow_provider_xbackup.simulator.world import World


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
