"""Servers that speak the protocols of the object stores, each a process of its own on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import requests
from processes import free_port, listens, running

#: Where `make test` and `make test-stores` put them.
_FOLDER = Path(os.environ.get("XBACKUP_EMULATORS") or Path(__file__).resolve().parents[3] / ".venv-emulators")
#: Of every server here that has a root user of its own.
ROOT, ROOT_SECRET = "testing", "testing-secret-1"
#: Of the users of moto and ministack.
ACCOUNT = "000000000000"


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[int]:
    """Run moto's server, which looks at no credentials before it is told to; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    env = _environment(MOTO_ACCOUNT_ID=ACCOUNT)
    with running(command, folder / "moto.log", ready=lambda: listens(port), env=env):
        yield port


def enforce(moto: int) -> None:
    """Let a moto check signatures and rights from now on.

    :param moto: its port
    """
    requests.post(f"http://127.0.0.1:{moto}/moto-api/reset-auth", data="0", timeout=60).raise_for_status()


@contextlib.contextmanager
def ministack(folder: Path) -> Iterator[int]:
    """Run ministack with signatures and policies enforced; yields its port."""
    port = free_port()
    env = _environment(
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        AUTH="true",
        SERVICES="s3,iam,sts",
        TMPDIR=str(folder),
        AWS_ACCESS_KEY_ID=ROOT,
    )
    with running([program("ministack")], folder / "ministack.log", ready=lambda: listens(port), env=env):
        yield port


def ministack_version() -> str:
    """The version that is installed."""
    script = "from importlib.metadata import version; print(version('ministack'))"
    return _said(str(_FOLDER / "bin" / "python"), "-c", script)


@contextlib.contextmanager
def juicefs(folder: Path) -> Iterator[int]:
    """Run juicefs' gateway, a MinIO of old that knows no conditional writes; yields its port."""
    juicefs, port = program("juicefs"), free_port()
    meta = f"sqlite3://{folder}/meta.db"
    place = ["--storage", "file", "--bucket", f"{folder}/data/", "--trash-days", "0"]
    subprocess.run([juicefs, "format", *place, meta, "vaults"], check=True, capture_output=True, timeout=60)
    # Where it keeps metadata for others to scrape; each one needs an address of its own.
    metrics = ["--metrics", f"127.0.0.1:{free_port()}"]
    options = ["--multi-buckets", "--keep-etag", "--object-meta", "--no-banner", "--no-usage-report", *metrics]
    env = _environment(MINIO_ROOT_USER=ROOT, MINIO_ROOT_PASSWORD=ROOT_SECRET)
    command = [juicefs, "gateway", *options, meta, f"127.0.0.1:{port}"]
    with running(command, folder / "juicefs.log", ready=lambda: listens(port), env=env):
        yield port


def juicefs_version() -> str:
    """What juicefs says of itself, in short."""
    return _said(program("juicefs"), "--version").split()[-1].partition("+")[0]


@contextlib.contextmanager
def azurite(folder: Path, *, oauth: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Run Azurite's blob service; yields its port.

    :param folder: where its words go
    :param oauth: a certificate and its key, for https and the bearer tokens that Azurite takes there only
    """
    port = free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    if oauth is not None:
        certificate, key = oauth
        options += ["--oauth", "basic", "--cert", str(certificate), "--key", str(key)]
    command = [program("azurite-blob"), *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with running(command, folder / "azurite.log", ready=lambda: listens(port), env=_environment()):
        yield port


def azurite_version() -> str:
    """What Azurite says of itself."""
    return _said(program("azurite-blob"), "--version")


def moto_version() -> str:
    """The version that is installed."""
    return version("moto")


def program(name: str) -> str:
    """Find a server's program.

    :raises RuntimeError: when it is not installed
    """
    folders = (_FOLDER / "bin", _FOLDER / "node_modules" / ".bin", os.environ.get("PATH", ""))
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        raise RuntimeError(
            f"{name} is not installed. `make test` or `make test-stores` installs it, or says how to."
        )
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _environment(**changes: str) -> dict[str, str]:
    keep = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))
    }
    return keep | changes
