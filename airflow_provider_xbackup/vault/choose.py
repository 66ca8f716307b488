"""Choosing a backup: by its id, the latest, the latest verified, or as of an instant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.errors import ManifestError, NoSuchBackupError
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.url import VaultUrl
from airflow_provider_xbackup.vault.vault import Vault

#: How a backup can be named, for help and messages.
FORMS = "a backup id, its first 8 characters or more, 'latest', 'latest-verified', or 'as-of INSTANT'"

_AS_OF = re.compile(r"as-of[\s:=]\s*(?P<instant>.+)")


@dataclass(frozen=True, slots=True)
class Selector:
    """What somebody said of the backup that is meant.

    :param how: ``id``; ``latest``: the newest one; ``latest-verified``: the newest verified one, a partial only
        where its full can be relied on; ``as-of``: the newest one that was asked for at the instant or before
    :param backup_id: the id or its beginning, for ``id``
    :param instant: the instant, for ``as-of``
    """

    how: Literal["id", "latest", "latest-verified", "as-of"]
    backup_id: str | None = None
    instant: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector.

        :param text: a backup id or its beginning, ``latest``, ``latest-verified``, or ``as-of`` and an ISO 8601
            instant with a time zone, separated by a blank or a colon
        :raises InvalidArgumentError: when it is none of these
        """
        words = text.strip() if isinstance(text, str) else ""
        if words == "latest":
            return cls("latest")
        if words == "latest-verified":
            return cls("latest-verified")
        if match := _AS_OF.fullmatch(words):
            return cls("as-of", instant=_read_instant(match["instant"]))
        try:
            layout.check_id_start(words)
        except InvalidArgumentError:
            raise InvalidArgumentError(
                f"{str(text)[:60]!r} names no backup: it takes {FORMS}. A backup id looks like "
                "20261123T014500Z-full-1a2b3c4d."
            ) from None
        return cls("id", backup_id=words)

    def __str__(self) -> str:
        if self.instant is not None:
            return f"as-of {self.instant:%Y-%m-%dT%H:%M:%SZ}"
        return self.backup_id or self.how


def choose(vault: Vault, selector: Selector, service: str | None = None, account: str | None = None) -> Backup:
    """Choose one backup of one account.

    Expired backups and those dated in the future are chosen by their ids only. ``latest`` and ``as-of`` take
    a suspect, a damaged or an incomplete backup as well: look at its state before relying on it.

    :param vault: the vault
    :param selector: what was said of it
    :param service: only this service
    :param account: only this account
    :return: the backup
    :raises InvalidArgumentError: when several accounts have such a backup
    :raises NoSuchBackupError: when there is none
    :raises ManifestError: when the manifest of the one with this id is damaged
    :raises VaultError: when the store does not answer
    """
    if selector.backup_id is not None:
        return find_by_id(vault, selector.backup_id, service, account)
    service, account = _one_account(vault, selector, service, account)
    for backup in _candidates(vault, selector, service, account):
        if selector.how != "latest-verified" or (backup.verified and _has_ground(vault, backup)):
            return backup
    which = "verified backup" if selector.how == "latest-verified" else "backup"
    when = "" if selector.instant is None else f" that was asked for at {str(selector)[6:]} or before"
    raise NoSuchBackupError(
        f"{vault.url} holds no {which} of {service}/{account}{when}. 'xbackup list' shows what "
        "there is, 'xbackup verify' verifies it."
    )


def find_by_id(vault: Vault, backup_id: str, service: str | None = None, account: str | None = None) -> Backup:
    """Find the one backup that an id, or the start of one, means.

    :param vault: the vault
    :param backup_id: the id, or its first 8 characters or more
    :param service: only this service
    :param account: only this account
    :return: the backup, expired or not
    :raises InvalidArgumentError: when there are several, or none can be called so
    :raises NoSuchBackupError: when there is none
    :raises ManifestError: when its manifest is damaged
    :raises VaultError: when the store does not answer
    """
    paths = vault.locate(backup_id, service, account)
    path = the_one(paths, backup_id) if paths else None
    backup = None if path is None else vault.find(path.service, path.account, path.backup_id)
    if backup is None:
        raise NoSuchBackupError(
            f"There is no backup {backup_id} in {vault.url}. 'xbackup list' shows what there is."
        )
    return backup


