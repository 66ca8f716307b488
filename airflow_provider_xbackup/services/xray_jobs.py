"""What is asked of Xray, and the job that it becomes: what tasks hand to each other. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.services.instants import format_instant, parse_instant, whole_seconds
from airflow_provider_xbackup.services.xray_cooldown import COOLDOWN

_WELL_KNOWN = timedelta(hours=1)
"""An end that lies within so long a time is known well enough to tell this job's file from a later one."""

_LONGEST_PROJECT_ID = 18


@dataclass(frozen=True, slots=True)
class XrayBackupRequest:
    """What a backup shall hold.

    :param project_ids: ids of the Jira projects, or None for all that have Xray data
    :param modified_since: only entities changed since then (a partial backup); None for a full one
    :param with_attachments: whether a second zip with the attachments is made
    """

    project_ids: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    with_attachments: bool = False

    @classmethod
    def checked(
        cls,
        project_ids: Sequence[str | int] | None = None,
        modified_since: str | datetime | None = None,
        with_attachments: bool | str = False,
        *,
        now: datetime | None = None,
    ) -> XrayBackupRequest:
        """Check what a user wrote and return the request it means.

        :param project_ids: ids as strings or numbers, in any order, or None
        :param modified_since: an ISO 8601 instant, without an offset read as UTC, or None
        :param with_attachments: a bool, or the text a template made of one
        :param now: the instant that ``modified_since`` must not pass; None for this one
        :raises InvalidArgumentError: for an empty list, ids that are no numbers, an instant that cannot
            be read or lies in the future
        """
        request = cls._read(project_ids, modified_since, with_attachments)
        since = request.modified_since
        if since and since > (now or datetime.now(UTC)):
            raise InvalidArgumentError(
                f"modified_since={format_instant(since)} lies in the future: the backup would be empty. "
                "Give an instant that has passed, or leave it out for a full backup."
            )
        return request

    @classmethod
    def _read(cls, project_ids: Any, modified_since: Any, with_attachments: Any) -> XrayBackupRequest:
        since = None if modified_since is None else parse_instant(modified_since, "modified_since")
        return cls(checked_project_ids(project_ids), since, _checked_bool(with_attachments))

    @property
    def kind(self) -> Literal["full", "partial"]:
        """``full`` or ``partial``."""
        return "partial" if self.modified_since else "full"

    @property
    def sorted_project_ids(self) -> tuple[str, ...] | None:
        """The projects in one order, whatever order they were written in: what two scopes are compared by."""
        return None if self.project_ids is None else tuple(sorted(self.project_ids, key=int))

    def to_json(self) -> dict[str, Any]:
        """Return the body of ``POST /api/v2/backup``; what was not asked for is left out."""
        body: dict[str, Any] = {}
        if self.project_ids is not None:
            body["projectIds"] = list(self.project_ids)
        if self.modified_since is not None:
            body["modifiedSince"] = format_instant(self.modified_since)
        if self.with_attachments:
            body["withAttachment"] = True
        return body


