"""The options of Airflow's configuration, and what they reach."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.exceptions import XBackupCooldownError, XBackupFailError
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.provider_info import get_provider_info
from airflow_provider_xbackup.services import xenioo, xray_cooldown
from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

OPTIONS = [
    pytest.param("xray_cooldown", configuration.xray_cooldown, xray_cooldown.COOLDOWN, id="xray"),
    pytest.param("xenioo_cooldown", configuration.xenioo_cooldown, xenioo.COOLDOWN, id="xenioo"),
]


def configure(monkeypatch: pytest.MonkeyPatch, option: str, value: str) -> None:
    monkeypatch.setenv(f"AIRFLOW__XBACKUP__{option.upper()}", value)


@pytest.mark.parametrize(("option", "read", "vendors"), OPTIONS)
def test_nothing_configured_means_the_vendors_own_gap(option, read, vendors):
    assert read() == vendors


@pytest.mark.parametrize(("option", "read", "vendors"), OPTIONS)
def test_the_default_that_airflow_shows_is_the_vendors_own_gap(option, read, vendors):
    shown = get_provider_info()["config"]["xbackup"]["options"][option]["default"]

    assert float(shown) == vendors.total_seconds()


@pytest.mark.parametrize(("option", "read", "vendors"), OPTIONS)
@pytest.mark.parametrize(("value", "seconds"), [("90", 90), ("0.5", 0.5), ("1e3", 1000), ("", None)])
def test_an_option_is_a_number_of_seconds(monkeypatch, option, read, vendors, value, seconds):
    configure(monkeypatch, option, value)

    assert read() == (vendors if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(("option", "read", "vendors"), OPTIONS)
@pytest.mark.parametrize("value", ["0", "-1", "6 hours", "nan", "inf", "1e99"])
def test_an_option_that_cannot_be_meant_is_refused_and_named(monkeypatch, option, read, vendors, value):
    configure(monkeypatch, option, value)

    with pytest.raises(InvalidArgumentError, match=rf"\[xbackup\] {option} .*above 0.*{value}"):
        read()


@pytest.fixture
def tenant(connect, sim) -> XrayHook:
    """A tenant that has just been backed up."""
    sim.settings.xray.job_seconds = 0
    connect("acme", conn_type="xray", host=sim.url, login="demo-client", password="demo-secret")
    hook = XrayHook("acme")
    hook.create_backup(XrayBackupRequest())
    return hook


@pytest.fixture
def bot(connect, sim) -> XeniooHook:
    """A bot that has just been backed up and restored."""
    connect("bot", conn_type="xenioo", host=sim.xenioo_url("welcome"), password="welcome-token")
    hook = XeniooHook("bot")
    hook.restore_backup(b"{}")
    hook.open_backup().close()
    return hook


def wait_of(call) -> timedelta:
    with pytest.raises(XBackupCooldownError) as refused:
        call()
    return refused.value.available_at - datetime.now(UTC)


def is_about(wait: timedelta, seconds: float) -> bool:
    return timedelta(seconds=seconds - 20) < wait <= timedelta(seconds=seconds)


def test_a_refusal_of_xray_without_a_time_lasts_as_long_as_configured(monkeypatch, sim, tenant):
    configure(monkeypatch, "xray_cooldown", "900")
    sim.settings.xray.cooldown_text = "A backup can be created once every 6 hours."

    assert is_about(wait_of(lambda: tenant.create_backup(XrayBackupRequest())), 900)


def test_a_time_that_xray_names_counts_whatever_is_configured(monkeypatch, tenant):
    configure(monkeypatch, "xray_cooldown", "900")

    assert is_about(wait_of(lambda: tenant.create_backup(XrayBackupRequest())), 6 * 3600)


@pytest.mark.parametrize("call", ["open_backup", "restore_backup"])
def test_a_refusal_of_xenioo_without_a_time_lasts_as_long_as_configured(monkeypatch, sim, bot, call):
    configure(monkeypatch, "xenioo_cooldown", "900")
    arguments = (b"{}",) if call == "restore_backup" else ()

    assert is_about(wait_of(lambda: getattr(bot, call)(*arguments)), 900)


def test_a_time_that_xenioo_names_counts_whatever_is_configured(monkeypatch, sim, bot):
    configure(monkeypatch, "xenioo_cooldown", "900")
    sim.settings.xenioo.throttled_retry_after = True

    assert is_about(wait_of(bot.open_backup), 3600)


def test_a_refusal_under_the_status_of_a_backup_lasts_as_long_as_configured(monkeypatch, sim, bot):
    configure(monkeypatch, "xenioo_cooldown", "900")
    said = json.dumps({"error": "This API can be called once per hour for each bot."})
    sim.add_fault(action="status", path="/bots/backup$", status=200, body=said)

    with bot.open_backup() as opened:
        wait = wait_of_plain(lambda: list(opened.blocks()))

    assert is_about(wait, 900)


def wait_of_plain(call) -> timedelta:
    from airflow_provider_xbackup.services.errors import CooldownError

    with pytest.raises(CooldownError) as refused:
        call()
    return refused.value.available_at - datetime.now(UTC)


def test_an_option_that_cannot_be_meant_costs_no_backup(monkeypatch, sim, tenant, bot):
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xenioo.cooldown_seconds = 0
    sim.journal.clear()
    configure(monkeypatch, "xray_cooldown", "soon")
    configure(monkeypatch, "xenioo_cooldown", "soon")

    for call in (lambda: tenant.create_backup(XrayBackupRequest()), bot.open_backup):
        with pytest.raises(XBackupFailError, match="soon"):
            call()

    assert not sim.journal.entries()


# Connections


def test_the_default_number_of_connections_is_the_one_that_airflow_shows():
    shown = get_provider_info()["config"]["xbackup"]["options"]["download_connections"]["default"]

    assert configuration.download_connections() == int(shown)


@pytest.mark.parametrize("value", ["1", "4", "16", " 8 "])
def test_a_number_of_connections_is_taken(monkeypatch, value):
    configure(monkeypatch, "download_connections", value)

    assert configuration.download_connections() == int(value)


@pytest.mark.parametrize("value", ["0", "17", "-1", "many", "2.5", "1000000", "²"])
def test_a_number_of_connections_that_cannot_be_meant_is_refused_and_named(monkeypatch, value):
    configure(monkeypatch, "download_connections", value)

    with pytest.raises(InvalidArgumentError, match=rf"\[xbackup\] download_connections .*1 to 16.*{value}"):
        configuration.download_connections()
