"""What a bucket on S3 that keeps versions still holds of objects that were deleted there.

A delete puts a marker on the object and frees nothing: the bytes go by the bucket's own rule for noncurrent
versions. obstore cannot see versions, so boto3 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_xbackup.vault.errors import VaultError
from airflow_provider_xbackup.vault.s3client import S3Client
from airflow_provider_xbackup.vault.translate import translated
from airflow_provider_xbackup.vault.url import VaultUrl


@dataclass(frozen=True, slots=True)
class Hidden:
    """An object that is hidden by a delete marker.

    :param path: its path inside the vault
    :param markers: the versions of its delete markers; who deletes twice leaves two
    :param version: the newest version that holds bytes; None where none is left
    :param at: when it was deleted
    """

    path: str
    markers: tuple[str, ...]
    version: str | None
    at: datetime


class BucketVersions:
    """The versions of the objects below a vault on S3.

    :param url: the vault
    :param client: boto3's, of the vault
    """

    def __init__(self, url: VaultUrl, client: S3Client) -> None:
        self._url = url
        self._client = client

    def hides(self, path: str) -> bool:
        """Tell whether a delete marker lies on an object that was just deleted: its bytes are still there.

        :param path: the deleted object
        :return: False also where the store does not say
        """
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            self._client().head_object(Bucket=self._url.bucket, Key=self._url.key(path))
        except ClientError as exc:
            headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return headers.get("x-amz-delete-marker") == "true" or self._are_kept()
        except (BotoCoreError, VaultError):  # only a remark is at stake
            return False
        return False

    def _are_kept(self) -> bool:
        """Ask the bucket: Ceph says nothing of a marker."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            told = self._client().get_bucket_versioning(Bucket=self._url.bucket)
        except (BotoCoreError, ClientError, VaultError):
            return False
        return bool(told.get("Status") == "Enabled")

    def folders(self, prefix: str) -> Iterator[str]:
        """List the names of the folders directly below a folder, also of those with nothing but hidden objects.

        :param prefix: the folder, without a slash at the end
        :raises VaultError: when the store does not answer
        """
        start = self._url.key(f"{prefix}/")
        for page in self._pages(prefix, Prefix=start, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(start).rstrip("/")

    def hidden(self, start: str) -> list[Hidden]:
        """Find hidden objects.

        :param start: what their paths begin with
        :raises VaultError: when the store does not answer, or the credentials do not allow it
        """
        markers: dict[str, list[str]] = {}
        deleted: dict[str, datetime] = {}
        newest: dict[str, str] = {}
        for page in self._pages(start, Prefix=self._url.key(start)):
            for found in page.get("DeleteMarkers", ()):
                markers.setdefault(found["Key"], []).append(found["VersionId"])
                if found["IsLatest"]:
                    deleted[found["Key"]] = found["LastModified"]
            for found in page.get("Versions", ()):  # the newest of each object first
                newest.setdefault(found["Key"], found["VersionId"])
        return [
            Hidden(self._path(key), tuple(markers[key]), newest.get(key), at)
            for key, at in sorted(deleted.items())
        ]

    def read(self, hidden: Hidden) -> bytes:
        """Read the bytes of a small hidden object.

        :raises VaultError: when the store does not answer, or the credentials do not allow it
        """

        def read() -> bytes:
            found = self._client().get_object(
                Bucket=self._url.bucket, Key=self._url.key(hidden.path), VersionId=hidden.version
            )
            data: bytes = found["Body"].read()
            return data

        return translated(self._url, "read a version of", hidden.path, read)

    def reveal(self, hidden: Hidden) -> None:
        """Remove the markers of a hidden object, so that it is there again.

        :raises VaultError: when the store refuses
        """
        key = self._url.key(hidden.path)

        def delete(marker: str) -> None:
            self._client().delete_object(Bucket=self._url.bucket, Key=key, VersionId=marker)

        for marker in hidden.markers:
            translated(self._url, "remove the delete marker of", hidden.path, partial(delete, marker))

    def _pages(self, path: str, **options: Any) -> Iterator[Any]:
        pages = self._client.pages("list_object_versions", **options)
        while (page := translated(self._url, "list the versions of", path, lambda: next(pages, None))) is not None:
            yield page

    def _path(self, key: str) -> str:
        return key.removeprefix(self._url.key(""))