def the_one(paths: Sequence[BackupPath], backup_id: str) -> BackupPath:
    """Make sure that an id, or the start of one, means one backup.

    :param paths: the backups that it means, one at least
    :param backup_id: the id or its start
    :raises InvalidArgumentError: when there are several
    """
    if len({path.backup_id for path in paths}) > 1:
        raise InvalidArgumentError(
            f"Several backups begin with {backup_id}: {some(path.folder for path in paths)}. Write more of the id."
        )
    if len(paths) > 1:
        raise InvalidArgumentError(
            f"Several accounts have a backup {paths[0].backup_id}: "
            f"{some(f'{path.service}/{path.account}' for path in paths)}. Choose with --service and --account."
        )
    return paths[0]


def restore_set(vault: Vault, backup: Backup) -> tuple[Backup, ...]:
    """Return what is needed to get back to a backup: the full it builds on, where it is a partial, and itself.

    :param vault: the vault
    :param backup: the backup
    :return: the base first
    :raises NoSuchBackupError: when the base is not there, or nobody knows which it is
    :raises ManifestError: when the base's manifest is damaged
    :raises VaultError: when the store does not answer
    """
    manifest = backup.manifest
    if manifest.kind == "full":
        return (backup,)
    if manifest.base is None:
        raise NoSuchBackupError(
            f"The partial backup {backup.backup_id} names no base: it holds what changed since "
            f"{manifest.modified_since or 'an unknown instant'}. Choose a full one from before that as well."
        )
    base = vault.find(backup.path.service, backup.path.account, manifest.base)
    if base is None:
        raise NoSuchBackupError(
            f"The full backup {manifest.base} that {backup.backup_id} builds on is not in {vault.url}. Without it "
            "the partial one holds changes only."
        )
    return (base, backup)


def needs_keys(backups: Sequence[Backup]) -> bool:
    """Tell whether something of backups is encrypted, so that nobody reads them without private keys."""
    return any(artifact.encryption for backup in backups for artifact in backup.manifest.artifacts)


def how_to_fetch(url: VaultUrl, backups: Sequence[Backup]) -> str:
    """Write the command that gets a backup, and the full one it builds on, into the folder ``DIR``.

    :param url: the vault
    :param backups: what is needed, the backup itself last: see :func:`restore_set`
    :return: the command; it asks for a ``FILE`` of private keys where something of it is encrypted
    """
    path = backups[-1].path
    words = ["xbackup", "fetch", str(url), path.backup_id, "DIR", "--chain"]
    if needs_keys(backups):
        words += ["--identity", "FILE"]
    return shlex.join([*words, "--service", path.service, "--account", path.account])


def _one_account(vault: Vault, selector: Selector, service: str | None, account: str | None) -> tuple[str, str]:
    """Make sure that one account is meant: the latest of several would be anybody's."""
    services = layout.SERVICES if service is None else (layout.check_service(service),)
    found = [
        (each, name) for each in services for name in vault.store.list_folders(each) if account in (None, name)
    ]
    if not found:
        whose = "/".join(part for part in (service, account) if part)
        raise NoSuchBackupError(
            f"{vault.url} holds no backups{f' of {whose}' if whose else ''}. 'xbackup list' shows what there is."
        )
    if len(found) > 1:
        accounts = some(f"{each}/{name}" for each, name in found)
        raise InvalidArgumentError(
            f"{str(selector)!r} could be of several accounts: {accounts}. Choose with --service and --account."
        )
    return found[0]


def _candidates(vault: Vault, selector: Selector, service: str, account: str) -> Iterator[Backup]:
    for backup in vault.backups(service, account):
        if backup.tombstoned or backup.in_future:
            continue
        if selector.instant is None or backup.manifest.requested_at <= selector.instant:
            yield backup


def _has_ground(vault: Vault, backup: Backup) -> bool:
    """Tell whether the full that a backup builds on, where it builds on one, can be relied on."""
    if backup.manifest.base is None:
        return True
    try:
        return all(each.reliable for each in restore_set(vault, backup))
    except (ManifestError, NoSuchBackupError, InvalidArgumentError):
        return False


def some(names: Iterable[str], limit: int = 5) -> str:
    """Return a few of the names, for a message."""
    listed = sorted(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _read_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidArgumentError(f"{text[:60]!r} is no instant; write it like 2026-11-23T01:45:00Z.") from None
    if instant.tzinfo is None:
        raise InvalidArgumentError(
            f"The instant {text[:60]!r} has no time zone; write it like 2026-11-23T01:45:00Z."
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidArgumentError(f"The instant {text[:60]!r} is not on the calendar in UTC.") from None
