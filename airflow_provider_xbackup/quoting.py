"""Quoting the words of others: without a credential, on one line, not too long."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_LONGEST_QUOTE = 200
# What nobody named as a secret and looks like one all the same: a long run of the letters of tokens, a link,
# a signature in a query.
_LOOKS_SECRET = re.compile(
    r"(?:eyJ[\w-]+|[A-Za-z0-9+/_=-]{24,})(?:\.[A-Za-z0-9+/_=-]+)*"
    r"|\b\w+://\S+"
    r"|(?<=[?&\s])[\w-]*(?:sig|signature|token|secret|password|credential)=[^\s&\"'<>]+",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 4
_SHORTEST_CORE = 8


def quotable(text: str) -> str:
    """Return somebody's words as one short line, without what looks like a credential or a link.

    Secrets that are known by name are taken out before, with :func:`without`.
    """
    line = " ".join(text.split())
    printable = "".join(c if c.isprintable() else "?" for c in line)
    quoted = _LOOKS_SECRET.sub("…", printable[: 4 * _LONGEST_QUOTE])
    return quoted if len(quoted) <= _LONGEST_QUOTE else quoted[: _LONGEST_QUOTE - 1] + "…"


def without(secrets: Iterable[str], text: str) -> str:
    """Return a text with every secret in it replaced, be it written as it is, as in a URL, in JSON or in Base64.

    :param secrets: what must not be seen; what is shorter than 4 characters is no secret
    :param text: what may hold them
    """
    forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
    if not forms:
        return text
    # The longest first: one form may begin another.
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(pattern, "…", text, flags=re.IGNORECASE)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, errors="replace")
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for before in range(3):
        # What stands around it changes the letters at the ends only.
        coded = base64.b64encode(b"\0" * before + secret.encode(errors="replace")).rstrip(b"=").decode()
        core = coded[-(-8 * before // 6) : -1]
        if len(core) >= _SHORTEST_CORE:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))
