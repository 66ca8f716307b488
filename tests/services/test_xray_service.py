"""What Xray's answers mean, one by one."""

from __future__ import annotations

import base64
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.services import xray, xray_cooldown
from airflow_provider_xbackup.services.errors import (
    AccessDeniedError,
    AuthenticationError,
    CooldownError,
    FileNotAvailableError,
    JobFailedError,
    JobNotFoundError,
    RefusedRequestError,
    ServerFaultError,
    SpentLinkError,
    ThrottledError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.services.xray import JobPhase
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob, XrayBackupRequest

FULL = XrayBackupRequest()
DATE = "Mon, 23 Nov 2026 01:44:58 GMT"


def jwt(claims: object) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.c2lnbmF0dXJl"


class TestToken:
    @pytest.mark.parametrize(
        ("claims", "lifetime"),
        [
            pytest.param({"iat": 1000, "exp": 87_400}, timedelta(hours=24), id="iat and exp"),
            pytest.param({"exp": 1_795_401_900 + 10}, None, id="exp alone is measured from the answer's date"),
            pytest.param({"iat": 1000}, timedelta(hours=23), id="no exp"),
            pytest.param({"iat": 1000, "exp": 1000}, timedelta(hours=23), id="no life at all"),
            pytest.param({"iat": 1000, "exp": 10**12}, timedelta(hours=23), id="a life of millennia"),
            pytest.param({"iat": 0, "exp": 10**400}, timedelta(hours=23), id="an exp beyond floats"),
            pytest.param({"iat": "x", "exp": "y"}, timedelta(hours=23), id="claims that are words"),
            pytest.param({"iat": [1], "exp": {}}, timedelta(hours=23), id="claims that are lists"),
            pytest.param([1, 2], timedelta(hours=23), id="claims are no object"),
            pytest.param(b'{"iat": 1, "exp": NaN}', timedelta(hours=23), id="not a number"),
            pytest.param(b'{"iat": 1, "exp": Infinity}', timedelta(hours=23), id="infinity"),
            pytest.param(b"[" * 5000, timedelta(hours=23), id="claims nested too deeply"),
            pytest.param(b"\xff\xfe\x00", timedelta(hours=23), id="claims that are no text"),
        ],
    )
    def test_its_life_is_read_from_its_claims(self, reply, now, claims, lifetime):
        token = xray.read_token(reply(200, jwt(claims)))
        assert token.obtained_at == now
        assert token.lifetime == (lifetime or timedelta(seconds=1_795_401_910 - now.timestamp()))

    @pytest.mark.parametrize(
        ("body", "value"),
        [
            pytest.param(b'"abcdefgh.ijk.lmn"', "abcdefgh.ijk.lmn", id="a JSON string"),
            pytest.param(b"abcdefgh.ijk.lmn\n", "abcdefgh.ijk.lmn", id="without quotes"),
            pytest.param(b"opaque-token-without-dots", "opaque-token-without-dots", id="no JWT"),
        ],
    )
    def test_it_comes_with_or_without_quotes(self, reply, body, value):
        assert xray.read_token(reply(200, body)).value == value

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b'""', id="an empty string"),
            pytest.param(b"<html>login</html>", id="a page"),
            pytest.param(b'{"token": "abcdefgh.ijk.lmn"}', id="an object"),
            pytest.param(b'"two words here"', id="words"),
            pytest.param(b'"t\xc3\xb6ken-of-umlauts"', id="not ASCII"),
            pytest.param(b"[" * 100_000, id="nested too deeply"),
            pytest.param(b"null", id="null"),
        ],
    )
    def test_anything_else_is_unreadable_and_not_quoted(self, reply, body):
        with pytest.raises(UnreadableAnswerError) as caught:
            xray.read_token(reply(200, body))
        assert "ijk" not in str(caught.value)

    def test_a_token_is_not_shown(self, reply):
        assert "abcdefgh" not in repr(xray.read_token(reply(200, b'"abcdefgh.ijk.lmn"')))

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_refused_key_is_final_and_says_where_to_look(self, reply, status):
        with pytest.raises(AuthenticationError, match="client secret in the Airflow connection") as caught:
            xray.read_token(reply(status, b"Invalid client credentials", content_type="text/plain"))
        assert not caught.value.retryable

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_a_page_of_a_firewall_says_nothing_about_the_key(self, reply, page, status):
        with pytest.raises(UnreadableAnswerError, match="check the host") as caught:
            xray.read_token(reply(status, page))
        assert caught.value.retryable


