"""How entities refer to each other: a test set to its tests, a step to its attachments.

The vendor documents neither the fields nor their values. So every form that was seen or can be expected is
read, and where nothing of a kind can be found again, that tells of the form and not of a loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self

from airflow_provider_xbackup.contents.entities import EntityFile
from airflow_provider_xbackup.scratch import Scratch

Kind = Literal["test", "attachment"]
KINDS: tuple[Kind, ...] = ("test", "attachment")

#: Where the id of something stands in it, the most likely first.
ID_FIELDS = ("id", "issueId", "testId", "issueid", "testIssueId")
_GROUPS = ("testSets", "testPlans", "testRepository")
#: Its folders hold tests of its own project; sets and plans may hold tests of others.
_REPOSITORY = "testRepository"
_PROJECT_FIELD = "projectId"
#: What the lists of tests are called.
TEST_LISTS = ("tests", "testIds", "testIssueIds")
_BATCH = 1000
_EXAMPLES = 3
_LIST = "[]"
#: Where values lie that can be the name of something.
_ENDS = frozenset((*ID_FIELDS, "key", _LIST, _PROJECT_FIELD))
#: No id is longer; whatever is, is compared by its beginning.
_LONGEST_NAME = 200


_PROJECT = "project"
#: What makes a reference one into the data. Its project is told and is there; or the key of an issue is used,
#: ``ACME-7``, and others that are there have a key of the same project: a full stop comes after a hyphen.
_CERTAIN = """(
    EXISTS (SELECT 1 FROM known WHERE known.kind = 'project' AND known.name = named.project)
    OR (
        named.name GLOB '[A-Z]*-[0-9]*'
        AND EXISTS (
            SELECT 1 FROM known
            WHERE known.kind = named.kind
            AND known.name > substr(named.name, 1, instr(named.name, '-'))
            AND known.name < substr(named.name, 1, instr(named.name, '-') - 1) || '.'
        )
    )
)"""


@dataclass(frozen=True, slots=True)
class References:
    """What became of all references of one kind.

    :param kind: what is referred to
    :param known: names under which such things are there
    :param named: different names that are referred to
    :param missing: those of them that are not there
    :param certain: those of the missing that are known to be of a project that is in the data
    :param examples: some of the missing, each with the entry that names it; certain ones first
    """

    kind: Kind
    known: int
    named: int
    missing: int
    certain: int
    examples: tuple[tuple[str, str], ...]

    @property
    def recognised(self) -> bool:
        """Whether at least one was found, so that the others can be expected to be found as well."""
        return self.missing < self.named


class ReferenceLedger:
    """Notes what is there and what is referred to, in flat memory; used by one thread. To be closed.

    Where there is no room for the notes, all of it raises :class:`~airflow_provider_xbackup.errors.ScratchError`.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._waiting: dict[str, list[tuple[str, str, str, str | None]]] = {"known": [], "named": []}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @cached_property
    def _notes(self) -> Scratch:
        """Where notes go that are too many for memory, made when it is first used."""
        columns = "(kind TEXT, name TEXT, place TEXT, project TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID"
        return self._undo.enter_context(Scratch(*(f"CREATE TABLE {table} {columns}" for table in self._waiting)))

    def know(self, kind: Kind, name: str, place: str) -> None:
        """Note that something is there.

        :param kind: what it is
        :param name: a name others may use for it
        :param place: the entry it is in
        """
        self._note("known", kind, name, place)

    def know_project(self, project: str, place: str) -> None:
        """Note that a project is there.

        :param project: its id
        :param place: an entry of it
        """
        self._note("known", _PROJECT, project, place)

    def name(self, kind: Kind, name: str, place: str, project: str | None = None) -> None:
        """Note that something is referred to.

        :param kind: what is referred to
        :param name: the name that is used
        :param place: the entry that uses it
        :param project: the id of the project that it is of; None where nothing tells
        """
        self._note("named", kind, name, place, project)

    def results(self) -> tuple[References, ...]:
        """Tell what became of the references, for every kind that is referred to."""
        for table in self._waiting:
            self._flush(table)
        return tuple(found for kind in KINDS if (found := self._result(kind)).named)

    def _result(self, kind: Kind) -> References:
        lost = (
            "FROM named WHERE kind = :kind AND NOT EXISTS "
            "(SELECT 1 FROM known WHERE known.kind = :kind AND known.name = named.name)"
        )
        examples = self._notes.ask(
            f"SELECT name, place {lost} ORDER BY NOT {_CERTAIN}, name LIMIT {_EXAMPLES}", {"kind": kind}
        )
        return References(
            kind,
            known=self._count("FROM known WHERE kind = :kind", kind),
            named=self._count("FROM named WHERE kind = :kind", kind),
            missing=self._count(lost, kind),
            certain=self._count(f"{lost} AND {_CERTAIN}", kind),
            examples=tuple((name, place) for name, place in examples),
        )

    def _count(self, what: str, kind: Kind) -> int:
        ((number,),) = self._notes.ask(f"SELECT count(*) {what}", {"kind": kind})
        return int(number)

    def _note(self, table: str, kind: str, name: str, place: str, project: str | None = None) -> None:
        waiting = self._waiting[table]
        waiting.append((kind, _as_text(name), place, project and _as_text(project)))
        if len(waiting) >= _BATCH:
            self._flush(table)

    def _flush(self, table: str) -> None:
        self._notes.write(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?) "  # noqa: S608 - constants
            "ON CONFLICT DO UPDATE SET project = coalesce(project, excluded.project)",
            self._waiting[table],
        )
        self._waiting[table].clear()


