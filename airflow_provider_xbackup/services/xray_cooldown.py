"""How Xray says that a tenant's next backup has to wait, and for how long. No I/O here.

Its sentences are known from elsewhere and not documented: ``docs/vendor-apis.md#xray-cloud``.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta

from airflow_provider_xbackup.http.message import Answer
from airflow_provider_xbackup.services.answers import error_text, message_of
from airflow_provider_xbackup.services.errors import CooldownError

COOLDOWN = timedelta(hours=6)
"""The vendor's minimum gap between the end of a backup and the next request for one.

What is concluded from it, such as whose a file can be, always counts with this gap; how long to wait where the
vendor names no time is for the caller of :func:`~airflow_provider_xbackup.services.xray.read_job` to say.
"""

_PART = r"(\d{1,6})\s*(hour|minute|second)s?\b"
_REMAINING = re.compile(_PART, re.IGNORECASE)
# The time left is the run of parts right after an "in": "once every 6 hours" is none.
_TIME_LEFT = re.compile(rf"\bin\b:?\s*(?:about\s+)?((?:{_PART}[\s,;]*(?:and\b\s*)?)+)", re.IGNORECASE)
_COOLDOWN_WORDS = re.compile(
    r"\bonce every\b|\bcreate a new one in\b|\balready (being|running|started|in)\b|\balready\b.*\brunning\b"
    r"|\bin progress\b|\b(still|currently|is) (running|being)\b|\banother (backup|job)\b"
    r"|\btoo (soon|early|often)\b",
    re.IGNORECASE,
)
# Polite words that end any refusal: alone they prove nothing.
_WAIT_WORDS = re.compile(r"\bwait\b|\btry again\b", re.IGNORECASE)
_WRONG_VALUE_WORDS = re.compile(r"\binvalid\b|\bmust be\b|\brequired\b|\bmalformed\b", re.IGNORECASE)


def read_remaining(text: str) -> timedelta | None:
    """Read how long the cooldown still lasts, from the vendor's sentence.

    The sentence says "once every 6 hours" before it says how long is left: only what follows ``in:``
    at once counts, and without an ``in`` nothing does.

    :return: the time left, or None where the sentence names none
    """
    found = _TIME_LEFT.search(text)
    if not found:
        return None
    parts = _REMAINING.findall(found[1])
    return sum((timedelta(**{f"{unit.lower()}s": int(count)}) for count, unit in parts), timedelta())


def refuse_cooldown(answer: Answer, assumed_wait: timedelta) -> None:
    """Raise what a 400 means if it means to wait; words about a wrong value mean it only next to a time.

    :param answer: the answer
    :param assumed_wait: how long a refusal that names no time is taken to last
    :raises CooldownError: not certain when the words only ask to wait, with neither a time nor a reason
    """
    said = message_of(answer)
    named = _COOLDOWN_WORDS.search(said) is not None
    timed = read_remaining(said) is not None or "once every" in said.lower()
    if not named and not _WAIT_WORDS.search(said):
        return
    if timed or not _WRONG_VALUE_WORDS.search(said):
        raise _cooldown(answer, assumed_wait, certain=named or timed)


def _cooldown(answer: Answer, assumed_wait: timedelta, *, certain: bool) -> CooldownError:
    remaining = read_remaining(message_of(answer))
    # Without a time, the last backup may have ended just now, or one may still be running: asked again
    # after the wait, the server says more.
    wait = assumed_wait if remaining is None else min(remaining, COOLDOWN * 4)
    available_at = answer.received_at + wait
    when = f"{available_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC (in {_in_words(wait)})"
    if remaining is None:
        because = f"{error_text(answer)!r}. It named no time; a new one may be possible at {when}."
    else:
        because = (
            f"one is made at most every 6 hours, counted from the end of the last. The next is possible at {when}."
        )
    return CooldownError(
        f"Xray refused a new backup: {because}",
        available_at=available_at,
        certain=certain,
    )


def _in_words(duration: timedelta) -> str:
    minutes = max(1, round(duration.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    return " ".join(([f"{hours} h"] if hours else []) + ([f"{minutes} min"] if minutes or not hours else []))
