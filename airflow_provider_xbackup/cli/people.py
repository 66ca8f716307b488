"""Who says something about a backup, and why: what is written beside it for whoever reads it later."""

from __future__ import annotations

import argparse
import getpass
import os


def add_words(parser: argparse.ArgumentParser, *, why_required: bool = True) -> None:
    """Add the arguments that say who and why."""
    parser.add_argument(
        "--why", required=why_required, default="", metavar="TEXT", help="the reason, for whoever reads it later"
    )
    parser.add_argument("--who", metavar="NAME", help="who says so (your user name here)")


def who(args: argparse.Namespace) -> str:
    """Return who says so: the name that was given, or the user's."""
    if args.who is not None:
        return str(args.who)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has a number only
        return f"uid {os.getuid()}"
