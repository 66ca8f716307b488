"""Install the servers that `make test-stores` needs beside Python packages, or say how to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Programs, and the packages of Debian that bring them.
PROGRAMS = {
    "radosgw": "radosgw",
    "ceph": "ceph-base",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph-mgr": "ceph-mgr",
    "faketime": "faketime",
    "npm": "npm",
}
#: Later ones want a newer Node.js than Debian has.
AZURITE = "azurite@3.35.0"


def main(folder: Path) -> None:
    """Install what is missing.

    :param folder: where Azurite goes
    """
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        install(missing)
    if not (folder / "node_modules" / ".bin" / "azurite-blob").exists():
        print(f"Installing {AZURITE} into {folder} ...")
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), AZURITE]
        subprocess.run(command, check=True)


def install(packages: list[str]) -> None:
    """Install packages of Debian, or end with the command that does."""
    if shutil.which("apt-get") is None:
        sys.exit(
            f"The tests of stores need {', '.join(PROGRAMS)}, and here is no apt-get to install them. "
            "Install Ceph's monitor, manager, object store and gateway, faketime and npm."
        )
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        sys.exit(f"The tests of stores need packages that only root may install: sudo {' '.join(command)}")
    print(f"Installing {', '.join(packages)} ...")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for each in (["apt-get", "update", "--quiet"], command):
        subprocess.run(each, check=True, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
