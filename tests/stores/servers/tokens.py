"""What hands out the bearer tokens of Google and Azure, as far as their clients ask for it."""

from __future__ import annotations

import contextlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "backup@project.iam.gserviceaccount.com"
IDENTITY_HEADER = "the-identity-header"
APPLICATION, APPLICATION_SECRET = "22222222-2222-2222-2222-222222222222", "the-secret-of-the-application"
TENANT = "11111111-1111-1111-1111-111111111111"
#: Whatever the token_uri of a key.
_AUDIENCE = "https://oauth2.googleapis.com/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass
class Tokens:
    """A running token service.

    :param server: takes connections
    :param private_key: of Google's service account, in PEM form
    :param given: the tokens that it handed out to Google's client
    """

    server: ThreadingHTTPServer
    private_key: str
    given: set[str] = field(default_factory=set)
    scheme: str = "http"

    @property
    def address(self) -> str:
        """The URL of its root."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    def keyfile(self, **changes: Any) -> dict[str, Any]:
        """The key of Google's service account, as Google writes it."""
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": self.private_key,
            "client_email": ACCOUNT,
            "token_uri": f"{self.address}/google",
            **changes,
        }

    def google(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Give a token for an assertion that the account has signed."""
        key = serialization.load_pem_private_key(self.private_key.encode(), None).public_key()
        try:
            claims = jwt.decode(form["assertion"][0], key, algorithms=["RS256"], audience=_AUDIENCE)
        except (jwt.InvalidTokenError, KeyError):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if form["grant_type"] != [_JWT_BEARER] or claims["iss"] != ACCOUNT or "storage" not in claims["scope"]:
            return 400, {"error": "invalid_grant"}
        token = f"ya29.{secrets.token_hex(16)}"
        self.given.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def azure(self, query: dict[str, list[str]], header: str | None) -> tuple[int, dict[str, Any]]:
        """Give a token of the identity of a machine, as Azure's App Service does."""
        if header != IDENTITY_HEADER or not query["resource"][0].startswith("https://storage.azure.com"):
            return 401, {"message": "no such identity"}
        return 200, {
            "access_token": azure_token(),
            "expires_on": str(int(time.time()) + 3600),
            "resource": "https://storage.azure.com",
            "token_type": "Bearer",
        }

    def azure_directory(self, path: str) -> dict[str, Any]:
        """Describe a tenant, as Azure's directory does."""
        tenant = f"{self.address}{path.partition('/v2.0')[0]}"
        return {
            "issuer": f"{tenant}/v2.0",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
        }

    def azure_application(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Give a token to an application that knows its secret."""
        if form["client_id"] != [APPLICATION] or form["client_secret"] != [APPLICATION_SECRET]:
            text = "AADSTS7000215: Invalid client secret provided."
            return 401, {"error": "invalid_client", "error_description": text}
        return 200, {"access_token": azure_token(), "expires_in": 3600, "token_type": "Bearer"}


def azure_token() -> str:
    """A token in Azure's form, whose signature nobody looks at here."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
        "tid": TENANT,
    }
    return jwt.encode(claims, "a key that nobody knows, of 32 bytes and more", algorithm="HS256")


@contextlib.contextmanager
def tokens(tls: ssl.SSLContext | None = None) -> Iterator[Tokens]:
    """Run a token service.

    :param tls: for https
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Tokens(server, private_key(), scheme="https" if tls else "http")
    server.tokens = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def private_key() -> str:
    """Make a key of a service account."""
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        service: Tokens = self.server.tokens  # type: ignore[attr-defined]
        self._answer(*(service.google(form) if self.path == "/google" else service.azure_application(form)))

    def do_GET(self) -> None:
        service: Tokens = self.server.tokens  # type: ignore[attr-defined]
        if "openid-configuration" in self.path:
            self._answer(200, service.azure_directory(self.path))
        else:
            query = parse_qs(urlsplit(self.path).query)
            self._answer(*service.azure(query, self.headers.get("X-IDENTITY-HEADER")))

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
