"""Private keys on the command line: the name of a file, never the key itself, which others would see."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.identities import Identities


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names an identity file."""
    parser.add_argument(
        "--identity",
        metavar="FILE",
        help="age identity file for encrypted backups, as age-keygen writes it (default: what "
        "XBACKUP_AGE_IDENTITY_FILE names, or XBACKUP_AGE_IDENTITY holds)",
    )


def read_identities(args: argparse.Namespace) -> Identities | None:
    """Read the private keys that the arguments or the environment name.

    :param args: the arguments of :func:`add_identity`
    :return: the keys, or None
    :raises InvalidArgumentError: when there is no private key where one should be
    :raises MissingDependencyError: when the extra ``encryption`` is not installed
    """
    from airflow_provider_xbackup.vault.identities import identities_from_environment, read_identity_file

    return identities_from_environment() if args.identity is None else read_identity_file(args.identity)
