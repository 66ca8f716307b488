"""Ceph's S3 server: one monitor, one manager, one object store in memory, one gateway. Nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import free_port, listens, running

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mgr", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

_CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
crash dir = {folder}/crash
keyring = {folder}/keyring
ms bind ipv6 = false
public network = 127.0.0.0/8
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
mon data avail warn = 2
mon data avail crit = 1
[mon.a]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd max object size = 134217728
[mgr]
mgr data = {folder}/mgr
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={certificate} \
ssl_private_key={private_key}
rgw data = {folder}/rgw
rgw dns name = s3.test
rgw enable usage log = false
rgw thread pool size = 64
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = my-key=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
rgw sts key = abcdefghijklmnop
rgw s3 auth use sts = true
rgw lifecycle work time = 00:00-23:59
rgw lc debug interval = 5
"""


@dataclass(frozen=True, slots=True)
class Radosgw:
    """A running gateway.

    :param port: where it speaks http
    :param tls_port: where it speaks https
    :param config: the cluster's configuration file
    """

    port: int
    tls_port: int
    config: Path

    @property
    def version(self) -> str:
        """What the gateway says of itself, in short."""
        return _said("radosgw", "--version").split()[2]

    def admin(self, *words: str) -> str:
        """Run ``radosgw-admin``; returns what it says."""
        return _said("radosgw-admin", "-c", str(self.config), *words)

    def make_user(self, name: str, secret: str, *, caps: str = "") -> None:
        """Make a user whose key id is its name."""
        words = ["user", "create", "--uid", name, "--display-name", name, "--access-key", name, "--secret", secret]
        self.admin(*words, *(("--caps", caps) if caps else ()))


@contextlib.contextmanager
def radosgw(folder: Path, certificate: Path, private_key: Path) -> Iterator[Radosgw]:
    """Run a cluster with a gateway.

    :param folder: a private folder, which has to exist
    :param certificate: of the gateway, for its https
    :param private_key: of the certificate
    """
    for name in ("run", "log", "crash", "mon", "mgr", "osd", "rgw"):
        (folder / name).mkdir()
    config, fsid = folder / "ceph.conf", str(uuid.uuid4())
    port, tls_port, mon_v1, mon_v2 = (free_port() for _ in range(4))
    config.write_text(
        _CONFIG.format(
            fsid=fsid, folder=folder, port=port, tls_port=tls_port, mon_v1=mon_v1, mon_v2=mon_v2,
            certificate=certificate, private_key=private_key,
        )
    )  # fmt: skip
    _make_keys(folder / "keyring")
    conf = ("-c", str(config))
    monmap = str(folder / "monmap")
    addresses = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
    _said("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, monmap)
    _said("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", str(folder / "keyring"))
    with contextlib.ExitStack() as daemons:

        def start(*command: str, answers_at: int | None = None) -> None:
            def ready() -> bool:
                return answers_at is None or listens(answers_at)

            daemons.enter_context(running(command, folder / "log" / f"{command[0]}.out", ready=ready))

        start("ceph-mon", *conf, "-f", "-i", "a", answers_at=mon_v2)
        osd = str(uuid.uuid4())  # mkfs needs the id under which the monitor knows it
        _said("ceph", *conf, "osd", "new", osd)
        _said("ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", *conf, "-f", "-i", "0")
        start("ceph-mgr", *conf, "-f", "-i", "x")
        _said("radosgw-admin", *conf, "user", "list")  # the first command makes the zone
        place = ("--placement-id", "default-placement", "--storage-class", "STANDARD_IA")
        for group in ("zonegroup", "zone"):
            more = ("--data-pool", "default.rgw.infrequent.data") if group == "zone" else ()
            _said("radosgw-admin", *conf, group, "placement", "add", f"--rgw-{group}", "default", *place, *more)
        start("radosgw", *conf, "-f", "-n", "client.rgw.a", answers_at=port)
        yield Radosgw(port, tls_port, config)


def _make_keys(keyring: Path) -> None:
    everything = {"mon": "allow *", "osd": "allow *", "mgr": "allow *", "mds": "allow *"}
    caps: dict[str, Sequence[str]] = {
        "mon.": ("mon",),
        "client.admin": tuple(everything),
        "client.rgw.a": ("mon", "osd", "mgr"),
        "osd.0": ("mon", "osd", "mgr"),
        "mgr.x": ("mon", "osd", "mds"),
    }
    _said("ceph-authtool", "--create-keyring", str(keyring))
    for name, parts in caps.items():
        allowed = [word for part in parts for word in ("--cap", part, everything[part])]
        _said("ceph-authtool", str(keyring), "--gen-key", "-n", name, *allowed)


def _said(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ, LC_ALL="C.UTF-8")
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr[-1500:]}")
    return done.stdout
