"""The control endpoint: look at the simulator and change it while it runs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from pydantic import AwareDatetime, ValidationError

from airflow_provider_xbackup.simulator.settings import Settings
from airflow_provider_xbackup.simulator.tenants import Job, JobRequest, Tenant
from airflow_provider_xbackup.simulator.world import World

PREFIX = "/_control/"
JsonObject = Annotated[dict[str, Any], Body()]


class ClockMove(Settings):
    """How to move the clock; what is given is done in this order.

    :param set: show this instant
    :param advance_seconds: go on by so much
    :param frozen: stand still, or run again
    """

    set: AwareDatetime | None = None
    advance_seconds: float = 0
    frozen: bool | None = None


class OtherJob(Settings):
    """A job that another client of the same tenant had made; no rule holds it up.

    :param projectIds: as in the vendor's API
    :param modifiedSince: as in the vendor's API
    :param withAttachment: as in the vendor's API
    :param finished: it ends at once
    """

    projectIds: tuple[str, ...] | None = None  # noqa: N815 - the vendor's spelling
    modifiedSince: AwareDatetime | None = None  # noqa: N815 - the vendor's spelling
    withAttachment: bool = False  # noqa: N815 - the vendor's spelling
    finished: bool = True


class ControlApi:
    """The endpoints under ``/_control/``.

    :param world: the simulator's state
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.router = APIRouter(prefix=PREFIX.rstrip("/"))
        for method, path, endpoint in (
            ("GET", "/state", self.state),
            ("GET", "/journal", self.journal),
            ("DELETE", "/journal", self.clear_journal),
            ("GET", "/settings", self.settings),
            ("PATCH", "/settings", self.change_settings),
            ("GET", "/clock", self.clock),
            ("POST", "/clock", self.move_clock),
            ("GET", "/faults", self.faults),
            ("POST", "/faults", self.add_fault),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/tokens", self.revoke_tokens),
            ("POST", "/jobs/finish", self.finish_jobs),
            ("POST", "/tenants/{client_id}/data", self.change_data),
            ("POST", "/tenants/{client_id}/jobs", self.add_job),
            ("POST", "/reset", self.reset),
        ):
            self.router.add_api_route(path, endpoint, methods=[method])

    async def state(self) -> dict[str, Any]:
        """Clock, tenants with their jobs, bots, faults."""
        tenants = {
            name: self._tenant_state(self._world.tenants.get(name)) for name in self._world.settings.xray.tenants
        }
        return {
            **await self.clock(),
            "tenants": tenants,
            "bots": [bot.name for bot in self._world.bots.all()],
            "bot_calls": self._world.bots.calls(),
            "faults": self._world.faults.as_json(),
        }

    async def journal(self) -> list[dict[str, Any]]:
        """The requests, oldest first."""
        return [entry.as_json() for entry in self._world.journal.entries()]

    async def clear_journal(self) -> dict[str, Any]:
        """Forget the requests."""
        self._world.journal.clear()
        return {}

    async def settings(self) -> dict[str, Any]:
        """The settings as they are."""
        return self._world.settings.model_dump(mode="json")

    async def change_settings(self, changes: JsonObject) -> dict[str, Any]:
        """Merge changes into the settings."""
        try:
            self._world.settings = self._world.settings.merged(changes)
        except ValidationError as error:
            raise _unreadable(error) from error
        return await self.settings()

    async def clock(self) -> dict[str, Any]:
        """What the clock shows."""
        return {"now": self._world.clock.now().isoformat(), "frozen": self._world.clock.frozen}

    async def move_clock(self, move: ClockMove) -> dict[str, Any]:
        """Move the clock."""
        if move.set is not None:
            self._world.clock.set(move.set)
        self._world.clock.advance(move.advance_seconds)
        if move.frozen is not None:
            (self._world.clock.freeze if move.frozen else self._world.clock.run)()
        return await self.clock()

    async def faults(self) -> list[dict[str, Any]]:
        """The rules, with how often each was played."""
        return self._world.faults.as_json()

    async def add_fault(self, fault: JsonObject) -> list[dict[str, Any]]:
        """Add a rule."""
        try:
            self._world.faults.add(fault)
        except ValidationError as error:
            raise _unreadable(error) from error
        return await self.faults()

    async def clear_faults(self) -> dict[str, Any]:
        """Remove all rules."""
        self._world.faults.clear()
        return {}

    async def revoke_tokens(self) -> dict[str, Any]:
        """Make every token issued so far invalid."""
        self._world.revoke_tokens()
        return {}

    async def finish_jobs(self) -> dict[str, Any]:
        """End all running jobs now."""
        return {"finished": await asyncio.to_thread(self._world.tenants.finish_jobs)}

    async def change_data(self, client_id: str, changes: JsonObject) -> dict[str, Any]:
        """Change what a tenant holds."""
        tenant = self._tenant(client_id)
        await self.change_settings({"xray": {"tenants": {client_id: {"data": changes}}}})
        return self._tenant_state(tenant)

    async def add_job(self, client_id: str, job: OtherJob) -> dict[str, Any]:
        """Make a job in the name of another client."""
        tenant = self._tenant(client_id)
        request = JobRequest(job.projectIds, job.modifiedSince, job.withAttachment)
        made = self._world.tenants.start(tenant, request, finished=job.finished)
        if job.finished:
            await asyncio.wrap_future(made.build)
            self._world.tenants.settle(tenant)
        return _job_state(made)

    async def reset(self) -> dict[str, Any]:
        """Forget jobs, cooldowns, tokens, restored bots, journal and faults."""
        self._world.reset()
        return {}

    def _tenant(self, client_id: str) -> Tenant:
        try:
            return self._world.tenants.get(client_id)
        except KeyError as error:
            raise HTTPException(404, f"no tenant {client_id!r}") from error

    def _tenant_state(self, tenant: Tenant) -> dict[str, Any]:
        data = self._world.tenants.data(tenant)
        return {
            "data": data.settings.model_dump(mode="json"),
            "tests": sum(data.count(project, "tests") for project in data.settings.projects),
            "jobs": [_job_state(job) for job in tenant.jobs],
        }


def _job_state(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.final_word or "running",
        "started": job.started.isoformat(),
        "due": job.due.isoformat(),
        "files": {role: {"bytes": stored.size, "md5": stored.md5} for role, stored in job.files.items()},
    }


def _unreadable(error: ValidationError) -> HTTPException:
    return HTTPException(422, error.errors(include_url=False, include_context=False, include_input=False))