def _as_text(name: str) -> str:
    # JSON can hold halves of characters, which no database takes.
    return name[:_LONGEST_NAME].encode("utf-8", "replace").decode()


def is_attachment_list(entry: str) -> bool:
    """Tell whether an entry of an attachments zip is the vendor's list of their names, not one of them."""
    name = entry.rsplit("/", 1)[-1].lower()
    return name.startswith("metadata") and name.endswith(".json")


def names_of_blob(entry: str) -> Iterable[str]:
    """Return the names by which a step may mean a blob: ``<id>``, ``<id>.png``, ``<id>/screenshot.png``.

    The likeliest comes first: a folder is named by the vendor, and the file in it by a user.
    """
    parts = [part for part in entry.split("/") if part]
    return tuple(dict.fromkeys((*parts, *(parts[-1:] and [parts[-1].partition(".")[0]]))))


class ReferenceReader:
    """Finds ids and references in the events of one entity file.

    :param ledger: where they are noted
    :param place: the name of the entry
    :param file: the name, taken apart
    """

    def __init__(self, ledger: ReferenceLedger, place: str, file: EntityFile) -> None:
        self._ledger = ledger
        self._place = place
        self._tests = file.entity == "tests"
        self._groups = file.entity in _GROUPS
        #: The project of all that is referred to, where that is certain.
        self._project = file.project if file.entity == _REPOSITORY else None
        #: What an open object of a list of tests has told of the one that it means.
        self._object = _Meant()
        ledger.know_project(file.project, place)
        #: For every open object the key that is being read, for every open list :data:`_LIST`.
        self._path: list[str] = []
        #: How much of the path leads to one element.
        self._base = 0

    @staticmethod
    def reads(file: EntityFile) -> bool:
        """Tell whether a file can hold anything of interest."""
        return file.entity == "tests" or file.entity in _GROUPS

    def __call__(self, event: str, value: object) -> None:
        """Take an event of the parser."""
        path = self._path
        if event == "map_key":
            path[-1] = str(value)
        elif event == "start_map":
            path.append("")
        elif event == "start_array":
            path.append(_LIST)
            if not self._base and len(path) <= 2:
                self._base = len(path)
        elif event in ("end_map", "end_array"):
            path.pop()
            if self._object.names and _is_test_list(path):
                self._name_object()
        elif self._base and path[-1] in _ENDS and value is not None and not isinstance(value, bool):
            self._scalar(path[self._base :], str(value))

    def _scalar(self, path: list[str], value: str) -> None:
        if self._tests:
            if len(path) == 1 and path[0] != _PROJECT_FIELD:
                self._ledger.know("test", value, self._place)
            elif path[0] == "steps" and _is_listed(path, ("attachments",)):
                self._ledger.name("attachment", value, self._place)
        elif self._groups and len(path) <= 3:
            if len(path) == 3 and path[-1] == _PROJECT_FIELD and _is_test_list(path[:-1]):
                self._object.project = value
            elif len(path) == 3 and _is_listed(path, TEST_LISTS):
                self._object.names.append(value)
            elif _is_listed(path, TEST_LISTS):
                self._ledger.name("test", value, self._place, self._project)

    def _name_object(self) -> None:
        meant, self._object = self._object, _Meant()
        for name in meant.names:
            self._ledger.name("test", name, self._place, meant.project or self._project)


@dataclass(slots=True)
class _Meant:
    """What an object tells of the test that it means."""

    names: list[str] = field(default_factory=list)
    project: str | None = None


def _is_test_list(path: list[str]) -> bool:
    return len(path) >= 2 and path[-1] == _LIST and path[-2] in TEST_LISTS


def _is_listed(path: list[str], lists: tuple[str, ...]) -> bool:
    """Tell whether a path ends at a member of such a list, or at the id of one that is an object."""
    if path[-1] == _LIST:
        return len(path) >= 2 and path[-2] in lists
    return len(path) >= 3 and path[-1] in ID_FIELDS and path[-2] == _LIST and path[-3] in lists
