"""Words on the terminal: nothing that came from a vault can do anything there but be read."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Column
    from rich.text import Text

_STYLES = {"ok": "green", "held": "green", "accepted": "green", "expired": "dim"}
_PAGE = 1000
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def safe(value: object) -> str:
    """Return text without control characters: they are shown, not sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def cell(value: object, style: str = "") -> Text:
    """Return text for a table, in which square brackets mean nothing."""
    from rich.text import Text

    return Text(safe(value), style=style, overflow="fold")


def state(word: str) -> Text:
    """Return the state of a backup for a table: good ones look calm, doubtful ones do not."""
    return cell(word, _STYLES.get(word, "bold yellow"))


def console() -> Console:
    """Return the console for tables."""
    from rich.console import Console

    class OurConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to :func:`main`, as everything else that is written: rich would end the process with 1."""
            raise  # noqa: PLE0704 - rich calls it while it handles the error

    # In a file or a pipe nothing is folded: a digest broken over two lines cannot be found again.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 1000
    return OurConsole(highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> None:
    """Print a table of any length, a page at a time: rich holds all that it prints in memory.

    :param columns: the columns; those without ``no_wrap`` are as wide as the page needs
    :param rows: the rows, which may come while it is printed
    """
    from rich.table import Table

    output, waiting = console(), iter(rows)
    widths = [0] * len(columns)
    first = True
    while page := list(islice(waiting, _PAGE)):
        for number in range(len(columns)):
            widths[number] = max(widths[number], *(row[number].cell_len for row in page))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=first)
        for column, width in zip(columns, widths, strict=True):
            least = None if first or not column.no_wrap else max(width, len(str(column.header)))
            table.columns.append(replace(column, min_width=least, _index=len(table.columns), _cells=[]))
        for row in page:
            table.add_row(*row)
        output.print(table)
        first = False


@dataclass(frozen=True, slots=True)
class Streamed:
    """A JSON object whose last values are arrays that are made while they are written.

    :param head: its first values, one at least
    :param arrays: its arrays by name
    """

    head: Mapping[str, object]
    arrays: Mapping[str, Iterable[object]]


def write_array(values: Iterable[object]) -> None:
    """Write a JSON array, one value a line as they come: there may be very many.

    It is closed whatever happens, so that what came before an error can be read.

    :param values: JSON values, and :class:`Streamed` ones
    """
    _write_array(values)
    sys.stdout.write("\n")


def write_object(head: Mapping[str, object], **arrays: Iterable[object]) -> None:
    """Write a :class:`Streamed` object, each array as :func:`write_array` does, one after the other."""
    _write_object(Streamed(head, arrays))
    sys.stdout.write("\n")


def _write_array(values: Iterable[object]) -> None:
    separator = "[\n"
    try:
        for value in values:
            sys.stdout.write(separator)
            separator = ",\n"
            _write_object(value) if isinstance(value, Streamed) else sys.stdout.write(json.dumps(value))
    finally:
        sys.stdout.write("[]" if separator == "[\n" else "\n]")


def _write_object(value: Streamed) -> None:
    sys.stdout.write(json.dumps(value.head)[:-1])
    try:
        for name, values in value.arrays.items():
            sys.stdout.write(f", {json.dumps(name)}: ")
            _write_array(values)
    finally:
        sys.stdout.write("}")


def complain(message: str) -> None:
    """Write one line to stderr."""
    print(f"xbackup: {safe(' '.join(message.split()))}", file=sys.stderr)


def size(count: int) -> str:
    """Return a number of bytes for people: ``987 B``, ``23.4 MB``."""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def age(instant: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was: ``3 min``, ``5 h``, ``12 d``."""
    seconds = int(((now or datetime.now(UTC)) - instant).total_seconds())
    if seconds < 0:
        return "future"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= (2 * length if unit != "min" else length):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def when(instant: datetime | None) -> str:
    """Return an instant for people."""
    return "-" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def count(number: int, noun: str) -> str:
    """Return ``1 backup`` or ``2 backups``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
