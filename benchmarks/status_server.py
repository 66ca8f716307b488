"""As much of Xray's API as a wait needs, for very many jobs, and a record of who asked how often.

A job id says when the job began and how long it takes: ``<seconds since the epoch>-<seconds>-<number>``.

    python benchmarks/status_server.py PORT CERTIFICATE
"""

from __future__ import annotations

import ssl
import sys
import time
from collections import Counter, deque

from aiohttp import web

PERIOD = 300.0


class Record:
    """What was asked of the server so far."""

    def __init__(self) -> None:
        self.logins: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.longest_silence: dict[str, float] = {}
        self.told_done: dict[str, float] = {}
        self.most_in_a_period: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {}
        self._last_asked: dict[str, float] = {}

    def note(self, tenant: str) -> None:
        """Take note of a request of a tenant, of whatever kind."""
        now = time.monotonic()
        recent = self._recent.setdefault(tenant, deque())
        recent.append(now)
        while recent[0] <= now - PERIOD:
            recent.popleft()
        self.most_in_a_period[tenant] = max(self.most_in_a_period[tenant], len(recent))

    def note_question(self, job: str, began: float, now: float) -> None:
        """Take note of a question about a job that began at an instant."""
        self.polls[job] += 1
        silence = now - self._last_asked.get(job, began)
        self.longest_silence[job] = max(silence, self.longest_silence.get(job, 0.0))
        self._last_asked[job] = now


async def authenticate(request: web.Request) -> web.Response:
    """Hand out a token that names its tenant."""
    record: Record = request.app["record"]
    tenant = (await request.json())["client_id"]
    record.note(tenant)
    record.logins[tenant] += 1
    return web.json_response(f"token-of.{tenant}")


async def status(request: web.Request) -> web.Response:
    """Tell how far a job is, as its id says."""
    record: Record = request.app["record"]
    job = request.match_info["job"]
    record.note(request.headers["Authorization"].removeprefix("Bearer token-of."))
    began, takes, _ = map(float, job.split("-"))
    now = time.time()
    record.note_question(job, began, now)
    share = (now - began) / takes
    if share < 1:
        return web.json_response({"status": "working", "progressValue": f"{max(share, 0):.0%}"})
    record.told_done.setdefault(job, now)
    return web.json_response({"status": "successful"})


async def figures(request: web.Request) -> web.Response:
    """Return the record."""
    record: Record = request.app["record"]
    return web.json_response(
        {
            "logins": record.logins,
            "polls": record.polls,
            "longest_silence": record.longest_silence,
            "told_done": record.told_done,
            "most_in_a_period": record.most_in_a_period,
        }
    )


def main() -> None:
    """Serve until told to stop."""
    app = web.Application()
    app["record"] = Record()
    app.add_routes(
        [
            web.post("/api/v2/authenticate", authenticate),
            web.get("/api/v2/backup/{job}/status", status),
            web.get("/figures", figures),
        ]
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[2])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), ssl_context=tls, print=None, access_log=None)


if __name__ == "__main__":
    main()
