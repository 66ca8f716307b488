"""Making a new Xenioo bot of a backup, and comparing two bots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import (
    XBackupCooldownError,
    XBackupError,
    XBackupFailError,
    account_label,
    airflow_errors,
)
from airflow_provider_xbackup.hooks.new_bot import connection_in
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, cooldown
from airflow_provider_xbackup.tasks.chosen import Chosen, check_one
from airflow_provider_xbackup.tasks.memory import TaskMemory

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_xbackup.contents.sameness import Comparison
    from airflow_provider_xbackup.services.xenioo import RestoredBot
    from airflow_provider_xbackup.tasks.new_keys import NewKeys, Origin
    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.vault import Vault

_LONGEST_NAME = 250
_MOST_TOLD = 5


class XeniooRestoreBotOperator(BaseOperator):
    """Make a brand-new bot of a backup, in the account of the connection, once.

    The backup is read, decrypted and compared with its manifest first: a damaged one is never sent. The place
    for the new bot's keys is reserved before the bot is asked for, and a request whose outcome is not known is
    never sent again. Returns ``service``, ``account``, ``backup_id``, ``vault``, ``bot`` (the new one's name,
    None where nobody tells), ``keys_variable``, ``keys_file`` and ``xenioo_conn_id`` (which means the Variable, in
    any ``xenioo_conn_id`` of this package; None for a file). No key is among it.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param backup_id: which: a backup id, ``latest``, ``latest-verified``, ``as-of INSTANT``, or what a transfer or
        a hold returned. A backup that cannot be relied on, such as a suspect or expired one, is taken only where
        somebody wrote its whole id, here or where it was held.
    :param account: whose backup, as it is called in the vault; default the connection id, for a backup id any
    :param keys_variable: the Airflow Variable that the new keys go to, as a connection in JSON; never overwritten
    :param keys_file: instead of a Variable: a file of the worker (0600), never overwritten
    :param on_cooldown: when the hour since the bot's last restore is not over: ``wait`` for its end without
        holding a worker, ``skip`` the task, or ``fail`` it at once
    :param max_wait: the longest wait for the hour, over all refusals together
    :param identity_conn_id: a connection whose password is an age identity; None for
        ``XBACKUP_AGE_IDENTITY`` or ``XBACKUP_AGE_IDENTITY_FILE`` in the worker's environment
    :param xenioo_conn_id: the connection, of type ``xenioo``: any bot of the account that is to get the new one.
        Its ``account_api_key`` goes into the new connection; without one that connection has to be completed.
    """

    template_fields: Sequence[str] = (
        "vault",
        "backup_id",
        "account",
        "keys_variable",
        "keys_file",
        "on_cooldown",
        "identity_conn_id",
        "xenioo_conn_id",
    )
    ui_color = "#d7e8f7"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        backup_id: str | Mapping[str, Any] | XComArg = "latest-verified",
        account: str | None = None,
        keys_variable: str | None = None,
        keys_file: str | None = None,
        on_cooldown: str = "wait",
        max_wait: timedelta = timedelta(hours=12),
        identity_conn_id: str | None = None,
        xenioo_conn_id: str = XeniooHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault = vault
        self.backup_id = backup_id
        self.account = account
        self.keys_variable = keys_variable
        self.keys_file = keys_file
        self.on_cooldown = on_cooldown
        self.max_wait = max_wait
        self.identity_conn_id = identity_conn_id
        self.xenioo_conn_id = xenioo_conn_id
        arguments.check_literals(self, self._checks)
        self._restored: tuple[Vault, Backup, str, str | None] | None = None

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the bot, or find the one that an earlier try has made.

        :return: which backup it was made of, and where its keys are
        :raises XBackupFailError: when the backup is damaged or there is none, the place for the keys is taken, or
            whether a bot was made is not known
        :raises XBackupError: when the vault, Airflow or the service does not answer: nothing was asked for
        """
        arguments.check_all(self, self._checks)
        return self._restore(context, give_up_at=cooldown.read_end(None, self.max_wait), refusals=0)

    def try_again(
        self, context: Context, event: object = None, give_up_at: str | None = None, refusals: int = 1
    ) -> dict[str, Any]:
        """Ask again after a cooldown.

        :param context: the task's context
        :param event: that the instant has come
        :param give_up_at: when waiting ends; None, as ``dag.test()`` drops it, to count anew
        :param refusals: how many refusals there were
        :return: as :meth:`execute`
        """
        self.log.info("The hour should be over (%s); asking again.", event)
        return self._restore(context, give_up_at=cooldown.read_end(give_up_at, self.max_wait), refusals=refusals)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002
        """Tell OpenLineage of which file the new bot was made. Its provider calls this.

        :param task_instance: the task instance
        """
        from airflow_provider_xbackup import lineage

        return lineage.of_nothing() if self._restored is None else lineage.of_restore(*self._restored)

    def _restore(self, context: Context, *, give_up_at: datetime, refusals: int) -> dict[str, Any]:
        from airflow_provider_xbackup.tasks.new_keys import Origin

        owner = _owner_of(context)
        memory = TaskMemory(context, "xbackup_restore", self._asked_for)
        keys = self._new_keys(owner)
        with airflow_errors(self._about):
            origin = keys.find()
            if origin is not None:
                self.log.info("An earlier try has made the bot: %s.", origin)
                self._remember(memory, origin.backup_id)
                self.subject = Subject(VaultHook(self.vault).url, "xenioo", origin.account, origin.backup_id)
                return self._summary(origin, None)
            self._refuse_second_bot(memory)
            vault, backup, body = self._read_backup()
            # A login that fails leaves nothing open, so it comes first.
            self._hook.client.authenticate()
            keys.reserve()
            try:
                bot = self._ask(keys, body)
            except XBackupCooldownError as refusal:
                cooldown.handle(
                    refusal,
                    self,
                    on_cooldown=self.on_cooldown,
                    give_up_at=give_up_at,
                    refusals=refusals,
                    service="xenioo",
                    account=backup.path.account,
                )
            origin = Origin(backup.backup_id, backup.path.account, owner)
            keys.keep(self._hook.connection_to(bot, str(origin)))
        self._remember(memory, backup.backup_id)
        summary = self._summary(origin, self._hook.name_of(bot))
        self._restored = vault, backup, self._hook.client.endpoint.host, summary["bot"]
        self.log.info(
            "Backup %s is a new bot now, %s. Its keys are in %s.",
            backup.location,
            repr(summary["bot"]) if summary["bot"] else "whose name nobody tells",
            self._place,
        )
        return summary

    def _ask(self, keys: NewKeys, body: bytes) -> RestoredBot:
        """Ask for the bot; where none was made for certain, the place for its keys is given back."""
        from airflow_provider_xbackup.services.errors import had_no_effect

        try:
            return self._hook.restore_backup(body)
        except XBackupError as error:
            if error.error is None or not had_no_effect(error.error):
                raise XBackupFailError(
                    f"{error} Whether the bot was made is not known, so it is not asked for again. Look for it in "
                    f"the account: if it is there, its keys are too; if it is not, remove {self._place}, which "
                    "says that a restore is under way, and clear this task."
                ) from None
            keys.release()
            raise

    def _read_backup(self) -> tuple[Vault, Backup, bytes]:
        """Return the vault, the backup and its plain bytes, which are what its manifest says."""
        from airflow_provider_xbackup.hooks.identities import read_identities
        from airflow_provider_xbackup.vault.plain import plain_blocks

        identities = read_identities(self.identity_conn_id)
        vault = VaultHook(self.vault).vault
        self.subject = Subject(vault.url, "xenioo", self.account)
        vault.require()
        backup = self._choose(vault)
        self.subject = Subject.of(vault, backup.path)
        artifact = backup.manifest.artifacts[0]
        return vault, backup, b"".join(plain_blocks(vault.store, backup.path, artifact, identities))

    def _choose(self, vault: Vault) -> Backup:
        from airflow_provider_xbackup.vault.choose import choose
        from airflow_provider_xbackup.vault.errors import BackupStateError

        chosen = Chosen.of(self.backup_id, "xenioo", self.account)
        if chosen.service != "xenioo":
            raise InvalidArgumentError(f"A backup of {chosen.service} is no bot, and its vendor has no restore.")
        (selector,) = chosen.selectors
        any_account = selector.backup_id is not None
        account = chosen.account or (None if any_account else self.xenioo_conn_id)
        backup = choose(vault, selector, "xenioo", account)
        if not backup.reliable and chosen.asked_for != backup.backup_id:
            state = "dated in the future" if backup.in_future else backup.state
            said = " ".join((f"Backup {backup.location} is {state}.", *backup.verdict.flaws))
            raise BackupStateError(
                f"{said} If it is the one that is wanted, ask for it by its id: "
                f"backup_id={backup.backup_id!r}. 'latest-verified' takes the newest that was verified."
            )
        return backup

    def _refuse_second_bot(self, memory: TaskMemory) -> None:
        """Refuse to make another bot in a task that was cleared after its keys had been moved away."""
        known = memory.recall()
        if known is not None:
            raise XBackupFailError(
                f"{self._about}: this task has made a bot of backup {known.get('backup_id')} before. Its keys "
                f"were in {self._place}, and are there no more. To make another bot, start another run."
            )

    def _remember(self, memory: TaskMemory, backup_id: str) -> None:
        try:
            memory.keep(backup_id=backup_id)
        except Exception as error:  # noqa: BLE001 - the bot is there, and its keys are safe
            self.log.warning("That the bot was made could not be remembered (%s).", type(error).__name__)

    def _summary(self, origin: Origin, name: str | None) -> dict[str, Any]:
        variable = self.keys_variable
        return {
            "service": "xenioo",
            "account": origin.account,
            "backup_id": origin.backup_id,
            "vault": str(VaultHook(self.vault).vault.url),
            "bot": name,
            "keys_variable": variable,
            "keys_file": self.keys_file,
            "xenioo_conn_id": None if variable is None else connection_in(variable),
        }

    def _new_keys(self, owner: str) -> NewKeys:
        from airflow_provider_xbackup.tasks.new_keys import NewKeys

        return NewKeys(self._place, owner, configuration.spool_dir())

    @cached_property
    def _place(self) -> Any:
        from airflow_provider_xbackup.tasks.new_keys import FilePlace, VariablePlace

        if self.keys_variable is not None:
            return VariablePlace(self.keys_variable)
        return FilePlace(Path(str(self.keys_file)))

    @cached_property
    def _hook(self) -> XeniooHook:
        return XeniooHook(self.xenioo_conn_id, self.account)

    @property
    def _about(self) -> str:
        return account_label("Xenioo", self.account or self.xenioo_conn_id, self.xenioo_conn_id)

    @property
    def _asked_for(self) -> dict[str, Any]:
        return {
            "vault": str(self.vault),
            # Of what another task returned only this names the backup: who held it, and until when, may change.
            "backup_id": self.backup_id["backup_id"] if isinstance(self.backup_id, Mapping) else self.backup_id,
            "account": self.account,
            "place": str(self._place),
            "xenioo_conn_id": self.xenioo_conn_id,
        }

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "xenioo_conn_id": arguments.check_conn_id,
            "vault": arguments.check_vault,
            "backup_id": check_one,
            "account": arguments.check_account,
            "keys_variable": self._check_variable,
            "keys_file": self._check_file,
            "on_cooldown": arguments.check_on_cooldown,
            "max_wait": arguments.check_max_wait,
            "identity_conn_id": arguments.check_optional_conn_id,
        }

    def _check_variable(self, name: object) -> None:
        if (name is None) == (self.keys_file is None):
            raise InvalidArgumentError(
                "Say where the keys of the new bot go: to keys_variable (an Airflow Variable) or to keys_file."
            )
        if name is not None and not (isinstance(name, str) and name.strip() and len(name) <= _LONGEST_NAME):
            raise InvalidArgumentError(f"It must be the name of an Airflow Variable and is {name!r}.")

    def _check_file(self, path: object) -> None:
        if path is not None and not (isinstance(path, str) and path.startswith("/")):
            raise InvalidArgumentError(f"It must be an absolute path on the worker and is {path!r}.")


