"""A gate before an object store: every request that passes is a call, counted and broken."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from killpoint_plan import Plan

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_Answer = tuple[int, list[tuple[str, str]], bytes]


class _Cut(Exception):  # noqa: N818 - what is done, not what went wrong
    """The connection is closed without an answer."""


def open_gate(plan: Plan, store: str, *, conditions: bool = True) -> str:
    """Open a gate in a thread of this process; it closes with it.

    ``fail before`` answers 500 and asks nobody; ``fail after`` lets the store do it and loses the answer.

    :param plan: sees every request
    :param store: the address of the store behind it
    :param conditions: whether conditions of a write reach the store; without them it ignores them
    :return: the address of the gate
    """
    behind = urlsplit(store)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one segment for head and body

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = unquote(self.path).partition("?")
            name = f"{self.command} {path.rsplit('/', 1)[-1]}{'?' * bool(query)}{query.split('=')[0]}"
            gives_up = plan.mode == "fail after"
            try:
                status, headers, content = plan.call(
                    name, lambda: self.ask(body), self.cut if gives_up else self.fault
                )
            except _Cut:
                self.close_connection = True
                return
            self.send_response_only(status)
            for key, value in headers:
                if key.lower() not in _HOP:
                    self.send_header(key, value)
            length = {key.lower(): value for key, value in headers}.get("content-length", "0")
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def ask(self, body: bytes) -> _Answer:
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=30)
            headers = {
                key: value
                for key, value in self.headers.items()
                if conditions or key.lower() not in ("if-none-match", "if-match")
            }
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            told = answer.status, answer.getheaders(), answer.read()
            connection.close()
            return told

        def fault(self) -> _Answer:
            body = b"<Error><Code>InternalError</Code><Message>Broken.</Message></Error>"
            return 500, [("Content-Type", "application/xml")], body

        def cut(self) -> _Answer:
            raise _Cut

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
