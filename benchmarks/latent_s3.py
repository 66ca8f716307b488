"""An S3 server that lists and reads what a vault of very many backups holds, and takes its time for each answer.

It keeps everything in memory and knows no credentials. ``GET /-/answered`` tells, and forgets, how many requests
it has answered by kind, as JSON.

    python benchmarks/latent_s3.py PORT BACKUPS [--latency 0.02]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
from bisect import bisect_right, insort
from collections import Counter
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from stored import backups

BUCKET = "benchmark"
PREFIX = "vault/"
#: Where it tells what it has answered.
ANSWERED = "/-/answered"
_PAGE = 1000
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_WRITTEN = "2026-01-01T00:00:00.000Z"
_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"


class Bucket:
    """The objects.

    :param count: how many backups they make up
    :ivar answered: how many requests were answered, by kind
    """

    def __init__(self, count: int) -> None:
        vault = f"s3://{BUCKET}/{PREFIX.rstrip('/')}"
        self._objects = {
            f"{PREFIX}{path}": data for objects in backups(count, vault) for path, data in objects.items()
        }
        self._keys = sorted(self._objects)
        self.answered: Counter[str] = Counter()

    def answer(self, method: str, target: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request: status, headers, body."""
        parts = urlsplit(target)
        if parts.path == ANSWERED:
            told, self.answered = json.dumps(self.answered), Counter()
            return 200, {"Content-Type": "application/json"}, told.encode()
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if method == "GET" and not key:
            self.answered["list"] += 1
            return 200, {"Content-Type": "application/xml"}, self._list(parse_qs(parts.query)).encode()
        if method not in ("GET", "HEAD", "PUT"):
            return 405, {}, b""
        self.answered[method.lower()] += 1
        if method == "PUT":
            if key not in self._objects:
                insort(self._keys, key)
            self._objects[key] = sent
            return 200, {"ETag": _etag(sent)}, b""
        data = self._objects.get(key)
        if data is None:
            return 404, {}, b"" if method == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>"
        headers = {"ETag": _etag(data), "Last-Modified": _MODIFIED, "Content-Length": str(len(data))}
        return 200, headers, b"" if method == "HEAD" else data

    def _list(self, query: dict[str, list[str]]) -> str:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        most = int(query.get("max-keys", [str(_PAGE)])[0])
        delimiter = query.get("delimiter", [""])[0]
        at = bisect_right(self._keys, max(after, prefix[:-1] if prefix else ""))
        found: list[str] = []
        folders: set[str] = set()
        while at < len(self._keys) and len(found) + len(folders) < most:
            key = self._keys[at]
            at += 1
            if not key.startswith(prefix):
                if key > prefix:
                    break
                continue
            folder, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if slash:
                folders.add(f"{prefix}{folder}{slash}")
                at = bisect_right(self._keys, f"{prefix}{folder}{slash}\U0010ffff")
            else:
                found.append(key)
        more = at < len(self._keys) and self._keys[at].startswith(prefix)
        token = f"<NextContinuationToken>{escape(self._keys[at - 1])}</NextContinuationToken>" if more else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_WRITTEN}</LastModified>"
            f"<ETag>{escape(_etag(self._objects[key]))}</ETag><Size>{len(self._objects[key])}</Size></Contents>"
            for key in found
        )
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}{prefixes}"
            "</ListBucketResult>"
        )


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


async def serve(port: int, bucket: Bucket, latency: float) -> None:
    """Answer until the process ends.

    :param port: where to listen, on this machine
    :param bucket: the objects
    :param latency: seconds from a request to its answer
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                length = _LENGTH.search(head)
                sent = await reader.readexactly(int(length[1])) if length else b""
                await asyncio.sleep(latency)
                status, headers, body = bucket.answer(method, target, sent)
                headers.setdefault("Content-Length", str(len(body)))
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {status} .\r\n{lines}\r\n".encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=256)
    await server.serve_forever()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("backups", type=int)
    parser.add_argument("--latency", type=float, default=0.02, metavar="SECONDS")
    args = parser.parse_args()
    asyncio.run(serve(args.port, Bucket(args.backups), args.latency))


if __name__ == "__main__":
    main()
