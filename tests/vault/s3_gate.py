"""A gate before an S3 server: what is asked can be seen, and refused."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class QuietHandler(BaseHTTPRequestHandler):
    """Handles requests over connections that stay open, and prints nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on this machine as long as the block; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Gate:
    """A gate before an S3 server that answers some requests itself."""

    refused: Callable[[str, str], bool] = lambda method, query: False
    status: int = 403
    code: str = "AccessDenied"
    seen: list[str] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def gate_before(endpoint: str) -> Iterator[Gate]:
    """Open a gate.

    :param endpoint: the server's address
    """
    told = Gate()
    behind = urlsplit(endpoint)

    class Handler(QuietHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.seen.append(f"{self.command} {self.path}")
            if told.refused(self.command, urlsplit(self.path).query):
                status, headers = told.status, [("Content-Type", "application/xml")]
                data = f"<Error><Code>{told.code}</Code><Message>No.</Message></Error>".encode()
            else:
                connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=30)
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                status, headers, data = answer.status, answer.getheaders(), answer.read()
                connection.close()
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = {name.lower(): value for name, value in headers}.get("content-length", "0")
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

    with served(Handler) as told.url:
        yield told
