"""A folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinds.kind import PREFIX, numbers


@dataclass
class Disk:
    """A folder."""

    folder: Path
    column: str = "local disk"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "network": "a disk has no network in between",
            "credentials": "the worker's user opens a disk, no credentials do",
            "versions": "a disk keeps no versions",
            "locks": "a disk locks nothing",
            "buckets": "a folder is made when it is missing",
        }
    )
    address: str = ""

    @property
    def facts(self) -> Mapping[str, str]:
        return {}

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        bucket = f"folder-{next(numbers)}"
        (self.folder / bucket).mkdir(parents=True)
        return bucket

    def url(self, bucket: str) -> str:
        return (self.folder / bucket / PREFIX).as_uri()

    def connection(self, address: str = "") -> None:
        return None

    def wrong_connection(self, which: str) -> dict[str, Any]:
        raise AssertionError(self.lacks["credentials"])

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {}

    def keys(self, bucket: str) -> list[str]:
        return [name for name in self._files(bucket) if "#" not in name.rpartition("/")[2]]

    def unfinished(self, bucket: str) -> list[str]:
        return [name for name in self._files(bucket) if "#" in name.rpartition("/")[2]]

    def _files(self, bucket: str) -> list[str]:
        root = self.folder / bucket
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
