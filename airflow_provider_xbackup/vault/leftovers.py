"""What a store holds that its listing does not show: writes that never ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a write has left, or is just about to use.

    :param kind: a ``temporary`` file or an empty ``folder`` on disk, an open multipart ``upload`` on S3
    :param path: its path inside the vault; of an upload, that of the object it was to become
    :param target: the path of the object it was to become; of a folder, its own
    :param size: bytes
    :param last_modified: its last sign of life, by the store's clock
    :param upload_id: S3's name of an upload
    """

    kind: Literal["temporary", "folder", "upload"]
    path: str
    target: str
    size: int
    last_modified: datetime
    upload_id: str = field(default="", repr=False)