class TestCooldown:
    @pytest.mark.parametrize(
        ("left", "wait"),
        [
            pytest.param(
                "in: 5 hours, 56 minutes and 47 seconds.", timedelta(hours=5, minutes=56, seconds=47), id="all"
            ),
            pytest.param("in: 5 hours.", timedelta(hours=5), id="hours only"),
            pytest.param("in: 1 minute and 1 second.", timedelta(minutes=1, seconds=1), id="singular"),
            pytest.param("in: 47 seconds", timedelta(seconds=47), id="seconds only, no full stop"),
            pytest.param(
                "in: 3 seconds, 2 minutes and 1 hour", timedelta(hours=1, minutes=2, seconds=3), id="reversed"
            ),
            pytest.param("in 2 hours and 30 minutes", timedelta(hours=2, minutes=30), id="no colon"),
            pytest.param("IN: 4 HOURS", timedelta(hours=4), id="upper case"),
            pytest.param("in:\n 4 hours", timedelta(hours=4), id="broken line"),
            pytest.param("in: about 4 hours", timedelta(hours=4), id="about"),
            pytest.param("in: 0 seconds", timedelta(0), id="over by now"),
            pytest.param("in: 4 hours. It is one in 6 hours.", timedelta(hours=4), id="another in after it"),
            pytest.param("in: 999999 hours", timedelta(hours=24), id="an absurd time is cut"),
            pytest.param("later", timedelta(hours=6), id="no time"),
            pytest.param("in: a while", timedelta(hours=6), id="no number"),
            pytest.param("in: , , and", timedelta(hours=6), id="nothing between the commas"),
        ],
    )
    def test_the_time_left_is_what_follows_in(self, reply, now, left, wait):
        text = f"A backup can be created once every 6 hours, you can create a new one {left}"
        with pytest.raises(CooldownError) as caught:
            xray.read_job(reply(400, {"error": text}), FULL)
        assert caught.value.available_at == now + wait
        assert caught.value.certain

    def test_the_time_left_is_found_behind_a_long_preface(self, reply, now):
        text = "Dear customer, " * 30 + "a backup can be created once every 6 hours, the next in: 2 hours."
        with pytest.raises(CooldownError) as caught:
            xray.read_job(reply(400, {"error": text}), FULL)
        assert caught.value.available_at == now + timedelta(hours=2)

    def test_the_rule_itself_may_come_last(self):
        text = "You can create a new one in: 5 hours. A backup can be created once every 6 hours."
        assert xray_cooldown.read_remaining(text) == timedelta(hours=5)

    @pytest.mark.parametrize(
        "text",
        [
            "A backup is already being created, wait until it ends.",
            "A backup is already running",
            "Another backup is running.",
            "There is another backup job",
            "Backup in progress",
            "The backup job is still running",
            "Too soon",
        ],
    )
    def test_a_running_job_is_a_cooldown_of_six_hours(self, reply, now, text):
        with pytest.raises(CooldownError, match=text) as caught:
            xray.read_job(reply(400, {"error": text}), FULL)
        assert caught.value.available_at == now + timedelta(hours=6)
        assert caught.value.certain

    @pytest.mark.parametrize("text", ["Please try again later", "Wait.", "The project is busy, please wait"])
    def test_words_that_only_ask_to_wait_are_waited_for_once(self, reply, now, text):
        with pytest.raises(CooldownError, match=text) as caught:
            xray.read_job(reply(400, {"error": text}), FULL)
        assert caught.value.available_at == now + timedelta(hours=6)
        assert not caught.value.certain

    @pytest.mark.parametrize("text", ["Please wait, you can try again in: 2 hours.", "Invalid: wait, in: 2 hours"])
    def test_words_that_ask_to_wait_are_certain_with_a_time(self, reply, now, text):
        with pytest.raises(CooldownError) as caught:
            xray.read_job(reply(400, {"error": text}), FULL)
        assert (caught.value.available_at, caught.value.certain) == (now + timedelta(hours=2), True)

    @pytest.mark.parametrize(
        "body", [b"A backup can be created once every 6 hours", {"Message": "once every 6 hours"}]
    )
    def test_the_words_count_wherever_they_stand(self, reply, body):
        with pytest.raises(CooldownError):
            xray.read_job(reply(400, body), FULL)

    @pytest.mark.parametrize(
        "body",
        [
            {"error": "projectIds must be a list of strings."},
            {"error": "Project not found: 10042."},
            {"error": "Invalid modifiedSince, please correct it and try again."},
            {"error": "withAttachment must be a boolean, try again"},
            {"error": "A value is required. Please try again."},
            {"error": "Malformed body; wait and send another"},
            {"error": "The backup cannot be created because the project is archived"},
            {"error": ""},
            {},
            b"",
        ],
    )
    def test_another_400_is_a_refusal_and_final(self, reply, body):
        with pytest.raises(RefusedRequestError) as caught:
            xray.read_job(reply(400, body), FULL)
        assert not caught.value.retryable

    def test_a_page_with_the_right_words_is_no_cooldown(self, reply):
        with pytest.raises(UnreadableAnswerError):
            xray.read_job(reply(400, b"<html>A backup can be created once every 6 hours</html>"), FULL)

    def test_it_survives_pickling(self, now):
        error = pickle.loads(pickle.dumps(CooldownError("not now", available_at=now, certain=False)))
        assert (str(error), error.available_at, error.certain) == ("not now", now, False)


