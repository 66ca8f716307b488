"""Every fact that the documents state about Xenioo, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from airflow_provider_xbackup.simulator import Simulator

HOUR = 3600
KEYS = {"AccountAPIKey": "demo-account", "BotAPIKey": "welcome-key", "BotAPISecret": "welcome-secret"}


def call(sim: Simulator, method: str, path: str, *, bot: str = "welcome", token: str = "welcome-token", **options):
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, f"{sim.xenioo_url(bot)}/{path}", headers=headers, timeout=20, **options)


def authorize(sim: Simulator, body: Any = KEYS, path: str = "authorization/integration") -> requests.Response:
    return requests.post(f"{sim.xenioo_url('welcome')}/{path}", json=body, timeout=20)


@pytest.mark.parametrize("path", ["authorization/integration", "authorization/code"])
def test_keys_give_a_token_that_lives_for_an_hour(sim, path):
    answer = authorize(sim, path=path).json()
    assert answer["expire"] == 60
    assert call(sim, "GET", "bots/backup", token=answer["token"]).ok
    sim.advance(HOUR)
    assert call(sim, "GET", "bots/backup", token=answer["token"]).status_code == 400


def test_the_token_reply_can_be_the_older_one(sim):
    sim.settings.xenioo.token_fields = ("Token", "Expires")
    sim.settings.xenioo.token_seconds = 1800
    answer = authorize(sim).json()
    assert set(answer) == {"Token", "Expires"}
    assert answer["Expires"] == 30


def test_older_nodes_know_only_the_code_endpoint(sim):
    sim.settings.xenioo.integration = False
    assert authorize(sim).status_code == 404
    assert authorize(sim, path="authorization/code").ok
    sim.settings.xenioo.code = False
    assert authorize(sim, path="authorization/code").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 400, id="nothing"),
        pytest.param([], 400, id="no object"),
        pytest.param({"AccountAPIKey": "demo-account", "BotAPIKey": "welcome-key"}, 400, id="no secret"),
        pytest.param(KEYS | {"AccountAPIKey": "x"}, 404, id="unknown account"),
        pytest.param(KEYS | {"BotAPIKey": "x"}, 404, id="unknown bot"),
        pytest.param(KEYS | {"BotAPISecret": "x"}, 404, id="wrong secret"),
    ],
)
def test_a_refused_authorization_says_why_by_its_status(sim, body, status):
    assert authorize(sim, body).status_code == status


def test_an_account_that_is_not_entitled_is_forbidden(sim):
    sim.settings.xenioo.entitled = False
    assert authorize(sim).status_code == 403


def test_a_backup_is_one_json_document_the_same_for_the_same_bot(sim):
    sim.settings.xenioo.cooldown_seconds = 0
    first, second = (call(sim, "GET", "bots/backup") for _ in range(2))
    assert first.content == second.content
    assert first.headers["content-type"] == "application/json"
    assert 100_000 < len(first.content) < 300_000
    assert {"NLP", "Scripts", "Integrations", "Broadcasts", "AudienceFilters"} <= set(first.json())
    other = call(sim, "GET", "bots/backup", bot="sales", token="sales-token")
    assert other.content != first.content


def test_the_size_and_revision_of_a_bot_can_be_set(sim):
    sim.settings.xenioo.cooldown_seconds = 0
    before = call(sim, "GET", "bots/backup").content
    sim.configure({"xenioo": {"bots": {"welcome": {"revision": 1, "backup_bytes": 20_000}}}})
    after = call(sim, "GET", "bots/backup").content
    assert after[:100] != before[:100]
    assert 20_000 <= len(after) < 30_000


def test_the_token_decides_whose_backup_it_is(sim):
    assert call(sim, "GET", "bots/backup", bot="sales", token="support-token").json()["Name"] == "support"


def test_a_second_backup_within_the_hour_is_an_error(sim):
    assert call(sim, "GET", "bots/backup").ok
    sim.advance(HOUR - 60)
    early = call(sim, "GET", "bots/backup")
    assert early.status_code == 400
    assert "once per hour" in early.json()["error"]
    assert "retry-after" not in early.headers
    assert call(sim, "GET", "bots/backup", bot="sales", token="sales-token").ok
    sim.advance(60)
    assert call(sim, "GET", "bots/backup").ok


@pytest.mark.parametrize("status", [400, 403, 429])
def test_the_answer_to_an_early_call_can_be_worded(sim, status):
    sim.clock.freeze()
    sim.settings.xenioo.throttled.status = status
    sim.settings.xenioo.throttled.body = "{remaining} of {every} h left"
    sim.settings.xenioo.throttled.content_type = "text/plain"
    sim.settings.xenioo.throttled_retry_after = True
    assert call(sim, "GET", "bots/backup").ok
    sim.advance(60)
    early = call(sim, "GET", "bots/backup")
    assert (early.status_code, early.text) == (status, "59 minutes of 1 h left")
    assert early.headers["retry-after"] == "3540"


@pytest.mark.parametrize("token", ["", "nonsense", "account-token"])
def test_a_token_that_is_invalid_or_not_of_a_bot_gives_no_backup(sim, token):
    assert call(sim, "GET", "bots/backup", token=token).status_code == 400


def test_the_answer_to_an_invalid_token_can_be_worded(sim):
    sim.settings.xenioo.invalid_token.status = 401
    assert call(sim, "GET", "bots/backup", token="nonsense").status_code == 401


def test_a_bot_that_was_removed_is_not_found(sim):
    token = authorize(sim).json()["token"]
    bots = dict(sim.settings.xenioo.bots)
    del bots["welcome"]
    sim.settings.xenioo.bots = bots
    assert call(sim, "GET", "bots/backup", bot="sales", token=token).status_code == 404
    assert call(sim, "GET", "bots/backup").status_code == 404


@pytest.mark.parametrize(("spends", "second"), [(True, 400), (False, 200)])
@pytest.mark.parametrize("fault", ["reset", "truncate", "drop_answer", "status"])
def test_a_call_that_broke_off_spends_the_hour_or_not(sim, spends, second, fault):
    sim.settings.xenioo.broken_call_spends = spends
    more = {"status": {"processed": True}, "drop_answer": {}}.get(fault, {"after_bytes": 1000})
    sim.add_fault(action=fault, **more)
    if fault == "status":
        assert call(sim, "GET", "bots/backup").status_code == 500
    else:
        with pytest.raises(requests.RequestException):
            call(sim, "GET", "bots/backup")
    assert call(sim, "GET", "bots/backup").status_code == second


def test_the_form_of_the_backup_can_be_set(sim):
    sim.settings.xenioo.cooldown_seconds = 0
    plain = call(sim, "GET", "bots/backup").content
    sim.settings.xenioo.backup_content_type = "application/octet-stream"
    sim.settings.xenioo.backup_content_disposition = "attachment; filename=bot.json"
    sim.settings.xenioo.backup_content_length = False
    answer = call(sim, "GET", "bots/backup")
    assert answer.content == plain
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename=bot.json"
    sim.settings.xenioo.backup_gzip = True
    encoded = call(sim, "GET", "bots/backup")
    assert (encoded.headers["content-encoding"], encoded.content) == ("gzip", plain)


def test_restore_makes_a_brand_new_bot_whose_backup_can_be_taken(sim):
    backup = call(sim, "GET", "bots/backup").content
    made = call(sim, "POST", "bots/restore", data=backup).json()
    assert set(made) == {"APIKey", "APISecret"}
    assert made["APIKey"] != "welcome-key"
    keys = {
        "AccountAPIKey": "demo-account",
        "BotAPIKey": made["APIKey"],
        "BotAPISecret": made["APISecret"],
    }
    token = authorize(sim, keys).json()["token"]
    again = call(sim, "GET", "bots/backup", bot="welcome-restored-1", token=token)
    assert again.content == backup


def test_a_second_restore_within_the_hour_is_an_error(sim):
    assert call(sim, "POST", "bots/restore", json={"Name": "a"}).ok
    assert call(sim, "POST", "bots/restore", json={"Name": "b"}).status_code == 400
    assert call(sim, "GET", "bots/backup").ok
    sim.advance(HOUR)
    assert call(sim, "POST", "bots/restore", json={"Name": "b"}).ok


def test_restore_refuses_what_is_not_a_backup_and_does_not_spend_the_hour(sim):
    assert call(sim, "POST", "bots/restore", data="<html>").status_code == 400
    assert call(sim, "POST", "bots/restore", json={"Name": "a"}).ok


def test_the_list_of_bots_needs_a_token_of_the_account(sim):
    assert call(sim, "GET", "bots").status_code == 400
    token = authorize(sim, {"AccountAPIKey": "demo-account"}).json()["token"]
    listed = call(sim, "GET", "bots", token=token).json()["Result"]
    assert {bot["Name"] for bot in listed} == {"welcome", "support", "sales"}
    assert set(listed[0]) == {"Name", "Description", "APIKey", "APISecret", "Avatar", "Channels"}
    assert call(sim, "GET", "bots", token="account-token").json()["Result"] == listed


def test_field_names_can_come_in_other_case(sim):
    sim.settings.xenioo.json_case = "lower"
    made = call(sim, "POST", "bots/restore", json={"Name": "a"}).json()
    assert set(made) == {"apikey", "apisecret"}


def test_an_endpoint_of_no_bot_is_not_found(sim):
    answer = call(sim, "GET", "bots/backup", bot="nobody")
    assert answer.status_code == 404
    assert json.loads(answer.text)
