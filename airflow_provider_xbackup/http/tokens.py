"""Bearer tokens: how long one is good, and one of them for all who use the same credentials."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from airflow_provider_xbackup.http.message import Answer, Request


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token.

    :param value: the token, secret
    :param obtained_at: when it was handed out, by this machine's clock
    :param lifetime: how long the server honours it
    """

    value: str = field(repr=False)
    obtained_at: datetime
    lifetime: timedelta

    def usable_at(self, now: datetime) -> bool:
        """Tell whether a call made now arrives in time: the last tenth of the life is kept in reserve."""
        return self.obtained_at - timedelta(minutes=1) <= now < self.obtained_at + self.lifetime * 0.9


def secrets_of(request: Request, token: Token | None) -> tuple[str, ...]:
    """Return what an answer must not bring back into a text: the request's secrets and the token it carries."""
    return request.secrets if token is None else (*request.secrets, token.value)


Conversation = Generator[Request, Answer, Token]
"""Ends with a token: it yields requests and is sent their answers."""

_cache: dict[str, Token] = {}
_cache_lock = threading.Lock()


class TokenSource(Protocol):
    """The credentials of a connection, as the carriers use them."""

    key: str

    def current(self) -> Token | None:
        """Return a token that is still good, or None when a new one has to be asked for."""

    def login(self) -> Conversation:
        """Begin the conversation that gets a new token."""

    def keep(self, token: Token) -> Token:
        """Remember a new token for everybody with these credentials."""

    def should_renew(self, answer: Answer, token: Token) -> bool:
        """Tell whether an answer means that the token is spent and another can be had."""


class RenewableToken:
    """The token of one set of credentials, kept for the life of the process.

    :param login: the conversation that gets a new token
    :param identity: what the token belongs to: the root URL and every credential. Only a digest of it
        is kept.
    """

    def __init__(self, login: Callable[[], Conversation], *identity: str | None) -> None:
        self.login = login
        self.key = _digest(*identity)

    def current(self) -> Token | None:
        """Return a token that is still good, or None when a new one has to be asked for."""
        with _cache_lock:
            token = _cache.get(self.key)
        return token if token and token.usable_at(datetime.now(UTC)) else None

    def keep(self, token: Token) -> Token:
        """Remember a new token for everybody with these credentials."""
        with _cache_lock:
            _cache[self.key] = token
        return token

    def should_renew(self, answer: Answer, token: Token) -> bool:
        """Tell whether an answer means that the token is spent and another can be had.

        The token is forgotten then, unless somebody else has renewed it in the meantime.
        """
        if answer.status != 401:
            return False
        with _cache_lock:
            if _cache.get(self.key) == token:
                del _cache[self.key]
        return True


class GivenToken:
    """A token that a person made and put into the connection: it cannot be renewed.

    :param value: the token
    :param identity: what it belongs to
    """

    def __init__(self, value: str, *identity: str | None) -> None:
        self._token = Token(value, datetime.now(UTC), timedelta.max)
        self.key = _digest(value, *identity)

    def current(self) -> Token:
        """Return the token."""
        return self._token

    def login(self) -> Conversation:
        """Hand out the token: nothing has to be asked."""
        yield from ()
        return self._token

    def keep(self, token: Token) -> Token:
        """Return the token, which is remembered already."""
        return token

    def should_renew(self, answer: Answer, token: Token) -> bool:  # noqa: ARG002
        """Return False: what the server does not accept now it will not accept the next time."""
        return False


def _digest(*identity: str | None) -> str:
    parts = "\0".join("" if part is None else part for part in identity)
    return hashlib.sha256(parts.encode()).hexdigest()
