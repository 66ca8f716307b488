"""Reading answers that may be anything: JSON, text, an HTML page of a CDN, nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_xbackup.http.message import Answer
from airflow_provider_xbackup.quoting import quotable, without
from airflow_provider_xbackup.services.errors import (
    AccessDeniedError,
    AuthenticationError,
    NotFoundError,
    RefusedRequestError,
    ServerFaultError,
    ServiceError,
    ThrottledError,
    UnreadableAnswerError,
)

MESSAGE_FIELDS = ("error", "message", "errormessage", "error_description", "detail")
"""Where a JSON object keeps the server's words, the best first, whatever their case."""

_LONGEST_MESSAGE = 4000


def field(values: Mapping[str, Any], name: str) -> Any:
    """Return a field whatever the case of its name, or None: vendors change it between versions."""
    wanted = name.lower()
    return next((value for key, value in values.items() if key.lower() == wanted), None)


def json_object(answer: Answer, what: str) -> Mapping[str, Any]:
    """Read the JSON object that a successful answer must hold.

    :param what: what the answer is, for the error: ``"the status of a backup job"``
    :raises UnreadableAnswerError: when the body is anything else
    """
    try:
        value = answer.parse_json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unreadable(answer, what)
    return value


def unreadable(answer: Answer, what: str) -> UnreadableAnswerError:
    """Return the error for a successful status around something that is not the promised value."""
    return UnreadableAnswerError(
        f"The server answered {answer.status} with {describe_unquoted(answer)} where {what} was expected. "
        "A proxy or a login page may stand between Airflow and the service."
    )


def describe(answer: Answer) -> str:
    """Say in a few words, and without secrets, what an answer's body holds."""
    if not answer.body.strip():
        return "an empty body"
    if is_html(answer):
        return "an HTML page"
    message = error_text(answer)
    return f"the text {message!r}" if message else "a body that cannot be read"


def describe_unquoted(answer: Answer) -> str:
    """Say what stands in the place of a secret, or of something with secrets in it: it may be most of one.

    Only what a JSON object says in so many words is quoted, or what a page is.
    """
    said = describe(answer)
    try:
        spoken = isinstance(answer.parse_json(), dict)
    except ValueError:
        spoken = False
    return said if spoken or not said.startswith("the text") else f"{len(answer.body)} bytes of something else"


def is_html(answer: Answer) -> bool:
    """Tell whether the body is a web page, whatever its content type says."""
    start = answer.body[:512].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml"))


def error_text(answer: Answer) -> str:
    """Return the server's own words, ready to be quoted: see :func:`message_of` and :func:`quote_from`."""
    return quote_from(answer, _words_of(answer))


def message_of(answer: Answer) -> str:
    """Return the server's own words: the error field of a JSON object, or plain text; nothing of a web page.

    They are for rules that look for words in them. What is shown to people goes through :func:`quote_from`.
    """
    return " ".join(_words_of(answer).split())


def _words_of(answer: Answer) -> str:
    try:
        value = answer.parse_json()
    except ValueError:
        value = answer.text
    if isinstance(value, dict):
        said = (field(value, name) for name in MESSAGE_FIELDS)
        value = next((words for words in said if words and isinstance(words, str)), "")
    if not isinstance(value, str) or is_html(answer):
        return ""
    return value[:_LONGEST_MESSAGE]


def quote_from(answer: Answer, text: str) -> str:
    """Return what stands in an answer as one short line, without what it repeats of the request's credentials.

    :param answer: the answer
    :param text: a part of it
    """
    return quotable(without(answer.secrets, text))


def is_foreign_page(answer: Answer) -> bool:
    """Tell whether a refusal is the web page of something in between: neither service speaks in pages.

    What its status says is then no word of the service, and above all not final.
    """
    return 400 <= answer.status < 500 and answer.status != 429 and is_html(answer)


def foreign_page(answer: Answer, doing: str) -> UnreadableAnswerError:
    """Return the error for a refusal for which :func:`is_foreign_page` holds.

    :param doing: what was tried, as it stands after "while": ``"asking for a backup"``
    """
    return UnreadableAnswerError(
        f"A web page came instead of the service's answer while {doing} (status {answer.status}): a firewall, "
        "a CDN or a proxy in between has refused the call. It may pass by itself; if it stays, check the host "
        "in the Airflow connection and whether this address is blocked."
    )


def refusal(answer: Answer, doing: str) -> ServiceError:
    """Return the error for an answer that no rule of the endpoint explains.

    :param doing: what was tried, as it stands after "while": ``"asking for a backup"``
    """
    if is_foreign_page(answer):
        return foreign_page(answer, doing)
    said = describe(answer)
    if answer.status == 401:
        return AuthenticationError(
            f"The service refused the credentials while {doing} (401, {said}). "
            "Check the secret in the Airflow connection and that the key was not revoked."
        )
    if answer.status == 403:
        return AccessDeniedError(
            f"The service denied access while {doing} (403, {said}). "
            "Check the permissions of the key in the Airflow connection."
        )
    if answer.status == 404:
        return NotFoundError(
            f"The service knows nothing at this address while {doing} (404, {said}). "
            "Check host and path in the Airflow connection."
        )
    if answer.status == 429:
        return ThrottledError(
            f"The service allows no more requests for now while {doing} (429, {said}). "
            "Use fewer tasks at once for this account, or a longer poke_interval."
        )
    if answer.status >= 500:
        return ServerFaultError(
            f"The service failed while {doing} ({answer.status}, {said}). It usually passes: try again later."
        )
    if answer.status >= 400:
        return RefusedRequestError(f"The service refused {doing} ({answer.status}, {said}).")
    return UnreadableAnswerError(
        f"The service answered {answer.status} while {doing}, which this endpoint never does ({said})."
    )
