"""Hands out a file from disk: ranges, conditions and headers as the settings say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import BinaryIO

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from airflow_provider_xbackup.simulator.answers import fill, gzipped
from airflow_provider_xbackup.simulator.clock import http_date
from airflow_provider_xbackup.simulator.settings import DownloadSettings, whole_seconds
from airflow_provider_xbackup.simulator.tenants import StoredFile

_BLOCK = 1 << 18
_GZIP = {"content-encoding": "gzip"}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def file_response(request: Request, stored: StoredFile, settings: DownloadSettings) -> Response:
    """The answer that carries a file, or the part of it that was asked for."""
    headers = _validators(stored, settings)
    if settings.gzip:
        return StreamingResponse(gzipped(_blocks(stored, 0, stored.size)), headers=headers | _GZIP)
    start, end, status = 0, stored.size, 200
    if settings.ranges:
        headers["accept-ranges"] = "bytes"
        wanted = _RANGE.fullmatch(request.headers.get("range", "").strip())
        if wanted and any(wanted.groups()) and _unchanged(request, headers):
            start, end = _bounds(wanted, stored.size)
            if start >= end:
                return Response(status_code=416, headers={"content-range": f"bytes */{stored.size}"})
            status = 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{stored.size}"
    if settings.content_length:
        headers["content-length"] = str(end - start)
    return StreamingResponse(_blocks(stored, start, end), status_code=status, headers=headers)


def _validators(stored: StoredFile, settings: DownloadSettings) -> dict[str, str]:
    headers = {"content-type": settings.content_type}
    if settings.etag != "none":
        headers["etag"] = ("W/" if settings.etag == "weak" else "") + f'"{stored.md5}"'
    if settings.last_modified:
        modified = stored.modified + timedelta(seconds=settings.last_modified_offset)
        headers["last-modified"] = http_date(whole_seconds(modified))
    if settings.checksum:
        headers["x-amz-meta-md5"] = stored.md5
    if settings.content_disposition is not None:
        headers["content-disposition"] = fill(settings.content_disposition, {"name": stored.name})
    return headers


def _unchanged(request: Request, headers: dict[str, str]) -> bool:
    """Whether ``If-Range`` allows a part. A weak tag never does (RFC 9110, 13.1.5)."""
    condition = request.headers.get("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == headers.get("etag") and not condition.startswith("W/")
    try:
        asked = parsedate_to_datetime(condition)
    except ValueError:
        return False
    return "last-modified" in headers and asked == parsedate_to_datetime(headers["last-modified"])


def _bounds(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the byte after the last; an empty range cannot be satisfied."""
    first, last = wanted.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


async def _blocks(stored: StoredFile, start: int, end: int) -> AsyncIterator[bytes]:
    """Read a part of a file, block by block, while it is sent."""
    file = await asyncio.to_thread(stored.path.open, "rb")
    try:
        left = end - start
        await asyncio.to_thread(file.seek, start)
        while left > 0 and (block := await _read(file, min(left, _BLOCK))):
            left -= len(block)
            yield block
    finally:
        file.close()


async def _read(file: BinaryIO, size: int) -> bytes:
    return await asyncio.to_thread(file.read, size)
