"""What Airflow's task state store (3.3 and newer) keeps of a task instance across retries and clears."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class TaskMemory:
    """One thing that a task instance remembers, as long as it is asked for the same.

    :param context: the task's context
    :param key: what it is called in the store
    :param arguments: what was asked for; with other arguments nothing is remembered
    """

    def __init__(self, context: Context, key: str, arguments: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self._key = key
        written = json.dumps(arguments, sort_keys=True, default=str)
        self._fingerprint = hashlib.sha256(written.encode()).hexdigest()

    @property
    def exists(self) -> bool:
        """Whether this Airflow has a store."""
        return self._store is not None

    def recall(self) -> Mapping[str, Any] | None:
        """Return what was kept for the same arguments, or None."""
        known = None if self._store is None else self._store.get(self._key)
        if not isinstance(known, dict) or known.get("fingerprint") != self._fingerprint:
            return None
        return known

    def keep(self, **values: Any) -> None:
        """Keep something, where there is a store; what it raises is of any kind.

        :param values: JSON, no secrets
        """
        if self._store is not None:
            self._store.set(self._key, {"fingerprint": self._fingerprint, **values})

    def forget(self) -> None:
        """Keep nothing any more, where there is a store; what it raises is of any kind."""
        if self._store is not None:
            self._store.delete(self._key)
