"""What can go wrong with a vault, in words for the person who has to act. No secret is ever in them."""

from __future__ import annotations

from airflow_provider_xbackup.errors import BackupError


class VaultError(BackupError):
    """Something in the way of reading or writing a vault."""


class StoreUnavailableError(VaultError):
    """The store did not answer, or answered that it cannot now, after all tries."""


class NoSpaceError(VaultError):
    """The disk of a vault is full, or its quota is used up."""


class VaultAccessError(VaultError):
    """The store refused the credentials, or there are none, or they do not allow this."""

    retryable = False


class MissingBucketError(VaultError):
    """The bucket or container of the vault does not exist."""

    retryable = False


class MissingVaultError(VaultError):
    """The folder of the vault does not exist, so there is nothing to read."""

    retryable = False


class UnwritableFolderError(VaultError):
    """The folder of the vault cannot be written: permissions, a read-only disk, a file in the way."""

    retryable = False


class UnlockableStoreError(VaultError):
    """Backups are to be locked, and the store or its bucket has no object locks."""

    retryable = False


class ObjectMissingError(VaultError):
    """An object that should be there is not."""


class UnreadableObjectError(VaultError):
    """One object cannot be read, though the store answers: a bad sector, an archived one, one far too large.

    It tells something of that object, and nothing of others.
    """


class ObjectExistsError(VaultError):
    """An object that was to be created exists already."""

    retryable = False


class IncompleteWriteError(VaultError):
    """What lies in the store after writing is not what was written. No backup was made of it."""


class DifferentBytesError(IncompleteWriteError):
    """Bytes are not those that were announced, by a spool or by the manifest of another vault."""


class ForeignBackupError(VaultError):
    """Another job's backup bears the id that this one's would have."""

    retryable = False


class ManifestError(VaultError):
    """A manifest cannot be read: damaged, or of a version this release does not know."""

    retryable = False


class UnknownFormatError(ManifestError):
    """A manifest is of a later major version: a newer release wrote it, and nothing of it is damaged."""


class RecordError(VaultError):
    """A record beside a manifest cannot be read."""

    retryable = False


class EncryptionError(VaultError):
    """The bytes could not be encrypted."""

    retryable = False


class DecryptionError(VaultError):
    """Encrypted bytes could not be read: the wrong private key, or the bytes are damaged."""

    retryable = False


class MissingIdentityError(DecryptionError):
    """A backup is encrypted and no private key was given."""


class WrongIdentityError(DecryptionError):
    """A backup is not encrypted to any of the private keys that were given."""


class DecompressionError(VaultError):
    """Compressed bytes could not be read: damaged, cut off, or more than they may be."""

    retryable = False


class DamagedBackupError(VaultError):
    """What lies in a vault is not what the manifest says."""

    retryable = False


class DifferentFileError(VaultError):
    """Where a file is to be placed lies another one, which is never overwritten."""

    retryable = False


class BusyFolderError(VaultError):
    """Another process is fetching the same file into the same folder."""


class NoSuchBackupError(VaultError):
    """There is no backup of the kind that was asked for."""

    retryable = False


class BackupStateError(VaultError):
    """What was asked for cannot be done with a backup in its state."""

    retryable = False
