"""``xbackup doctor``: what a real service would be asked, and what its answers would mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.doctor import questions
from airflow_provider_xbackup.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]


def examine(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, tuple[str, str]]:
    """Run the command; return verdict and text by the question's key."""
    main(["doctor", *args, "--json"])
    found = json.loads(capsys.readouterr().out)["observations"]
    return {each["key"]: (each["verdict"], each["seen"]) for each in found}


def test_a_tenant_without_a_file_is_asked_what_can_be_asked_of_it(sim: Simulator, capsys):
    assert main(["doctor", "xray"]) == 0

    told = capsys.readouterr()
    assert "5 confirmed, 0 refuted, 2 settled, 0 no answer, 10 not asked" in told.out
    assert told.err == ""


def test_without_being_told_no_backup_is_started_and_no_bot_loses_its_hour(sim: Simulator, capsys):
    main(["doctor", "xray"])
    main(["doctor", "xenioo"])

    assert sim.journal.jobs() == []
    assert sim.journal.entries("/bots/backup") == []


@pytest.mark.parametrize(
    ("settings", "key", "seen"),
    [
        pytest.param({}, "token-form", ("confirmed", "a JSON string that holds a JWT"), id="a quoted token"),
        pytest.param(
            {"token_quoted": False},
            "token-form",
            ("refuted", "text without quotes that holds a JWT"),
            id="a bare token",
        ),
        pytest.param({"token_seconds": 3600}, "token-life", ("refuted", "1 h"), id="a short token"),
        pytest.param(
            {"token_has_exp": False}, "token-life", ("refuted", "the token does not say"), id="a token without end"
        ),
        pytest.param(
            {"download": {"redirect": False}}, "file-redirect", ("refuted", "at once"), id="a file at once"
        ),
        pytest.param(
            {},
            "file-redirect",
            ("refuted", "302 to http on the same host; the link answers 200"),
            id="a redirect that stays on the host",
        ),
        pytest.param({}, "file-link-reuse", ("confirmed", "the second use answers 403"), id="a link for one use"),
        pytest.param(
            {"download": {"link_one_time": False}},
            "file-link-reuse",
            ("refuted", "the second use answers 200"),
            id="a link for more",
        ),
        pytest.param(
            {"download": {"ranges": False}},
            "file-ranges",
            ("settled", "no: 200 to the second byte alone"),
            id="no ranges",
        ),
        pytest.param(
            {"download": {"etag": "weak", "last_modified": False}},
            "file-validator",
            ("settled", "a weak ETag, no Last-Modified"),
            id="a weak validator",
        ),
        pytest.param({}, "file-if-range", ("confirmed", "the tag of another file brings 200"), id="If-Range"),
        pytest.param(
            {"download": {"gzip": True, "content_length": False, "checksum": True}},
            "file-headers",
            (
                "refuted",
                "application/octet-stream, no Content-Length, Content-Encoding gzip, no file name, "
                "checksums: x-amz-meta-md5",
            ),
            id="an encoded file with a checksum",
        ),
    ],
)
def test_what_xray_leaves_open_is_seen(sim: Simulator, with_file: str, capsys, settings: Any, key: str, seen: Any):
    sim.configure({"xray": settings})

    assert examine(capsys, "xray")[key] == seen


def test_the_words_of_a_job_are_told(sim: Simulator, with_file: str, capsys):
    found = examine(capsys, "xray", "--job", with_file, "--project", "10042")

    assert found["job-status"] == (
        "confirmed",
        "the word 'successful', no progress, fileUrl on this host (v1), no attachmentUrl",
    )
    assert found["count"][0] == "confirmed"


def test_a_job_that_the_service_has_forgotten_is_told(sim: Simulator, capsys):
    found = examine(capsys, "xray", "--job", "0123abcd")

    assert found["job-forgotten"] == ("settled", "404, application/json, the text 'job not found.'")


def test_a_backup_is_started_where_that_is_meant_and_its_id_is_told(sim: Simulator, capsys):
    found = examine(capsys, "xray", "--start-backup")

    (job_id,) = sim.journal.jobs()
    assert found["backup-answer"] == (
        "confirmed",
        f"200 with the job {job_id}: a full backup of all projects has begun",
    )


def test_the_sentence_of_the_cooldown_is_told_and_read(sim: Simulator, with_file: str, capsys):
    verdict, seen = examine(capsys, "xray", "--start-backup")["backup-answer"]

    assert verdict == "confirmed"
    assert "A backup can be created once every 6 hours" in seen
    assert seen.endswith("; 6 h left")