class TestJob:
    @pytest.mark.parametrize(
        ("given", "read"),
        [("34a4106b", "34a4106b"), (" 34a4 ", "34a4"), (123456, "123456"), (0, "0")],
        ids=["text", "white space", "number", "zero"],
    )
    def test_its_id_is_taken_as_it_comes(self, reply, given, read):
        job = xray.read_job(reply(200, {"jobId": given}, date=DATE), FULL)
        assert job.job_id == read
        assert job.requested_at == datetime(2026, 11, 23, 1, 44, 58, tzinfo=UTC)

    def test_its_instant_is_this_machines_where_the_server_tells_none(self, reply, now):
        assert xray.read_job(reply(200, {"JOBID": "x"}), FULL).requested_at == now

    def test_it_knows_what_was_asked_for(self, reply, now):
        request = XrayBackupRequest(("10042",), now, with_attachments=True)
        job = xray.read_job(reply(200, {"jobId": "x"}), request, base="b")
        assert (job.request, job.kind, job.base) == (request, "partial", "b")

    @pytest.mark.parametrize(
        "body", [{}, {"jobId": None}, {"jobId": " "}, {"jobId": True}, {"jobId": ["x"]}, [], b"", b"<html>"]
    )
    def test_a_success_without_an_id_is_unreadable(self, reply, body):
        with pytest.raises(UnreadableAnswerError):
            xray.read_job(reply(200, body), FULL)

    def test_an_id_of_surrogates_is_none(self, reply):
        with pytest.raises(UnreadableAnswerError):
            xray.read_job(reply(200, b'{"jobId": "\\ud800"}'), FULL)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "error", "retryable"),
        [
            (301, UnreadableAnswerError, True),
            (401, AuthenticationError, False),
            (403, AccessDeniedError, False),
            (409, RefusedRequestError, False),
            (429, ThrottledError, True),
            (500, ServerFaultError, True),
            (503, ServerFaultError, True),
        ],
    )
    def test_a_status_has_one_meaning_for_every_call(self, reply, status, error, retryable):
        answer = reply(status, {"error": "no"})
        for read in (
            lambda: xray.read_job(answer, FULL),
            lambda: xray.read_status(answer, "x"),
            lambda: xray.read_file(answer),
            lambda: xray.read_counts(answer),
        ):
            with pytest.raises(error) as caught:
                read()
            assert caught.value.retryable is retryable

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 451])
    def test_a_page_in_the_place_of_a_refusal_is_not_the_services_word(self, reply, page, status):
        answer = reply(status, page, content_type="text/html")
        for read in (
            lambda: xray.read_token(answer),
            lambda: xray.read_job(answer, FULL),
            lambda: xray.read_status(answer, "x"),
            lambda: xray.read_file(answer),
            lambda: xray.read_counts(answer),
        ):
            with pytest.raises(UnreadableAnswerError, match=r"web page.*check the host") as caught:
                read()
            assert caught.value.retryable

    @pytest.mark.parametrize("status", [200, 403, 404, 503])
    def test_what_a_server_repeats_of_a_secret_is_not_quoted(self, reply, status):
        secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
        link = "https://bucket.example/file?X-Amz-Signature=deadbeef"
        answer = reply(status, {"error": f"Invalid JWT: {secret} at {link}"})
        with pytest.raises(Exception, match="Invalid JWT") as caught:
            xray.read_status(answer, "x")
        assert "eyJ" not in str(caught.value)
        assert "deadbeef" not in str(caught.value)


