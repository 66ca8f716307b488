"""What people and later tasks wrote beside a manifest, which itself is never rewritten.

Each is a small JSON object in the backup's folder; its place is in :mod:`~.layout`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_xbackup.vault.errors import RecordError, UnreadableObjectError
from airflow_provider_xbackup.vault.manifest import Instant, to_json
from airflow_provider_xbackup.vault.store import Store

R = TypeVar("R", bound="Record")
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Record(BaseModel):
    """Immutable; unknown fields are ignored, so that a later minor version stays readable."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values, under the names of the file."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self) -> bytes:
        """Return the record as it is stored."""
        return to_json(self.to_dict())

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a stored record.

        :raises RecordError: when it is damaged
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordError(f"its field {where[:100]!r} is wrong: {first['msg']}") from None


def read_record(store: Store, path: str, kind: type[R]) -> R:
    """Read a record from its vault.

    :param store: the vault's objects
    :param path: where it lies
    :param kind: what it is
    :return: the record
    :raises ObjectMissingError: when there is none
    :raises RecordError: when it is damaged, or cannot be read though the store answers; the text is a clause
    :raises VaultError: when the store does not answer
    """
    try:
        data = store.read(path)
    except UnreadableObjectError as exc:
        reason = str(exc).removesuffix(".")
    else:
        return kind.from_json(data)
    raise RecordError(reason)


class Acceptance(Record):
    """A person's word that a suspect backup is what it should be.

    :param who: who said it
    :param why: the reason, for whoever reads it later
    :param at: when
    """

    schema_: Annotated[str, Field(pattern=r"^xbackup/accepted/v1(\.\d+)?$")] = Field(
        default="xbackup/accepted/v1", alias="schema"
    )
    who: Text
    why: Text
    at: Instant


class Hold(Record):
    """A person's word that a backup must not expire.

    :param who: who said it
    :param why: the reason, for whoever reads it later
    :param at: when
    :param until: when it ends by itself; None when somebody has to release it
    """

    schema_: Annotated[str, Field(pattern=r"^xbackup/hold/v1(\.\d+)?$")] = Field(
        default="xbackup/hold/v1", alias="schema"
    )
    who: Text
    why: Text
    at: Instant
    until: Instant | None = None

    def in_force(self, now: datetime) -> bool:
        """Tell whether it still keeps the backup."""
        return self.until is None or now < self.until


class Tombstone(Record):
    """The mark of an expired backup, whose bytes go when its grace period is over.

    :param at: when it expired
    :param why: what retention said about it
    """

    schema_: Annotated[str, Field(pattern=r"^xbackup/tombstone/v1(\.\d+)?$")] = Field(
        default="xbackup/tombstone/v1", alias="schema"
    )
    at: Instant
    why: Text
