"""boto3's client of a vault on S3, for what obstore cannot do: versions, locks and open uploads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.vault.translate import cannot_open
from airflow_provider_xbackup.vault.url import VaultUrl

if TYPE_CHECKING:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]


class S3Client:
    """Makes the client when it is first asked for, and once: it takes 0.2 s and 20 MiB, and most tasks need none.

    :param url: the vault
    :param session: boto3's session, with the credentials of the vault
    :param endpoint: the address of the store; None for what the session's configuration says
    :param verify: as boto3 takes it
    :param manners: how it waits, and how it addresses a bucket
    """

    def __init__(
        self,
        url: VaultUrl,
        session: boto3.Session,
        endpoint: str | None,
        verify: bool | str | None,
        manners: Config,
    ) -> None:
        self._url = url
        self._session = session
        self._options = {"endpoint_url": endpoint, "verify": verify, "config": manners}
        self._lock = threading.Lock()
        self._made: Any = None

    def __call__(self) -> Any:
        """Return the client; who asks while it is made waits.

        :raises VaultAccessError: when the configuration cannot be used
        """
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def pages(self, operation: str, **options: Any) -> Iterator[Any]:
        """Ask for what comes in pages; nothing is asked, or made, before the first is wanted.

        :param operation: of boto3, for example ``list_parts``
        :param options: its arguments but the bucket
        :raises VaultAccessError: when the configuration cannot be used
        """
        yield from self().get_paginator(operation).paginate(Bucket=self._url.bucket, **options)

    def _make(self) -> Any:
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

        try:
            return self._session.client("s3", **self._options)
        except (BotoCoreError, ValueError) as exc:
            kind = type(exc).__name__
        raise cannot_open(self._url, f"the AWS configuration cannot be used ({kind})", "AWS_*")
