"""The Xenioo platform API of backup and restore: the requests it takes and the answers it gives. No I/O here.

What the vendor documents and what is only known from elsewhere: ``docs/vendor-apis.md#xenioo``.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import Any

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.tokens import Token
from airflow_provider_xbackup.services import answers
from airflow_provider_xbackup.services.answers import describe, json_object, message_of, refusal, unreadable
from airflow_provider_xbackup.services.errors import (
    AccessDeniedError,
    AuthenticationError,
    CooldownError,
    NotFoundError,
    ServiceError,
    UnreadableAnswerError,
)

COOLDOWN = timedelta(hours=1)
"""The vendor's minimum gap between two backups, and between two restores, of one bot.

How long to wait where the vendor names no time is for the callers of the functions below to say.
"""

_TOKEN_LIFETIME = timedelta(minutes=60)
_LONGEST_TOKEN_LIFETIME = timedelta(days=366)
_SPEAKS_OF_TIME = re.compile(
    r"\bhours?\b|\bminutes?\b|\bonce\b|\bthrottl|\brate\b|\btoo (many|soon|early|often)\b|\bwait\b|\btry again\b",
    re.IGNORECASE,
)
_SPEAKS_OF_RIGHTS = re.compile(
    r"\btoken\b|\bunauthori[sz]|\bpermission|\bnot allowed\b|\bforbidden\b|\bapi ?key\b|\bentitled\b|\bcredential",
    re.IGNORECASE,
)
_MOST_FIELDS_OF_A_REFUSAL = 4
_LONGEST_REMARK = 4000
_TOKEN_SHAPE = re.compile(r"[\x21-\x7e]{4,8192}")


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys a bot's token is made of; the account key alone makes an account-level token."""

    account_api_key: str = field(repr=False)
    bot_api_key: str | None = field(default=None, repr=False)
    bot_api_secret: str | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, str]:
        """Return the body of the authorization call."""
        given = {
            "AccountAPIKey": self.account_api_key,
            "BotAPIKey": self.bot_api_key,
            "BotAPISecret": self.bot_api_secret,
        }
        return {name: value for name, value in given.items() if value}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that are given."""
        return tuple(self.to_json().values())


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot of the account. The list endpoint hands out secrets with it; they stay out of sight."""

    name: str
    description: str
    channels: tuple[str, ...]
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RestoredBot:
    """The brand-new bot that a restore made, with its keys: secrets, shown nowhere."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BotFile:
    """A backup about to be read, as its answer's headers describe it.

    :param length: bytes the body will have, or None where the server does not say
    :param media_type: the content type without parameters, or None
    :param encoding: content coding of the body in spite of ``Accept-Encoding: identity``, or None
    :param end_is_told: whether the body's end differs from a connection that breaks: by a length, by
        chunks, or by the coding
    """

    length: int | None
    media_type: str | None
    encoding: str | None
    end_is_told: bool


def key_digest(api_key: str) -> str:
    """Return what may be written down of a bot's API key: its SHA-256.

    :param api_key: the key, secret
    """
    return hashlib.sha256(api_key.strip().encode()).hexdigest()


def integration_request(keys: ApiKeys) -> Request:
    """Describe the call that makes a token of a bot's keys."""
    return _authorization("/authorization/integration", keys)


def code_request(keys: ApiKeys) -> Request:
    """Describe the same call as older nodes know it."""
    return _authorization("/authorization/code", keys)


def _authorization(path: str, keys: ApiKeys) -> Request:
    return Request("POST", path, json=keys.to_json(), authenticated=False, secrets=keys.secrets)


def read_token(answer: Answer) -> Token:
    """Read the answer to :func:`integration_request` or :func:`code_request`.

    Newer nodes answer ``{"token", "expire…"}``, older ones ``{"Token", "Expires": 60}``; minutes both.

    :raises NotFoundError: on 404: the key is not known, or the node is an older one
    :raises AuthenticationError: when the keys were refused
    :raises UnreadableAnswerError: when the answer holds no token
    """
    if answers.is_foreign_page(answer):
        raise answers.foreign_page(answer, "authorizing")
    if answer.status == 404:
        raise NotFoundError(
            f"Xenioo does not know the API keys (404, {describe(answer)}). "
            "Check account_api_key, bot_api_key and bot_api_secret in the Airflow connection."
        )
    if answer.status in (400, 401):
        raise AuthenticationError(
            f"Xenioo refused the API keys ({answer.status}, {describe(answer)}). "
            "Check account_api_key, bot_api_key and bot_api_secret in the Airflow connection."
        )
    if answer.status == 403:
        raise AccessDeniedError(
            f"Xenioo says that the account may not use the API (403, {describe(answer)}). "
            "The plan of the account has to include integrations."
        )
    if answer.status != 200:
        raise refusal(answer, "authorizing")
    values = json_object(answer, "a token")
    token = answers.field(values, "token")
    if not isinstance(token, str) or not _TOKEN_SHAPE.fullmatch(token):
        raise UnreadableAnswerError(
            "Xenioo answered the authorization without a token. Check the host in the Airflow connection."
        )
    return Token(token, answer.received_at, _token_lifetime(values))


