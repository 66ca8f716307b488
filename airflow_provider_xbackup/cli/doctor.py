"""Ask a real service what its vendor does not document, and say which assumptions of this package hold.

The questions are read-only. Only with --start-backup a backup is asked for: of Xray a full one of all projects,
which takes the tenant's next six hours; of Xenioo the bot's of this hour, which is not kept. The report holds no
secret. The credentials are those of an Airflow connection, or of the environment: XRAY_CLIENT_ID and
XRAY_CLIENT_SECRET (XRAY_HOST); XENIOO_ENDPOINT with XENIOO_TOKEN, or with XENIOO_ACCOUNT_API_KEY,
XENIOO_BOT_API_KEY and XENIOO_BOT_API_SECRET. With --json, an object with the keys service, host,
package_version, at and observations. The exit code is 1 where an assumption is refuted or nobody answers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, text, vaults
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_xbackup.doctor.report import Observation, Report

NAME = "doctor"
HELP = "ask Xray or Xenioo what is not documented, and report it without secrets"

_FROM_ENVIRONMENT = "environment"
_XRAY_VARIABLES = {"login": "XRAY_CLIENT_ID", "password": "XRAY_CLIENT_SECRET", "host": "XRAY_HOST"}
_XENIOO_VARIABLES = {"host": "XENIOO_ENDPOINT", "password": "XENIOO_TOKEN"}
_XENIOO_KEYS = ("account_api_key", "bot_api_key", "bot_api_secret")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("service", nargs="?", choices=("xray", "xenioo"), help="which service is asked")
    parser.add_argument("--conn-id", metavar="CONN", help="Airflow connection (default: the environment)")
    parser.add_argument("--project", metavar="ID", help="Xray: numeric id of a Jira project, to count")
    parser.add_argument("--job", metavar="ID", help="Xray: id of an earlier job, to ask for its state")
    parser.add_argument(
        "--start-backup", action="store_true", help="ask for a backup, too: it spends the cooldown"
    )
    parser.add_argument(
        "--questions", action="store_true", help="write the questions in Markdown, and ask nothing"
    )
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.questions:
        from airflow_provider_xbackup.doctor.questions import page

        sys.stdout.write(page())
        return errors.FINE
    if args.service is None:
        raise InvalidArgumentError("Say which service to ask: xray or xenioo.")
    if args.service == "xenioo" and (args.project or args.job):
        raise InvalidArgumentError("--project and --job are questions to Xray.")
    report = vaults.with_airflow(
        lambda: _examine(args),
        "The credentials are read as an Airflow connection",
        "Install it.",
        debug=args.debug,
    )
    if args.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
    else:
        _write_text(report)
    return _judge(report)


def _examine(args: argparse.Namespace) -> Report:
    from airflow_provider_xbackup import __version__
    from airflow_provider_xbackup.doctor.report import Report
    from airflow_provider_xbackup.exceptions import XBackupError

    if args.conn_id is None:
        _make_connection(args.service)
    try:
        host, observations = _ask_xray(args) if args.service == "xray" else _ask_xenioo(args)
    except XBackupError as exc:
        error = exc.error or BackupError(str(exc))
    else:
        return Report.of(args.service, host, __version__, observations)
    raise error


def _ask_xray(args: argparse.Namespace) -> tuple[str, Iterable[Observation]]:
    from airflow_provider_xbackup.doctor.xray import XrayExamination
    from airflow_provider_xbackup.hooks.xray import XrayHook

    hook = XrayHook(args.conn_id or _FROM_ENVIRONMENT)
    _demand_answer(*hook.test_connection())
    endpoint, tokens = hook.credentials
    examination = XrayExamination(
        endpoint, tokens, project_id=args.project, job_id=args.job, start_backup=args.start_backup
    )
    return endpoint.host, examination


def _ask_xenioo(args: argparse.Namespace) -> tuple[str, Iterable[Observation]]:
    from airflow_provider_xbackup.doctor.xenioo import XeniooExamination
    from airflow_provider_xbackup.hooks.xenioo import XeniooHook

    hook = XeniooHook(args.conn_id or _FROM_ENVIRONMENT)
    _demand_answer(*hook.test_connection())
    endpoint, tokens = hook.credentials
    examination = XeniooExamination(
        endpoint, tokens, account=hook.account_credentials, start_backup=args.start_backup
    )
    return endpoint.host, examination


def _demand_answer(fine: bool, said: str) -> None:
    """Ask nothing more of a service that the connection's own test does not reach.

    :raises BackupError: with what the test said
    """
    if not fine:
        raise BackupError(said)


def _make_connection(service: str) -> None:
    """Make a connection of the environment's variables, where Airflow finds it.

    :raises InvalidArgumentError: when they are missing
    """
    names = _XRAY_VARIABLES if service == "xray" else _XENIOO_VARIABLES
    fields: dict[str, object] = {name: os.environ.get(variable, "") for name, variable in names.items()}
    if service == "xenioo":
        fields["extra"] = {key: os.environ.get(f"XENIOO_{key.upper()}", "") for key in _XENIOO_KEYS}
    first = names["login" if service == "xray" else "host"]
    if not os.environ.get(first):
        raise InvalidArgumentError(
            f"There are no credentials: give --conn-id, or set {first} and the other variables that "
            "`xbackup doctor --help` names."
        )
    os.environ[f"AIRFLOW_CONN_{_FROM_ENVIRONMENT.upper()}"] = json.dumps({"conn_type": service, **fields})


def _write_text(report: Report) -> None:
    print(
        f"xbackup {report.package_version} asked {text.safe(report.host)} ({report.service}) at "
        f"{text.when(report.at)}\n"
    )
    for each in report.observations:
        print(text.safe(f"{each.seen.verdict.value:<10}  {each.question.key:<18}  {each.seen.text}"))
        if each.seen.verdict.value == "refuted":
            print(f"{'':<12}assumed: {each.question.assumed}")
            print(f"{'':<12}the package: {each.question.either_way}")
    numbers = dict.fromkeys(("confirmed", "refuted", "settled", "no answer", "not asked"), 0)
    for each in report.observations:
        numbers[each.seen.verdict.value] += 1
    print("\n" + ", ".join(f"{number} {word}" for word, number in numbers.items()))


def _judge(report: Report) -> int:
    from airflow_provider_xbackup.doctor.report import Verdict

    fine = True
    for each in report.observations:
        if each.seen.verdict in (Verdict.REFUTED, Verdict.NO_ANSWER):
            fine = False
            text.complain(f"{each.seen.verdict.value}: {each.question.key}: {each.seen.text}")
    return errors.FINE if fine else errors.FINDING
