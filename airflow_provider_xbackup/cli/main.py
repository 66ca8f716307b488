"""The ``xbackup`` command.

Exit codes: 0 all is well, 1 something was found or could not be done, 2 it was used wrongly (options,
URL, connection, unknown vault), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.cli import (
    accept,
    demo,
    diff,
    doctor,
    errors,
    examples,
    explore,
    fetch,
    garbage,
    hold,
    list_backups,
    metrics,
    release,
    replicate,
    retention,
    show,
    simulate,
    status,
    text,
    undelete,
    verify,
)
from airflow_provider_xbackup.errors import BackupError

#: The commands, in the order of the help. Each module has NAME, HELP, ``add_arguments`` and ``run``, and
#: imports what is heavy only in ``run``.
COMMANDS = (
    list_backups,
    show,
    status,
    metrics,
    verify,
    fetch,
    explore,
    diff,
    accept,
    hold,
    release,
    retention,
    undelete,
    replicate,
    garbage,
    doctor,
    simulate,
    examples,
    demo,
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="xbackup",
        description="Look after the backups of Xray Cloud and Xenioo in a vault: file:///srv/backups, "
        "s3://[conn_id@]bucket/prefix, gs://..., abfs://...",
    )
    top.add_argument("--version", action="version", version=f"xbackup {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        sub = commands.add_parser(module.NAME, help=module.HELP, description=module.__doc__)
        module.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        sub.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: the arguments; None for those of the process
    :return: the exit code
    """
    try:
        args = parser().parse_args(argv)
    except SystemExit as exc:  # argparse has said why
        return exc.code if isinstance(exc.code, int) else errors.WRONG_USE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BackupError as exc:
        if args.debug:
            raise
        text.complain(str(exc))
        return errors.exit_code(exc)
    except KeyboardInterrupt:
        text.complain("interrupted")
        return errors.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; nothing may be written when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.BROKEN_PIPE
    return code


if __name__ == "__main__":
    sys.exit(main())
