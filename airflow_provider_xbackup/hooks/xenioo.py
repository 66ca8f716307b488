"""The hook of Xenioo."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import XBackupError, account_label, airflow_errors
from airflow_provider_xbackup.hooks.connection import find_connection, form_behaviour, read_endpoint, read_options

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_xbackup.http.endpoint import Endpoint
    from airflow_provider_xbackup.http.sync import Client
    from airflow_provider_xbackup.http.tokens import Conversation, TokenSource
    from airflow_provider_xbackup.services.xenioo import ApiKeys, Bot, RestoredBot
    from airflow_provider_xbackup.transfer.bot import OpenBackup


class XeniooHook(BaseHook):
    """Talks to one Xenioo bot, or account, with the credentials of an Airflow connection.

    :param xenioo_conn_id: the connection: host is the bot's service endpoint; the password its token,
        or the extras ``account_api_key``, ``bot_api_key`` and ``bot_api_secret`` make one. ``variable:NAME``
        is the connection that stands as JSON in the Airflow Variable of this name, where
        :class:`~airflow_provider_xbackup.operators.xenioo.XeniooRestoreBotOperator` has put it.
    :param account: what errors call the bot; default the connection id
    """

    conn_name_attr = "xenioo_conn_id"
    default_conn_name = "xenioo_default"
    conn_type = "xenioo"
    hook_name = "Xenioo"

    def __init__(self, xenioo_conn_id: str = default_conn_name, account: str | None = None) -> None:
        super().__init__()
        self.xenioo_conn_id = xenioo_conn_id
        self.account = account or xenioo_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Describe the connection form to Airflow 3.1, which does not read the provider's fields."""
        keys = '{"account_api_key": "…", "bot_api_key": "…", "bot_api_secret": "…"}'
        return form_behaviour(cls.conn_type, extra=keys)

    @cached_property
    def client(self) -> Client:
        """The client of the connection.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        from airflow_provider_xbackup.http.sync import Client

        return Client(*self.credentials)

    @cached_property
    def credentials(self) -> tuple[Endpoint, TokenSource]:
        """Where the connection leads to, and what it says there.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        with airflow_errors(self._about):
            conn = self._find_connection()
            return _read_connection(conn, conn.extra_dejson)

    @cached_property
    def account_credentials(self) -> tuple[Endpoint, TokenSource] | None:
        """The same for a token of the whole account; None where the connection holds no ``account_api_key``.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        with airflow_errors(self._about):
            conn = self._find_connection()
            options = read_options(conn, conn.extra_dejson)
            if not options.get("account_api_key"):
                return None
            return _read_keys(conn, {**options, "bot_api_key": None, "bot_api_secret": None})

    @property
    def bot_key_sha256(self) -> str | None:
        """The SHA-256 of the bot's API key, where the connection's token is made of it; else None.

        :raises XBackupError: when the connection does not exist or cannot be meant
        """
        from airflow_provider_xbackup.services.xenioo import key_digest

        with airflow_errors(self._about):
            conn = self._find_connection()
            # A password is the token, and nothing proves that keys beside it are of the same bot.
            key = None if conn.password else _checked_keys(read_options(conn, conn.extra_dejson)).bot_api_key
        return key_digest(key) if key else None

    def get_conn(self) -> Client:
        """Return the client of the connection."""
        return self.client

    def open_backup(self) -> OpenBackup:
        """Ask for the bot's backup and open the answer for reading.

        This may spend the bot's hour, whatever becomes of the answer: it is never repeated once the server
        may have seen it.

        :return: the answer's headers and its stream; to be closed by the caller
        :raises XBackupCooldownError: when the bot's hour is not over
        :raises XBackupError: on anything else that is not a backup
        """
        from airflow_provider_xbackup.transfer.bot import open_backup

        with airflow_errors(self._about):
            return open_backup(self.client, assumed_wait=configuration.xenioo_cooldown())

    def restore_backup(self, body: bytes) -> RestoredBot:
        """Make a brand-new bot of a backup, in the account of the connection's token.

        :param body: the backup, byte for byte as it was handed out
        :return: the new bot's keys: secrets
        :raises XBackupCooldownError: when the hour between two restores is not over
        :raises XBackupError: on anything else that is not a new bot
        """
        from airflow_provider_xbackup.services import xenioo

        with airflow_errors(self._about):
            assumed_wait = configuration.xenioo_cooldown()
            answer = self.client.call(xenioo.restore_request(body))
            return xenioo.read_restored(answer, assumed_wait=assumed_wait)

    def list_bots(self) -> tuple[Bot, ...]:
        """List the bots of the account, with a token of the account.

        The connection's ``account_api_key`` makes one, whatever else it holds; without it its password must be
        one.

        :raises XBackupError: when there was no list
        """
        from airflow_provider_xbackup.services import xenioo

        with airflow_errors(self._about):
            return xenioo.read_bots(self._account_client.call(xenioo.bots_request()))

    def name_of(self, bot: RestoredBot) -> str | None:
        """Return the name of a bot that was just made, where the account's key is known to look it up.

        :param bot: the new bot
        :return: its name; None where nobody tells
        """
        try:
            bots = self.list_bots()
        except XBackupError as error:
            self.log.info("The new bot's name cannot be looked up: %s", error)
            return None
        return next((each.name for each in bots if each.api_key == bot.api_key and each.name), None)

    def connection_to(self, bot: RestoredBot, description: str) -> str:
        """Describe a connection to a bot that was made through this one.

        Host, account key and options are this connection's, the bot's two keys its own: see
        ``docs/vendor-apis.md#xenioo-restore``.

        :param bot: the new bot
        :param description: the connection's description
        :return: the connection as JSON, in Airflow's form: a secret
        :raises XBackupError: when the connection does not exist
        """
        from airflow_provider_xbackup.hooks.new_bot import describe_connection

        with airflow_errors(self._about):
            return describe_connection(self._find_connection(), bot, description)

    def test_connection(self) -> tuple[bool, str]:
        """Check the keys without spending the hourly call; a token alone can only be checked by that.

        :return: whether it worked, and what to tell the user
        """
        try:
            with airflow_errors(self._about):
                self.client.authenticate()
                host = self.client.endpoint.host
                if self._find_connection().password:
                    return True, (
                        f"The connection is complete. The token was not tried: {host} would count that as "
                        "the bot's backup of this hour."
                    )
        except XBackupError as error:
            return False, str(error)
        return True, f"Xenioo at {host} accepted the API keys."

    @cached_property
    def _account_client(self) -> Client:
        from airflow_provider_xbackup.http.sync import Client

        return self.client if self.account_credentials is None else Client(*self.account_credentials)

    def _find_connection(self) -> Connection:
        from airflow_provider_xbackup.hooks.new_bot import read_connection, variable_of

        variable = variable_of(self.xenioo_conn_id)
        if variable is None:
            return find_connection(self, self.xenioo_conn_id, self.hook_name)
        return read_connection(variable, self.xenioo_conn_id)

    @property
    def _about(self) -> str:
        return account_label("Xenioo", self.account, self.xenioo_conn_id)


def _read_connection(conn: Connection, extra: object) -> tuple[Endpoint, TokenSource]:
    from airflow_provider_xbackup.http.tokens import GivenToken
    from airflow_provider_xbackup.services import xenioo

    options = read_options(conn, extra)
    if not conn.password:
        return _read_keys(conn, options)
    endpoint = _read_endpoint(conn, options)
    return endpoint, GivenToken(xenioo.check_token(conn.password), endpoint.url)


def _read_endpoint(conn: Connection, options: Mapping[str, Any]) -> Endpoint:
    if not conn.host:
        raise InvalidArgumentError(
            f"The connection {conn.conn_id!r} has no host, and Xenioo has no default one: "
            "enter the service endpoint shown under the bot's Settings > Developers."
        )
    return read_endpoint(conn.host, conn.port, options)


def _checked_keys(options: Mapping[str, Any]) -> ApiKeys:
    from airflow_provider_xbackup.services.xenioo import check_keys

    return check_keys(options.get("account_api_key"), options.get("bot_api_key"), options.get("bot_api_secret"))


def _read_keys(conn: Connection, options: Mapping[str, Any]) -> tuple[Endpoint, TokenSource]:
    from airflow_provider_xbackup.http.tokens import RenewableToken
    from airflow_provider_xbackup.services import xenioo

    endpoint = _read_endpoint(conn, options)
    keys = _checked_keys(options)

    def login() -> Conversation:
        answer = yield xenioo.integration_request(keys)
        if answer.status == 404:
            # An unknown key, or an older node that knows only the other address: asking there tells.
            older = yield xenioo.code_request(keys)
            answer = answer if older.status == 404 else older
        return xenioo.read_token(answer)

    return endpoint, RenewableToken(
        login, endpoint.url, keys.account_api_key, keys.bot_api_key, keys.bot_api_secret
    )