def backup_request() -> Request:
    """Describe the call that hands out the bot's backup.

    It may spend the bot's hour, so it is never repeated once the server may have seen it.
    """
    return Request(
        "GET",
        "/bots/backup",
        headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
        repeatable=False,
    )


def read_backup(answer: Answer, *, assumed_wait: timedelta = COOLDOWN) -> BotFile:
    """Read status and headers of the answer to :func:`backup_request`, its body still unread.

    :param answer: status and headers, and the body of a refusal
    :param assumed_wait: how long a refusal that names no time is taken to last
    :raises CooldownError: when the hour is not over; its ``certain`` says whether the answer could also
        mean a token without permission
    :raises ServiceError: on any other refusal
    """
    _refuse(answer, "a backup", assumed_wait)
    media_type = answer.headers.get("content-type", "").split(";")[0].strip().lower() or None
    if media_type in ("text/html", "application/xhtml+xml"):
        raise UnreadableAnswerError(
            "Xenioo answered with a web page where the backup was expected. Check the host in the Airflow "
            "connection: it is the service endpoint shown under the bot's Settings > Developers."
        )
    named = answer.headers.get("content-encoding", "").strip().lower()
    encoding = named if named not in ("", "identity") else None
    chunked = answer.headers.get("transfer-encoding", "").strip().lower() == "chunked"
    return BotFile(
        length=answer.length,
        media_type=media_type,
        encoding=encoding,
        end_is_told=chunked or answer.length is not None or encoding is not None,
    )


def check_start(start: bytes) -> None:
    """Look at the first bytes of a backup: its content is nobody's business, but a page is no backup.

    :param start: up to the first 64 KiB, or the whole body where it is shorter
    :raises UnreadableAnswerError: when there are none, or they begin a web page
    """
    text = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text:
        raise UnreadableAnswerError("Xenioo answered with an empty body where the backup was expected.")
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        raise UnreadableAnswerError("Xenioo answered with a web page where the backup was expected.")


def check_short(answer: Answer, body: bytes, *, assumed_wait: timedelta = COOLDOWN) -> None:
    """Look at a whole body that is short: a refusal under the status 200 is no backup either.

    It is one where a JSON object holds the server's words and little else; it means what a 400 of the same
    words means.

    :param answer: status and headers
    :param body: the body, whole
    :param assumed_wait: how long a refusal that names no time is taken to last
    :raises CooldownError: when it says that the hour is not over, or says nothing that is understood
    :raises AuthenticationError: when it speaks of the token or its rights
    """
    said = replace(answer, body=body.removeprefix(b"\xef\xbb\xbf"))
    if _is_refusal(said):
        raise _judged_by_words(said, "a backup", assumed_wait)


def _is_refusal(answer: Answer) -> bool:
    try:
        values = answer.parse_json()
    except ValueError:
        return False
    return (
        isinstance(values, dict)
        and len(values) <= _MOST_FIELDS_OF_A_REFUSAL
        and not any(isinstance(value, (dict, list)) for value in values.values())
        # A field as long as this is content, whatever stands beside it.
        and not any(isinstance(value, str) and len(value) > _LONGEST_REMARK for value in values.values())
        and any(answers.field(values, name) is not None for name in answers.MESSAGE_FIELDS)
    )


def restore_request(backup: bytes) -> Request:
    """Describe the call that makes a brand-new bot of a backup. Never repeated: each call makes a bot."""
    return Request(
        "POST",
        "/bots/restore",
        body=backup,
        headers={"Content-Type": "application/json"},
        repeatable=False,
    )


def read_restored(answer: Answer, *, assumed_wait: timedelta = COOLDOWN) -> RestoredBot:
    """Read the answer to :func:`restore_request`.

    :param answer: the answer
    :param assumed_wait: how long a refusal that names no time is taken to last
    :raises CooldownError: when the hour is not over
    :raises UnreadableAnswerError: when the keys of the new bot are missing
    """
    _refuse(answer, "a restore", assumed_wait)
    values = json_object(answer, "the keys of the restored bot")
    key, secret = answers.field(values, "APIKey"), answers.field(values, "APISecret")
    if not (isinstance(key, str) and key and isinstance(secret, str) and secret):
        raise UnreadableAnswerError(
            "Xenioo answered the restore without the keys of the new bot. The bot was probably made: "
            "look for it in the account before you try again."
        )
    return RestoredBot(key, secret)


def bots_request() -> Request:
    """Describe the call that lists the account's bots; it takes an account-level token."""
    return Request("GET", "/bots", headers={"Content-Type": "application/json"})


