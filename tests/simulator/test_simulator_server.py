"""The simulator as a server, and its clock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime

import pytest
import requests

from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings, serve
from airflow_provider_xbackup.simulator.clock import Clock

SERVE = """
from airflow_provider_xbackup.simulator import serve
serve(ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "", "::"])
def test_a_host_that_others_can_reach_is_refused(host):
    with pytest.raises(ValueError, match="loopback"):
        serve(host)
    with pytest.raises(ValueError, match="loopback"):
        Simulator(host=host)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_server_ends_cleanly_when_told_to(tmp_path, number):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert requests.get(f"{url}/_control/clock", timeout=20).ok
        run.send_signal(number)
        rest, _ = run.communicate(timeout=20)
    assert rest == "ended\n"
    assert run.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_simulator_leaves_nothing_behind_and_its_port_free(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Simulator() as first:
        port = first.port
        first.other_client_backup(with_attachment=True)
        (folder,) = tmp_path.iterdir()
        assert len(list(folder.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []
    with Simulator(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"


def test_files_that_cannot_be_served_any_more_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Simulator() as simulator:
        for _ in range(5):
            simulator.other_client_backup()
        (folder,) = tmp_path.iterdir()
        assert len(list(folder.iterdir())) == 3
        simulator.reset()
        assert list(folder.iterdir()) == []


def test_a_port_that_is_taken_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Simulator(port=taken.getsockname()[1]).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_simulator_ends_while_an_answer_is_stalled():
    with Simulator() as simulator:
        simulator.add_fault(action="stall")
        with socket.create_connection(("127.0.0.1", simulator.port)) as client:
            client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            while not simulator.journal.entries():
                pass
    assert not simulator._thread.is_alive()


def test_several_simulators_run_side_by_side():
    with Simulator() as one, Simulator() as two:
        one.other_client_backup()
        assert one.port != two.port
        state = requests.get(f"{two.url}/_control/state", timeout=20).json()
        assert state["tenants"]["demo-client"]["jobs"] == []


def test_the_clock_can_start_anywhere():
    start = datetime(2031, 1, 1, tzinfo=UTC)
    with Simulator(SimulatorSettings(start_at=start)) as simulator:
        assert (simulator.clock.now() - start).total_seconds() < 3600


def test_a_frozen_clock_moves_only_when_told_to():
    clock = Clock(datetime(2031, 1, 1, tzinfo=UTC))
    clock.freeze()
    frozen = clock.now()
    assert clock.now() == frozen
    clock.advance(5)
    assert (clock.now() - frozen).total_seconds() == 5
    clock.run()
    assert clock.now() >= frozen


def test_a_running_clock_runs():
    clock = Clock()
    before = clock.now()
    while clock.now() == before:
        pass
    assert clock.now() > before


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Clock().set(datetime(2031, 1, 1))  # noqa: DTZ001 - the point of the test


def test_the_package_needs_nothing_of_the_rest():
    code = (
        "import sys, airflow_provider_xbackup.simulator;"
        "print([n for n in sys.modules if n == 'airflow' or n.startswith('airflow.') or"
        " n.startswith('airflow_provider_xbackup.') and '.simulator' not in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
