"""The connection to a bot that a restore has made, in an Airflow Variable: tasks can make no connections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_xbackup.services.xenioo import RestoredBot

_PREFIX = "variable:"


def connection_in(variable: str) -> str:
    """Return the connection id that means the connection in a Variable.

    :param variable: the Variable's name
    """
    return _PREFIX + variable


def variable_of(conn_id: str) -> str | None:
    """Return the Variable that a connection id means; None where it is that of a connection.

    :param conn_id: the id
    """
    return conn_id.removeprefix(_PREFIX) if conn_id.startswith(_PREFIX) else None


def describe_connection(made_through: Connection, bot: RestoredBot, description: str) -> str:
    """Describe a connection to a new bot, in the JSON that ``airflow connections add --conn-json`` takes.

    :param made_through: the connection through which the bot was made: its host, its account key if it has
        one, and its options count for the new one too
    :param bot: the bot's own keys
    :param description: the connection's description
    :return: the connection: a secret
    """
    keys = {"bot_api_key": bot.api_key, "bot_api_secret": bot.api_secret}
    fields = {
        "conn_type": "xenioo",
        "description": description,
        "host": made_through.host,
        "port": made_through.port,
        "extra": {**made_through.extra_dejson, **keys},
    }
    return json.dumps({name: value for name, value in fields.items() if value}, indent=2)


def read_connection(variable: str, conn_id: str) -> Connection:
    """Read the connection that stands in a Variable.

    :param variable: the Variable's name
    :param conn_id: the id under which it is asked for
    :raises InvalidArgumentError: when there is no such Variable, or no connection in it
    """
    from airflow.providers.common.compat.sdk import Connection, Variable

    text = Variable.get(variable, default=None)
    if text is None:
        raise InvalidArgumentError(
            f"Airflow has no Variable {variable!r}, in which the connection {conn_id!r} is to stand. "
            "XeniooRestoreBotOperator(keys_variable=…) makes it."
        )
    try:
        fields = json.loads(text)
        if fields["conn_type"] == "xenioo":
            return Connection.from_json(text, conn_id=conn_id)
    except (ValueError, TypeError, KeyError):
        pass
    raise InvalidArgumentError(
        f"The Airflow Variable {variable!r} holds no connection of type xenioo. It takes what "
        "XeniooRestoreBotOperator(keys_variable=…) writes."
    )
