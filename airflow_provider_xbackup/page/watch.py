"""Asks vaults so that whoever waits for an answer can stop waiting: a store may not answer for minutes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TypeVar

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.page.watched import WatchedVault
from airflow_provider_xbackup.vault.errors import MissingVaultError, StoreUnavailableError
from airflow_provider_xbackup.vault.overview import Overview, look
from airflow_provider_xbackup.vault.vault import Vault
from airflow_provider_xbackup.vault.waiting import begin

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How long one look at a vault serves everybody.
FRESH = timedelta(seconds=30)
#: How many questions to one vault may be under way. More would only pile up before one that does not answer.
MOST = 4


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of a vault now.

    :param overview: what the last look saw, None where none has ended
    :param problem: why it is not the present state; None where it is
    """

    overview: Overview | None
    problem: str | None = None


class Watch:
    """One vault, asked in threads of its own.

    :param vault: which, and what was promised of it
    :param open_vault: opens it; nothing is asked of its store
    :param patience: how many seconds an answer is waited for
    """

    def __init__(self, vault: WatchedVault, open_vault: Callable[[object], Vault], patience: float) -> None:
        self.config = vault
        self._open_vault = open_vault
        self._patience = patience
        self._lock = threading.Lock()
        self._looking: Future[Overview] | None = None
        self._overview: Overview | None = None
        self._places = threading.BoundedSemaphore(MOST)

    @cached_property
    def _vault(self) -> Vault:
        return self._open_vault(self.config.url)

    async def look(self) -> Looked:
        """Look at the vault, or at what was seen a moment ago.

        :return: what is known; a vault that does not answer in time is looked at further, for the next who asks
        """
        try:
            overview = await self._in_time(self._begin_to_look())
            return Looked(overview)
        except MissingVaultError as exc:  # whoever is expected in it was never backed up
            return Looked(Overview(utc_now()), str(exc))
        except BackupError as exc:
            return Looked(self._overview, str(exc))
        except Exception as exc:  # noqa: BLE001 - the other vaults are shown whatever this one does
            log.error("The vault %r cannot be read: %s", self.config.name, type(exc).__name__)  # noqa: TRY400 - secrets
            return Looked(self._overview, f"The vault cannot be read: {type(exc).__name__}.")

    async def ask(self, question: Callable[[Vault], T]) -> T:
        """Ask something of the vault.

        :param question: is called in a thread
        :return: its answer
        :raises StoreUnavailableError: when there is none in time, or too much is under way
        :raises BackupError: what the question raises
        """
        if not self._places.acquire(blocking=False):
            raise self._silent("Earlier questions are not answered yet.")

        def answer() -> T:
            try:
                return question(self._vault)
            finally:
                self._places.release()

        return await self._in_time(begin(answer))

    async def compute(self, work: Callable[[], T]) -> T:
        """Compute something that asks nothing of the store, off the event loop."""
        return await asyncio.wrap_future(begin(work))

    async def _in_time(self, future: Future[T]) -> T:
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may ask any more
        done, _ = await asyncio.wait({waiting}, timeout=self._patience)
        if not done:
            raise self._silent("It is asked further in the background.")
        return waiting.result()

    def _begin_to_look(self) -> Future[Overview]:
        with self._lock:
            current = self._looking
            if current is None or (current.done() and not self._is_fresh(current)):
                self._looking = current = begin(partial(self._look, self._overview))
            return current

    def _look(self, before: Overview | None) -> Overview:
        vault = self._vault
        vault.require()
        self._overview = seen = look(vault, utc_now(), before)
        return seen

    def _is_fresh(self, future: Future[Overview]) -> bool:
        return future.exception() is None and utc_now() - future.result().at < FRESH

    def _silent(self, more: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"The vault {self.config.name!r} has not answered within {self._patience:g} seconds. {more}"
        )
