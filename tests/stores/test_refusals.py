"""What every store refuses is said in words that help: credentials, buckets, clocks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from kinds import CHECKING, Kind, stores
from servers.proxy import Answer, Proxy, Request, Rule, Send

from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import MissingBucketError, VaultAccessError
from airflow_provider_xbackup.vault.garbage import collect_garbage
from airflow_provider_xbackup.vault.store import Store

row = pytest.mark.row
MIB = 1024 * 1024
FOLDER = "xray/acme/20261123T014500Z-full-1a2b3c4d"

CALLS = [
    pytest.param(lambda store: store.prepare(), id="prepare"),
    pytest.param(lambda store: store.put("x", b"1"), id="put"),
    pytest.param(lambda store: store.put_stream("x", [b"x" * (11 * MIB)]), id="streaming put"),
    pytest.param(lambda store: store.create("x", b"1"), id="create"),
    pytest.param(lambda store: list(store.list()), id="list"),
    pytest.param(lambda store: store.list_folders(), id="list folders"),
    pytest.param(lambda store: store.read("x"), id="read"),
]
Call = Callable[[Store], object]


@row("wrong credentials: who refused what, and where to look; no secret")
@pytest.mark.parametrize("kind", stores(*CHECKING), indirect=True)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", ["unknown user", "wrong secret"])
def test_wrong_credentials_are_told_with_advice_and_without_the_secret(
    kind: Kind, need: Callable[..., None], define: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    bucket: str, which: str, call: Call,
) -> None:  # fmt: skip
    need("credentials")
    connection = kind.wrong_connection(which)
    define(**connection)
    for name, value in kind.environment().items():
        monkeypatch.setenv(name, value)
    store = VaultHook(kind.url(bucket)).vault.store

    with pytest.raises(VaultAccessError, match="Check the Airflow connection 'store'") as caught:
        call(store)

    assert not caught.value.retryable
    assert str(connection.get("password") or "PRIVATE KEY") not in str(caught.value)
    assert kind.keys(bucket) == []


@row("missing bucket: said by every call")
@pytest.mark.parametrize("call", CALLS)
def test_a_missing_bucket_is_called_missing(
    kind: Kind, need: Callable[..., None], open_vault: Callable[..., Vault], call: Call
) -> None:
    need("buckets")

    with pytest.raises(MissingBucketError, match=r"'nowhere7' of the vault .* does not exist"):
        call(open_vault("nowhere7").store)


@row("this machine's clock is wrong: said so")
@pytest.mark.stores
@pytest.mark.parametrize("shift", ["-2h", "+2h"])
def test_a_wrong_clock_of_this_machine_is_told(
    kind: Kind, need: Callable[..., None], bucket: str, vault: Vault, shift: str
) -> None:
    need("network", "clock")
    assert shutil.which("faketime"), "faketime is not installed; `make test-stores` installs it"
    script = f"""
        from airflow_provider_xbackup.hooks.vault import VaultHook
        from airflow_provider_xbackup.vault.errors import VaultAccessError
        try:
            VaultHook({kind.url(bucket)!r}).vault.prepare()
        except VaultAccessError as exc:
            print("told:", exc)
    """
    command = ["faketime", "-f", shift, sys.executable, "-c", textwrap.dedent(script)]
    env = dict(os.environ, FAKETIME_DONT_FAKE_MONOTONIC="1")

    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)

    told = done.stdout.partition("told:")[2]
    assert "this machine's" in told, (done.stdout[-2000:], done.stderr[-2000:])


# -- a store whose clock differs ---------------------------------------------------------------------------


def shifted(by: timedelta) -> Rule:
    """Let a store tell times that are others than ours."""
    import re

    iso = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
    http = re.compile(rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")

    def shift_iso(found: re.Match[bytes]) -> bytes:
        return (datetime.fromisoformat(found[0].decode()) + by).isoformat().replace("+00:00", "Z").encode()

    def shift_http(found: re.Match[bytes]) -> bytes:
        return format_datetime(parsedate_to_datetime(found[0].decode()) + by, usegmt=True).encode()

    def rule(request: Request, send: Send) -> Answer:
        answer = send(request)
        for name in ("Date", "Last-Modified"):
            value = next((value for each, value in answer.headers if each.lower() == name.lower()), None)
            if value is not None:
                answer = answer.with_header(name, http.sub(shift_http, value.encode()).decode())
        if request.method == "GET" and b"<?xml" in answer.body[:100]:
            body = http.sub(shift_http, iso.sub(shift_iso, answer.body))
            answer = Answer(answer.status, answer.headers, body).with_header("Content-Length", str(len(body)))
        return answer

    return rule


@row("the store's clock is wrong: backups are stored, garbage is not taken too early")
@pytest.mark.parametrize("days", [-30, 30])
def test_a_store_whose_clock_is_wrong_loses_nothing(
    between: Proxy, beyond: Vault, store_backup: Callable[..., object], days: int
) -> None:
    between.rules.append(shifted(timedelta(days=days)))
    stranger = f"{FOLDER}/backup.00000000.zip"
    store_backup(beyond)
    beyond.store.put(stranger, b"of an attempt that may be under way")

    told = beyond.store.clock("xray/clock.1a2b3c4d")
    assert abs(told - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=5)
    assert [backup.backup_id for backup in beyond.backups()] == [FOLDER.rpartition("/")[2]]

    def later(days: int) -> Callable[[], datetime]:
        return lambda: datetime.now(UTC) + timedelta(days=days)

    assert collect_garbage(beyond).removed == ()
    # When this machine's clock is wrong as well, the store's still says that it is young.
    assert collect_garbage(beyond, now=later(90)).removed == ()
    assert beyond.store.exists(stranger)
