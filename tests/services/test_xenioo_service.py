"""What Xenioo's answers mean, one by one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.services import xenioo
from airflow_provider_xbackup.services.errors import (
    AccessDeniedError,
    AuthenticationError,
    CooldownError,
    NotFoundError,
    ServerFaultError,
    UnreadableAnswerError,
)

TOKEN = "tok-123456"


class TestToken:
    @pytest.mark.parametrize(
        ("body", "minutes"),
        [
            pytest.param({"token": TOKEN, "expire": 60}, 60, id="newer"),
            pytest.param({"Token": TOKEN, "Expires": 30}, 30, id="older"),
            pytest.param({"TOKEN": TOKEN, "expireInMinutes": "45"}, 45, id="minutes as text"),
            pytest.param({"token": TOKEN, "expiration": 0.5}, 0.5, id="half a minute"),
            pytest.param({"token": TOKEN}, 60, id="no end"),
            pytest.param({"token": TOKEN, "expire": None}, 60, id="null"),
            pytest.param({"token": TOKEN, "expire": True}, 60, id="a bool"),
            pytest.param({"token": TOKEN, "expire": "2026-11-23T02:00:00Z"}, 60, id="an instant"),
            pytest.param({"token": TOKEN, "expire": 0}, 60, id="zero"),
            pytest.param({"token": TOKEN, "expire": -5}, 60, id="negative"),
            pytest.param({"token": TOKEN, "expire": 1e300}, 60, id="for ever"),
            pytest.param({"token": TOKEN, "expire": [60]}, 60, id="a list"),
        ],
    )
    def test_its_life_is_told_in_minutes(self, reply, now, body, minutes):
        token = xenioo.read_token(reply(200, body))
        assert (token.value, token.obtained_at, token.lifetime) == (TOKEN, now, timedelta(minutes=minutes))
        assert TOKEN not in repr(token)

    @pytest.mark.parametrize(
        "value", [None, "", "a b c d", "x", 12345678, "tök-123456", "tok\n123456", "x" * 9000]
    )
    def test_an_answer_without_a_token_is_unreadable(self, reply, value):
        with pytest.raises(UnreadableAnswerError):
            xenioo.read_token(reply(200, {"token": value}))

    @pytest.mark.parametrize(
        ("status", "error", "says"),
        [
            (400, AuthenticationError, "refused the API keys"),
            (401, AuthenticationError, "refused the API keys"),
            (403, AccessDeniedError, "plan of the account"),
            (404, NotFoundError, "does not know the API keys"),
            (500, ServerFaultError, "try again later"),
        ],
    )
    def test_a_refusal_says_what_to_check(self, reply, status, error, says):
        with pytest.raises(error, match=says):
            xenioo.read_token(reply(status, {"error": "no"}))

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_a_page_says_nothing_about_the_keys(self, reply, page, status):
        with pytest.raises(UnreadableAnswerError, match="check the host") as caught:
            xenioo.read_token(reply(status, page))
        assert caught.value.retryable


class TestRefusedBackup:
    @pytest.mark.parametrize(
        ("status", "text"),
        [
            pytest.param(400, "This API can be called once per hour for each bot.", id="once per hour"),
            pytest.param(400, "Throttled", id="throttled"),
            pytest.param(403, "Too many calls, try again later", id="403"),
            pytest.param(400, "Your token was used too soon, wait 5 minutes", id="time before rights"),
            pytest.param(429, "", id="429 without words"),
            pytest.param(429, "the token is invalid", id="429 whatever it says"),
            pytest.param(429, "<html>slow down</html>", id="429 of a page"),
        ],
    )
    def test_words_of_time_are_the_hour(self, reply, now, status, text):
        with pytest.raises(CooldownError, match="one an hour") as caught:
            xenioo.read_backup(reply(status, text.encode()))
        assert caught.value.certain
        assert caught.value.available_at == now + timedelta(hours=1)

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (400, "The token is invalid or lacks permission."),
            (403, "Forbidden"),
            (403, "The account is not entitled"),
            (401, "This API can be called once per hour"),
            (401, ""),
        ],
    )
    def test_words_of_rights_are_the_token_and_final(self, reply, status, text):
        with pytest.raises(AuthenticationError, match="Check the token or the keys") as caught:
            xenioo.read_backup(reply(status, {"error": text}))
        assert not caught.value.retryable

    @pytest.mark.parametrize("status", [400, 403])
    @pytest.mark.parametrize("body", [b"", b"Bad Request", {"error": "Error 17"}, {}])
    def test_words_that_say_nothing_name_both_possibilities(self, reply, now, status, body):
        with pytest.raises(CooldownError, match=r"hour is not over.*token is invalid") as caught:
            xenioo.read_backup(reply(status, body))
        assert not caught.value.certain
        assert caught.value.available_at == now + timedelta(hours=1)

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    @pytest.mark.parametrize("read", [xenioo.read_backup, xenioo.read_restored, xenioo.read_bots])
    def test_a_page_is_neither_the_hour_nor_the_token(self, reply, read, status):
        with pytest.raises(UnreadableAnswerError, match="check the host") as caught:
            read(reply(status, b"<html>once per hour, forbidden token</html>"))
        assert caught.value.retryable

    @pytest.mark.parametrize(
        ("value", "wait"),
        [
            pytest.param("90", timedelta(seconds=90), id="seconds"),
            pytest.param("0", timedelta(0), id="now"),
            pytest.param("Mon, 23 Nov 2026 02:15:00 GMT", timedelta(minutes=30), id="a date"),
            pytest.param("Mon, 23 Nov 2026 01:00:00 GMT", timedelta(0), id="a date that has passed"),
            pytest.param("soon", timedelta(hours=1), id="a word"),
            pytest.param("9" * 400, timedelta(days=31), id="an absurd number"),
            pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=31), id="an absurd date"),
        ],
    )
    def test_the_server_may_say_when(self, reply, now, value, wait):
        with pytest.raises(CooldownError) as caught:
            xenioo.read_backup(reply(429, retry_after=value))
        assert caught.value.available_at == now + wait

    @pytest.mark.parametrize(
        ("status", "error"), [(404, NotFoundError), (302, UnreadableAnswerError), (502, ServerFaultError)]
    )
    def test_other_refusals_keep_their_meaning(self, reply, status, error):
        with pytest.raises(error):
            xenioo.read_backup(reply(status, {"error": "no"}))

    def test_neither_backup_nor_restore_is_ever_repeated(self):
        assert not xenioo.backup_request().repeatable
        assert not xenioo.restore_request(b"{}").repeatable


class TestBackup:
    def test_its_headers_are_read(self, reply):
        file = xenioo.read_backup(
            reply(200, content_length="7", content_type="Application/JSON; charset=utf-8", content_encoding="GZIP")
        )
        assert (file.length, file.media_type, file.encoding) == (7, "application/json", "gzip")

    def test_none_of_them_is_needed(self, reply):
        file = xenioo.read_backup(reply(200, content_length="1" * 5000))
        assert (file.length, file.media_type, file.encoding) == (None, None, None)

    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            pytest.param({"content_length": "7"}, True, id="a length"),
            pytest.param({"transfer_encoding": "Chunked"}, True, id="chunks"),
            pytest.param({"content_encoding": "gzip"}, True, id="a coding with an end of its own"),
            pytest.param({"content_encoding": "identity"}, False, id="no coding"),
            pytest.param({"content_length": "seven"}, False, id="a length that is none"),
            pytest.param({}, False, id="nothing"),
        ],
    )
    def test_its_end_is_told_by_length_chunks_or_coding(self, reply, headers, told):
        assert xenioo.read_backup(reply(200, **headers)).end_is_told is told

    def test_a_page_is_no_backup(self, reply):
        with pytest.raises(UnreadableAnswerError, match="service endpoint"):
            xenioo.read_backup(reply(200, content_type="text/html"))

    @pytest.mark.parametrize(
        "start", [b"", b" \n", b"\xef\xbb\xbf", b"\n<!DOCTYPE html><p>", b"\xef\xbb\xbf<HTML>", b"<body>"]
    )
    def test_nothing_and_a_page_are_seen_in_the_first_bytes(self, start):
        with pytest.raises(UnreadableAnswerError):
            xenioo.check_start(start)

    @pytest.mark.parametrize("start", [b"{", b"PK\x03\x04", b"\x00", b"<?xml version='1.0'?><bot/>", b"nonsense"])
    def test_everything_else_is_nobodys_business(self, start):
        xenioo.check_start(start)


class TestRefusalUnderTheStatusOfABackup:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b'{"error": "This API can be called once per hour for each bot."}', id="error"),
            pytest.param(b'{"Message": "Too many calls", "Success": false, "Code": 17}', id="message"),
            pytest.param(b'\xef\xbb\xbf {"error": true, "detail": "throttled"}', id="mark, flag and detail"),
        ],
    )
    def test_words_of_time_are_the_hour(self, reply, now, body):
        with pytest.raises(CooldownError, match="one an hour") as caught:
            xenioo.check_short(reply(200), body)
        assert caught.value.certain
        assert caught.value.available_at == now + timedelta(hours=1)

    def test_the_server_may_say_when(self, reply, now):
        with pytest.raises(CooldownError) as caught:
            xenioo.check_short(reply(200, retry_after="90"), b'{"error": "once per hour"}')
        assert caught.value.available_at == now + timedelta(seconds=90)

    def test_words_of_rights_are_the_token(self, reply):
        with pytest.raises(AuthenticationError, match="Check the token"):
            xenioo.check_short(reply(200), b'{"error": "The token is invalid"}')

    @pytest.mark.parametrize("body", [b'{"error": "Error 17"}', b'{"error": 17}', b'{"message": ""}'])
    def test_words_that_say_nothing_name_both_possibilities(self, reply, body):
        with pytest.raises(CooldownError, match=r"hour is not over.*token is invalid") as caught:
            xenioo.check_short(reply(200), body)
        assert not caught.value.certain

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b'{"Name": "welcome"}', id="no words"),
            pytest.param(b'{"error": null, "Name": "welcome"}', id="no error"),
            pytest.param(b'{"message": "once per hour", "Scripts": []}', id="a list beside it"),
            pytest.param(b'{"error": {"a": 1}}', id="an object"),
            pytest.param(b'{"error": "e", "a": 1, "b": 2, "c": 3, "d": 4}', id="much beside it"),
            pytest.param(b'{"message": "ok", "file": "' + b"x" * 5000 + b'"}', id="content beside it"),
            pytest.param(b'["error"]', id="a list"),
            pytest.param(b'{"error": "once per', id="no JSON"),
            pytest.param(b"once per hour", id="no object"),
        ],
    )
    def test_everything_else_is_nobodys_business(self, reply, body):
        xenioo.check_short(reply(200), body)


class TestBots:
    def test_what_is_missing_stays_empty(self, reply):
        body = {
            "result": [
                {
                    "name": "welcome",
                    "Channels": ["web", {"Type": "x"}, 3],
                    "APIKey": "k-secret",
                    "APISECRET": "s-secret",
                },
                {},
                {"Name": None, "Description": 3, "Channels": "web"},
                "no bot",
            ]
        }
        bots = xenioo.read_bots(reply(200, body))
        assert [bot.name for bot in bots] == ["welcome", "", ""]
        assert bots[0].channels == ("web",)
        assert (bots[0].api_key, bots[0].api_secret) == ("k-secret", "s-secret")
        assert "secret" not in repr(bots).replace("api_secret", "")

    @pytest.mark.parametrize("body", [{}, {"Result": {}}, [], b"", b"<html>"])
    def test_an_answer_without_a_list_is_unreadable(self, reply, body):
        with pytest.raises(UnreadableAnswerError):
            xenioo.read_bots(reply(200, body))


class TestRestore:
    def test_the_new_bots_keys_are_read_and_not_shown(self, reply):
        bot = xenioo.read_restored(reply(200, {"apikey": "k-value", "APISecret": "s-value"}))
        assert (bot.api_key, bot.api_secret) == ("k-value", "s-value")
        assert "value" not in repr(bot)

    @pytest.mark.parametrize(
        "body", [{"APIKey": "k-value"}, {"APIKey": "k-value", "APISecret": ""}, {"APIKey": 1, "APISecret": 2}]
    )
    def test_missing_keys_warn_of_a_second_try(self, reply, body):
        with pytest.raises(UnreadableAnswerError, match="probably made") as caught:
            xenioo.read_restored(reply(200, body))
        assert "k-value" not in str(caught.value)

    def test_its_hour_is_a_cooldown(self, reply):
        with pytest.raises(CooldownError, match="refused a restore"):
            xenioo.read_restored(reply(400, {"error": "once per hour"}))


class TestCredentials:
    @pytest.mark.parametrize("value", [TOKEN, f" {TOKEN}\n"])
    def test_a_token_is_taken_without_the_white_space_of_its_copy(self, value):
        assert xenioo.check_token(value) == TOKEN

    @pytest.mark.parametrize(
        "value", ["", "  ", "Bearer tok-123456", "tok\u200b123456", "tök-123456", "tok\r\nX: 1", "tok\x00123"]
    )
    def test_a_token_that_cannot_stand_in_a_header_is_refused_unseen(self, value):
        with pytest.raises(InvalidArgumentError, match="bot token") as caught:
            xenioo.check_token(value)
        assert "123" not in str(caught.value)

    @pytest.mark.parametrize(
        ("given", "body"),
        [
            pytest.param(
                ("a", "k", "s"), {"AccountAPIKey": "a", "BotAPIKey": "k", "BotAPISecret": "s"}, id="a bot's"
            ),
            pytest.param(("a", None, ""), {"AccountAPIKey": "a"}, id="the account's"),
            pytest.param((1, 2, 3), {"AccountAPIKey": "1", "BotAPIKey": "2", "BotAPISecret": "3"}, id="numbers"),
            pytest.param((" a ",), {"AccountAPIKey": "a"}, id="white space"),
        ],
    )
    def test_keys_make_the_body_of_the_call(self, given, body):
        keys = xenioo.check_keys(*given)
        assert keys.to_json() == body
        assert xenioo.integration_request(keys).json == xenioo.code_request(keys).json == body
        assert repr(keys) == "ApiKeys()"

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            pytest.param((None, None, None), "no credentials", id="nothing"),
            pytest.param((" ", "k", "s"), "no credentials", id="no account key"),
            pytest.param(("a", "k-value", None), "bot_api_secret is missing", id="no secret"),
            pytest.param(("a", "", "s-value"), "bot_api_key is missing", id="no key"),
            pytest.param((["a-value"], None, None), "'account_api_key' must be a text", id="a list"),
            pytest.param(("a", True, "s-value"), "'bot_api_key' must be a text", id="a bool"),
        ],
    )
    def test_incomplete_keys_are_refused_unseen(self, given, says):
        with pytest.raises(InvalidArgumentError, match=says) as caught:
            xenioo.check_keys(*given)
        assert "-value" not in str(caught.value)
