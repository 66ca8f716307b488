"""What an Xray tenant holds: made from a seed, entity by entity, never all of it at once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from airflow_provider_xbackup.simulator.settings import DataSettings

#: Entities per so many tests. ``tests`` and ``issueHistory`` have one each.
_TESTS_PER = {
    "tests": 1,
    "testSets": 20,
    "testPlans": 50,
    "preconditions": 10,
    "datasets": 40,
    "testRepository": 15,
    "issueHistory": 1,
    "testExecutions": 25,
}
#: Every so many tests the first step has an attachment.
_TESTS_PER_ATTACHMENT = 5
#: One revision in so many changes an entity.
_REVISIONS_PER_CHANGE = 10
#: How far back the data reaches.
_HISTORY = timedelta(days=730)

_ACTIONS = (
    "Open the {thing} page",
    "Enter a {adjective} {thing}",
    "Send the {thing}",
    "Remove the {adjective} {thing}",
    "Sign in as the {role}",
    "Search for the {thing}",
)
_RESULTS = (
    "The {thing} is shown to the {role}",
    "A message says that the {thing} is {adjective}",
    "The list of {thing}s has one more row",
    "Nothing of the {thing} is left",
)
_WORDS = {
    "thing": ("order", "invoice", "customer", "basket", "voucher", "address", "delivery", "user", "reminder"),
    "adjective": ("new", "expired", "very long", "Ünïcode", "duplicate", "empty", "foreign", "late"),
    "role": ("tester", "administrator", "guest", "clerk", "auditor"),
}
_TYPES = ("Manual", "Manual", "Manual", "Cucumber", "Generic")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a test.

    :param id: its name in the attachments zip
    :param filename: the name the user knows
    :param size: bytes
    """

    id: str
    filename: str
    size: int

    def blocks(self, block: int = 1 << 20) -> Iterator[bytes]:
        """The content, piece by piece."""
        yield from random_blocks(self.id, self.size, block)


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of the data.

    :param number: the revision
    :param at: when it was made
    """

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TenantData:
    """A snapshot of what a tenant holds.

    :param settings: the parameters of the data
    :param as_of: newest change before any revision
    :param revisions: the revisions made since, oldest first
    """

    settings: DataSettings
    as_of: datetime
    revisions: tuple[Revision, ...] = ()

    def entities(self) -> tuple[str, ...]:
        """The kinds of entities in a backup."""
        return tuple(name for name in _TESTS_PER if name != "testExecutions" or self.settings.with_executions)

    def projects(self, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
        """The projects of a backup: those wanted that exist, or all."""
        return tuple(project for project in self.settings.projects if wanted is None or project in wanted)

    def count(self, project: str, entity: str) -> int:
        """How many entities a project has."""
        return -(-self.settings.tests // _TESTS_PER[entity]) if project in self.settings.projects else 0

    def items(self, project: str, entity: str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """The entities of a project as the backup writes them.

        :param since: only those changed at that instant or later
        """
        make = _MAKERS.get(entity, _group)
        for index in range(self.count(project, entity)):
            change = self._changed(project, entity, index)
            if since is None or change.at >= since:
                yield make(_Making(self, project, entity, index, change))

    def attachments(self, project: str, since: datetime | None = None) -> Iterator[Attachment]:
        """The attachments of the tests of a project that are in a backup."""
        for index in range(0, self.count(project, "tests"), _TESTS_PER_ATTACHMENT):
            attachment = self.attachment(project, index)
            if attachment and (since is None or self._changed(project, "tests", index).at >= since):
                yield attachment

    def attachment(self, project: str, index: int) -> Attachment | None:
        """The attachment of a test, None where it has none."""
        if index % _TESTS_PER_ATTACHMENT or not self.settings.attachment_bytes:
            return None
        each_project = -(-self.settings.tests // _TESTS_PER_ATTACHMENT)
        number = self.settings.projects.index(project) * each_project + index // _TESTS_PER_ATTACHMENT
        size, rest = divmod(self.settings.attachment_bytes, each_project * len(self.settings.projects))
        name = f"{self.settings.seed}/{project}/{index}"
        return Attachment(
            id=hashlib.blake2b(name.encode(), digest_size=16).hexdigest(),
            filename=f"screenshot {index + 1}.png",
            size=size + (number < rest),
        )

    def _changed(self, project: str, entity: str, index: int) -> Revision:
        """The newest change of an entity. The first entity takes part in every revision."""
        for revision in reversed(self.revisions):
            if index == 0 or (index - revision.number) % _REVISIONS_PER_CHANGE == 0:
                return revision
        share = zlib.crc32(f"{self.settings.seed}/{entity}/{project}/{index}".encode()) / 2**32
        # Squared: recent changes are more frequent than old ones.
        age = timedelta(seconds=round(_HISTORY.total_seconds() * share**2))
        return Revision(0, self.as_of - age)


@dataclass(frozen=True, slots=True)
class _Making:
    """One entity in the making."""

    data: TenantData
    project: str
    entity: str
    index: int
    change: Revision

    def random(self) -> Random:
        name = f"{self.data.settings.seed}/{self.entity}/{self.project}/{self.index}/{self.change.number}"
        return Random(name)  # noqa: S311 - made-up data, the same for the same seed

    def id_of(self, entity: str, index: int) -> str:
        kind = list(_TESTS_PER).index(entity)
        return f"{self.project}{kind}{index:06d}"

    def head(self) -> dict[str, Any]:
        return {
            "id": self.id_of(self.entity, self.index),
            "projectId": self.project,
            "updatedAt": self.change.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "revision": self.change.number,
        }

    def tests_of(self) -> list[str]:
        """The tests that belong to a group of tests."""
        share = _TESTS_PER[self.entity]
        first = self.index * share
        last = min(first + share, self.data.count(self.project, "tests"))
        return [self.id_of("tests", index) for index in range(first, last)]


def _sentence(patterns: tuple[str, ...], random: Random) -> str:
    return random.choice(patterns).format_map({name: random.choice(words) for name, words in _WORDS.items()})


def _test(making: _Making) -> dict[str, Any]:
    random = making.random()
    attachment = making.data.attachment(making.project, making.index)
    steps: list[dict[str, Any]] = [
        {
            "id": f"{random.getrandbits(64):016x}",
            "action": _sentence(_ACTIONS, random),
            "data": f"{_sentence(_ACTIONS, random)} {random.randrange(10_000)}",
            "result": _sentence(_RESULTS, random),
            "attachments": [],
        }
        for _ in range(random.randint(2, 5))
    ]
    if attachment:
        steps[0]["attachments"] = [{"id": attachment.id, "filename": attachment.filename}]
    return making.head() | {
        "type": random.choice(_TYPES),
        "summary": _sentence(_ACTIONS, random),
        "description": " ".join(_sentence(_RESULTS, random) for _ in range(3)) + ".",
        "labels": random.sample(_WORDS["adjective"], 2),
        "preconditions": [making.id_of("preconditions", making.index // _TESTS_PER["preconditions"])],
        "steps": steps,
    }


def _group(making: _Making) -> dict[str, Any]:
    return making.head() | {
        "summary": _sentence(_RESULTS, making.random()),
        "tests": making.tests_of(),
    }


def _precondition(making: _Making) -> dict[str, Any]:
    random = making.random()
    return making.head() | {
        "type": "Manual",
        "summary": _sentence(_RESULTS, random),
        "definition": _sentence(_ACTIONS, random),
    }


def _dataset(making: _Making) -> dict[str, Any]:
    random = making.random()
    return making.head() | {
        "testId": making.tests_of()[0],
        "parameters": ["thing", "role"],
        "rows": [[random.choice(_WORDS["thing"]), random.choice(_WORDS["role"])] for _ in range(4)],
    }


def _folder(making: _Making) -> dict[str, Any]:
    name = _sentence(("{thing}s", "{adjective} {thing}s"), making.random())
    return making.head() | {"path": f"/{name}/{making.index}", "name": name, "tests": making.tests_of()}


def _history(making: _Making) -> dict[str, Any]:
    random = making.random()
    return making.head() | {
        "issueId": making.id_of("tests", making.index),
        "changes": [
            {
                "field": random.choice(("summary", "steps", "labels")),
                "author": random.choice(_WORDS["role"]),
                "from": _sentence(_ACTIONS, random),
                "to": _sentence(_ACTIONS, random),
            }
        ],
    }


_MAKERS = {
    "tests": _test,
    "preconditions": _precondition,
    "datasets": _dataset,
    "testRepository": _folder,
    "issueHistory": _history,
}


def random_blocks(name: str, size: int, block: int) -> Iterator[bytes]:
    """Bytes that do not compress, the same for the same name.

    :param name: what they are of
    :param size: how many
    :param block: how many at once
    """
    random = Random(name)  # noqa: S311 - made-up data, the same for the same name
    for start in range(0, size, block):
        yield random.randbytes(min(block, size - start))
