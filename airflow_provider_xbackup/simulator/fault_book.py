"""The faults in force, and the middleware that plays them. The first rule that matches is played."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_xbackup.simulator.exchange import Exchange
from airflow_provider_xbackup.simulator.faults import AnyFault

_READER: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)


@dataclass(slots=True)
class _Rule:
    fault: AnyFault
    seen: int = 0
    played: int = 0


class FaultBook:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def add(self, fault: dict[str, Any]) -> None:
        """Add a rule.

        :param fault: ``action`` and the fields of that fault
        :raises pydantic.ValidationError: when a name or a value is wrong
        """
        self._rules.append(_Rule(_READER.validate_python(fault)))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The rules, with how often each matched and was played."""
        return [
            rule.fault.model_dump(mode="json") | {"seen": rule.seen, "played": rule.played} for rule in self._rules
        ]

    def next_for(self, scope: Scope) -> AnyFault | None:
        """The fault to play on a request, None where it passes."""
        for rule in self._rules:
            fault = rule.fault
            if not fault.matches(scope) or (fault.times is not None and rule.played >= fault.times):
                continue
            rule.seen += 1
            if rule.seen > fault.after:
                rule.played += 1
                return fault
        return None


class FaultMiddleware:
    """Plays faults on the requests they are for.

    :param app: answers all others
    :param book: the rules
    :param replace_files: makes the newest backup files anew
    """

    def __init__(self, app: ASGIApp, book: FaultBook, replace_files: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._book = book
        self._replace_files = replace_files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with a fault or without."""
        fault = self._book.next_for(scope)
        if fault is None:
            await self._app(scope, receive, send)
            return
        scope["state"]["entry"].fault = fault.action
        await fault.play(Exchange(self._app, scope, receive, send, self._replace_files))
