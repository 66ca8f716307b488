"""What S3 is asked to do with the objects of a vault: encryption at rest, storage class, checksums."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlsplit

from airflow_provider_xbackup.errors import InvalidArgumentError

_KMS = ("aws:kms", "aws:kms:dsse")
_ENCRYPTIONS = ("AES256", *_KMS)
_CHECKSUMS = ("SHA256", "CRC64NVME", "none")
#: Where an object has to be restored before it can be read, nothing can be verified.
_UNREADABLE_CLASSES = ("GLACIER", "DEEP_ARCHIVE")
_CLASS = re.compile(r"[A-Z0-9_-]{1,60}")
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")

#: What somebody may look for here, as the beginning of a name without its punctuation, and where it is.
_ELSEWHERE = {
    "ssecustomer": "Keys of one's own (SSE-C) are not supported; encrypt_to encrypts before the upload",
    "objectlock": "Locks are set by lock_for of the tasks that store backups",
    "lock": "Locks are set by lock_for of the tasks that store backups",
    "addressingstyle": 'The addressing style stands in config_kwargs: {"s3": {"addressing_style": "virtual"}}',
}


def is_amazon(endpoint: str) -> bool:
    """Tell whether a store is Amazon's own.

    :param endpoint: its address
    """
    return (urlsplit(endpoint).hostname or "").endswith(_AMAZON)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """What S3 is asked to do with the objects it is given; None leaves it to the bucket.

    :param server_side_encryption: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``
    :param sse_kms_key_id: the KMS key to encrypt with
    :param sse_bucket_key_enabled: whether a bucket key spares requests to KMS
    :param storage_class: of artifacts. Manifests and records are small and often read: they have the standard one.
    :param checksum_algorithm: what S3 compares with what arrived: ``SHA256``, ``CRC64NVME`` or ``none``; None for
        SHA256 at Amazon, which demands a checksum where a bucket locks its objects, and for none elsewhere
    :param payload_signing_enabled: whether the signature of a request covers its body, which takes a SHA-256 of
        it; None for yes. botocore has the name.
    :raises InvalidArgumentError: when a value cannot be meant
    """

    server_side_encryption: str | None = None
    sse_kms_key_id: str | None = None
    sse_bucket_key_enabled: bool | None = None
    storage_class: str | None = None
    checksum_algorithm: str | None = None
    payload_signing_enabled: bool | None = None

    def __post_init__(self) -> None:
        _check_word("server_side_encryption", self.server_side_encryption, _ENCRYPTIONS)
        _check_word("checksum_algorithm", self.checksum_algorithm, _CHECKSUMS)
        for name in ("sse_kms_key_id", "sse_bucket_key_enabled"):
            if getattr(self, name) is not None and self.server_side_encryption not in _KMS:
                raise InvalidArgumentError(f"{name} needs server_side_encryption 'aws:kms' or 'aws:kms:dsse'.")
        if self.sse_kms_key_id is not None and (
            not isinstance(self.sse_kms_key_id, str) or not self.sse_kms_key_id
        ):
            raise InvalidArgumentError("sse_kms_key_id must be the id, ARN or alias of a key.")
        for name in ("sse_bucket_key_enabled", "payload_signing_enabled"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), bool):
                raise InvalidArgumentError(f"{name} must be true or false.")
        _check_class(self.storage_class)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read the options among others, which are left alone.

        :param given: options by name
        :return: those that are known here
        :raises InvalidArgumentError: when a value cannot be meant, or a name is one of these but for its spelling
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                _refuse_misspelt(name, known)
        return cls(**{name: given[name] for name in known if name in given})

    def config(self, *, amazon: bool) -> dict[str, Any]:
        """Return them as obstore's configuration of a store.

        :param amazon: whether the store is Amazon's own
        """
        checksum = self.checksum_algorithm or ("SHA256" if amazon else "none")
        asked = {
            "server_side_encryption": self.server_side_encryption,
            "sse_kms_key_id": self.sse_kms_key_id,
            "sse_bucket_key_enabled": self.sse_bucket_key_enabled,
            "checksum_algorithm": None if checksum == "none" else checksum,
            "unsigned_payload": True if self.payload_signing_enabled is False else None,
        }
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def of_artifacts(self) -> dict[str, str]:
        """The attributes of artifacts, as obstore calls them."""
        return {} if self.storage_class is None else {"Storage-Class": self.storage_class}


def _check_word(name: str, value: object, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        raise InvalidArgumentError(f"{name} must be {', '.join(words[:-1])} or {words[-1]} and is {value!r}.")


def _check_class(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not _CLASS.fullmatch(value):
        raise InvalidArgumentError(f"storage_class must be a name such as 'STANDARD_IA' and is {value!r}.")
    if value in _UNREADABLE_CLASSES:
        raise InvalidArgumentError(
            f"storage_class {value!r} gives nothing back before it was restored, so that no backup in it could be "
            "verified or fetched. Take 'GLACIER_IR', or let a lifecycle rule of the bucket move old objects there."
        )


def _refuse_misspelt(name: str, known: list[str]) -> None:
    plain = _plain(name)
    for start, text in _ELSEWHERE.items():
        if plain.startswith(start):
            raise InvalidArgumentError(f"{name!r} is no option here. {text}.")
    close = difflib.get_close_matches(plain, [_plain(each) for each in known], n=1, cutoff=0.75)
    if close:
        meant = next(each for each in known if _plain(each) == close[0])
        raise InvalidArgumentError(f"{name!r} is no option. {meant!r} was probably meant.")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
