"""Every fact that the documents state about Xray, over HTTP."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests


def claims(token: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_the_token_is_a_json_string_in_quotes_that_lives_for_a_day(sim, xray):
    answer = xray.login()
    assert answer.text == f'"{xray.token}"'
    assert claims(xray.token)["exp"] - claims(xray.token)["iat"] == 86_400


def test_the_token_can_come_without_quotes_and_without_an_end(sim, xray):
    sim.settings.xray.token_quoted = False
    sim.settings.xray.token_has_exp = False
    assert "exp" not in claims(xray.login().text)
    assert xray.create().ok


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("{", 400, id="no JSON"),
        pytest.param('{"client_id": "demo-client"}', 400, id="no secret"),
        pytest.param('{"client_id": "demo-client", "client_secret": "x"}', 401, id="wrong secret"),
        pytest.param('{"client_id": "stranger", "client_secret": "demo-secret"}', 401, id="unknown client"),
    ],
)
def test_a_refused_login_is_plain_text(sim, body, status):
    answer = requests.post(f"{sim.url}/api/v2/authenticate", data=body, timeout=20)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_answer_to_a_wrong_secret_can_be_worded(sim, xray):
    sim.settings.xray.wrong_secret.status = 400
    sim.settings.xray.wrong_secret.body = '{"error": "no"}'
    answer = xray.login(client_secret="x")
    assert (answer.status_code, answer.json()) == (400, {"error": "no"})


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "ä.ö.ü"])
def test_a_bad_bearer_is_refused_with_invalid_jwt(xray, token):
    xray.token = token.encode().decode("latin-1")
    answer = xray.create()
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("Invalid JWT: ")


def test_a_token_ends_after_its_life_time(sim, xray):
    sim.advance(86_401)
    assert xray.create().json() == {"error": "Invalid JWT: jwt expired"}


def test_a_revoked_token_is_refused_until_the_next_login(sim, xray):
    sim.revoke_tokens()
    assert xray.create().status_code == 401
    xray.login()
    assert xray.create().ok


def test_a_job_progresses_and_ends_successfully(sim, xray):
    sim.clock.freeze()
    sim.settings.xray.job_seconds = 100
    job_id = xray.create().json()["jobId"]
    assert xray.status(job_id).json() == {"status": "working", "progressValue": "0%"}
    sim.advance(10)
    assert xray.status(job_id).json() == {"status": "working", "progressValue": "10%"}
    sim.advance(90)
    assert xray.status(job_id).json() == {
        "status": "successful",
        "fileUrl": f"{sim.url}/api/v1/backup/file",
    }


def test_the_status_names_the_attachments_when_they_were_asked_for(sim, xray):
    job_id = xray.finished_job(withAttachment=True)
    assert xray.status(job_id).json()["attachmentUrl"] == f"{sim.url}/api/v1/backup/file/attachment"


@pytest.mark.parametrize(("setting", "asked", "named"), [("always", False, True), ("never", True, False)])
def test_the_status_can_name_the_attachments_always_or_never(sim, xray, setting, asked, named):
    sim.settings.xray.attachment_url = setting
    job_id = xray.finished_job(withAttachment=asked)
    assert ("attachmentUrl" in xray.status(job_id).json()) is named


def test_the_file_url_can_name_another_host(sim, xray):
    sim.settings.xray.file_url_origin = "https://evil.example.com"
    assert xray.status(xray.finished_job()).json()["fileUrl"].startswith("https://evil.example.com/api/v1/")


def test_words_and_progress_can_be_played_by_script(sim, xray):
    sim.clock.freeze()
    sim.settings.xray.job_seconds = 100
    sim.settings.xray.running_words = ["pending", "Working"]
    sim.settings.xray.progress = ["50%", "20%", "soon", "99%"]
    job_id = xray.create().json()["jobId"]
    seen = []
    for _ in range(4):
        answer = xray.status(job_id).json()
        seen.append((answer["status"], answer["progressValue"]))
        sim.advance(25)
    assert seen == [("pending", "50%"), ("pending", "20%"), ("Working", "soon"), ("Working", "99%")]


def test_progress_can_be_missing(sim, xray):
    sim.settings.xray.progress = []
    assert xray.status(xray.create().json()["jobId"]).json() == {"status": "working"}


def test_a_job_can_fail_and_then_has_no_file_and_no_cooldown(sim, xray):
    sim.settings.xray.final_word = "failed"
    assert xray.status(xray.finished_job()).json() == {"status": "failed"}
    assert xray.call("GET", "/api/v2/backup/file").status_code == 404
    assert xray.create().ok


def test_a_failed_job_can_start_the_cooldown(sim, xray):
    sim.settings.xray.final_word = "failed"
    sim.settings.xray.failed_jobs_count = True
    xray.finished_job()
    assert "6 hours" in xray.create().json()["error"]


def test_success_can_be_spelt_in_other_case(sim, xray):
    sim.settings.xray.final_word = "SUCCESSFUL"
    assert xray.status(xray.finished_job()).json()["status"] == "SUCCESSFUL"
    assert xray.download().ok


def test_an_unknown_job_is_not_found(xray):
    answer = xray.status("0" * 32)
    assert (answer.status_code, answer.json()) == (404, {"error": "job not found."})


def test_a_job_of_another_tenant_is_not_found(sim, xray):
    sim.configure({"xray": {"tenants": {"other": {"client_secret": "other-secret"}}}})
    job_id = xray.finished_job()
    xray.login("other", "other-secret")
    assert xray.status(job_id).status_code == 404
    assert xray.call("GET", "/api/v2/backup/file").status_code == 404
    assert xray.create().ok


def test_jobs_and_files_can_be_forgotten(sim, xray):
    sim.settings.xray.job_kept_seconds = 60
    sim.settings.xray.file_kept_seconds = 120
    job_id = xray.finished_job()
    sim.advance(61)
    assert xray.status(job_id).status_code == 404
    assert xray.download().ok
    sim.advance(60)
    assert xray.call("GET", "/api/v2/backup/file").status_code == 404


def test_the_cooldown_is_a_400_with_the_documented_sentence(sim, xray):
    sim.clock.freeze()
    xray.finished_job()
    sim.advance(193)
    answer = xray.create()
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "A backup can be created once every 6 hours, "
        "you can create a new one in: 5 hours, 56 minutes and 47 seconds."
    }


@pytest.mark.parametrize(
    ("left", "words"),
    [
        pytest.param(7200, "2 hours", id="hours only"),
        pytest.param(3600 + 60 + 1, "1 hour, 1 minute and 1 second", id="singular"),
        pytest.param(125, "2 minutes and 5 seconds", id="minutes and seconds"),
        pytest.param(0.5, "1 second", id="a part of a second"),
    ],
)
def test_the_time_left_leaves_out_what_is_zero(sim, xray, left, words):
    sim.clock.freeze()
    xray.finished_job()
    sim.advance(6 * 3600 - left)
    assert xray.create().json()["error"].endswith(f"you can create a new one in: {words}.")


def test_the_cooldown_ends_on_time(sim, xray):
    sim.clock.freeze()
    xray.finished_job()
    sim.advance(6 * 3600)
    assert xray.create().ok


def test_length_and_wording_of_the_cooldown_can_be_set(sim, xray):
    sim.clock.freeze()
    sim.settings.xray.cooldown_seconds = 5400
    sim.settings.xray.cooldown_text = "{every} h, {minutes} min {seconds} s, {hours} h, {total_seconds}"
    xray.finished_job()
    sim.advance(30)
    assert xray.create().json() == {"error": "1.5 h, 29 min 30 s, 1 h, 5370"}


def test_the_cooldown_can_be_off(sim, xray):
    sim.settings.xray.cooldown_seconds = 0
    xray.finished_job()
    assert xray.create().ok


def test_a_second_job_is_refused_while_one_runs(sim, xray):
    sim.settings.xray.running_text = "wait for the other one"
    sim.settings.xray.job_seconds = 1000
    assert xray.create().ok
    answer = xray.create()
    assert (answer.status_code, answer.json()) == (400, {"error": "wait for the other one"})
    assert len(sim.journal.jobs()) == 1


def test_the_cooldown_can_be_one_for_each_set_of_projects(sim, xray):
    sim.settings.xray.cooldown_scope = "projects"
    xray.finished_job(projectIds=["10042"])
    assert xray.create(projectIds=["10042"]).status_code == 400
    assert xray.create(projectIds=["10077"]).ok


@pytest.mark.parametrize(
    "body",
    [
        {"projectIds": "10042"},
        {"projectIds": [10042]},
        {"modifiedSince": "yesterday"},
        {"modifiedSince": "2020-04-25"},
        {"modifiedSince": 5},
        {"withAttachment": "yes"},
    ],
)
def test_a_request_with_wrong_types_makes_no_job(sim, xray, body):
    assert xray.create(**body).status_code == 400
    assert sim.journal.jobs() == []


def test_the_body_of_a_backup_request_may_be_empty(xray):
    assert xray.call("POST", "/api/v2/backup").ok


def test_unknown_projects_can_be_refused(sim, xray):
    sim.settings.xray.unknown_projects = "refuse"
    assert xray.create(projectIds=["99999"]).status_code == 400


def test_the_file_is_not_available_before_the_first_success(xray):
    for path in ("/api/v2/backup/file", "/api/v2/backup/file/attachment"):
        answer = xray.call("GET", path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Backup file is not available."})


def test_the_attachments_are_not_available_unless_asked_for(sim, xray):
    xray.finished_job()
    assert xray.call("GET", "/api/v2/backup/file/attachment").status_code == 404


def test_attachments_can_be_missing_though_asked_for(sim, xray):
    sim.settings.xray.attachments_missing = True
    job_id = xray.finished_job(withAttachment=True)
    assert "attachmentUrl" in xray.status(job_id).json()
    assert xray.call("GET", "/api/v2/backup/file/attachment").status_code == 404


def test_attachments_of_an_older_job_can_survive(sim, xray):
    xray.finished_job(withAttachment=True)
    old = xray.download("/api/v2/backup/file/attachment").content
    xray.next_job()
    assert xray.call("GET", "/api/v2/backup/file/attachment").status_code == 404
    sim.settings.xray.attachments_survive = True
    assert xray.download("/api/v2/backup/file/attachment").content == old


def test_the_file_endpoint_serves_the_newest_backup_of_the_tenant(sim, xray):
    xray.finished_job()
    first = xray.download()
    sim.other_client_backup(project_ids=("10077",))
    second = xray.download()
    assert first.headers["etag"] != second.headers["etag"]
    assert {name.split("_")[1] for name in xray.unzip().namelist()} == {"10077"}


def test_the_file_endpoint_can_be_stale(sim, xray):
    xray.finished_job()
    first = xray.download().content
    xray.next_job()
    assert xray.download().content != first
    sim.settings.xray.file_served = "previous"
    assert xray.download().content == first


def test_version_1_of_the_file_endpoint_answers_too(xray):
    xray.finished_job()
    assert xray.download("/api/v1/backup/file").content == xray.download().content


def test_all_dates_follow_the_clock(sim, xray):
    sim.clock.set(datetime.fromisoformat("2031-05-06T07:08:09.9Z"))
    sim.clock.freeze()
    xray.login()
    answer = xray.create()
    assert answer.headers["date"] == "Tue, 06 May 2031 07:08:09 GMT"
    sim.advance(60)
    sim.finish_jobs()
    assert xray.download().headers["last-modified"] == "Tue, 06 May 2031 07:08:12 GMT"
    assert xray.status("x").headers["date"] == "Tue, 06 May 2031 07:09:09 GMT"


def test_errors_have_exactly_one_date(sim, xray):
    sim.add_fault(action="status", status=500, path="/graphql")
    for answer in (
        xray.call("GET", "/nowhere"),
        xray.call("DELETE", "/api/v2/backup"),
        xray.call("POST", "/api/v2/graphql"),
    ):
        assert not answer.ok
        assert parsedate_to_datetime(answer.headers["date"]) <= sim.clock.now()


def test_the_date_can_be_missing(sim, xray):
    sim.settings.date_header = False
    assert "date" not in xray.create().headers


def test_last_modified_can_be_off(sim, xray):
    xray.finished_job()
    true = parsedate_to_datetime(xray.download().headers["last-modified"])
    sim.settings.xray.download.last_modified_offset = -3600
    assert parsedate_to_datetime(xray.download().headers["last-modified"]) == true - timedelta(hours=1)


def test_field_names_can_come_in_other_case(sim, xray):
    sim.settings.xray.json_case = "pascal"
    answer = xray.create().json()
    assert set(answer) == {"JobId"}
    sim.settings.xray.json_case = "lower"
    assert set(xray.status(answer["JobId"]).json()) == {"status", "progressvalue"}


def test_too_many_requests_are_refused_until_the_window_has_passed(sim, xray):
    sim.clock.freeze()
    sim.advance(300)
    sim.settings.xray.throttle = True
    sim.settings.xray.throttle_requests = 2
    assert [xray.status("x").status_code for _ in range(3)] == [404, 404, 429]
    assert xray.status("x").headers["retry-after"] == "300"
    sim.settings.xray.throttle_retry_after = False
    assert "retry-after" not in xray.status("x").headers
    sim.advance(300)
    assert xray.status("x").status_code == 404


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("getTests", 40),
        ("getTestSets", 2),
        ("getTestPlans", 1),
        ("getPreconditions", 4),
        ("getTestExecutions", 2),
    ],
)
def test_graphql_counts_what_is_there_now(sim, xray, name, total):
    assert xray.count(name, "10042") == total
    sim.change_data(tests=0)
    assert xray.count(name, "10042") == 0


def test_graphql_answers_several_totals_under_aliases(xray):
    query = """query Totals($p: String) {
        a: getTests(projectId: "10042", limit: 1) { total }
        getTestSets(limit: 100, projectId: $p) {total}, c: getTests(projectId: "1", limit: 1) { total }
    }"""
    answer = xray.call("POST", "/api/v2/graphql", json={"query": query, "variables": {"p": "10077"}})
    assert answer.json() == {"data": {"a": {"total": 40}, "getTestSets": {"total": 2}, "c": {"total": 0}}}


@pytest.mark.parametrize(
    "query",
    [
        '{ getTests(projectId: "10042", limit: 0) { total } }',
        '{ getTests(projectId: "10042", limit: 101) { total } }',
        '{ getTests(projectId: "10042") { total } }',
        "{ getTests(limit: 1) { results } }",
        "{ getWeather(limit: 1) { total } }",
        "{ % }",
        "{ }",
        "getTests",
    ],
)
def test_graphql_errors_come_with_status_200(xray, query):
    answer = xray.call("POST", "/api/v2/graphql", json={"query": query})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_tenant_is_counted_as_a_whole_or_not_at_all(sim, xray, allowed):
    sim.settings.xray.counts_tenant = allowed
    answer = xray.call("POST", "/api/v2/graphql", json={"query": "{ getTests(limit: 1) { total } }"}).json()

    assert answer["data"] == ({"getTests": {"total": 80}} if allowed else None)
    assert ("errors" in answer) is not allowed


def test_a_graphql_request_without_a_query_is_a_400(xray):
    assert xray.call("POST", "/api/v2/graphql", json={}).status_code == 400