def read_bots(answer: Answer) -> tuple[Bot, ...]:
    """Read the answer to :func:`bots_request`; entries without a name keep an empty one.

    :raises UnreadableAnswerError: when it is no list of bots
    """
    if answer.status != 200:
        raise refusal(answer, "listing the bots")
    result = answers.field(json_object(answer, "the list of bots"), "Result")
    if not isinstance(result, list):
        raise unreadable(answer, "the list of bots")
    return tuple(_read_bot(entry) for entry in result if isinstance(entry, dict))


def _read_bot(entry: Mapping[str, Any]) -> Bot:
    def text(name: str) -> str:
        value = answers.field(entry, name)
        return value if isinstance(value, str) else ""

    channels = answers.field(entry, "Channels")
    named = channels if isinstance(channels, list) else []
    return Bot(
        name=text("Name"),
        description=text("Description"),
        channels=tuple(channel for channel in named if isinstance(channel, str)),
        api_key=text("APIKey"),
        api_secret=text("APISecret"),
    )


def _refuse(answer: Answer, wanted: str, assumed_wait: timedelta) -> None:
    """Raise what an answer other than 200 means.

    The status of the hourly throttle is not documented: 429 is certain, 400 and 403 are judged by
    their words, and where those say nothing the error names both possibilities.
    """
    if answer.status == 200:
        return
    if answers.is_foreign_page(answer):
        raise answers.foreign_page(answer, f"asking for {wanted}")
    if answer.status == 404:
        raise NotFoundError(
            f"Xenioo does not find the bot (404, {describe(answer)}). Was it deleted? "
            "Check the service endpoint and the keys in the Airflow connection."
        )
    if answer.status not in (400, 401, 403, 429):
        raise refusal(answer, f"asking for {wanted}")
    raise _judged_by_words(answer, wanted, assumed_wait)


def _judged_by_words(answer: Answer, wanted: str, assumed_wait: timedelta) -> ServiceError:
    text = message_of(answer)
    if answer.status == 429 or (answer.status != 401 and _SPEAKS_OF_TIME.search(text)):
        return _cooldown(answer, wanted, assumed_wait, certain=True)
    if answer.status == 401 or _SPEAKS_OF_RIGHTS.search(text):
        return AuthenticationError(
            f"Xenioo refused {wanted}: the token is invalid or lacks the permission "
            f"({answer.status}, {describe(answer)}). Check the token or the keys in the Airflow connection."
        )
    return _cooldown(answer, wanted, assumed_wait, certain=False)


def _cooldown(answer: Answer, wanted: str, assumed_wait: timedelta, *, certain: bool) -> CooldownError:
    wait = answer.retry_after if answer.retry_after is not None else assumed_wait
    available_at = answer.received_at + wait
    when = f"{available_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if certain:
        message = f"Xenioo refused {wanted}: a bot gets one an hour, the next is possible by {when}."
    else:
        message = (
            f"Xenioo refused {wanted} ({answer.status}, {describe(answer)}) and did not say why: either the "
            f"bot's hour is not over (then it is possible by {when}), or the token is invalid or lacks the "
            "permission (then check it in the Airflow connection)."
        )
    return CooldownError(message, available_at=available_at, certain=certain)


def _token_lifetime(values: Mapping[str, Any]) -> timedelta:
    given = next((value for name, value in values.items() if name.lower().startswith("expir")), None)
    try:
        minutes = float(given) if not isinstance(given, bool) and given is not None else math.nan
        lifetime = timedelta(minutes=minutes)
    except (TypeError, ValueError, OverflowError):
        return _TOKEN_LIFETIME
    return lifetime if timedelta() < lifetime <= _LONGEST_TOKEN_LIFETIME else _TOKEN_LIFETIME


def check_token(value: str) -> str:
    """Check the token that a person put into a connection. The error does not repeat it.

    :return: the token without white space around it
    :raises InvalidArgumentError: when it cannot stand in a header
    """
    token = value.strip()
    if not _TOKEN_SHAPE.fullmatch(token):
        raise InvalidArgumentError(
            "The bot token in the connection's password cannot be one: it is too short or too long, or holds "
            "white space or characters other than ASCII. Copy it again, without the word Bearer before it."
        )
    return token


def check_keys(account_api_key: object, bot_api_key: object = None, bot_api_secret: object = None) -> ApiKeys:
    """Check the keys of a connection; a key of digits only may have come as a number.

    :raises InvalidArgumentError: when the account's key is missing or only one of the bot's two is given
    """
    account = _checked_key("account_api_key", account_api_key)
    bot, secret = _checked_key("bot_api_key", bot_api_key), _checked_key("bot_api_secret", bot_api_secret)
    if not account:
        raise InvalidArgumentError(
            "The connection holds no credentials: give the bot's token as password, "
            "or account_api_key with bot_api_key and bot_api_secret."
        )
    if bool(bot) != bool(secret):
        missing = "bot_api_secret" if bot else "bot_api_key"
        raise InvalidArgumentError(f"The connection holds only one of the bot's two keys: {missing} is missing.")
    return ApiKeys(account, bot or None, secret or None)


def _checked_key(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidArgumentError(f"The connection's extra {name!r} must be a text.")
    return str(value).strip()
