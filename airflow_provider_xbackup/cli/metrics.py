"""Write what a vault holds in the text format of Prometheus, for the textfile collector of its node exporter.

Instants are Unix times in seconds. What there is none of has no sample: never a zero that reads as 1970.
With --output the file is replaced in one step, so that nobody reads half of it; a vault that does not answer
leaves it as it was, and xbackup_looked_at_timestamp_seconds grows old. Accounts of --expect are told of even when
they have no backup. The exit code is 0 whatever the backups are worth: that is for the alerts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_xbackup.cli import errors, vaults
from airflow_provider_xbackup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_xbackup.vault.catalog import Backup, Finding
    from airflow_provider_xbackup.vault.status import AccountStatus

NAME = "metrics"
HELP = "write ages, sizes and states of backups in the text format of Prometheus"

_STATES = ("ok", "accepted", "held", "suspect", "damaged", "incomplete")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_READABLE = 0o644


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    vaults.add_vault(parser)
    vaults.add_filters(parser)
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="SERVICE/ACCOUNT",
        help="an account that must have a backup, such as xray/acme; may be repeated",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="replace this file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from airflow_provider_xbackup.vault.status import AccountName, survey

    vault = vaults.open_vault(args)
    vault.require()
    backups = vault.backups(args.service, args.account)
    accounts = survey(backups, frozenset(AccountName.parse(name) for name in args.expect))
    lines = exposition(str(vault.url.without_connection), accounts, backups.findings, datetime.now(UTC))
    text = "".join(f"{line}\n" for line in lines)
    if args.output is None:
        sys.stdout.write(text)
    else:
        _replace(args.output, text)
    return errors.FINE


def exposition(
    vault: str, accounts: Sequence[AccountStatus[Backup]], findings: Iterable[Finding], now: datetime
) -> Iterator[str]:
    """Return the lines of all metrics.

    :param vault: what the vault is called
    :param accounts: what was found, account by account
    :param findings: what was found beside the backups
    :param now: what the time is
    """

    def family(name: str, meaning: str, samples: Iterable[tuple[dict[str, str], float]]) -> Iterator[str]:
        yield f"# HELP xbackup_{name} {meaning}"
        yield f"# TYPE xbackup_{name} gauge"
        for labels, value in samples:
            told = ",".join(f'{key}="{label.translate(_ESCAPES)}"' for key, label in labels.items())
            yield f"xbackup_{name}{{{told}}} {value:.15g}"

    def instants(which: str) -> Iterator[tuple[dict[str, str], float]]:
        for status in accounts:
            backup: Backup | None = getattr(status, which)
            if backup is not None:
                yield _labels(vault, status), backup.instant.timestamp()

    def states() -> Iterator[tuple[dict[str, str], float]]:
        for status in accounts:
            if (last := status.last) is not None:
                yield from (({**_labels(vault, status), "state": state}, last.state == state) for state in _STATES)

    yield from family(
        "newest_whole_timestamp_seconds", "Newest backup that can be gone back to.", instants("newest")
    )
    yield from family("newest_verified_timestamp_seconds", "Newest verified backup.", instants("verified"))
    yield from family("oldest_timestamp_seconds", "Oldest backup that can be gone back to.", instants("oldest"))
    yield from family(
        "backups", "Backups, expired ones left out.", ((_labels(vault, each), each.number) for each in accounts)
    )
    yield from family(
        "stored_bytes", "Bytes of all of them.", ((_labels(vault, each), each.stored_size) for each in accounts)
    )
    yield from family(
        "newest_whole_bytes",
        "Bytes of the newest backup that can be gone back to.",
        ((_labels(vault, each), each.newest.stored_size) for each in accounts if each.newest is not None),
    )
    yield from family("last_backup_state", "1 for the state of the newest backup of all.", states())
    counts = Counter(found.code for found in findings)
    yield from family(
        "findings",
        "What is wrong beside the backups, such as damaged manifests.",
        (({"vault": vault, "code": code}, number) for code, number in sorted(counts.items())),
    )
    yield from family(
        "looked_at_timestamp_seconds", "When this was written.", [({"vault": vault}, now.timestamp())]
    )


def _labels(vault: str, status: AccountStatus[Backup]) -> dict[str, str]:
    return {"vault": vault, "service": status.name.service, "account": status.name.account}


def _replace(path: Path, text: str) -> None:
    """Put a text into a file in one step.

    :raises BackupError: when the folder does not take it
    """
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(text)
                os.fchmod(file.fileno(), _READABLE)
                file.flush()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError as exc:
        raise BackupError(f"The metrics cannot be written to {path}: {exc.strerror or exc}.") from None
