"""A PostgreSQL of the tests' own, of what is installed here."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from processes import free_port

_DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres" if os.geteuid() == 0 else None
"""Whom it runs as: it refuses to run as root."""


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL on this machine that trusts everybody here, and does not care for the disk."""

    port: int = field(default_factory=free_port)
    # Not in the folder of the tests, which no other user may enter.
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="xbackup-postgres-")))

    @property
    def url(self) -> str:
        """Its one database, as SQLAlchemy reads it."""
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/postgres"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it while the block runs."""
        if USER is not None:
            shutil.chown(self.folder, USER, USER)
        try:
            self._run("initdb", "--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
            options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=200"
            self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options={options}")
            yield
        finally:
            # Nobody needs this data again.
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run("pg_ctl", "stop", "--wait", "--mode=immediate")
            shutil.rmtree(self.folder)

    def restart(self) -> None:
        """Break it off as the end of its machine would, and start it again."""
        self._run("pg_ctl", "restart", "--wait", "--mode=immediate", f"--log={self.folder}/log")

    @staticmethod
    def version() -> str:
        """Return its version, such as 15.18."""
        said = subprocess.check_output([_program("postgres"), "--version"], text=True)
        return said.split()[2]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [_program(program), f"--pgdata={self.folder / 'data'}", *arguments],
            user=USER,
            group=USER,
            extra_groups=[] if USER else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _program(name: str) -> str:
    """Find a program of PostgreSQL; Debian keeps those of the server off the PATH."""
    installed = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: install PostgreSQL, on Debian 'postgresql'")
    return found
