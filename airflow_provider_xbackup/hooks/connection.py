"""What the connection types of both services have in common: reading the fields of the form."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseHook, Connection

    from airflow_provider_xbackup.http.endpoint import Endpoint

log = logging.getLogger(__name__)


class ConnectionForbiddenError(BackupError):
    """Airflow knows the connection and does not hand it to this task."""

    retryable = False


def find_connection(hook: BaseHook, conn_id: str, service: str) -> Connection:
    """Return an Airflow connection.

    :param hook: the hook that asks
    :param conn_id: its id
    :param service: the connection type to name when there is none
    :raises InvalidArgumentError: when Airflow knows no connection of this id
    :raises ConnectionForbiddenError: when Airflow knows it and denies it
    """
    with _asking(conn_id, service):
        conn = hook.get_connection(conn_id)
    _notice_type(hook, conn)
    return conn


async def find_connection_async(
    hook: BaseHook, conn_id: str, service: str
) -> tuple[Connection, Mapping[str, Any]]:
    """Return an Airflow connection and its extra options, on the event loop: see :func:`find_connection`."""
    from asgiref.sync import sync_to_async

    def find() -> tuple[Connection, Mapping[str, Any]]:
        conn = find_connection(hook, conn_id, service)
        return conn, conn.extra_dejson

    # In a thread: below Airflow 3.3.2 the loop itself must not be the one that hides a connection's secrets.
    return await sync_to_async(find)()


def _notice_type(hook: BaseHook, conn: Connection) -> None:
    """Warn of a connection that was made for something else."""
    expected = getattr(hook, "conn_type", None)
    if conn.conn_type and expected and conn.conn_type != expected:
        log.warning(
            "The connection %r is of type %r and not %r: its secret goes to its host all the same. "
            "Was another one meant?",
            conn.conn_id,
            conn.conn_type,
            expected,
        )


@contextlib.contextmanager
def _asking(conn_id: str, service: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        problem: BackupError = ConnectionForbiddenError(
            f"Airflow does not let this task read the connection {conn_id!r}. Ask whoever administers Airflow "
            "for access, or name a connection of the task's own team."
        )
    except (AirflowException, ImportError) as error:
        # The API server's refusal has another type than the backends'; all of them mean that it is not there.
        if type(error).__name__ not in ("AirflowNotFoundException", "AirflowRuntimeError", "ImportError"):
            raise
        problem = unknown_connection(conn_id, service)
    else:
        return
    raise problem


def unknown_connection(conn_id: str, service: str) -> InvalidArgumentError:
    """Return the error for a connection id that Airflow does not know."""
    return InvalidArgumentError(
        f"Airflow has no connection {conn_id!r}, or cannot read its definition. Create one of type {service} "
        f"under Admin > Connections, or set the environment variable AIRFLOW_CONN_{conn_id.upper()} to its JSON."
    )


def read_options(conn: Connection, extra: object) -> Mapping[str, Any]:
    """Check that a connection's extra is what the rest can read.

    :param conn: the connection
    :param extra: its extra, as Airflow has parsed it
    :raises InvalidArgumentError: when it is no JSON object
    """
    # Airflow reads an extra that is no JSON as an empty one.
    lost = not extra and (conn.extra or "").strip() not in ("", "{}", "null")
    if lost or not isinstance(extra or {}, Mapping):
        raise InvalidArgumentError(
            f"The extra of the connection {conn.conn_id!r} is no JSON object. "
            'Write it as {"name": "value"}, for example {"read_timeout": 120}, or leave it empty.'
        )
    return extra if isinstance(extra, Mapping) else {}


def form_behaviour(conn_type: str, **placeholders: str) -> dict[str, Any]:
    """Return a connection type's form as Airflow 3.1 asks the hook for it: what the provider info says.

    :param conn_type: the connection type
    :param placeholders: further placeholders, for fields of which Airflow 3.1 shows less than later ones
    """
    from airflow_provider_xbackup.provider_info import get_provider_info

    types = {each["connection-type"]: each for each in get_provider_info()["connection-types"]}
    form = {name.replace("-", "_"): value for name, value in types[conn_type]["ui-field-behaviour"].items()}
    return {**form, "placeholders": {**form.get("placeholders", {}), **placeholders}}


def read_endpoint(host: str, port: int | None, extra: Mapping[str, Any]) -> Endpoint:
    """Read where a service lives, and how it is reached, from a connection's fields.

    :param host: the host field, or the service's default
    :param port: the port field
    :param extra: the extra options: ``verify``, ``proxy``, ``allow_http``, ``connect_timeout``,
        ``read_timeout``, ``stall_timeout``; forms leave empty texts where nothing was entered
    :raises InvalidArgumentError: when one of them cannot be meant
    :raises InsecureHostError: when a secret would go to another machine over plain http
    """
    from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts, check_proxy, read_url

    allow_http = _read_bool(extra, "allow_http", default=False)
    url, proxy = read_url(host, port, allow_http=allow_http), _read_proxy(extra)
    check_proxy(url, proxy, allow_http=allow_http)
    return Endpoint(
        url=url,
        verify=_read_verify(extra),
        proxy=proxy,
        timeouts=Timeouts(
            connect=_read_seconds(extra, "connect_timeout", Timeouts().connect),
            read=_read_seconds(extra, "read_timeout", Timeouts().read),
            stall=_read_seconds(extra, "stall_timeout", Timeouts().stall),
        ),
        allow_http=allow_http,
    )


def _read_bool(extra: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = extra.get(name)
    if value is None or value == "":
        return default
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    read = known.get(str(value).strip().lower())
    if read is None:
        raise InvalidArgumentError(f"The connection's extra {name!r} must be true or false and is {value!r}.")
    return read


def _read_verify(extra: Mapping[str, Any]) -> bool | str:
    value = extra.get("verify")
    if isinstance(value, str) and ("/" in value or value.endswith((".pem", ".crt"))):
        try:
            _load_authorities(value)
        except FileNotFoundError:
            raise InvalidArgumentError(
                f"The connection's extra 'verify' names the CA bundle {value!r}, which does not exist here."
            ) from None
        except OSError:
            raise InvalidArgumentError(
                f"The connection's extra 'verify' names {value!r}, which is no readable CA bundle in PEM form."
            ) from None
        return value
    return _read_bool(extra, "verify", default=True)


def _load_authorities(path: str) -> None:
    import ssl

    if Path(path).is_dir():
        return
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)


def _read_proxy(extra: Mapping[str, Any]) -> str | None:
    value = str(extra.get("proxy") or "").strip()
    if not value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # The value is not quoted: it may hold a password.
        raise InvalidArgumentError(
            "The connection's extra 'proxy' is no URL of an HTTP proxy. Write it as http://host:port."
        )
    return value


def _read_seconds(extra: Mapping[str, Any], name: str, default: float) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds <= 86_400:
        raise InvalidArgumentError(
            f"The connection's extra {name!r} must be a number of seconds above 0 and is {value!r}."
        )
    return seconds
