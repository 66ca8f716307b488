"""``xbackup simulate``: what its options make of the simulator."""

from __future__ import annotations

import requests

from airflow_provider_xbackup.cli import simulate
from airflow_provider_xbackup.cli.main import parser
from airflow_provider_xbackup.simulator import Simulator


def refusal_of_a_second_call(*options: str) -> requests.Response:
    settings = simulate.read_settings(parser().parse_args(["simulate", *options]))
    with Simulator(settings) as sim:
        token = {"Authorization": "Bearer welcome-token"}
        for _ in range(2):
            answer = requests.get(f"{sim.xenioo_url('welcome')}/bots/backup", headers=token, timeout=10)
    return answer


def test_a_shorter_hour_is_told_so_that_whoever_waits_sees_it_end() -> None:
    refused = refusal_of_a_second_call("--bot-cooldown", "60")

    assert refused.status_code == 400
    assert 0 < int(refused.headers["Retry-After"]) <= 60


def test_the_vendors_own_hour_is_not() -> None:
    assert "Retry-After" not in refusal_of_a_second_call().headers
