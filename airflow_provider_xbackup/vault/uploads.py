"""S3's open multipart uploads: parts that were sent and never became an object.

They cost like objects, and no listing of objects shows them. obstore cannot list them, so boto3 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from airflow_provider_xbackup.vault.errors import ObjectMissingError
from airflow_provider_xbackup.vault.leftovers import Leftover
from airflow_provider_xbackup.vault.s3client import S3Client
from airflow_provider_xbackup.vault.translate import UnconditionalStoreError, translated
from airflow_provider_xbackup.vault.url import VaultUrl


class OpenUploads:
    """The open multipart uploads below a vault on S3.

    :param url: the vault
    :param client: boto3's, of the vault
    """

    def __init__(self, url: VaultUrl, client: S3Client) -> None:
        self._url = url
        self._client = client

    def find(self, prefix: str) -> Iterator[Leftover]:
        """List them, one request for every 1,000 and one for every 1,000 parts of each.

        :param prefix: the folder inside the vault, without a slash at the end
        :return: the uploads; none where the store knows no such listing
        :raises VaultError: when the store does not answer, or the credentials do not allow it
        """
        pages = self._client.pages("list_multipart_uploads", Prefix=self._url.key(prefix and f"{prefix}/"))
        while True:
            try:
                page = translated(self._url, "list the open uploads of", prefix, lambda: next(pages, None))
            except UnconditionalStoreError:
                return
            if page is None:
                return
            for upload in page.get("Uploads", ()):
                try:
                    found = self._look_at(upload)
                except ObjectMissingError:  # completed or aborted meanwhile
                    continue
                yield found

    def abort(self, leftover: Leftover) -> bool:
        """Abort one, which removes its parts.

        :return: False where it was completed or aborted meanwhile
        :raises VaultError: when the store refuses
        """
        key = self._url.key(leftover.target)
        try:
            translated(
                self._url,
                "abort the upload of",
                leftover.target,
                lambda: self._client().abort_multipart_upload(
                    Bucket=self._url.bucket, Key=key, UploadId=leftover.upload_id
                ),
            )
        except ObjectMissingError:
            return False
        return True

    def _look_at(self, upload: Any) -> Leftover:
        """Tell size and last sign of life: an upload of days is alive as long as parts arrive."""
        path = upload["Key"].removeprefix(self._url.key(""))
        size, last = 0, upload["Initiated"]
        pages = self._client.pages("list_parts", Key=upload["Key"], UploadId=upload["UploadId"])
        while (
            page := translated(self._url, "look at the upload of", path, lambda: next(pages, None))
        ) is not None:
            for part in page.get("Parts", ()):
                size += part["Size"]
                last = max(last, part["LastModified"])
        return Leftover("upload", path, path, size, last.astimezone(UTC), upload["UploadId"])
