"""S3's object locks: versions of objects that nobody can destroy before an instant.

obstore cannot send a lock along with an object, so boto3 puts it on what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_xbackup.vault.errors import UnlockableStoreError
from airflow_provider_xbackup.vault.s3client import S3Client
from airflow_provider_xbackup.vault.translate import UnconditionalStoreError, translated
from airflow_provider_xbackup.vault.url import VaultUrl

_NO_LOCKS = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")


class LockMode(StrEnum):
    """How hard a lock is; the later word is the harder one."""

    #: Whoever has ``s3:BypassGovernanceRetention`` can take it away.
    GOVERNANCE = "governance"
    #: Nobody can take it away, the owner of the account included.
    COMPLIANCE = "compliance"


@dataclass(frozen=True, slots=True)
class Retained:
    """What keeps a version of an object from being destroyed.

    :param until: when its lock ends; None where it has none
    :param mode: how hard the lock is
    :param legal_hold: whether a legal hold lies on it besides, which has no end
    """

    until: datetime | None = None
    mode: LockMode | None = None
    legal_hold: bool = False


class ObjectLocks:
    """The locks on the objects below a vault on S3.

    :param url: the vault
    :param client: boto3's, of the vault
    """

    def __init__(self, url: VaultUrl, client: S3Client) -> None:
        self._url = url
        self._client = client
        self._enabled: bool | None = None

    def enabled(self) -> bool:
        """Tell whether the bucket can lock its objects; asked once.

        :raises VaultError: when the store does not answer, or the credentials do not allow the question
        """
        if self._enabled is None:
            self._enabled = self._ask_whether_enabled()
        return self._enabled

    def require(self) -> None:
        """Make sure that the bucket can lock its objects.

        :raises UnlockableStoreError: when it cannot
        :raises VaultError: when the store does not answer, or the credentials do not allow the question
        """
        if not self.enabled():
            raise UnlockableStoreError(
                f"The bucket {self._url.bucket!r} of the vault {self._url} locks no objects, so lock_for cannot "
                "be kept. Turn versioning and Object Lock on for the bucket, or leave lock_for out."
            )

    def extend(self, path: str, until: datetime, mode: LockMode, version: str | None = None) -> None:
        """Lock a version of an object for so long at least; a longer or harder lock stays so.

        :param path: the object
        :param until: when the lock may end
        :param mode: how hard it has to be
        :param version: the version, None for the current one
        :raises VaultError: when the store refuses
        """
        which = {
            "Bucket": self._url.bucket,
            "Key": self._url.key(path),
            **({"VersionId": version} if version else {}),
        }
        found = self._retention(path, which)
        if found.until is not None and found.mode is not None:
            if found.until >= until and found.mode in (mode, LockMode.COMPLIANCE):
                return
            until = max(until, found.until)
            mode = LockMode.COMPLIANCE if LockMode.COMPLIANCE in (mode, found.mode) else mode
        retention = {"Mode": mode.name, "RetainUntilDate": until}
        translated(
            self._url, "lock", path, lambda: self._client().put_object_retention(**which, Retention=retention)
        )

    def look(self, path: str) -> Retained:
        """Tell what keeps the current version of an object from being destroyed.

        :param path: the object
        :return: what is there; where that is nothing, the store has said so
        :raises ObjectMissingError: when there is no object
        :raises VaultError: when the store does not answer, or the credentials do not allow to see locks
        """
        which = {"Bucket": self._url.bucket, "Key": self._url.key(path)}
        head = translated(self._url, "look at", path, lambda: self._client().head_object(**which))
        found = _retained(
            head.get("ObjectLockMode"),
            head.get("ObjectLockRetainUntilDate"),
            legal_hold=head.get("ObjectLockLegalHoldStatus") == "ON",
        )
        # From who may not see locks and holds a HEAD hides them without a word.
        if found.until is None:
            found = replace(self._retention(path, which), legal_hold=found.legal_hold)
        return found if found.legal_hold else replace(found, legal_hold=self._is_held(path, which))

    def _ask_whether_enabled(self) -> bool:
        def ask() -> Any:
            return self._client().get_object_lock_configuration(Bucket=self._url.bucket)

        try:
            told = self._ask("ask for the object locks of", "", ask)
        except UnconditionalStoreError:  # a store that has never heard of locks
            return False
        return bool(told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def _retention(self, path: str, which: dict[str, str]) -> Retained:
        """Ask for a lock, which takes no right to read the object."""
        told = self._ask("ask for the lock of", path, lambda: self._client().get_object_retention(**which))
        retention = told.get("Retention", {})
        return _retained(retention.get("Mode"), retention.get("RetainUntilDate"))

    def _is_held(self, path: str, which: dict[str, str]) -> bool:
        told = self._ask("ask for the legal hold of", path, lambda: self._client().get_object_legal_hold(**which))
        return bool(told.get("LegalHold", {}).get("Status") == "ON")

    def _ask(self, action: str, path: str, call: Callable[[], Any]) -> Any:
        """Ask what boto3 asks; the error by which S3 says that there is nothing is an empty answer."""
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        def ask() -> Any:
            try:
                return call()
            except ClientError as exc:
                if exc.response.get("Error", {}).get("Code") in _NO_LOCKS:
                    return {}
                raise

        return translated(self._url, action, path, ask)


def _retained(mode: str | None, until: datetime | None, *, legal_hold: bool = False) -> Retained:
    if mode is None or until is None:
        return Retained(legal_hold=legal_hold)
    return Retained(until.astimezone(UTC), LockMode(mode.lower()), legal_hold)
