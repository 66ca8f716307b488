"""What was asked of the simulator: enough to prove what a client did, without a single secret."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from typing import Any


@dataclass(slots=True)
class JournalEntry:
    """One request. It is written when the request arrives and filled in while it is answered.

    :param sequence: counts all requests, also those that the journal has forgotten
    :param at: time by the simulator's clock
    :param method: HTTP method
    :param path: path without query; the token of a signed link is left out
    :param headers: names of the request headers
    :param authorized: whether ``Authorization`` was sent
    :param status: status sent, None where no answer was sent
    :param tenant: Xray tenant, once the caller was recognised
    :param bot: Xenioo bot named in the path
    :param job_id: job made by an accepted POST
    :param fault: action of the fault that was played
    :param cut_off: the connection was gone before the whole answer was sent, through the client or a fault
    """

    sequence: int
    at: datetime
    method: str
    path: str
    headers: tuple[str, ...]
    authorized: bool
    status: int | None = None
    tenant: str | None = None
    bot: str | None = None
    job_id: str | None = None
    fault: str | None = None
    cut_off: bool = False

    def as_json(self) -> dict[str, Any]:
        """The entry for the control endpoint."""
        return asdict(self) | {"at": self.at.isoformat(), "headers": list(self.headers)}


class Journal:
    """The newest requests, oldest first.

    :param size: how many are kept
    """

    def __init__(self, size: int) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=size)
        self._numbers = count(1)

    def open(self, at: datetime, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> JournalEntry:
        """Note a request that has just arrived."""
        names = tuple(sorted({name.decode("latin-1").lower() for name, _ in headers}))
        entry = JournalEntry(
            sequence=next(self._numbers),
            at=at,
            method=method,
            path=_without_secrets(path),
            headers=names,
            authorized="authorization" in names,
        )
        self._entries.append(entry)
        return entry

    def entries(self, path: str | None = None, method: str | None = None) -> list[JournalEntry]:
        """The requests kept.

        :param path: only those whose path ends so
        :param method: only those of this method
        """
        return [
            entry
            for entry in tuple(self._entries)
            if (path is None or entry.path.endswith(path)) and (method is None or entry.method == method)
        ]

    def jobs(self) -> list[str]:
        """The jobs that were accepted, in order."""
        return [entry.job_id for entry in self.entries() if entry.job_id is not None]

    def clear(self) -> None:
        """Forget all requests; the numbers go on."""
        self._entries.clear()


def _without_secrets(path: str) -> str:
    prefix, storage, _ = path.partition("/_storage/")
    return f"{prefix}{storage}…" if storage else path
