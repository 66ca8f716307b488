"""The bots of a Xenioo account, for comparing with what a vault holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_xbackup.hooks.xenioo import XeniooHook

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.coverage import AccountBot


def bots_of(xenioo_conn_id: str) -> tuple[AccountBot, ...]:
    """List the bots of an account, by name and digest: the keys that the list holds stay here.

    :param xenioo_conn_id: the connection, with the account's API key or a token of the account
    :raises XBackupError: when there is no list
    """
    from airflow_provider_xbackup.services.xenioo import key_digest
    from airflow_provider_xbackup.vault.coverage import AccountBot

    return tuple(
        AccountBot(bot.name.strip(), key_digest(bot.api_key) if bot.api_key.strip() else None)
        for bot in XeniooHook(xenioo_conn_id).list_bots()
    )