class TestStatus:
    @pytest.mark.parametrize(
        ("word", "phase"),
        [
            ("working", JobPhase.RUNNING),
            ("pending", JobPhase.RUNNING),
            ("successful", JobPhase.SUCCEEDED),
            ("SUCCESSFUL", JobPhase.SUCCEEDED),
            (" Successful ", JobPhase.SUCCEEDED),
            ("failed", JobPhase.FAILED),
            ("Unsuccessful", JobPhase.FAILED),
            ("partially_successful", JobPhase.FAILED),
            ("success", JobPhase.RUNNING),
            ("abracadabra", JobPhase.RUNNING),
        ],
    )
    def test_only_successful_is_success(self, reply, word, phase):
        assert xray.read_status(reply(200, {"status": word}), "x").phase is phase

    def test_an_unknown_word_is_named_as_one(self, reply):
        assert "a word nobody knows" in str(xray.read_status(reply(200, {"status": "abracadabra"}), "x"))
        assert "nobody" not in str(xray.read_status(reply(200, {"status": "Working"}), "x"))

    def test_a_failed_job_names_its_word_and_the_way_on(self, reply):
        status = xray.read_status(reply(200, {"status": "Failed"}), "x")
        with pytest.raises(JobFailedError, match=r"x ended as 'Failed'.*Clear the creating task"):
            xray.is_done(status, "x")

    @pytest.mark.parametrize(("word", "done"), [("working", False), ("oops", False), ("successful", True)])
    def test_the_rest_is_done_or_goes_on(self, reply, word, done):
        assert xray.is_done(xray.read_status(reply(200, {"status": word}), "x"), "x") is done

    @pytest.mark.parametrize(
        "body", [{}, {"status": None}, {"status": ""}, {"status": 3}, {"status": ["working"]}, b"", b"ok", []]
    )
    def test_an_answer_without_a_word_is_unreadable(self, reply, body):
        with pytest.raises(UnreadableAnswerError):
            xray.read_status(reply(200, body), "x")

    @pytest.mark.parametrize(
        ("given", "share"),
        [
            ("10%", 0.1),
            ("10 %", 0.1),
            (" 100% ", 1),
            ("0", 0),
            (50, 0.5),
            (12.5, 0.125),
            ("101%", None),
            ("-1%", None),
            ("ten", None),
            ("", None),
            ("nan", None),
            (None, None),
            (True, None),
            ([10], None),
            ({"percent": 10}, None),
            (10**400, None),
        ],
        ids=repr,
    )
    def test_progress_is_a_share_or_nothing(self, reply, given, share):
        status = xray.read_status(reply(200, {"status": "working", "progressValue": given}), "x")
        assert status.progress == share

    def test_a_lost_job_is_final(self, reply):
        with pytest.raises(JobNotFoundError, match=r"'x'.*job not found") as caught:
            xray.read_status(reply(404, {"error": "job not found."}), "x")
        assert not caught.value.retryable

    @pytest.mark.parametrize("body", [b"", b"Cannot GET /api", {}, {"error": None}, b"not found"])
    def test_a_404_that_speaks_of_no_job_is_somebody_elses_and_may_pass(self, reply, body):
        with pytest.raises(UnreadableAnswerError, match="in between") as caught:
            xray.read_status(reply(404, body), "x")
        assert caught.value.retryable

    def test_an_id_cannot_leave_its_place_in_the_path(self):
        assert xray.status_request("../a?b").path == "/api/v2/backup/..%2Fa%3Fb/status"


