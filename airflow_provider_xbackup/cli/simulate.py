"""Run both vendors' backup APIs on this machine, to try DAGs without spending a real cooldown.

Runs until Ctrl-C. Every setting of the simulator can be given with --set, for example
--set xray.token_seconds=60 --set xenioo.entitled=false.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_xbackup.cli import errors, text
from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_provider_xbackup.simulator import SimulatorSettings

NAME = "simulate"
HELP = "run both vendors' APIs on this machine"

#: Options, the settings they stand for, and what they are.
_OPTIONS: tuple[tuple[str, str, type, str, str], ...] = (
    ("--seed", "data.seed", int, "N", "same seed, same data"),
    ("--tests", "data.tests", int, "N", "tests in each project"),
    ("--attachments-mb", "data.attachment_bytes", float, "N", "megabytes of attachments in the tenant"),
    ("--job-seconds", "xray.job_seconds", float, "S", "how long an Xray backup job runs"),
    ("--cooldown", "xray.cooldown_seconds", float, "S", "least time between two Xray backups"),
    ("--bot-cooldown", "xenioo.cooldown_seconds", float, "S", "least time between two backups of a bot"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8091, help="port, 0 for a free one (%(default)s)")
    for option, _, kind, metavar, meaning in _OPTIONS:
        parser.add_argument(option, type=kind, metavar=metavar, help=meaning)
    parser.add_argument("--bots", metavar="NAMES", help="names of the Xenioo bots, separated by commas")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="PATH=VALUE",
        help="any setting, the value as JSON or text; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.simulator import serve

    settings = read_settings(args)
    try:
        serve(args.host, args.port, settings, lambda url: _announce(url, settings))
    except ValueError as exc:
        raise InvalidArgumentError(f"The simulator cannot listen on {args.host!r}: {exc}.") from None
    except OSError as exc:
        text.complain(f"The simulator cannot listen on {args.host}:{args.port}: {exc.strerror or exc}.")
        return errors.FINDING
    return errors.FINE


def read_settings(args: argparse.Namespace) -> SimulatorSettings:
    """Turn the arguments into settings.

    :raises InvalidArgumentError: when a setting does not exist or cannot have the value
    """
    from pydantic import ValidationError

    from airflow_provider_xbackup.simulator import SimulatorSettings

    settings = SimulatorSettings()
    changes: dict[str, Any] = {}
    for option, path, _, _, _ in _OPTIONS:
        value = getattr(args, option.removeprefix("--").replace("-", "_"))
        if value is None:
            continue
        if option == "--attachments-mb":
            value = int(value * 1_000_000)
        for target in _targets(path, settings):
            _put(changes, target, value)
        if option == "--bot-cooldown":
            # Untold, another one than the vendor's hour would end unseen: whoever waits takes it for an hour.
            _put(changes, ["xenioo", "throttled_retry_after"], True)
    for change in args.changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise InvalidArgumentError(f"--set takes PATH=VALUE, for example xray.job_seconds=1; got {change!r}.")
        _put(changes, path.split("."), _read_value(value))
    try:
        if args.bots is not None:
            names = [name.strip() for name in args.bots.split(",") if name.strip()]
            values = settings.model_dump()
            values["xenioo"]["bots"] = {name: {} for name in names}
            settings = SimulatorSettings.model_validate(values)
        return settings.merged(changes)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgumentError(f"The simulator's setting {where}: {first['msg']}.") from None


def _targets(path: str, settings: SimulatorSettings) -> list[list[str]]:
    """The places of a setting; what is said of the data goes for every tenant."""
    parts = path.split(".")
    if parts[0] != "data":
        return [parts]
    return [["xray", "tenants", tenant, *parts] for tenant in settings.xray.tenants]


def _put(changes: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        changes = changes.setdefault(name, {})
        if not isinstance(changes, dict):
            raise InvalidArgumentError(f"--set gives {'.'.join(path)} and something above it.")
    changes[path[-1]] = value


def _read_value(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def connections(url: str, settings: SimulatorSettings) -> dict[str, dict[str, Any]]:
    """Return the Airflow connections that reach the simulator, by connection id."""
    found: dict[str, dict[str, Any]] = {}
    for number, (client_id, tenant) in enumerate(settings.xray.tenants.items()):
        found["xray_default" if number == 0 else f"xray_{client_id}"] = {
            "conn_type": "xray",
            "host": url,
            "login": client_id,
            "password": tenant.client_secret,
        }
    for name, bot in settings.xenioo.bots.items():
        found[f"xenioo_{name}"] = {
            "conn_type": "xenioo",
            "host": f"{url}/xenioo/{quote(name)}",
            "extra": {
                "account_api_key": settings.xenioo.account_api_key,
                "bot_api_key": bot.api_key or f"{name}-key",
                "bot_api_secret": bot.api_secret or f"{name}-secret",
            },
        }
    return found


def _announce(url: str, settings: SimulatorSettings) -> None:
    print(f"Xray Cloud and Xenioo, simulated, at {url} until Ctrl-C. Connections for Airflow:\n")
    for conn_id, connection in connections(url, settings).items():
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in conn_id).upper()
        print(f"export AIRFLOW_CONN_{name}={_quoted(json.dumps(connection))}")
    sys.stdout.flush()


def _quoted(value: str) -> str:
    import shlex

    return shlex.quote(text.safe(value))
