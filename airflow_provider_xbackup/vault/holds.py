"""Holds: a person's word that a backup must not expire."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import read_manifest, read_named_base
from airflow_provider_xbackup.vault.errors import (
    ManifestError,
    NoSuchBackupError,
    ObjectMissingError,
    RecordError,
)
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.records import Hold, read_record
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Held:
    """What came of holding a backup.

    :param hold: the hold that is in force
    :param revived: the backups that had expired and are back: this one, or the base that it needs
    :param missing_base: the folder of the base it needs and that is gone; None where nothing is missing
    """

    hold: Hold
    revived: tuple[BackupPath, ...] = ()
    missing_base: BackupPath | None = None


def is_held(store: Store, path: BackupPath, now: datetime) -> bool:
    """Tell whether a hold keeps a backup, asking the store for it by its name.

    A hold that cannot be read keeps it: nobody knows until when.

    :param store: the vault's objects
    :param path: the backup
    :param now: what the time is
    :raises VaultError: when the store does not answer
    """
    try:
        hold = read_hold(store, path)
    except RecordError:
        return True
    return hold is not None and hold.in_force(now)


def read_hold(store: Store, path: BackupPath) -> Hold | None:
    """Read the hold of a backup.

    :return: the hold, in force or not; None where there is none
    :raises RecordError: when it is damaged
    :raises VaultError: when the store does not answer
    """
    try:
        return read_record(store, path.hold, Hold)
    except ObjectMissingError:
        return None
    except RecordError as exc:
        reason = str(exc)
    raise RecordError(
        f"The hold {store.url.join(path.hold)} cannot be read: {reason}. It keeps the backup; release it, and "
        "hold the backup again."
    )


def hold(
    vault: Vault, path: BackupPath, *, who: str, why: str, until: datetime | None = None, now: datetime
) -> Held:
    """Keep a backup from expiring. One that has expired comes back, and the base that it needs as well.

    A hold in force that ends later is not replaced: release it first.

    :param vault: the vault
    :param path: the backup
    :param who: who says so
    :param why: the reason, for whoever reads it later
    :param until: when it ends by itself; None when somebody has to release it
    :param now: what the time is
    :return: the hold, and what it brought back
    :raises InvalidArgumentError: when it would end in the past or before the one in force, or who or why is
        empty or too long
    :raises NoSuchBackupError: when the backup is gone; nothing is held then
    :raises RecordError: when a hold is there that cannot be read
    :raises VaultError: when the store does not answer
    """
    given = make_hold(who, why, until, now)
    earlier = read_hold(vault.store, path)
    if earlier is not None and earlier.in_force(now) and outlasts(earlier, given):
        raise InvalidArgumentError(
            f"The backup {vault.url.join(path.folder)} is held {_end(earlier)} by {earlier.who}, longer than you "
            "ask for. Release it first."
        )
    return keep(vault, path, given)


def hold_at_least(
    vault: Vault, path: BackupPath, *, who: str, why: str, until: datetime | None, now: datetime
) -> Held:
    """Keep a backup from expiring so long at least: a hold that ends later stays as it is.

    :param vault: the vault
    :param path: the backup
    :param who: who says so
    :param why: the reason, for whoever reads it later
    :param until: when it ends by itself; None when somebody has to release it
    :param now: what the time is
    :return: the hold that counts, and what it brought back
    :raises InvalidArgumentError: when it would end in the past, or who or why is empty or too long
    :raises NoSuchBackupError: when the backup is gone; nothing is held then
    :raises VaultError: when the store does not answer
    """
    given = make_hold(who, why, until, now)
    earlier = None
    with contextlib.suppress(RecordError):
        earlier = read_hold(vault.store, path)
    return keep(vault, path, earlier if earlier is not None and outlasts(earlier, given) else given)


def release(vault: Vault, path: BackupPath) -> Hold | None:
    """Let a backup expire again, when retention says so.

    :param vault: the vault
    :param path: the backup
    :return: the hold that was there; None where there was none that could be read
    :raises VaultError: when the store does not answer, or does not let it go
    """
    earlier = None
    with contextlib.suppress(RecordError):
        earlier = read_hold(vault.store, path)
    vault.store.delete(path.hold)
    return earlier


def keep(vault: Vault, path: BackupPath, given: Hold) -> Held:
    """Write a hold, and take away the tombstones of the backup and of the base that it needs.

    :raises NoSuchBackupError: when the backup is gone; nothing is held then
    :raises VaultError: when the store does not answer
    """
    store = vault.store
    # The hold first: from here on retention, which reads it before every step, does not go on.
    store.put(path.hold, given.to_json(), media_type="application/json")
    manifest = _manifest_of(vault, path)
    revived = [path] if _revive(store, path) else []
    if revived:
        # A removal may have been just past its last look: it puts the manifest back, or it is gone for good.
        manifest = _manifest_of(vault, path)
    base = _named_base(store, path) if manifest is None else base_of(path, manifest)
    if base is None:
        return Held(given, tuple(revived))
    if _revive(store, base):
        revived.append(base)
    return Held(given, tuple(revived), None if store.exists(base.manifest) else base)


def make_hold(who: str, why: str, until: datetime | None, now: datetime) -> Hold:
    """Make a hold of what a person said.

    :raises InvalidArgumentError: when it would end in the past, or who or why is empty or too long
    """
    if until is not None and (until.tzinfo is None or until <= now or not _is_on_calendar(until)):
        raise InvalidArgumentError(
            f"A hold ends in the future, and at an instant with a time zone, not at {until}."
        )
    try:
        return Hold(who=who.strip(), why=why.strip(), at=now, until=until)
    except ValidationError as exc:
        field = exc.errors(include_url=False, include_input=False)[0]["loc"][0]
    raise InvalidArgumentError(f"Say {field}: one to 2,000 characters that whoever reads it later understands.")


def outlasts(one: Hold, other: Hold) -> bool:
    """Tell whether one hold ends later than another."""
    return other.until is not None and (one.until is None or one.until > other.until)


def base_of(path: BackupPath, manifest: Manifest) -> BackupPath | None:
    """Return the folder of the full that a backup builds on; None where it builds on none."""
    return None if manifest.base is None else BackupPath(path.service, path.account, manifest.base)


def _manifest_of(vault: Vault, path: BackupPath) -> Manifest | None:
    """Read the manifest of a backup that was just held; None where it is damaged, which is no reason to let go."""
    try:
        return read_manifest(vault.store, path)
    except ManifestError:
        return None
    except ObjectMissingError:
        pass
    vault.store.delete(path.hold)
    hint = ""
    if vault.store.versions is not None:
        hint = " Where the bucket keeps versions, 'xbackup undelete --versions' may bring it back."
    raise NoSuchBackupError(f"The backup {vault.url.join(path.folder)} is gone: its manifest was removed.{hint}")


def _named_base(store: Store, path: BackupPath) -> BackupPath | None:
    """Return the full that a backup builds on whose manifest cannot be used, as far as that can be told."""
    base = read_named_base(store, path)
    return None if base is None else BackupPath(path.service, path.account, base)


def _revive(store: Store, path: BackupPath) -> bool:
    """Take a tombstone away; S3 does not say whether there was one, so it is asked."""
    if not store.exists(path.tombstone):
        return False
    store.delete(path.tombstone)
    return True


def _is_on_calendar(instant: datetime) -> bool:
    """Tell whether an instant is in a year from 1 to 9999 in UTC as well."""
    try:
        instant.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _end(hold: Hold) -> str:
    return "until it is released" if hold.until is None else f"until {hold.until:%Y-%m-%d %H:%M} UTC"
