"""A terminal in which the blocks of a page are typed; what it shows is compared with what the page shows."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import ROOT, Block

EMULATORS = Path(os.environ.get("XBACKUP_EMULATORS") or ROOT / ".venv-emulators")
"""Where `make test` puts emulators of stores."""

PATIENCE = 300
"""Seconds after which a command counts as hanging; nothing waits so long that is well."""

_END = "the end of a command"
#: What is another on every machine and at every hour.
_PASSING = (
    (r"\b\d{8}T\d{6}Z-(full|partial)-[0-9a-f]{8}\b", r"BACKUP-\1"),
    (r"(?<!\d)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z|\+00:00)?", "INSTANT"),
    (r"\b(backup|attachments|bot)\.[0-9a-f]{8}\.", r"\1.NONCE."),
    (r"\b\d+ (s|min|h|d)\b", "AGE"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "HEX"),
    (r"\b\d+(\.\d+)? (B|KB|MB|GB|bytes)\b", "SIZE"),
    (r"[ \t]+", " "),
)


def settled(text: str) -> str:
    """Take out of a text what is another every time: ids, instants, ages, sizes, digests, column widths."""
    for pattern, word in _PASSING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def shows(expected: str, actual: str) -> bool:
    """Whether a terminal shows what a page shows; ``...`` in the page stands for any text, alone for any lines."""
    lines = [re.escape(line).replace(r"\.\.\.", ".*") for line in settled(expected).splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*" else f"{line}\n" for line in lines)
    return re.fullmatch(pattern, settled(actual) + "\n") is not None


def environment(folder: Path) -> dict[str, str]:
    """What a person has set on a machine that knows nothing of Airflow, of a store or of a key.

    :param folder: the person's home
    """
    programs = (Path(sys.executable).parent, EMULATORS / "bin", os.environ["PATH"])
    scratch = folder.parent / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    foreign = ("AIRFLOW", "XBACKUP", "AWS")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "PATH": os.pathsep.join(map(str, programs)),
        "HOME": str(folder),
        "LOGNAME": "you",
        "TMPDIR": str(scratch),
        "COLUMNS": "300",
    }


@dataclass
class Terminal:
    """A shell that stays open from the first block of a page to its last.

    :param folder: where it starts, and the reader's home
    :param environment: what is set in it
    :param stand_ins: what is typed for what the page names, such as a free port; shown the other way round
    """

    folder: Path
    environment: Mapping[str, str]
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    _others: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    def __enter__(self) -> Terminal:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shell = self._open(["bash", "--noprofile", "--norc"])
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._others, self._shell]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT if process in self._others else signal.SIGKILL)
            process.wait(timeout=60)
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def _open(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )

    def follow(self, block: Block) -> None:
        """Do what a block says, and compare what comes of it with what the block shows."""
        if block.file:
            path = self._here() / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._typed(block.text))
        elif block.word == "second terminal":
            self._start(block)
        else:
            self._type_all(block)

    def _type_all(self, block: Block) -> None:
        commands = block.commands
        for command, after in itertools.zip_longest(commands, commands[1:]):
            code, output = self.type(command.text, strict=block.language != "console")
            where = f"{block.page}:{block.line}: $ {command.text}\n{output}"
            # A page that tells of a failure asks for it, as a reader would: echo $?
            assert code == 0 or (after and after.text == "echo $?"), f"{where}\nended with {code}"
            if command.output is not None and block.word != "other output":
                assert shows(command.output, output), f"{where}\nThe page shows:\n{command.output}"

    def type(self, text: str, strict: bool = False) -> tuple[int, str]:
        """Type something; return how it ended and what was shown.

        :param strict: whether a script ends at its first command that fails
        """
        script = self.folder.parent / f"typed-{next(self._numbers)}.sh"
        typed = self._typed(text)
        script.write_text(f"set -euo pipefail\n{typed}\nset +euo pipefail\n" if strict else f"{typed}\n")
        assert self._shell.stdin
        # The status of the command before is put back, so that a page may ask for it.
        line = f"(exit ${{status:-0}}); . '{script}' < /dev/null; status=$?; echo; echo \"{_END} $status\"\n"
        self._shell.stdin.write(line.encode())
        shown = _read(self._shell, lambda text: re.search(rf"^{_END} \d+\n", text, re.MULTILINE) is not None)
        output, found, code = shown.partition(f"\n{_END} ")
        assert found, f"$ {text}\n{shown}\nended the shell"
        return int(code), self._shown(output)

    def _start(self, block: Block) -> None:
        """Start what runs until the page is over, and wait until it shows what the page shows."""
        (command,) = block.commands
        process = self._open(["bash", "--noprofile", "--norc", "-c", self._typed(command.text)])
        self._others.append(process)
        expected = command.output
        assert expected, f"{block.page}:{block.line} does not show what is to be waited for"
        shown = _read(process, lambda text: shows(expected, self._shown(text)))
        assert shows(expected, self._shown(shown)), f"{block.page}:{block.line}: {self._shown(shown)}"

    def _here(self) -> Path:
        return Path(self.type("pwd")[1].strip().replace("/home/you", str(self.folder)))

    def _typed(self, text: str) -> str:
        for shown, typed in self.stand_ins.items():
            text = text.replace(shown, typed)
        return text

    def _shown(self, text: str) -> str:
        for shown, typed in self.stand_ins.items():
            text = text.replace(typed, shown)
        return text.replace(str(self.folder), "/home/you")


def _read(process: subprocess.Popen[bytes], enough: Callable[[str], bool]) -> str:
    """Read what a process shows until that is enough, or it ends."""
    deadline = time.monotonic() + PATIENCE
    shown = b""
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not enough(shown.decode(errors="replace")):
            assert selector.select(deadline - time.monotonic()), f"still waiting after:\n{shown.decode()}"
            piece = process.stdout.read(65536)
            if not piece:
                break
            shown += piece
    return shown.decode(errors="replace")
