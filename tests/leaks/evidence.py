"""Looking for secrets in everything a run leaves behind, however they are written."""

from __future__ import annotations

import base64
import contextlib
import gc
import html
import json
import logging
import pickle
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

PACKAGE = "airflow_provider_xbackup."
SIMULATOR = PACKAGE + "simulator"
# The other side: it was sent what it logs. And Airflow's supervisor prints what it hands to a task in dag.test().
SERVERS = ("uvicorn", "werkzeug", "moto", "supervisor")


def spellings(secret: str) -> set[str]:
    """Every way to write a secret that is looked for."""
    raw = secret.encode()
    found = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        repr(json.dumps(secret)[1:-1])[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
        raw.hex(),
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Inside a longer text its letters depend on where it begins; those at its ends on its neighbours.
        for offset in range(3):
            found.add(encode(b"x" * offset + raw).decode().rstrip("=")[2 * offset : -1])
    return found


@dataclass
class Evidence:
    """Texts by where they were found, and the secrets that must not be in them."""

    secrets: dict[str, str] = field(default_factory=dict)
    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, where: str, text: object) -> None:
        """Keep something that was left behind."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", errors="replace")
        self.texts.append((where, text if isinstance(text, str) else json.dumps(text, default=repr)))

    def add_object(self, where: str, value: object) -> None:
        """Keep what an object shows of itself."""
        for show in (repr, str):
            with contextlib.suppress(Exception):  # what cannot be shown shows nothing
                self.add(where, show(value))

    def add_pickle(self, where: str, value: object) -> None:
        """Keep what an object becomes on its way to another process."""
        with contextlib.suppress(Exception):  # what cannot be pickled goes nowhere
            self.add(where, pickle.dumps(value))

    def add_error(self, where: str, error: BaseException | None) -> None:
        """Keep an error with all that led to it, told or not, and how tracebacks and pickles show it."""
        seen: set[int] = set()
        waiting = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            name = f"{where}: {type(one).__name__}"
            self.add_object(name, one)
            self.add(name, [repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())])
            self.add(name, "".join(traceback.format_exception(one)))
            self.add_pickle(name, one)
            waiting += [one.__cause__, one.__context__, getattr(one, "error", None)]

    def add_folder(self, where: str, folder: Path) -> None:
        """Keep the names and bytes of all files."""
        for path in folder.rglob("*") if folder.exists() else ():
            self.add(f"{where}: name", str(path.relative_to(folder)))
            if path.is_file():
                self.add(f"{where}: {path.name}", path.read_bytes())

    def leaks(self) -> list[str]:
        """Where a secret was found, and which."""
        wanted = {name: spellings(secret) for name, secret in self.secrets.items()}
        whole = "\0".join(text for _, text in self.texts)
        found = []
        for name, forms in wanted.items():
            for form in forms:
                if form in whole:
                    found += [
                        f"{name} in {where}: …{text[max(0, text.index(form) - 150) : text.index(form) + 60]}…"
                        for where, text in self.texts
                        if form in text
                    ]
        return sorted(set(found))


class Recorder(logging.Handler):
    """Keeps all that is logged, and what records carry besides their text."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(logging.DEBUG)
        self._evidence = evidence
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(SERVERS):
            return
        self._evidence.add(f"log of {record.name}", self.format(record))
        self._evidence.add(f"log of {record.name}: arguments", repr(record.args))
        if record.exc_info:
            self._evidence.add_error(f"log of {record.name}", record.exc_info[1])


@contextlib.contextmanager
def everything_logged(evidence: Evidence) -> Iterator[None]:
    """Keep the logs of all libraries at DEBUG."""
    recorder, root = Recorder(evidence), logging.getLogger()
    known = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    # Only what says otherwise is told: each change of a level costs as many steps as there are loggers.
    loggers = [each for each in (root, *known) if each is root or each.level > logging.DEBUG or each.disabled]
    before = [(each, each.level, each.disabled) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.disabled = False
    # What does not hand its records upwards gets the recorder itself.
    attached = [root, *(each for each in known if not each.propagate)]
    for each in attached:
        each.addHandler(recorder)
    try:
        yield
    finally:
        for each in attached:
            each.removeHandler(recorder)
        for each, level, disabled in before:
            each.setLevel(level)
            each.disabled = disabled


def _is_ours(kind: type) -> bool:
    module = str(getattr(kind, "__module__", ""))
    return module.startswith(PACKAGE) and not module.startswith(SIMULATOR)


def _classes() -> set[type]:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(PACKAGE)]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {kind for kind in found if _is_ours(kind)}


@contextlib.contextmanager
def every_object_shown(evidence: Evidence) -> Iterator[None]:
    """Keep what every object of the package shows of itself when it is made."""

    def profile(frame: Any, event: str, _argument: object) -> None:
        if event == "return" and frame.f_code.co_name == "__init__":
            value = frame.f_locals.get("self")
            if _is_ours(type(value)):
                evidence.add_object(f"repr of {type(value).__qualname__}", value)

    before = sys.getprofile()
    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]


def add_living_objects(evidence: Evidence) -> None:
    """Keep what every object of the package that still lives shows of itself by now."""
    kinds = _classes()
    for value in [each for each in gc.get_objects() if type(each) in kinds]:
        evidence.add_object(f"repr of {type(value).__qualname__}", value)
