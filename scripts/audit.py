"""Look for known vulnerabilities in the locked dependencies: ``make audit``.

Fails on every finding and on everything that goes wrong, but for one thing: where the database cannot be reached,
as on a machine without the internet, it says that nothing was audited and does not fail.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import requests

LOCKS = Path(__file__).resolve().parent.parent / "requirements"
DATABASE = "https://api.osv.dev/v1/query"
_QUESTION = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "25.0"}


def main(arguments: list[str]) -> int:
    """Audit lock files, each on its own: they need not agree on versions.

    :param arguments: those of the command line
    :return: 0 when nothing is known against any package, or nothing could be asked and that is tolerated
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, help="requirements files with hashes (all in requirements)")
    parser.add_argument("--database", default=DATABASE, help="where to ask (%(default)s)")
    parser.add_argument(
        "--tolerate-unreachable", action="store_true", help="pass, and say so, where the database is not reached"
    )
    options = parser.parse_args(arguments)
    if problem := _unreachable(options.database):
        print(
            f"NOT AUDITED: the database of vulnerabilities, {options.database}, cannot be reached ({problem}). "
            "Nothing is known about the locked dependencies; run `make audit` where it can be."
        )
        return 0 if options.tolerate_unreachable else 1
    locks = options.locks or sorted(LOCKS.glob("*.txt"))
    return max([_audit(lock, options.database) for lock in locks])


def _audit(lock: Path, database: str) -> int:
    """Ask for every package of a lock file, and return how that ended."""
    print(f"{lock.name}:", flush=True)
    what = ("--requirement", str(lock), "--require-hashes", "--disable-pip", "--strict")
    how = ("--vulnerability-service", "osv", "--osv-url", database, "--progress-spinner", "off")
    return abs(subprocess.run([sys.executable, "-m", "pip_audit", *what, *how], check=False).returncode)


def _unreachable(url: str) -> str:
    """Say why nobody answers, or nothing where somebody does, whatever the answer."""
    try:
        requests.post(url, json=_QUESTION, timeout=15)
    except requests.exceptions.SSLError:
        raise  # somebody else answers
    except (requests.ConnectionError, requests.Timeout) as error:
        return type(error).__name__
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
