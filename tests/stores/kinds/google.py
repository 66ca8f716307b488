"""Google's client on an emulator that speaks nearly what it expects."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import emulators
from servers.authority import Authority
from servers.proxy import Answer, Request, Send, proxy
from servers.tokens import Tokens, private_key, tokens

from kinds.kind import CONN_ID, PREFIX
from kinds.s3 import S3, moto_at


@dataclass
class Google:
    """The client for Google Cloud Storage, which speaks GCS's XML API, on moto's S3.

    :param below: moto
    :param front: the address of what makes S3's words of Google's
    :param tokens: who hands out its bearer tokens
    """

    below: S3
    front: str
    tokens: Tokens
    column: str = "GCS client on moto"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "versions": "on GCS versions are the store's own business",
            "locks": "lock_for is for S3",
            "digests": "obstore sends no digests to GCS",
            "uploads": "open uploads are not looked for on GCS",
            "repeated beginnings": "the GCS client does not repeat a request that begins an upload",
        }
    )

    @property
    def facts(self) -> Mapping[str, str]:
        return self.below.facts

    @property
    def address(self) -> str:
        return self.front

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        return self.below.new_bucket()

    def url(self, bucket: str) -> str:
        return f"gs://{CONN_ID}@{bucket}/{PREFIX}"

    def connection(self, address: str = "") -> dict[str, Any]:
        return _google(self.tokens.keyfile())

    def wrong_connection(self, which: str) -> dict[str, Any]:
        if which == "unknown user":
            return _google(self.tokens.keyfile(client_email="stranger@project.iam.gserviceaccount.com"))
        return _google(self.tokens.keyfile(private_key=private_key()))

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {"STORAGE_EMULATOR_HOST": address or self.front}

    def keys(self, bucket: str) -> list[str]:
        return self.below.keys(bucket)

    def unfinished(self, bucket: str) -> list[str]:
        return self.below.unfinished(bucket)


def _google(keyfile: Mapping[str, Any]) -> dict[str, Any]:
    return {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": json.dumps(keyfile)}}


@contextlib.contextmanager
def google(folder: Path, authority: Authority) -> Iterator[Google]:
    """The GCS client, on a moto of its own."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(emulators.moto(folder))
        below = moto_at(port)
        service = stack.enter_context(tokens())

        def demand_token(request: Request, send: Send) -> Answer:
            """Let in whom the token service has given a token."""
            given = (request.header("Authorization") or "").removeprefix("Bearer ")
            if given not in service.given:
                return Answer(401, (("Content-Length", "0"),))
            return send(request)

        def translate(request: Request, send: Send) -> Answer:
            """Word the condition of a write as S3 does."""
            if request.header("x-goog-if-generation-match") == "0":
                request = request.with_header("If-None-Match", "*")
            return send(request)

        front = stack.enter_context(proxy(port, demand_token, translate))
        yield Google(below, front.address, service)
