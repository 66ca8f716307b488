"""Small pieces both vendors' answers are made of."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import Request, Response

from airflow_provider_xbackup.simulator.settings import CannedAnswer, KeyCase


class RefusedError(Exception):
    """Ends a request with an answer that is not a success.

    :param response: the answer
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with status {response.status_code}")
        self.response = response


_SPELLINGS: dict[KeyCase, Callable[[str], str]] = {
    "documented": str,
    "lower": str.lower,
    "upper": str.upper,
    "pascal": lambda name: name[:1].upper() + name[1:],
}


def json_answer(
    payload: Any, *, status: int = 200, case: KeyCase = "documented", headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer, with its field names in the spelling that is set."""
    return Response(
        json.dumps(_respelt(payload, case)),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def _respelt(payload: Any, case: KeyCase) -> Any:
    if isinstance(payload, dict):
        return {_SPELLINGS[case](name): _respelt(value, case) for name, value in payload.items()}
    if isinstance(payload, list):
        return [_respelt(value, case) for value in payload]
    return payload


def canned(
    answer: CannedAnswer,
    *,
    waiting: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer as the settings word it.

    :param waiting: values for the placeholders, see :func:`waiting_words`
    :param headers: headers added to those of the settings
    """
    body = fill(answer.body, waiting or {})
    return Response(
        body.encode(),
        status_code=answer.status,
        headers=answer.headers | {"content-type": answer.content_type} | dict(headers or {}),
    )


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of ``{name}``. Other braces stay: the text may be JSON."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def waiting_words(cooldown: float, left: float) -> dict[str, str]:
    """Values for the placeholders of a refusal.

    :param cooldown: length of the whole cooldown in seconds
    :param left: seconds left
    """
    total = max(1, math.ceil(left))
    hours, minutes, seconds = total // 3600, total // 60 % 60, total % 60
    return {
        "every": f"{cooldown / 3600:g}",
        "remaining": duration_words(total),
        "hours": str(hours),
        "minutes": str(minutes),
        "seconds": str(seconds),
        "total_seconds": str(total),
    }


def duration_words(seconds: int) -> str:
    """A duration as Xray says it: ``5 hours, 56 minutes and 47 seconds``, without parts that are zero."""
    amounts = {"hour": seconds // 3600, "minute": seconds // 60 % 60, "second": seconds % 60}
    parts = [f"{n} {unit}{'s' if n != 1 else ''}" for unit, n in amounts.items() if n] or ["0 seconds"]
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def bearer(request: Request) -> str:
    """The bearer token of a request, empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def json_object(request: Request) -> dict[str, Any] | None:
    """The JSON object in the body of a request, None where there is something else."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def origin(request: Request) -> str:
    """Scheme, host and port the request was sent to."""
    return str(request.base_url).rstrip("/")


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Encode a body with gzip while it passes."""
    encoder = zlib.compressobj(level=1, wbits=31)
    async for chunk in chunks:
        if encoded := encoder.compress(chunk):
            yield encoded
    yield encoder.flush()