class TestFile:
    def test_its_headers_are_read(self, reply):
        file = xray.read_file(
            reply(
                200,
                content_length="12",
                etag='"abc"',
                last_modified="Mon, 23 Nov 2026 01:00:00 GMT",
                date=DATE,
                accept_ranges="Bytes",
                content_encoding="gzip",
            )
        )
        assert (file.length, file.etag, file.accepts_ranges, file.encoding) == (12, '"abc"', True, "gzip")
        assert file.last_modified == datetime(2026, 11, 23, 1, tzinfo=UTC)
        assert file.date == datetime(2026, 11, 23, 1, 44, 58, tzinfo=UTC)

    def test_none_of_them_is_needed(self, reply, now):
        file = xray.read_file(reply(206))
        assert (file.length, file.etag, file.last_modified, file.encoding) == (None, None, None, None)
        assert (file.accepts_ranges, file.date) == (False, now)

    @pytest.mark.parametrize("value", ["-1", "1.5", "many", "\u0661", "1" * 5000, ""])
    def test_a_length_that_is_no_number_is_none(self, reply, value):
        assert xray.read_file(reply(200, content_length=value)).length is None

    @pytest.mark.parametrize(
        "value", ["never", "0", "Mon, 99 Nov 2026 01:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -1200"]
    )
    def test_a_date_that_is_none_is_left_out(self, reply, value):
        assert xray.read_file(reply(200, last_modified=value)).last_modified is None

    def test_the_encoding_identity_is_none(self, reply):
        assert xray.read_file(reply(200, content_encoding="Identity")).encoding is None

    @pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
    def test_a_page_or_json_is_no_file(self, reply, content_type):
        with pytest.raises(UnreadableAnswerError):
            xray.read_file(reply(200, content_type=content_type))

    def test_a_missing_file_may_appear(self, reply):
        with pytest.raises(FileNotAvailableError) as caught:
            xray.read_file(reply(404, {"error": "Backup file is not available."}))
        assert caught.value.retryable

    @pytest.mark.parametrize("status", [400, 401, 403, 410])
    def test_a_link_that_the_storage_refuses_is_spent(self, reply, status):
        with pytest.raises(SpentLinkError) as caught:
            xray.read_linked_file(reply(status, b"<?xml version='1.0'?><Error/>"))
        assert caught.value.retryable

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_names_its_target(self, reply, status):
        assert xray.read_redirect(reply(status, location=" https://s/x ")) == "https://s/x"
        with pytest.raises(UnreadableAnswerError, match="named no place"):
            xray.read_redirect(reply(status))

    @pytest.mark.parametrize("status", [200, 206, 304, 404])
    def test_anything_else_is_no_redirect(self, reply, status):
        assert xray.read_redirect(reply(status, location="https://s/x")) is None

    def test_encodings_are_declined(self):
        request = xray.file_request(xray.Artifact.ATTACHMENTS)
        assert request.path == "/api/v2/backup/file/attachment"
        assert request.headers["Accept-Encoding"] == "identity"


