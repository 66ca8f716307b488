"""Tokens of both vendors: the signed ones of Xray, the opaque ones of Xenioo."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


class InvalidTokenError(Exception):
    """A bearer that is not valid; the text is what the server says about it."""


class JwtIssuer:
    """Makes and reads the JSON web tokens of Xray (HS256)."""

    def __init__(self) -> None:
        self.revoke_all()

    def revoke_all(self) -> None:
        """Make every token issued so far invalid."""
        self._key = secrets.token_bytes(32)

    def issue(self, client_id: str, now: datetime, *, seconds: float, with_exp: bool) -> str:
        """A new token.

        :param client_id: the tenant it is for
        :param now: when it is issued
        :param seconds: its life time
        :param with_exp: whether it names its end
        """
        issued = int(now.timestamp())
        claims = {"tenant": client_id, "jti": secrets.token_hex(8), "iat": issued}
        if with_exp:
            claims["exp"] = issued + int(seconds)
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def read(self, token: str, now: datetime, *, seconds: float) -> str:
        """The client id a token was issued for.

        :param seconds: life time of a token that does not name its end
        :raises InvalidTokenError: when it is malformed, not ours, or over
        """
        signed, _, signature = token.rpartition(".")
        try:
            claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
            tenant, issued = str(claims["tenant"]), float(claims["iat"])
        except (binascii.Error, ValueError, KeyError, TypeError) as error:
            raise InvalidTokenError("jwt malformed") from error
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise InvalidTokenError("invalid signature")
        if now.timestamp() >= float(claims.get("exp", issued + seconds)):
            raise InvalidTokenError("jwt expired")
        return tenant

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, signed.encode(), hashlib.sha256))


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a Xenioo token speaks for.

    :param bot: name of the bot, None for the account as a whole
    """

    bot: str | None


class OpaqueTokens:
    """The tokens of Xenioo: known to the server, without meaning to anybody else."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[Holder, datetime]] = {}

    def revoke_all(self) -> None:
        """Make every token issued so far invalid."""
        self._issued.clear()

    def issue(self, holder: Holder, now: datetime, seconds: float) -> str:
        """A new token for a bot or the account."""
        token = secrets.token_urlsafe(24)
        self._issued[token] = (holder, now + timedelta(seconds=seconds))
        return token

    def read(self, token: str, now: datetime) -> Holder:
        """Whom a token speaks for.

        :raises InvalidTokenError: when it is unknown or over
        """
        if token not in self._issued:
            raise InvalidTokenError("unknown token")
        holder, end = self._issued[token]
        if now >= end:
            raise InvalidTokenError("the token has expired")
        return holder


def _encode(claims: dict[str, Any]) -> str:
    return _base64(json.dumps(claims, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
