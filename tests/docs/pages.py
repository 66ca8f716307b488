"""What a page tells its reader to do: files to write and commands to type, in their order."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("console", "sh", "bash")

_FENCE = re.compile(
    r"^(?: *<!-- (?P<word>[^>\n]*) -->\n)?"
    r"(?P<indent> *)```(?:\{code-block\} *)?(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_CAPTION = re.compile(r"\A:caption: (.+)\n\n?")


@dataclass(frozen=True)
class Command:
    """Something to type, and what the page says comes of it.

    :param text: what is typed
    :param output: what the page shows below it; None where it shows nothing
    """

    text: str
    output: str | None


@dataclass(frozen=True)
class Block:
    """A block of a page.

    :param page: the page's path below the root
    :param line: where it begins
    :param language: what stands behind the fence
    :param word: what a comment right above it says to the tests, or nothing
    :param body: the text between the fences
    """

    page: str
    line: int
    language: str
    word: str
    body: str

    @property
    def file(self) -> str | None:
        """The name of the file that the reader is to write, for a block with a caption."""
        found = _CAPTION.match(self.body)
        return found[1] if found else None

    @property
    def text(self) -> str:
        """The block without its caption."""
        return _CAPTION.sub("", self.body)

    @property
    def commands(self) -> list[Command]:
        """What is typed; a script counts as one command whose output the page does not show."""
        if self.language != "console":
            return [Command(self.text.strip(), None)]
        return list(_typed(self.text.splitlines()))

    @property
    def first(self) -> str:
        """The first command, by which the block is named."""
        return self.commands[0].text.splitlines()[0]


def _typed(lines: list[str]) -> Iterator[Command]:
    command: list[str] = []
    output: list[str] = []
    for line in [*lines, "$ "]:
        if line.startswith("$ "):
            if command:
                yield Command("\n".join(command), "\n".join(output).strip("\n") or None)
            command, output = [line[2:]], []
        elif line.startswith("> ") and not output:
            command.append(line[2:])
        else:
            output.append(line)


def pages() -> list[str]:
    """Every page of the documentation, and the readme."""
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", *sorted(page for page in found if "/_build/" not in page)]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are typed, or written to a file."""
    text = (ROOT / page).read_text()
    found = (
        Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            word=match["word"] or "",
            body=textwrap.dedent(match["body"]),
        )
        for match in _FENCE.finditer(text)
    )
    return [block for block in found if block.language in SHELLS or block.file]
