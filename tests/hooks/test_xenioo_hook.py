"""The hook of Xenioo, over a connection of Airflow and real HTTP."""

from __future__ import annotations

import hashlib
import logging

import pytest

from airflow_provider_xbackup.exceptions import XBackupCooldownError, XBackupError, XBackupFailError
from airflow_provider_xbackup.hooks.xenioo import XeniooHook

KEYS = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}


@pytest.fixture
def hook(sim, connect):
    """Makes the hook of a connection to the bot "welcome"."""

    def make(**fields):
        connect("bot", conn_type="xenioo", **{"host": sim.xenioo_url("welcome"), **fields})
        return XeniooHook("bot", account="Welcome")

    return make


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"password": "welcome-token"}, id="token"),
        pytest.param({"password": " welcome-token\n"}, id="token with white space"),
        pytest.param({"extra": KEYS}, id="keys"),
        pytest.param({"extra": {name: f" {value} " for name, value in KEYS.items()}}, id="keys with white space"),
    ],
)
def test_a_token_or_keys_open_the_backup(sim, hook, fields):
    backup = hook(**fields).open_backup()
    assert b"welcome" in b"".join(backup.blocks())
    backup.stream.close()
    assert len(sim.journal.entries("/bots/backup")) == 1


def test_an_older_node_is_asked_at_its_other_address(sim, hook):
    sim.configure({"xenioo": {"integration": False, "token_fields": ("Token", "Expires")}})
    hook(extra=KEYS).open_backup().stream.close()
    assert len(sim.journal.entries("/authorization/code")) == 1


def test_a_token_that_ends_within_the_minute_is_renewed(sim, hook):
    sim.configure({"xenioo": {"token_seconds": 3600}})
    it = hook(extra=KEYS)
    it.client.authenticate()
    sim.revoke_tokens()
    sim.configure({"xenioo": {"invalid_token": {"status": 401, "body": ""}}})
    it.open_backup().stream.close()
    assert [entry.status for entry in sim.journal.entries("/bots/backup")] == [401, 200]


def test_the_second_call_of_an_hour_is_a_cooldown(sim, hook):
    it = hook(password="welcome-token")
    it.open_backup().stream.close()
    says = r"^Xenioo account 'Welcome' \(connection 'bot'\): .*one an hour"
    with pytest.raises(XBackupCooldownError, match=says) as caught:
        it.open_backup()
    assert caught.value.certain


def test_a_wrong_token_is_final_and_not_repeated(sim, hook):
    with pytest.raises(XBackupFailError, match="Check the token or the keys") as caught:
        hook(password="wr0ng-token").open_backup()
    assert "wr0ng" not in str(caught.value)
    assert len(sim.journal.entries("/bots/backup")) == 1


@pytest.mark.parametrize("status", [400, 403])
def test_a_page_of_a_firewall_is_neither_the_hour_nor_the_token(sim, hook, status):
    sim.add_fault(action="html", path="/bots/backup$", status=status)
    with pytest.raises(XBackupError, match="web page") as caught:
        hook(password="welcome-token").open_backup()
    assert type(caught.value) is XBackupError


def test_a_backup_makes_a_brand_new_bot(hook):
    it = hook(extra=KEYS)
    made = it.restore_backup(b'{"Name": "again"}')
    assert made.api_key
    assert made.api_key not in repr(made)
    with pytest.raises(XBackupCooldownError, match="refused a restore"):
        it.restore_backup(b'{"Name": "again"}')


def test_a_restore_whose_answer_is_lost_is_not_repeated(sim, hook):
    sim.add_fault(action="drop_answer", path="/bots/restore$")
    with pytest.raises(XBackupError, match="not known"):
        hook(extra=KEYS).restore_backup(b"{}")
    assert len(sim.journal.entries("/bots/restore")) == 1


@pytest.mark.parametrize("fields", [{"password": "account-token"}, {"extra": {"account_api_key": "demo-account"}}])
def test_the_accounts_bots_are_listed(hook, fields):
    bots = hook(**fields).list_bots()
    assert [bot.name for bot in bots] == ["welcome", "support", "sales"]
    assert "welcome-secret" not in repr(bots)


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        pytest.param({"extra": KEYS}, True, id="the bot's keys"),
        pytest.param({"password": "welcome-token"}, False, id="its token"),
        pytest.param({"extra": {"account_api_key": "demo-account"}}, False, id="the account's key"),
        pytest.param(
            {"password": "welcome-token", "extra": KEYS}, False, id="a token, and keys that are not used"
        ),
    ],
)
def test_the_digest_of_the_bots_key_is_known_where_the_token_is_made_of_it(hook, fields, known):
    digest = hashlib.sha256(KEYS["bot_api_key"].encode()).hexdigest()
    assert hook(**fields).bot_key_sha256 == (digest if known else None)


def test_a_bots_token_lists_nothing(hook):
    with pytest.raises(XBackupFailError):
        hook(password="welcome-token").list_bots()


# Airflow 3.1 itself does not read a connection from the environment whose extra is no object.
NO_OBJECT = "no JSON object|cannot read its definition"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"host": "", "password": "s3cret-token"}, "has no host"),
        ({}, "no credentials"),
        ({"password": "s3cret token"}, "bot token"),
        ({"extra": {"account_api_key": "s3cret", "bot_api_key": "x"}}, "bot_api_secret is missing"),
        ({"extra": ["s3cret"]}, NO_OBJECT),
        ({"extra": "s3cret"}, NO_OBJECT),
        ({"password": "s3cret-token", "extra": {"proxy": "s3cret"}}, "'proxy'"),
    ],
)
def test_a_connection_that_cannot_work_says_what_it_lacks(hook, fields, says):
    it = hook(**fields)
    with pytest.raises(XBackupFailError, match=says) as caught:
        it.get_conn()
    assert "s3cret" not in str(caught.value)
    assert it.test_connection() == (False, str(caught.value))


class TestConnectionTest:
    @pytest.mark.parametrize(
        ("fields", "ok", "says"),
        [
            pytest.param({"password": "welcome-token"}, True, "was not tried", id="a token"),
            pytest.param({"extra": KEYS}, True, "accepted the API keys", id="keys"),
            pytest.param(
                {"extra": {**KEYS, "bot_api_secret": "wr0ng"}},
                False,
                "does not know the API keys",
                id="wrong keys",
            ),
        ],
    )
    def test_it_never_spends_the_hour(self, sim, hook, fields, ok, says):
        result, message = hook(**fields).test_connection()
        assert result is ok
        assert says in message
        assert "wr0ng" not in message
        assert sim.journal.entries("/bots/backup") == []


def test_no_secret_is_in_sight(hook, caplog):
    caplog.set_level(logging.DEBUG)
    it = hook(extra=KEYS)
    it.open_backup().stream.close()
    shown = f"{it!r}{it.client!r}{it.client._tokens!r}{vars(it.client._tokens)!r}{caplog.text}"
    for secret in (*KEYS.values(), it.client._tokens.current().value):
        assert secret not in shown
