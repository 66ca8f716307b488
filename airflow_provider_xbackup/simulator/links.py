"""Signed links to files in the object storage: each is a credential of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_xbackup.simulator.tenants import Job


@dataclass(slots=True)
class _Link:
    job: Job
    role: str
    end: datetime
    spent: bool = False


class Links:
    """The signed links given out."""

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
