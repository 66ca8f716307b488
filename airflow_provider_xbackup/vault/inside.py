"""What lies inside the Xray backups of a vault: their entities and attachments, read where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from airflow_provider_xbackup.contents.elements import Element, Elements
from airflow_provider_xbackup.contents.entities import EntityFile
from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.references import is_attachment_list
from airflow_provider_xbackup.contents.zipsource import RangedZip, StreamedZip
from airflow_provider_xbackup.contents.zipwalk import EntryReader
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.choose import restore_set
from airflow_provider_xbackup.vault.errors import DamagedBackupError
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.plain import plain_blocks, stored_blocks
from airflow_provider_xbackup.vault.vault import Vault

T = TypeVar("T")


class Inside:
    """The inside of a backup. A partial one is laid over the full one that it builds on.

    Of files that lie in the vault as the vendor sent them only what is wanted is read; encrypted ones are read
    from their first byte to their last each time. Nothing is written anywhere.

    :param vault: the vault
    :param backup: the backup, of Xray
    :param identities: the private keys, needed where it is encrypted
    :param alone: look at a partial one by itself
    :raises InvalidArgumentError: when it is no backup of Xray
    :raises NoSuchBackupError: when it is partial and its base is not there
    :raises ManifestError: when the base's manifest is damaged
    :raises VaultError: when the store does not answer
    """

    def __init__(
        self, vault: Vault, backup: Backup, identities: Identities | None = None, *, alone: bool = False
    ) -> None:
        if backup.path.service != "xray":
            raise InvalidArgumentError(
                f"{backup.backup_id} is a backup of {backup.path.service}; only those of xray hold tests. "
                "'xbackup fetch' gets its file."
            )
        self._store = vault.store
        self._identities = identities
        #: What is looked at, the newest first: what is in it counts.
        self.layers = (backup,) if alone else tuple(reversed(restore_set(vault, backup)))
        #: Files that could not be read as JSON, each with the reason; what they hold is missing.
        self.problems: list[tuple[str, str]] = []

    @property
    def backup(self) -> Backup:
        """The backup that was asked for."""
        return self.layers[0]

    def elements(self, want: Callable[[EntityFile], bool] = lambda _: True) -> Iterator[Element]:
        """Read entities, in the order in which they lie; what the partial one has too is left out of the full.

        They may be relied on only when all of them came: what is damaged is noticed at its end.

        :param want: tells which files are of interest; where these are few, little is read
        :raises DamagedBackupError: when a file is damaged
        :raises DecryptionError: when the keys do not fit or there are none
        :raises VaultError: when the store does not answer
        """
        self.problems = []
        newer: set[tuple[str, str, str]] = set()
        for number, layer in enumerate(self.layers, 1):
            for element in self._elements(layer, want):
                if element.id is not None:
                    key = (element.kind, element.project, element.id)
                    if number > 1 and key in newer:
                        continue
                    if number < len(self.layers):
                        newer.add(key)
                yield element

    @property
    def has_attachments(self) -> bool:
        """Whether there is an attachments zip."""
        return any(self._open(layer, "attachments") for layer in self.layers)

    def attachment_names(self) -> Iterator[str] | None:
        """Yield the names of the files in the attachments zips; None where telling them takes reading all of them.

        :raises DamagedBackupError: when a zip is damaged
        :raises VaultError: when the store does not answer
        """
        zips = [(layer, zipped) for layer in self.layers if (zipped := self._open(layer, "attachments"))]
        if any(isinstance(zipped, StreamedZip) for _, zipped in zips):
            return None
        return (
            name
            for layer, zipped in zips
            if isinstance(zipped, RangedZip)
            for name in _telling(layer, "attachments", zipped.names)
            if not name.endswith("/") and not is_attachment_list(name)
        )

    def read_attachments(
        self, want: Callable[[str], bool], open_entry: Callable[[str], EntryReader]
    ) -> Iterator[Backup]:
        """Read files of the attachments zips.

        :param want: tells by its name whether a file is wanted
        :param open_entry: gives who reads it
        :return: the backups, each when its zip has been read and is not damaged
        :raises DamagedBackupError: when a zip is damaged
        :raises DecryptionError: when the keys do not fit or there are none
        :raises VaultError: when the store does not answer
        """
        for layer in self.layers:
            zipped = self._open(layer, "attachments")
            if zipped is not None:
                for _ in _telling(layer, "attachments", partial(zipped.read, want, open_entry)):
                    pass
                yield layer

    def _elements(self, layer: Backup, want: Callable[[EntityFile], bool]) -> Iterator[Element]:
        zipped = self._open(layer, "backup")
        if zipped is None:
            raise DamagedBackupError(f"The manifest of {layer.location} names no data file.")
        elements = Elements(want)
        for _ in _telling(layer, "backup", partial(zipped.read, elements.wants, elements.open)):
            yield from elements.drain()
        yield from elements.drain()
        self.problems += elements.problems

    def _open(self, layer: Backup, role: str) -> RangedZip | StreamedZip | None:
        artifact = next((each for each in layer.manifest.artifacts if each.role == role), None)
        if artifact is None:
            return None
        if artifact.compression is None and artifact.encryption is None:
            return RangedZip(artifact.stored_size, partial(stored_blocks, self._store, layer.path, artifact))
        return StreamedZip(partial(plain_blocks, self._store, layer.path, artifact, self._identities))


def _telling(layer: Backup, role: str, read: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Say of which backup a zip is damaged."""
    try:
        yield from read()
    except DamagedZipError as error:
        problem = str(error)
    else:
        return
    raise DamagedBackupError(
        f"The {role} zip of {layer.location} is damaged: {problem} 'xbackup verify' tells more. Choose another "
        "backup, or take this one from a copy of the vault."
    )