@dataclass(frozen=True, slots=True)
class XrayBackupJob:
    """A backup job that Xray accepted.

    :param job_id: the vendor's id; it cannot be found again if lost
    :param requested_at: when the server accepted it, in whole seconds
    :param kind: ``full`` or ``partial``
    :param base: id of the backup a partial builds on, or None
    :param project_ids: the projects asked for, or None for all
    :param modified_since: the instant a partial starts from, or None
    :param with_attachments: whether attachments were asked for
    :param running_at: when the job was last seen to run, in whole seconds; None where nobody saw it. Once it
        is done, only where that is long before it was seen to be: the instant of its request where nobody did
    :param finished_at: when the job was first seen to be done, in whole seconds; None before
    """

    job_id: str
    requested_at: datetime
    kind: Literal["full", "partial"]
    base: str | None = None
    project_ids: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    with_attachments: bool = False
    running_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def request(self) -> XrayBackupRequest:
        """What was asked for."""
        return XrayBackupRequest(self.project_ids, self.modified_since, self.with_attachments)

    @property
    def alone_until(self) -> datetime:
        """Until when no other job's file can have taken the place of this one's, as far as is known."""
        return (self.running_at or self.finished_at or self.requested_at) + COOLDOWN

    def seen_running(self, at: datetime) -> XrayBackupJob:
        """Return the job as one that runs.

        :param at: when it was seen to
        """
        return replace(self, running_at=whole_seconds(at))

    def finished(self, at: datetime, running_at: datetime | None = None) -> XrayBackupJob:
        """Return the job as one that is done.

        :param at: when it was first seen to be done
        :param running_at: when it was last seen to run; None where that is not known better than by the job
            itself. Where nobody saw it at all it may have ended soon after it was asked for, and others may
            have been granted a backup since
        """
        seen = max(known for known in (running_at, self.running_at, self.requested_at) if known is not None)
        well_known = at - seen <= _WELL_KNOWN
        return replace(self, finished_at=whole_seconds(at), running_at=None if well_known else whole_seconds(seen))

    def to_dict(self) -> dict[str, Any]:
        """Return the job as JSON values: what the operators hand to each other through XCom."""
        values: dict[str, Any] = {
            "job_id": self.job_id,
            "requested_at": format_instant(self.requested_at),
            "kind": self.kind,
            "base": self.base,
            "project_ids": None if self.project_ids is None else list(self.project_ids),
            "modified_since": None if self.modified_since is None else format_instant(self.modified_since),
            "with_attachments": self.with_attachments,
        }
        for name, instant in (("running_at", self.running_at), ("finished_at", self.finished_at)):
            if instant is not None:
                values[name] = format_instant(instant)
        return values

    @classmethod
    def from_dict(cls, values: object) -> XrayBackupJob:
        """Read back what :meth:`to_dict` made. No clock is asked: a job that exists is a fact.

        :raises InvalidArgumentError: when it is not the dict of a job
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("job_id"), str):
            raise InvalidArgumentError(
                f"job must be the dict that XrayCreateBackupOperator returns, this is {type(values).__name__}. "
                "Pass the operator's output, for example job=create.output."
            )
        job_id, base = values["job_id"].strip(), values.get("base")
        if not job_id or "requested_at" not in values:
            raise InvalidArgumentError("job needs a job_id and the requested_at of its request.")
        if not job_id.isprintable() or not (base is None or isinstance(base, str)):
            raise InvalidArgumentError("job holds a job_id or a base that XrayCreateBackupOperator never returns.")
        request = XrayBackupRequest._read(
            values.get("project_ids"), values.get("modified_since"), values.get("with_attachments", False)
        )
        kind = values.get("kind", request.kind)
        if kind != request.kind:
            raise InvalidArgumentError(
                f"job says kind={kind!r} and modified_since={values.get('modified_since')!r}, which contradict "
                "each other. Pass the dict that XrayCreateBackupOperator returned, unchanged."
            )
        instants = {
            name: None if values.get(name) is None else parse_instant(values[name], name)
            for name in ("running_at", "finished_at")
        }
        return cls(
            job_id=job_id,
            requested_at=parse_instant(values["requested_at"], "requested_at"),
            kind=request.kind,
            base=base,
            project_ids=request.project_ids,
            modified_since=request.modified_since,
            with_attachments=request.with_attachments,
            **instants,
        )


def checked_project_ids(project_ids: Sequence[str | int] | None) -> tuple[str, ...] | None:
    """Check ids of Jira projects, and return them as texts, each once.

    :param project_ids: ids as strings or numbers, or None for all projects
    :raises InvalidArgumentError: for an empty list, and for ids that are no numbers
    """
    if project_ids is None:
        return None
    if isinstance(project_ids, (str, bytes)) or not isinstance(project_ids, Sequence):
        raise InvalidArgumentError(
            f"project_ids must be a list of Jira project ids, for example ['10042'], and is {project_ids!r}."
        )
    if not project_ids:
        raise InvalidArgumentError(
            "project_ids is an empty list: nothing would be backed up. Leave it out to back up all projects."
        )
    ids = []
    for given in project_ids:
        text = _digits(given)
        if not text:
            raise InvalidArgumentError(
                f"project_ids holds {given!r}: Xray takes the numeric ids of Jira projects, not their keys. "
                "The id stands in the answer of Jira's /rest/api/3/project/KEY."
            )
        ids.append(text)
    return tuple(dict.fromkeys(ids))


def _digits(given: object) -> str:
    """Return an id as text, empty where it cannot be one."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 10**_LONGEST_PROJECT_ID:
        return str(given)
    text = given.strip() if isinstance(given, str) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= _LONGEST_PROJECT_ID else ""


def _checked_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise InvalidArgumentError(f"with_attachments must be True or False and is {value!r}.")