class TestCounts:
    def test_what_was_not_answered_is_left_out(self, reply):
        body = {
            "data": {
                "tests": {"total": 3},
                "testSets": None,
                "testPlans": {"total": "4"},
                "preconditions": {"total": -1},
            },
            "errors": [{"message": "testSets is down"}],
        }
        assert xray.read_counts(reply(200, body)) == {"tests": 3}

    def test_a_count_of_nothing_says_what_graphql_said(self, reply):
        secret = "abcdefghijklmnopqrstuvwxyz0123456789"
        body = {"errors": [{"message": f"no access\nfor {secret}"}, {"message": 3}, "x"], "data": None}
        with pytest.raises(UnreadableAnswerError, match="no access for …") as caught:
            xray.read_counts(reply(200, body))
        assert secret not in str(caught.value)

    @pytest.mark.parametrize(
        "body", [{}, {"data": []}, {"data": {"tests": 3}}, {"errors": {}}, b"", b"<html>", [1]]
    )
    def test_an_answer_that_counts_nothing_is_unreadable(self, reply, body):
        with pytest.raises(UnreadableAnswerError):
            xray.read_counts(reply(200, body))

    def test_all_entities_are_counted_in_one_request(self):
        query = xray.count_request("10042").json["query"]
        assert query.count('projectId: "10042"') == 5

    def test_an_id_that_is_none_does_not_reach_the_query(self):
        with pytest.raises(InvalidArgumentError):
            xray.count_request('1") { x }')


class TestRequest:
    @pytest.mark.parametrize(
        ("arguments", "body"),
        [
            pytest.param({}, {}, id="everything"),
            pytest.param(
                {"project_ids": ["10042", 10077, " 10042 "]}, {"projectIds": ["10042", "10077"]}, id="ids"
            ),
            pytest.param({"with_attachments": "True"}, {"withAttachment": True}, id="a bool of a template"),
            pytest.param({"with_attachments": False}, {}, id="no attachments"),
            pytest.param(
                {"modified_since": "2020-04-25"},
                {"modifiedSince": "2020-04-25T00:00:00Z"},
                id="a date is midnight UTC",
            ),
            pytest.param(
                {"modified_since": "2020-04-25T02:00:00.9+02:00"},
                {"modifiedSince": "2020-04-25T00:00:00Z"},
                id="offset",
            ),
        ],
    )
    def test_what_was_not_asked_for_is_left_out(self, arguments, body):
        assert XrayBackupRequest.checked(**arguments).to_json() == body

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param({"project_ids": []}, id="an empty list"),
            pytest.param({"project_ids": "10042"}, id="a text"),
            pytest.param({"project_ids": b"12"}, id="bytes"),
            pytest.param({"project_ids": 10042}, id="a number"),
            pytest.param({"project_ids": {"10042": 1}}, id="a dict"),
            pytest.param({"project_ids": ["CALC"]}, id="a key"),
            pytest.param({"project_ids": [True]}, id="a bool"),
            pytest.param({"project_ids": [-1]}, id="a negative number"),
            pytest.param({"project_ids": [1.5]}, id="a fraction"),
            pytest.param({"project_ids": [None]}, id="none in the list"),
            pytest.param({"project_ids": ["\u0661"]}, id="digits of another script"),
            pytest.param({"project_ids": [""]}, id="an empty id"),
            pytest.param({"modified_since": "yesterday"}, id="a word"),
            pytest.param({"modified_since": 5}, id="an instant that is a number"),
            pytest.param({"modified_since": "2999-01-01T00:00:00Z"}, id="the future"),
            pytest.param({"with_attachments": "maybe"}, id="a bool that is none"),
            pytest.param({"with_attachments": 1}, id="a number as bool"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, arguments):
        with pytest.raises(InvalidArgumentError):
            XrayBackupRequest.checked(**arguments)

    def test_the_future_is_judged_by_the_instant_given(self, now):
        assert XrayBackupRequest.checked(None, now, now=now).kind == "partial"
        with pytest.raises(InvalidArgumentError, match="lies in the future"):
            XrayBackupRequest.checked(None, now + timedelta(seconds=1), now=now)

    def test_asking_for_a_backup_is_never_repeated(self):
        assert not xray.create_backup_request(FULL).repeatable

    def test_scopes_compare_whatever_their_order(self):
        assert XrayBackupRequest(("20", "3")).sorted_project_ids == ("3", "20")
        assert FULL.sorted_project_ids is None


