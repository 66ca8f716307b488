"""What a store tells about an object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, as its store tells of it.

    :param path: its path inside the vault
    :param size: its length
    :param etag: the store's ETag, where it has one
    :param version_id: the store's version, where the bucket keeps versions
    :param last_modified: when it was written, by the store's clock; None right after writing
    """

    path: str
    size: int
    etag: str | None = None
    version_id: str | None = None
    last_modified: datetime | None = None

    @classmethod
    def of(cls, meta: Any) -> StoredObject:
        """Read what obstore tells.

        :param meta: its metadata of an object
        """
        return cls(
            meta["path"],
            meta["size"],
            meta["e_tag"],
            version_of(meta["version"]),
            meta["last_modified"].astimezone(UTC),
        )


def version_of(version: str | None) -> str | None:
    """Return a version as it is kept here: S3 calls that of an object in a bucket without versions 'null'."""
    return None if version in (None, "", "null") else version
