"""The bytes of an artifact on their way out of a vault, compared with its manifest."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_xbackup.vault.decoding import Decoded
from airflow_provider_xbackup.vault.encoding import Digest
from airflow_provider_xbackup.vault.errors import (
    DamagedBackupError,
    DecompressionError,
    DecryptionError,
    ObjectMissingError,
    UnreadableObjectError,
)
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Artifact
from airflow_provider_xbackup.vault.store import Store

_TRY_ANOTHER = "Choose another backup, or take this one from a copy of the vault."


def stored_blocks(
    store: Store, path: BackupPath, artifact: Artifact, start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Read an artifact as it lies in the vault.

    :param store: the vault's objects
    :param path: the backup's folder
    :param artifact: the artifact
    :param start: the first byte
    :param end: the byte after the last one, None for all
    :raises DamagedBackupError: when it is missing, has another length, or cannot be read though the store answers
    :raises VaultError: when the store does not answer
    """
    name = path.file(artifact.name)
    try:
        size = store.head(name).size
        if size != artifact.stored_size:
            raise DamagedBackupError(
                f"{store.url.join(name)} has {size} bytes and should have {artifact.stored_size}. {_TRY_ANOTHER}"
            )
        if start < size:
            yield from store.open_stream(name, start, end)
    except ObjectMissingError:
        raise DamagedBackupError(f"{store.url.join(name)} is not there. {_TRY_ANOTHER}") from None
    except UnreadableObjectError as exc:
        raise DamagedBackupError(f"{exc} {_TRY_ANOTHER}") from None


def plain_blocks(
    store: Store, path: BackupPath, artifact: Artifact, identities: Identities | None = None
) -> Iterator[bytes]:
    """Read the plain bytes of an artifact: decrypted and decompressed, as the vendor sent them.

    They may be relied on only when all of them came: what is damaged is noticed at the end.

    :param store: the vault's objects
    :param path: the backup's folder
    :param artifact: the artifact
    :param identities: the private keys, needed where it is encrypted
    :raises DamagedBackupError: when they are not what the manifest says
    :raises DecryptionError: when the keys do not fit or there are none
    :raises VaultError: when the store does not answer
    """
    decoded = Decoded(
        stored_blocks(store, path, artifact),
        compression=artifact.compression,
        encryption=artifact.encryption,
        identities=identities,
        limit=artifact.size,
    )
    try:
        yield from decoded
    except (DecryptionError, DecompressionError):
        decoded.finish_stored()
        if decoded.stored.sha256 != artifact.stored_sha256:
            raise other_bytes(store, path, artifact, decoded.stored) from None
        raise
    if (decoded.stored.size, decoded.stored.sha256) != (artifact.stored_size, artifact.stored_sha256):
        raise other_bytes(store, path, artifact, decoded.stored)
    if (decoded.plain.size, decoded.plain.sha256) != (artifact.size, artifact.sha256):
        raise other_content(store, path, artifact)


def other_bytes(store: Store, path: BackupPath, artifact: Artifact, found: Digest) -> DamagedBackupError:
    """Return the error for stored bytes that are not those of the manifest.

    :param store: the vault's objects
    :param path: the backup's folder
    :param artifact: the artifact
    :param found: what was read
    """
    return DamagedBackupError(
        f"{store.url.join(path.file(artifact.name))} holds other bytes than were stored: its SHA-256 is "
        f"{found.sha256} and should be {artifact.stored_sha256}. Nothing of it was used. {_TRY_ANOTHER}"
    )


def other_content(store: Store, path: BackupPath, artifact: Artifact) -> DamagedBackupError:
    """Return the error for stored bytes that are right and hold something else than the manifest says.

    :param store: the vault's objects
    :param path: the backup's folder
    :param artifact: the artifact
    """
    return DamagedBackupError(
        f"What {store.url.join(path.file(artifact.name))} holds is not what was backed up: its plain bytes have "
        f"another SHA-256 than {artifact.sha256}. Nothing of it was used. {_TRY_ANOTHER}"
    )
