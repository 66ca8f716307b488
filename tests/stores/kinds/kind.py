"""What a store under test has to be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

CONN_ID = "store"
REGION = "us-east-1"
PREFIX = "some prefix/ü"
#: Of buckets that nobody has used.
numbers = itertools.count(1)


class Kind(Protocol):
    """A store under test, running.

    :param column: what it is called in the table
    :param lacks: what it does not have, and why
    """

    column: str
    lacks: Mapping[str, str]

    @property
    def facts(self) -> Mapping[str, str]:
        """Name the versions that matter."""

    @property
    def address(self) -> str:
        """The URL of its root; empty for a disk."""

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        """Make a bucket that nobody has used."""

    def url(self, bucket: str) -> str:
        """The vault's URL, with the connection in it."""

    def connection(self, address: str = "") -> dict[str, Any] | None:
        """Airflow's connection; None where none is needed. The address is that of a proxy in front."""

    def wrong_connection(self, which: str) -> dict[str, Any]:
        """Airflow's connection with an ``unknown user`` or a ``wrong secret``."""

    def environment(self, address: str = "") -> Mapping[str, str]:
        """What stands in the environment besides."""

    def keys(self, bucket: str) -> list[str]:
        """Name all objects, as the store itself knows them."""

    def unfinished(self, bucket: str) -> list[str]:
        """Name writes that have begun and not ended."""
