"""What happens to bytes on their way out of a vault: digested, decrypted, decompressed, block by block."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from airflow_provider_xbackup.vault.encoding import Digest
from airflow_provider_xbackup.vault.errors import (
    DamagedBackupError,
    DecompressionError,
    DecryptionError,
    MissingIdentityError,
    WrongIdentityError,
)
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.piping import through_thread

#: What this release knows to undo.
COMPRESSIONS = (None, "zstd")
ENCRYPTIONS = (None, "age")

#: What the decompressor is given at once. 4 bytes of zstd can become 128 KiB, so this becomes 32 MiB at most.
_PIECE = 1024
#: RFC 8878 wants every decoder to take windows of 8 MiB, and no encoder to use larger ones unasked.
_LARGEST_WINDOW = 8 * 1024 * 1024


class Decoded:
    """Stored blocks on their way to plain blocks. Iterate it once; read the digests afterwards.

    >>> decoded = Decoded([b"ab", b"c"])
    >>> b"".join(decoded), decoded.plain.size, decoded.stored.size
    (b'abc', 3, 3)

    :param blocks: the bytes as stored
    :param compression: ``zstd`` or None, as the manifest says
    :param encryption: ``age`` or None, as the manifest says
    :param identities: the private keys, needed where it is encrypted
    :param limit: how many plain bytes there may be; what is compressed can become very much longer
    :raises MissingIdentityError: when it is encrypted and there is no key
    :raises DamagedBackupError: when the manifest names an encoding that this release does not know
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        *,
        compression: str | None = None,
        encryption: str | None = None,
        identities: Identities | None = None,
        limit: int | None = None,
    ) -> None:
        for encoding, known in ((compression, COMPRESSIONS), (encryption, ENCRYPTIONS)):
            if encoding not in known:
                raise DamagedBackupError(
                    f"The manifest names the encoding {str(encoding)[:40]!r}, which this release does not know."
                )
        if encryption and identities is None:
            raise MissingIdentityError(
                "The backup is encrypted, and no age private key was given: set XBACKUP_AGE_IDENTITY_FILE, or "
                "name an identity file or connection."
            )
        self._source = iter(blocks)
        self.stored = Digest()
        stream: Iterable[bytes] = self.stored.of(self._source)
        if encryption and identities is not None:
            stream = _decrypt(stream, identities)
        if compression:
            stream = _decompress(stream)
        if compression or encryption:
            self.plain = Digest()
            stream = self.plain.of(stream)
        else:  # the same bytes need no second digest
            self.plain = self.stored
        self._blocks = _bounded(stream, limit) if compression else stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def finish_stored(self) -> None:
        """Read the stored bytes to their end after decoding them has failed, so that their digest tells why."""
        for block in self._source:
            self.stored.update(block)


def _decrypt(blocks: Iterable[bytes], identities: Identities) -> Generator[bytes, None, None]:
    import pyrage

    def failed(error: BaseException) -> DecryptionError:
        if isinstance(error, pyrage.DecryptError) and "matching keys" in str(error):
            return WrongIdentityError(
                "None of the age private keys given opens the backup: it is encrypted to others. Use the private "
                "key that belongs to what encrypt_to was when the backup was made."
            )
        return DecryptionError(
            "The backup cannot be decrypted: its bytes are damaged, cut off, or followed by others."
        )

    return through_thread(
        blocks,
        lambda reader, writer: pyrage.decrypt_io(reader, writer, identities.keys),
        failed,
        name="xbackup-decrypt",
    )


def _decompress(blocks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
    problem = ""
    for block in blocks:
        view = memoryview(block)
        for start in range(0, len(view), _PIECE):
            if decompressor.eof:
                problem = "something follows its compressed bytes"
                break
            try:
                plain = decompressor.decompress(view[start : start + _PIECE])
            except zstandard.ZstdError:
                problem = "its compressed bytes are damaged"
                break
            if plain:
                yield plain
        if problem:
            break
    if not problem and not decompressor.eof:
        problem = "its compressed bytes are cut off"
    if not problem and decompressor.unused_data:
        problem = "something follows its compressed bytes"
    if problem:
        raise DecompressionError(f"The backup cannot be decompressed: {problem}.")


def _bounded(blocks: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if limit is not None and size > limit:
            raise DecompressionError(
                f"The backup decompresses to more than the {limit} bytes that its manifest tells of."
            )
        yield block
