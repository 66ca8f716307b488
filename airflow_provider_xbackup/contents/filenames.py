"""Names that came from somebody's file, made fit to be names of files here."""

from __future__ import annotations

import re

#: File systems take 255 bytes; some are left for what is added.
_LONGEST = 150
_LONGEST_ENDING = 20
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)


def safe_filename(name: str, fallback: str = "unnamed") -> str:
    """Return a name that is one file in its folder on every system, visible, and short enough.

    :param name: any text; folders in it are left out
    :param fallback: the name where nothing is left
    """
    last = re.split(r"[/\\]", name.strip())[-1]
    shown = "".join(c if c.isprintable() else "_" for c in last)
    shown = _FORBIDDEN.sub("_", shown).strip(" .") or fallback
    if _RESERVED.match(shown):
        shown = "_" + shown
    return _shortened(shown)


def _shortened(name: str) -> str:
    if len(name.encode()) <= _LONGEST:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > _LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    room = _LONGEST - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + ending
