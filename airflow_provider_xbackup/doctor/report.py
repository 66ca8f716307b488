"""What the questions to a service brought, for people who were not there: without secrets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from airflow_provider_xbackup.doctor.questions import Question
from airflow_provider_xbackup.services.instants import format_instant


class Verdict(Enum):
    """What an answer means for what this package assumes."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    SETTLED = "settled"
    NO_ANSWER = "no answer"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one question brought.

    :param verdict: what it means for the assumption; ``SETTLED`` where the package assumes nothing
    :param text: what was seen, in words without secrets
    """

    verdict: Verdict
    text: str

    @classmethod
    def judged(cls, as_assumed: bool, text: str) -> Seen:
        """Return what confirms an assumption or refutes it.

        :param as_assumed: whether the service does what the package assumes
        :param text: what was seen
        """
        return cls(Verdict.CONFIRMED if as_assumed else Verdict.REFUTED, text)

    @classmethod
    def settled(cls, text: str) -> Seen:
        """Return what answers a question about which the package assumes nothing."""
        return cls(Verdict.SETTLED, text)

    @classmethod
    def unanswered(cls, text: str) -> Seen:
        """Return that nothing was learnt, and why."""
        return cls(Verdict.NO_ANSWER, text)

    @classmethod
    def not_asked(cls, text: str) -> Seen:
        """Return that the question was not asked, and what would ask it."""
        return cls(Verdict.NOT_ASKED, text)


@dataclass(frozen=True, slots=True)
class Observation:
    """A question and what it brought."""

    question: Question
    seen: Seen

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "key": self.question.key,
            "question": self.question.text,
            "assumed": self.question.assumed,
            "verdict": self.seen.verdict.value,
            "seen": self.seen.text,
            "either_way": self.question.either_way,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that was learnt of one service.

    :param service: ``xray`` or ``xenioo``
    :param host: the host that was asked
    :param package_version: of this package
    :param at: when it was asked
    :param observations: question by question
    """

    service: str
    host: str
    package_version: str
    at: datetime
    observations: tuple[Observation, ...]

    @classmethod
    def of(cls, service: str, host: str, package_version: str, observations: Iterable[Observation]) -> Report:
        """Ask everything, and return what came of it, dated now."""
        return cls(service, host, package_version, datetime.now(UTC).replace(microsecond=0), tuple(observations))

    def number_of(self, verdict: Verdict) -> int:
        """Count the questions with this verdict."""
        return sum(each.seen.verdict is verdict for each in self.observations)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "service": self.service,
            "host": self.host,
            "package_version": self.package_version,
            "at": format_instant(self.at),
            "observations": [each.to_dict() for each in self.observations],
        }