class TestJobDict:
    @pytest.mark.parametrize("finished", [False, True])
    @pytest.mark.parametrize(
        "request_", [FULL, XrayBackupRequest(("1", "2"), datetime(2020, 1, 1, tzinfo=UTC), True)]
    )
    def test_a_job_survives_xcom(self, request_, finished, now):
        job = XrayBackupJob(
            "x", now, request_.kind, "b", request_.project_ids, request_.modified_since, request_.with_attachments
        )
        job = job.finished(now) if finished else job
        values = json.loads(json.dumps(job.to_dict()))
        assert ("finished_at" in values) is finished
        assert XrayBackupJob.from_dict(values) == job

    def test_a_job_of_tomorrow_is_a_fact(self):
        values = {
            "job_id": "x",
            "requested_at": "2999-01-02T00:00:00Z",
            "kind": "partial",
            "modified_since": "2999-01-01T00:00:00Z",
        }
        assert XrayBackupJob.from_dict(values).kind == "partial"

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"job_id": None}, id="no id"),
            pytest.param({"job_id": 12}, id="an id that is a number"),
            pytest.param({"job_id": "  "}, id="a blank id"),
            pytest.param({"job_id": "\ud800"}, id="an id of surrogates"),
            pytest.param({"requested_at": None}, id="no instant"),
            pytest.param({"requested_at": "now"}, id="an instant without a date"),
            pytest.param({"requested_at": 5}, id="an instant that is a number"),
            pytest.param({"finished_at": []}, id="a finish that is a list"),
            pytest.param({"finished_at": ""}, id="an empty finish"),
            pytest.param({"kind": "partial"}, id="partial of nothing"),
            pytest.param({"modified_since": "2020-01-01T00:00:00Z"}, id="a full since something"),
            pytest.param({"kind": "incremental"}, id="an unknown kind"),
            pytest.param({"kind": None}, id="no kind"),
            pytest.param({"base": 3}, id="a base that is a number"),
            pytest.param({"project_ids": {"10042": 1}}, id="projects that are a dict"),
            pytest.param({"project_ids": []}, id="no projects"),
            pytest.param({"with_attachments": None}, id="attachments unknown"),
        ],
    )
    def test_what_was_changed_on_its_way_is_refused(self, now, changes):
        values = XrayBackupJob("x", now, "full").to_dict() | changes
        with pytest.raises(InvalidArgumentError):
            XrayBackupJob.from_dict(values)

    @pytest.mark.parametrize("values", [None, "x", [], {}, {"job_id": "x"}, 3], ids=repr)
    def test_what_is_no_job_is_refused(self, values):
        with pytest.raises(InvalidArgumentError, match=r"^job "):
            XrayBackupJob.from_dict(values)
