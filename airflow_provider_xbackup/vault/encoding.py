"""What happens to bytes on their way into a vault: digested, compressed, encrypted, block by block."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.errors import InvalidArgumentError, MissingDependencyError
from airflow_provider_xbackup.vault.beside import beside
from airflow_provider_xbackup.vault.errors import EncryptionError
from airflow_provider_xbackup.vault.piping import through_thread

if TYPE_CHECKING:
    import pyrage

    from airflow_provider_xbackup.vault.manifest import Artifact

#: zstd's own default.
_ZSTD_LEVEL = 3


class Digest:
    """Counts and hashes what passes through.

    >>> digest = Digest()
    >>> b"".join(digest.of([b"ab", b"c"])), digest.size
    (b'abc', 3)
    """

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def update(self, block: bytes) -> None:
        """Add a block."""
        self.size += len(block)
        self._hash.update(block)

    def of(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass blocks on, unchanged; each is hashed before it is passed on."""
        for block in blocks:
            self.update(block)
            yield block

    def beside(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass blocks on, unchanged; they are hashed in a thread, and end when all of them are.

        Where they do not come to their end the digest is of no use: how far it got is not told.
        """
        return beside(blocks, self.update, name="xbackup-digest")

    @property
    def sha256(self) -> str:
        """Hex digest of what has passed so far."""
        return self._hash.hexdigest()


class Encoded:
    """Plain blocks on their way to stored blocks. Iterate it once; read the digests afterwards.

    :param blocks: the plain bytes
    :param compress: whether to compress with zstd
    :param recipients: age public keys to encrypt to; none means no encryption
    :raises InvalidArgumentError: when a recipient is no age public key
    :raises MissingDependencyError: when encryption is asked for and not installed
    """

    def __init__(self, blocks: Iterable[bytes], *, compress: bool = False, recipients: Sequence[str] = ()) -> None:
        self.plain = Digest()
        self.compression = "zstd" if compress else None
        self.encryption = "age" if recipients else None
        self.recipients_sha256 = digest_of_recipients(recipients) if recipients else None
        stream: Iterable[bytes] = self.plain.beside(blocks)
        if compress:
            stream = _compress(stream)
        if recipients:
            stream = _encrypt(stream, _keys(recipients))
        if compress or recipients:
            self.stored = Digest()
            self._blocks: Iterable[bytes] = self.stored.beside(stream)
        else:  # the same bytes need no second digest
            self.stored = self.plain
            self._blocks = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)


def parse_recipients(encrypt_to: str | Iterable[str] | None) -> tuple[str, ...]:
    """Read the public keys a user wants backups encrypted to.

    :param encrypt_to: one age public key (``age1...``), several in a list or in one string separated by
        commas or white space, or None
    :return: the keys, each once; empty for None
    :raises InvalidArgumentError: when something is no age public key; a private key is not repeated
    :raises MissingDependencyError: when there are keys and the extra ``encryption`` is not installed
    """
    if encrypt_to is None:
        return ()
    words = [encrypt_to] if isinstance(encrypt_to, str) else list(encrypt_to)
    if not all(isinstance(word, str) for word in words):
        raise InvalidArgumentError("encrypt_to takes one age public key or a list of them, as text.")
    recipients = tuple(dict.fromkeys(key for word in words for key in word.replace(",", " ").split()))
    if not recipients:
        raise InvalidArgumentError(
            "encrypt_to is given but holds no key. Write an age public key (age1...), or None to store "
            "backups unencrypted."
        )
    _keys(recipients)
    return recipients


def digest_of_recipients(recipients: Iterable[str]) -> str:
    """Return what is written down of public keys: the SHA-256 of them, sorted, one a line.

    :param recipients: age public keys, in any order
    """
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(recipients)).encode()).hexdigest()


def is_encoded_so(artifact: Artifact, recipients: Sequence[str], *, compress: bool = False) -> bool:
    """Tell whether a stored file was compressed and encrypted as is wanted now.

    Of what an earlier release encrypted nobody knows to which keys: it counts as encrypted to these.

    :param artifact: the file
    :param recipients: the age public keys that are wanted; none means no encryption
    :param compress: whether compression is wanted
    """
    same_keys = artifact.recipients_sha256 in (None, digest_of_recipients(recipients))
    wanted = ("zstd" if compress else None, "age" if recipients else None)
    return (artifact.compression, artifact.encryption) == wanted and same_keys


def _keys(recipients: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    for key in recipients:
        refuse_private_key(key)
    try:
        import pyrage
    except ImportError:
        raise MissingDependencyError(
            "Backups can be encrypted only with the extra 'encryption': "
            "pip install 'airflow-provider-xbackup[encryption]'"
        ) from None
    keys = []
    for key in recipients:
        with contextlib.suppress(Exception):  # pyrage raises its own error for every key it cannot read
            keys.append(pyrage.x25519.Recipient.from_str(key))
            continue
        raise InvalidArgumentError(
            f"encrypt_to holds {key[:8] + '...' if len(key) > 8 else key!r}, which is no age public key; "
            "those begin with 'age1' and have 62 characters."
        )
    return keys


def refuse_private_key(text: str) -> None:
    """Refuse a private age key where a public one belongs. The error does not repeat it.

    :raises InvalidArgumentError: when the text holds one
    """
    if "AGE-SECRET-KEY-" in text.upper():
        raise InvalidArgumentError(
            "encrypt_to holds a private age key. Workers only need the public one (age1...); take the "
            "private key out of the DAG, and make a new pair if others could read it."
        )


def _compress(blocks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
    for block in blocks:
        if out := compressor.compress(block):
            yield out
    yield compressor.flush()


def _encrypt(blocks: Iterable[bytes], keys: list[Any]) -> Generator[bytes, None, None]:
    import pyrage

    def failed(error: BaseException) -> EncryptionError:
        return EncryptionError(f"The backup could not be encrypted: {type(error).__name__}. Nothing was stored.")

    return through_thread(
        blocks, lambda reader, writer: pyrage.encrypt_io(reader, writer, keys), failed, name="xbackup-encrypt"
    )