@pytest.mark.parametrize(
    ("settings", "key", "seen"),
    [
        pytest.param({}, "token-address", ("confirmed", "/authorization/integration, at once"), id="newer"),
        pytest.param(
            {"integration": False},
            "token-address",
            ("refuted", "/authorization/code, after a refusal"),
            id="older",
        ),
        pytest.param({}, "token-fields", ("confirmed", "token, expire; expire: 60"), id="the fields of a token"),
        pytest.param(
            {"token_fields": ("Token", "Expires"), "token_seconds": 7200},
            "token-fields",
            ("refuted", "Token, Expires; Expires: 120"),
            id="other fields and another life",
        ),
        pytest.param(
            {"invalid_token": {"status": 403, "body": ""}},
            "bad-token",
            ("refuted", "403, application/json, an empty body"),
            id="another refusal",
        ),
        pytest.param(
            {},
            "list",
            ("confirmed", "3 bots in Result; a bot has Name, Description, APIKey, APISecret, Avatar, Channels"),
            id="the list of bots",
        ),
        pytest.param(
            {"throttled": {"status": 429, "body": ""}, "throttled_retry_after": True},
            "throttle",
            ("confirmed", "429, application/json, Retry-After 1 h, an empty body"),
            id="the hour as a 429",
        ),
        pytest.param(
            {"throttled": {"status": 400, "body": "no", "content_type": "text/plain"}},
            "throttle",
            ("refuted", "400, text/plain, the text 'no'"),
            id="the hour as a 400 that says nothing",
        ),
        pytest.param(
            {"cooldown_seconds": 0},
            "throttle",
            ("refuted", "200: the second call was answered, too"),
            id="no hour at all",
        ),
        pytest.param(
            {"backup_content_type": "application/octet-stream"},
            "backup-headers",
            ("refuted", "application/octet-stream, a Content-Length, no encoding, no file name, no checksum"),
            id="a backup of another type",
        ),
    ],
)
def test_what_xenioo_leaves_open_is_seen(sim: Simulator, capsys, settings: Any, key: str, seen: Any):
    sim.clock.freeze()
    sim.configure({"xenioo": settings})

    assert examine(capsys, "xenioo", "--start-backup")[key] == seen


def test_a_token_that_was_given_is_not_made(sim: Simulator, monkeypatch: pytest.MonkeyPatch, capsys):
    for key in ("ACCOUNT_API_KEY", "BOT_API_KEY", "BOT_API_SECRET"):
        monkeypatch.delenv(f"XENIOO_{key}")
    monkeypatch.setenv("XENIOO_TOKEN", "welcome-token")

    found = examine(capsys, "xenioo")

    assert found["token-address"] == ("not asked", "the connection holds a token, so none was made")
    assert (found["clock"][0], found["list"][0]) == ("confirmed", "not asked")


def test_a_clock_that_is_wrong_is_told(sim: Simulator, capsys):
    sim.clock.advance(600)

    verdict, seen = examine(capsys, "xray")["clock"]

    assert verdict == "refuted"
    # HTTP dates know whole seconds only.
    assert seen in {f"a Date header, {seconds} s ahead" for seconds in (599, 600)}


def test_one_question_that_fails_keeps_no_other_from_being_asked(sim: Simulator, with_file: str, capsys):
    sim.add_fault(path="/api/v2/backup/file", action="html", status=403, times=1)

    found = examine(capsys, "xray")

    assert found["file-redirect"][0] in ("no answer", "not asked", "refuted")
    assert found["attachments-file"][0] == "settled"


def test_a_finding_makes_the_exit_code_1_and_says_what_the_package_does(sim: Simulator, capsys):
    sim.configure({"xray": {"token_quoted": False}})

    assert main(["doctor", "xray"]) == 1

    told = capsys.readouterr()
    assert "the package: Takes it without the quotes too" in told.out
    assert told.err.splitlines() == ["xbackup: refuted: token-form: text without quotes that holds a JWT"]


def test_a_key_that_is_refused_ends_it_with_one_line(sim: Simulator, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("XRAY_CLIENT_SECRET", "wrong-secret")

    assert main(["doctor", "xray"]) == 1
    assert capsys.readouterr().err.startswith("xbackup: Xray account 'environment': Xray refused the API key (401")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["doctor"], "Say which service to ask", id="no service"),
        pytest.param(["doctor", "xenioo", "--job", "1"], "questions to Xray", id="a question to the other"),
        pytest.param(["doctor", "xray"], "There are no credentials", id="no credentials"),
    ],
)
def test_wrong_use_is_told(monkeypatch: pytest.MonkeyPatch, capsys, args: list[str], said: str):
    monkeypatch.delenv("XRAY_CLIENT_ID", raising=False)

    assert main(args) == 2
    assert said in capsys.readouterr().err


def test_the_report_holds_no_secret(sim: Simulator, with_file: str, capsys):
    for args in (["xray", "--start-backup", "--job", with_file], ["xenioo", "--start-backup"]):
        main(["doctor", *args])
        main(["doctor", *args, "--json"])

    told = "".join(capsys.readouterr())
    assert "302 to http" in told
    for secret in ("demo-secret", "demo-account", "welcome-key", "welcome-secret", "eyJ", "/_storage"):
        assert secret not in told


def test_the_page_of_questions_is_what_the_command_writes(capsys):
    assert main(["doctor", "--questions"]) == 0

    assert capsys.readouterr().out == (ROOT / "docs" / "unknowns.md").read_text()


def test_every_question_is_asked(sim: Simulator, capsys):
    assert list(examine(capsys, "xray")) == [each.key for each in questions.XRAY]
    assert list(examine(capsys, "xenioo")) == [each.key for each in questions.XENIOO]