class XeniooCompareBackupsOperator(BaseOperator):
    """Compare two backups of bots, for example of a bot and of the one that was restored from it.

    The order of fields and the spacing of the JSON do not matter. Ids that changed throughout, as those of a copy
    must, are counted apart. Returns ``same``, ``differences`` (how many), ``new_ids`` and ``places``: of the first
    100 differences ``path`` (a JSON pointer) and ``what`` (``added``, ``removed``, ``changed``), never a value.

    :param original: what a transfer or a restore returned: ``vault``, ``account`` and ``backup_id`` in a dict
    :param copy: the same of the other backup
    :param fail_on_difference: fail the task, without using retries, where they differ in more than ids
    :param identity_conn_id: a connection whose password is an age identity; None for
        ``XBACKUP_AGE_IDENTITY`` or ``XBACKUP_AGE_IDENTITY_FILE`` in the worker's environment
    """

    template_fields: Sequence[str] = ("original", "copy", "identity_conn_id")
    ui_color = "#d7e8f7"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        original: Mapping[str, Any] | XComArg,
        copy: Mapping[str, Any] | XComArg,
        fail_on_difference: bool = True,
        identity_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.original = original
        self.copy = copy
        self.fail_on_difference = fail_on_difference
        self.identity_conn_id = identity_conn_id
        arguments.check_literals(self, self._checks)

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - as Airflow calls it
        """Compare the backups.

        :return: what differs
        :raises XBackupFailError: when they differ, or one is damaged or not there
        :raises XBackupError: when a vault does not answer
        """
        from airflow_provider_xbackup.contents.sameness import compare

        arguments.check_all(self, self._checks)
        with airflow_errors("The comparison"):
            vault, original = self._find(self.original)
            self.subject = Subject.of(vault, original.path)
            comparison = compare(self._read(vault, original), self._read(*self._find(self.copy)))
        said = self._tell(comparison)
        if self.fail_on_difference and not comparison.same:
            raise XBackupFailError(said)
        return {
            "same": comparison.same,
            "differences": comparison.count,
            "new_ids": comparison.new_ids,
            "places": [{"path": each.path, "what": each.what} for each in comparison.differences],
        }

    def _find(self, summary: Any) -> tuple[Vault, Backup]:
        from airflow_provider_xbackup.vault.choose import find_by_id

        vault = VaultHook(summary["vault"]).vault
        vault.require()
        return vault, find_by_id(vault, summary["backup_id"], "xenioo", summary["account"])

    def _read(self, vault: Vault, backup: Backup) -> bytes:
        from airflow_provider_xbackup.hooks.identities import read_identities
        from airflow_provider_xbackup.vault.plain import plain_blocks

        identities = read_identities(self.identity_conn_id)
        return b"".join(plain_blocks(vault.store, backup.path, backup.manifest.artifacts[0], identities))

    def _tell(self, comparison: Comparison) -> str:
        for each in comparison.differences:
            self.log.warning("%s: %s", each.what, each.path or "the whole")
        if comparison.same:
            how = "byte for byte" if comparison.identical else f"but for {comparison.new_ids} ids of its own"
            said = f"Backup {self._copied} holds what {self._origin} holds, {how}."
            self.log.info("%s", said)
            return said
        some = ", ".join(f"{each.what} {each.path or '/'}" for each in comparison.differences[:_MOST_TOLD])
        more = f" and {comparison.count - _MOST_TOLD} more" if comparison.count > _MOST_TOLD else ""
        return (
            f"Backup {self._copied} differs from {self._origin} in {comparison.count} places: {some}{more}. "
            f"Besides, {comparison.new_ids} ids are other ones, which a copy's must be."
        )

    @property
    def _origin(self) -> str:
        return _name_of(self.original)

    @property
    def _copied(self) -> str:
        return _name_of(self.copy)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "original": _check_summary,
            "copy": _check_summary,
            "fail_on_difference": _check_fail_on_difference,
            "identity_conn_id": arguments.check_optional_conn_id,
        }


def _owner_of(context: Context) -> str:
    """Return what a task instance is called, the same in every try."""
    ti = context["ti"]
    mapped = "" if ti.map_index in (None, -1) else f" [{ti.map_index}]"
    return f"{ti.dag_id} / {ti.task_id}{mapped}, run {ti.run_id}"


def _name_of(summary: Any) -> str:
    return f"{summary['account']}/{summary['backup_id']}"


def _check_summary(value: object) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(value.get(name), str) for name in ("vault", "account", "backup_id")
    ):
        raise InvalidArgumentError("It takes the dict that a transfer or a restore returned.")
    if value.get("service", "xenioo") != "xenioo":
        raise InvalidArgumentError("It takes backups of Xenioo bots.")
    arguments.check_vault(value["vault"])


def _check_fail_on_difference(value: object) -> None:
    arguments.check_bool("fail_on_difference", value)
