"""Azure's Blob service, emulated."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from servers import emulators
from servers.authority import Authority

from kinds.kind import CONN_ID, PREFIX, numbers

AZURE_ACCOUNT = "devstoreaccount1"
#: Published with the emulator.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class Azure:
    """Azure's Blob service, emulated."""

    root: str
    facts: Mapping[str, str]
    column: str = "Azurite"
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "versions": "on Azure versions are the store's own business",
            "locks": "lock_for is for S3",
            "digests": "obstore sends no digests to Azure",
            "uploads": "Azure discards unfinished blocks by itself, and does not list them",
            "beginnings": "no request begins an upload on Azure, blocks are sent at once",
            "clock": "Azurite does not look at when a request was signed",
        }
    )

    @property
    def address(self) -> str:
        return f"{self.root}/{AZURE_ACCOUNT}"

    @cached_property
    def service(self) -> BlobServiceClient:
        """Azure's own client, for looking behind."""
        return BlobServiceClient(self.address, credential=AZURE_KEY)

    def new_bucket(self, *, versions: bool = False, lock: bool = False) -> str:
        bucket = f"container-{next(numbers)}"
        with contextlib.suppress(ResourceExistsError):
            self.service.create_container(bucket)
        return bucket

    def url(self, bucket: str) -> str:
        return f"abfs://{CONN_ID}@{bucket}/{PREFIX}"

    def connection(self, address: str = "") -> dict[str, Any]:
        host = f"{address}/{AZURE_ACCOUNT}" if address else self.address
        return {"conn_type": "wasb", "host": host, "login": AZURE_ACCOUNT, "password": AZURE_KEY}

    def wrong_connection(self, which: str) -> dict[str, Any]:
        if which == "unknown user":  # one who made his token himself
            token = "sv=2021-08-06&ss=b&srt=sco&sp=rwdlac&se=2050-01-01T00:00:00Z&sig=c2lnbmF0dXJl"
            return {"conn_type": "wasb", "host": self.address, "extra": {"sas_token": token}}
        return self.connection() | {"password": base64.b64encode(b"a wrong key" * 6).decode()}

    def environment(self, address: str = "") -> Mapping[str, str]:
        return {}

    def keys(self, bucket: str) -> list[str]:
        return list(self.service.get_container_client(bucket).list_blob_names())

    def unfinished(self, bucket: str) -> list[str]:
        found = self.service.get_container_client(bucket).list_blobs(include=["uncommittedblobs"])
        return [blob.name for blob in found if blob.etag is None]


@contextlib.contextmanager
def azurite(folder: Path, authority: Authority) -> Iterator[Azure]:
    """Azurite."""
    with emulators.azurite(folder) as port:
        yield Azure(f"http://127.0.0.1:{port}", {"Azurite": emulators.azurite_version()})
