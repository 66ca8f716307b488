"""The bots of a Xenioo account: who they are, what their backup holds, when it may be taken."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from airflow_provider_xbackup.simulator.clock import Clock
from airflow_provider_xbackup.simulator.settings import BotSettings, XeniooSettings

_PHRASES = (
    "Hello, how can I help you?",
    "Where is my parcel?",
    "I would like to talk to a person.",
    "Ihre Bestellung ist unterwegs.",
    "Merci, à bientôt !",
    "Please tell me your order number.",
    "What are your opening hours?",
    "The weather is nice today ☀",
)


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot.

    :param name: its name, also in its service endpoint
    :param api_key: its key
    :param api_secret: its secret
    :param token: a token that never ends, None for a restored bot
    :param content: its backup
    """

    name: str
    api_key: str
    api_secret: str
    token: str | None
    content: bytes


class Bots:
    """The bots of the account, those of the settings and those that were restored.

    :param settings: gives the settings as they are now
    :param clock: the simulator's clock
    """

    def __init__(self, settings: Callable[[], XeniooSettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._restored: dict[str, Bot] = {}
        self._calls: dict[tuple[str, str | None], datetime] = {}

    def all(self) -> list[Bot]:
        """Every bot, those of the settings first."""
        configured = [_configured(name, bot) for name, bot in self._settings().bots.items()]
        return configured + list(self._restored.values())

    def find(self, name: str | None) -> Bot | None:
        """A bot by its name."""
        return next((bot for bot in self.all() if bot.name == name), None)

    def restore(self, content: bytes) -> Bot:
        """Make a brand-new bot from a backup."""
        number = len(self._restored) + 1
        source = str(json.loads(content).get("Name", "bot"))
        name = f"{source}-restored-{number}"
        digest = hashlib.sha256(f"{number}".encode() + content).hexdigest()
        bot = Bot(name, f"{name}-{digest[:12]}", digest[12:44], None, self._restored_content(content))
        self._restored[name] = bot
        return bot

    def _restored_content(self, content: bytes) -> bytes:
        settings = self._settings()
        if settings.restore_new_ids:
            ids = set(re.findall(rb'"Id": "([0-9a-f]{16})"', content))
            for number, old in enumerate(sorted(ids)):
                content = content.replace(b'"%s"' % old, b'"%016x"' % (number + 1))
        if settings.restore_loses:
            document = json.loads(content)
            kept = {name: value for name, value in document.items() if name not in settings.restore_loses}
            content = json.dumps(kept, ensure_ascii=False).encode()
        return content

    def seconds_to_wait(self, call: str, bot: str | None) -> float:
        """Seconds until a call is allowed again, 0 where it is allowed.

        :param call: ``backup`` or ``restore``
        :param bot: name of the bot, None for a token of the account
        """
        last = self._calls.get((call, bot))
        if last is None:
            return 0
        end = last + timedelta(seconds=self._settings().cooldown_seconds)
        return max(0.0, (end - self._clock.now()).total_seconds())

    def spend(self, call: str, bot: str | None) -> None:
        """Note that the call was made."""
        self._calls[call, bot] = self._clock.now()

    def refund(self, call: str, bot: str | None) -> None:
        """Forget the last call: its answer broke off."""
        self._calls.pop((call, bot), None)

    def calls(self) -> dict[str, str]:
        """When which call was made last, for people to read."""
        return {f"{call} {bot or 'account'}": at.isoformat() for (call, bot), at in self._calls.items()}

    def forget(self) -> None:
        """Forget restored bots and cooldowns."""
        self._restored.clear()
        self._calls.clear()


def _configured(name: str, settings: BotSettings) -> Bot:
    return Bot(
        name=name,
        api_key=settings.api_key or f"{name}-key",
        api_secret=settings.api_secret or f"{name}-secret",
        token=settings.token or f"{name}-token",
        content=_backup(name, settings.revision, settings.backup_bytes),
    )


@lru_cache(maxsize=64)
def _backup(name: str, revision: int, backup_bytes: int) -> bytes:
    """The backup of a bot: the same bytes for the same bot, revision and size."""
    random = Random(f"{name}/{revision}")  # noqa: S311 - made-up data
    document: dict[str, Any] = {
        "Name": name,
        "Version": f"1.{revision}",
        "Culture": "en",
        "NLP": {
            "Intents": [
                {"Name": f"intent_{number}", "Phrases": random.sample(_PHRASES, 3)} for number in range(12)
            ],
            "Entities": [{"Name": "order_number", "Type": "regex", "Value": "[0-9]{8}"}],
        },
        "Scripts": [{"Name": "greet", "Code": "context.set('greeted', true);"}],
        "Integrations": [
            {"Name": "crm", "Url": "https://crm.example.com/api", "ApiKey": f"{name}-third-party-key"}
        ],
        "Broadcasts": [{"Name": "newsletter", "Audience": "subscribers"}],
        "AudienceFilters": [{"Name": "subscribers", "Filter": "subscribed == true"}],
        "Behaviours": [],
    }
    size = len(json.dumps(document, ensure_ascii=False).encode())
    behaviours: list[dict[str, Any]] = []
    while size < backup_bytes:
        behaviour = _behaviour(len(behaviours), random)
        size += len(json.dumps(behaviour, ensure_ascii=False).encode()) + 2
        behaviours.append(behaviour)
    document["Behaviours"] = behaviours
    return json.dumps(document, ensure_ascii=False).encode()


def _behaviour(number: int, random: Random) -> dict[str, Any]:
    return {
        "Id": f"{random.getrandbits(64):016x}",
        "Name": f"behaviour {number}",
        "Interactions": [
            {
                "Id": f"{random.getrandbits(64):016x}",
                "Actions": [{"Type": "text", "Text": random.choice(_PHRASES)}],
                "Next": f"{random.getrandbits(64):016x}",
            }
            for _ in range(random.randint(2, 6))
        ],
    }
