"""What no document settles, what this package assumes of it, and what it does whatever the answer is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One question to a service.

    :param key: its short name
    :param text: the question
    :param assumed: what the package takes for likely; empty where it assumes nothing
    :param either_way: what it does whatever the answer
    :param needs: the option of ``xbackup doctor`` without which it is not asked; empty where it always is
    """

    key: str
    text: str
    assumed: str
    either_way: str
    needs: str = ""


START = "--start-backup"
PROJECT = "--project"
JOB = "--job"

XRAY = (
    Question(
        "token-form",
        "In which form does the token come?",
        "A JSON string in double quotes that holds a JWT.",
        "Takes it without the quotes too; refuses what cannot be a token.",
    ),
    Question(
        "token-life",
        "How long does a token live, and does it say so?",
        "24 hours, by the token's own exp and iat.",
        "Reads exp and iat; 23 hours where they are missing. Logs in again once on any 401.",
    ),
    Question(
        "clock",
        "Does an answer tell the service's time, and does it agree with this machine's?",
        "A Date header, less than 2 minutes apart.",
        "Tells its own files from older ones by the service's clock; refuses to transfer when the clocks are more "
        "than 5 minutes apart.",
    ),
    Question(
        "bad-token",
        "How is a bad token answered?",
        "401 with a JSON object whose error speaks of an invalid JWT.",
        "Logs in again once on any 401, then fails.",
    ),
    Question(
        "unknown-job",
        "How is a job answered that does not exist?",
        "404 with a JSON object that holds an error.",
        "A 404 with such a body is final; any other 404 is asked again: something in between may have answered.",
    ),
    Question(
        "file-redirect",
        "Does the file come at once or by a redirect, and where does that lead?",
        "A redirect to a signed link on another host, over https.",
        "Does both. Follows a redirect with a bare request, never with the token.",
    ),
    Question(
        "file-link-reuse",
        "Can a signed link be used twice?",
        "No: it is spent by its first use.",
        "Asks for a fresh link for every connection.",
    ),
    Question(
        "file-ranges",
        "Is a part of a file served where one is asked for?",
        "",
        "Resumes a broken download where the service serves ranges, starts again where not.",
    ),
    Question(
        "file-validator",
        "What identifies a file?",
        "",
        "Resumes only with a strong ETag or a Last-Modified; without Last-Modified judges the age of a file by "
        "the time of the download.",
    ),
    Question(
        "file-if-range",
        "Is If-Range honoured, so that parts of two files are never joined?",
        "Yes: a validator of another file brings the whole file.",
        "Compares ETag, Last-Modified and length of every answer itself as well.",
    ),
    Question(
        "file-headers",
        "Which headers come with a file: length, type, encoding, checksums?",
        "A Content-Length, application/octet-stream, no Content-Encoding.",
        "Lives without each of them; decodes what is encoded, and refuses HTML and JSON in the place of a file.",
    ),
    Question(
        "attachments-file",
        "What is answered for attachments that were not asked for?",
        "",
        "Asks for attachments only where the job made some.",
    ),
    Question(
        "count",
        "Does GraphQL count what a project holds?",
        "Totals by entity.",
        "Compares a full backup with the totals that are answered; without them it says that none was compared.",
        PROJECT,
    ),
    Question(
        "job-status",
        "Which words, progress and addresses does the status of a job hold?",
        "A word of working, pending, successful, failed, unsuccessful and partially_successful; progress as text.",
        "Waits on unknown words until the deadline and never takes one for success; uses none of the addresses.",
        JOB,
    ),
    Question(
        "job-forgotten",
        "Is a job still known long after its end?",
        "",
        "A forgotten job is a clear failure that says to ask for a new one.",
        JOB,
    ),
    Question(
        "backup-answer",
        "What is answered to a request for a backup?",
        "200 with a job id, or 400 with a sentence that speaks of waiting.",
        "Waits for the time named, or for [xbackup] xray_cooldown where none can be read.",
        START,
    ),
    Question(
        "rate-limit-headers",
        "Do answers tell what is left of the budget of requests?",
        "",
        "Counts its own requests: 300 in 5 minutes. Waits for Retry-After where a 429 brings one.",
    ),
)

XENIOO = (
    Question(
        "token-address",
        "Which address makes a token of the keys?",
        "/authorization/integration; /authorization/code on older nodes.",
        "Asks at the older one after a 404.",
    ),
    Question(
        "token-fields",
        "What are the fields of the token's answer called, and what is the unit of its life?",
        "token and one that begins with expire, in minutes, about 60.",
        "Reads names whatever their case; 60 minutes where no number is there. Renews when a tenth of it is left.",
    ),
    Question(
        "clock",
        "Does an answer tell the service's time, and does it agree with this machine's?",
        "A Date header, less than 2 minutes apart.",
        "Dates a backup by the service's clock.",
    ),
    Question(
        "bad-token",
        "How is a bad token answered?",
        "400 or 401 with words.",
        "400, 401 and 403 are judged by their words; where those say nothing the error names both possibilities.",
    ),
    Question(
        "list",
        "What does the list of bots hold?",
        "A list called Result, an object a bot with a Name.",
        "Reads names whatever their case; without an account's key no list is asked for.",
    ),
    Question(
        "backup-headers",
        "Which headers come with a backup: type, encoding, length, file name?",
        "JSON, or no type at all.",
        "Stores the bytes as they are; decodes what is encoded, and refuses a web page and an empty body.",
        START,
    ),
    Question(
        "throttle",
        "How is a second call within the hour answered?",
        "400, 403 or 429 with words that speak of time.",
        "Judges by status and words; waits for Retry-After or [xbackup] xenioo_cooldown.",
        START,
    ),
    Question(
        "rate-limit-headers",
        "Do answers tell what is left of a budget of requests?",
        "",
        "Sends one request a backup. Waits for Retry-After where a 429 brings one.",
    ),
)

_PAGE_HEAD = """\
# What is not known

Neither vendor documents everything that a backup depends on. These are the open questions, what this package
takes for likely, and what it does whatever the answer is. [`xbackup doctor`](cli.md#xbackup-doctor) asks them of
your own tenant or bot, and starts no backup unless it is told to; what it prints holds no secret, so that you can
send it to the maintainers. This page is what `xbackup doctor --questions` writes. The facts that are known are
under [Vendor APIs](vendor-apis.md).
"""


def page() -> str:
    """Return all questions as a page in Markdown."""
    return "\n".join((_PAGE_HEAD, *_section("Xray Cloud", XRAY), *_section("Xenioo", XENIOO)))


def _section(title: str, questions: tuple[Question, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| Question | Taken for likely | What the package does either way | Asked |"
    yield "|---|---|---|---|"
    for each in questions:
        asked = f"with `{each.needs}`" if each.needs else "always"
        yield f"| `{each.key}`: {each.text} | {each.assumed or 'Nothing.'} | {each.either_way} | {asked} |"
    yield ""
