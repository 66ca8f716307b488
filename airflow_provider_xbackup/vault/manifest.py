"""The manifest: the write-once JSON that makes a backup exist.

``python -m airflow_provider_xbackup.vault.manifest`` prints its JSON Schema.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from airflow_provider_xbackup.vault.errors import ManifestError, UnknownFormatError

#: The format this release writes.
SCHEMA = "xbackup/manifest/v1"

_SCHEMA = re.compile(r"xbackup/manifest/v(?P<major>\d+)(?:\.\d+)?")
_MAJOR = 1


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is not on the calendar in UTC") from None


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _object_name(value: str) -> str:
    if not value or value in (".", "..") or "/" in value or "\\" in value or not value.isprintable():
        raise ValueError("is not the name of an object in the backup's folder")
    return value


Instant = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "Z$"}, mode="serialization"),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    """Immutable; unknown fields are ignored, so that a later minor version stays readable."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Scope(_Model):
    """What was asked to be in the backup.

    :param project_ids: the vendor's ids of the projects, or None for all
    :param attachments: whether attachments were asked for
    """

    project_ids: tuple[str, ...] | None = None
    attachments: bool = False


class Condition(_Model):
    """Whether the backup can be relied on.

    :param state: ``ok``; ``suspect`` when it fell far below its predecessors; ``incomplete`` when
        something that was asked for is missing
    :param reasons: sentences that say why, empty when ok
    """

    state: Literal["ok", "suspect", "incomplete"] = "ok"
    reasons: tuple[str, ...] = ()


class RemoteBot(_Model):
    """The bot that a backup was taken of, as far as it is known.

    :param name: what the bot calls itself in its backup
    :param key_sha256: SHA-256 of the bot's API key, where the backup was taken with it: it tells whether two
        backups are of one bot, and not what the key is
    :param connection_sha256: SHA-256 of the address and the credentials it was taken with: it tells whether two
        backups were taken through one connection, and not what the credentials are
    """

    name: str | None = None
    key_sha256: Sha256 | None = None
    connection_sha256: Sha256 | None = None


class Remote(_Model):
    """Where the backup came from.

    :param job_id: the vendor's job, where there is one
    :param host: the host it was downloaded from
    :param etag: the ETag of the downloaded file
    :param last_modified: the Last-Modified of the downloaded file
    :param bot: the bot, where the vendor is Xenioo and something is known of it
    """

    job_id: str | None = None
    host: str | None = None
    etag: str | None = None
    last_modified: Instant | None = None
    bot: RemoteBot | None = None


class Artifact(_Model):
    """One file of a backup.

    :param name: the object's name in the backup's folder
    :param role: what it is: ``backup``, ``attachments`` or ``bot``
    :param size: length of the plain bytes
    :param sha256: digest of the plain bytes
    :param stored_size: length of the object as stored
    :param stored_sha256: digest of the object as stored
    :param media_type: of the plain bytes
    :param compression: ``zstd`` or None
    :param encryption: ``age`` or None
    :param recipients_sha256: SHA-256 of the public keys it is encrypted to: it tells whether two files are
        encrypted to the same keys
    :param version_id: the version the store gave the object; a hint, valid in the vault that wrote it
    """

    name: Annotated[str, AfterValidator(_object_name)]
    role: str
    size: Size
    sha256: Sha256
    stored_size: Size
    stored_sha256: Sha256
    media_type: str
    compression: str | None = None
    encryption: str | None = None
    recipients_sha256: Sha256 | None = None
    version_id: str | None = None


class Producer(_Model):
    """The program and the task that made the backup.

    :param package_version: of airflow-provider-xbackup
    :param airflow_version: of Airflow, None outside of it
    :param dag_id: the DAG
    :param run_id: its run
    :param task_id: the task
    :param map_index: the index of a mapped task, -1 when not mapped
    :param try_number: the attempt
    """

    package_version: str
    airflow_version: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None


class Manifest(_Model):
    """The record of one backup.

    :param schema_: the format, ``xbackup/manifest/v1``; called ``schema`` in the JSON
    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :param backup_id: the backup's id, which is also its folder
    :param kind: ``full`` or ``partial``
    :param modified_since: what a partial reaches back to
    :param base: the id of the full backup that a partial builds on
    :param scope: what was asked for
    :param requested_at: when the vendor was asked, by the vendor's clock
    :param completed_at: when all artifacts were stored
    :param condition: whether it can be relied on
    :param remote: where it came from
    :param artifacts: the files
    :param entities: counts by type, None where the content was not read
    :param projects: the vendor's ids of the projects that something of is in it, None where nobody looked
    :param producer: what made it
    """

    schema_: str = Field(default=SCHEMA, alias="schema", pattern=_SCHEMA.pattern)
    service: str
    account: str
    backup_id: str
    kind: Literal["full", "partial"]
    modified_since: Instant | None = None
    base: str | None = None
    scope: Scope = Scope()
    requested_at: Instant
    completed_at: Instant
    condition: Condition = Condition()
    remote: Remote = Remote()
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    entities: dict[str, Size] | None = None
    projects: tuple[str, ...] | None = None
    producer: Producer

    @property
    def size(self) -> int:
        """Bytes of all artifacts, plain."""
        return sum(artifact.size for artifact in self.artifacts)

    @property
    def stored_size(self) -> int:
        """Bytes of all artifacts, as stored."""
        return sum(artifact.stored_size for artifact in self.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON values, under the names of the file."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self) -> bytes:
        """Return the manifest as it is stored: the same bytes for the same manifest."""
        return to_json(self.to_dict())

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a stored manifest.

        :param data: the object's bytes
        :return: the manifest
        :raises UnknownFormatError: when it is of an unknown major version
        :raises ManifestError: when it is damaged
        """
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise ManifestError(f"it is not JSON ({len(data)} bytes)") from None
        if not isinstance(value, dict):
            raise ManifestError("it is not a JSON object")
        schema = value.get("schema")
        match = _SCHEMA.fullmatch(str(schema))
        if match is None:
            raise ManifestError(f"its schema {str(schema)[:60]!r} is not one of xbackup")
        if int(match["major"][:9]) != _MAJOR:
            raise UnknownFormatError(
                f"its format {match[0][:60]!r} is not known here (this release reads version {_MAJOR}); "
                "install a release of airflow-provider-xbackup that reads it"
            )
        try:
            return cls.model_validate(value)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ManifestError(f"its field {where[:100]!r} is wrong: {first['msg']}") from None


def to_json(value: dict[str, Any]) -> bytes:
    """Write JSON values as a vault keeps them: for people too, and the same bytes for the same values."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest."""
    schema = Manifest.model_json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://airflow-provider-xbackup.readthedocs.io/manifest.schema.json",
        **schema,
    }


def main() -> None:
    """Print the JSON Schema, as ``docs/manifest.schema.json`` keeps it."""
    import sys

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
