"""Certificates of an authority that only the tests know."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Vouches for this machine."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._certificate = self._ca.issue_cert("127.0.0.1", "localhost")

    def bundle(self, folder: Path, *, others: bytes = b"") -> Path:
        """Write the authority's certificate as a bundle, after those of others."""
        file = folder / f"bundle-{len(others)}.pem"
        file.write_bytes(others + self._ca.cert_pem.bytes())
        return file

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Write a certificate of this machine, and its key."""
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(b"".join(blob.bytes() for blob in self._certificate.cert_chain_pems))
        key.write_bytes(self._certificate.private_key_pem.bytes())
        return certificate, key

    @property
    def context(self) -> ssl.SSLContext:
        """What a server of this machine needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        return context
