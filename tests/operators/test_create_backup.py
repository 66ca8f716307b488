from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from stand_in import StateStore, make_context

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

HOUR = 3600
POST = {"path": "/api/v2/backup", "method": "POST"}


def operator(**arguments: Any) -> XrayCreateBackupOperator:
    return XrayCreateBackupOperator(**{"task_id": "create", "xray_conn_id": "acme"} | arguments)


def create(store: StateStore | None = None, **arguments: Any) -> dict[str, Any]:
    return operator(**arguments).execute(make_context(store or StateStore()))


def refuse(task: XrayCreateBackupOperator, context: Any = None) -> TaskDeferred:
    """Run a task into the cooldown; returns how it waits."""
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context or make_context(StateStore()))
    return deferred.value


def put_into_vault(job: dict[str, Any], vault: Vault, finished_at: datetime | None = None) -> dict[str, Any]:
    done = {"finished_at": (finished_at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    task = XrayToObjectStorageOperator(
        task_id="store", job={**done, **job}, vault=str(vault.url), account="acme", xray_conn_id="acme"
    )
    return task.execute(make_context())


@pytest.fixture
def six_hours_ago(sim: Simulator) -> Simulator:
    """A simulator in the past, so that its clock can be moved on to the real time."""
    sim.clock.set(datetime.now(UTC) - timedelta(hours=7))
    return sim


def test_a_full_backup_is_asked_for_and_returned_as_a_dict(sim: Simulator):
    before = datetime.now(UTC).replace(microsecond=0)

    job = create()

    requested_at = datetime.fromisoformat(job.pop("requested_at"))
    assert before <= requested_at <= datetime.now(UTC)
    assert requested_at.microsecond == 0
    assert job == {
        "job_id": sim.journal.jobs()[0],
        "kind": "full",
        "base": None,
        "project_ids": None,
        "modified_since": None,
        "with_attachments": False,
    }


def test_what_was_asked_for_is_returned_with_the_job(sim: Simulator):
    job = create(project_ids=[10077, "10042"], modified_since="2026-01-02T03:04:05+01:00", with_attachments=True)

    assert job["kind"] == "partial"
    assert job["project_ids"] == ["10077", "10042"]
    assert job["modified_since"] == "2026-01-02T02:04:05Z"
    assert job["with_attachments"] is True


def test_a_retry_picks_up_the_job_that_was_granted(sim: Simulator):
    store = StateStore()

    first = create(store)
    second = create(store)

    assert second == first
    assert len(sim.journal.entries(**POST)) == 1


def test_a_retry_picks_up_a_job_that_still_runs(sim: Simulator):
    sim.settings.xray.job_seconds = 3600
    store = StateStore()

    first = create(store)

    assert create(store)["job_id"] == first["job_id"]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"project_ids": ["10042"]}, id="other projects"),
        pytest.param({"modified_since": "2026-01-01T00:00:00Z"}, id="a partial"),
        pytest.param({"with_attachments": True}, id="with attachments"),
        pytest.param({"xray_conn_id": "xray_default"}, id="another connection"),
    ],
)
def test_changed_arguments_ask_anew(sim: Simulator, changed: dict[str, Any]):
    sim.settings.xray.cooldown_seconds = 0
    store = StateStore()

    first = create(store)
    second = create(store, **changed)

    assert sim.journal.jobs() == [first["job_id"], second["job_id"]]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        pytest.param({"project_ids": [10042]}, {"project_ids": ["10042"]}, id="a number as text"),
        pytest.param({"project_ids": ["10042", "10077"]}, {"project_ids": ["10077", "10042"]}, id="another order"),
        pytest.param(
            {"modified_since": "2026-01-01T01:00:00+01:00"},
            {"modified_since": datetime(2026, 1, 1, tzinfo=UTC)},
            id="the same instant",
        ),
        pytest.param({"with_attachments": True}, {"with_attachments": "True"}, id="a bool from a template"),
    ],
)
def test_the_same_arguments_in_other_words_find_the_job_again(
    sim: Simulator, first: dict[str, Any], again: dict[str, Any]
):
    sim.settings.xray.cooldown_seconds = 0
    store = StateStore()

    assert create(store, **first)["job_id"] == create(store, **again)["job_id"]
    assert len(sim.journal.jobs()) == 1


def test_a_job_the_service_forgot_is_asked_for_anew(sim: Simulator):
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xray.job_kept_seconds = 0
    store = StateStore()

    first = create(store)

    assert create(store)["job_id"] != first["job_id"]


def test_a_job_that_failed_is_asked_for_anew(sim: Simulator):
    sim.settings.xray.final_word = "failed"
    store = StateStore()

    first = create(store)

    assert create(store)["job_id"] != first["job_id"]


def test_a_job_older_than_the_cooldown_is_asked_for_anew(six_hours_ago: Simulator):
    store = StateStore()
    first = create(store)
    six_hours_ago.advance(7 * HOUR)

    assert create(store)["job_id"] != first["job_id"]


def test_an_old_job_whose_backup_is_stored_is_not_asked_for_again(sim: Simulator, vault: Vault):
    store = StateStore()
    first = create(store, vault=str(vault.url), account="acme")
    put_into_vault(first, vault)
    sim.settings.xray.job_kept_seconds = 0  # the service forgets the job, the vault does not

    second = create(store, vault=str(vault.url), account="acme")

    assert second["job_id"] == first["job_id"]
    assert second["finished_at"]
    assert len(sim.journal.jobs()) == 1


def test_a_long_job_that_has_just_ended_is_picked_up_where_the_service_refuses_another(six_hours_ago: Simulator):
    six_hours_ago.settings.xray.job_seconds = 6.5 * HOUR
    store = StateStore()
    first = create(store)
    six_hours_ago.advance(7 * HOUR)

    assert create(store)["job_id"] == first["job_id"]
    assert six_hours_ago.journal.jobs() == [first["job_id"]]


def test_a_state_store_that_fails_costs_no_job(sim: Simulator, caplog: pytest.LogCaptureFixture):
    class BrokenStore(StateStore):
        def set(self, key: str, value: Any) -> None:
            raise ConnectionError("the API server is away")

    job = create(BrokenStore())

    assert [job["job_id"]] == sim.journal.jobs()
    assert f"Job {job['job_id']} could not be remembered" in caplog.text


def test_a_remembered_job_is_not_given_up_because_access_is_denied(sim: Simulator):
    sim.settings.xray.cooldown_seconds = 0
    store = StateStore()
    first = create(store)
    sim.add_fault(action="status", status=403, body="no", path="/status$")

    with pytest.raises(XBackupFailError, match="denied access"):
        create(store)

    assert sim.journal.jobs() == [first["job_id"]]


def test_without_a_state_store_the_log_says_what_is_missing(sim: Simulator, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        operator().execute(make_context(store=None))

    assert "no task state store" in caplog.text


def test_a_service_out_of_reach_on_a_retry_asks_for_no_second_job(sim: Simulator):
    store = StateStore()
    create(store)
    sim.add_fault(action="status", path="/status$", status=503, times=None)

    with pytest.raises(XBackupError):
        create(store)

    assert len(sim.journal.entries(**POST)) == 1


# The cooldown


def test_a_cooldown_is_waited_for_without_a_worker_until_the_instant_the_server_named(sim: Simulator):
    create()
    expected = datetime.now(UTC) + timedelta(hours=6)

    deferred = refuse(operator())

    moment = deferred.trigger.moment
    assert type(deferred.trigger).__name__ == "DateTimeTrigger"
    assert deferred.method_name == "try_again"
    assert expected - timedelta(seconds=5) <= moment <= expected + timedelta(minutes=1, seconds=5)


def test_after_the_cooldown_the_backup_is_asked_for(sim: Simulator):
    create()
    deferred = refuse(operator())
    sim.advance(7 * HOUR)

    job = operator().try_again(make_context(StateStore()), "now", **deferred.kwargs)

    assert job["job_id"] == sim.journal.jobs()[1]


def test_a_second_refusal_is_waited_for_as_well(sim: Simulator):
    create()
    deferred = refuse(operator())

    with pytest.raises(TaskDeferred) as again:
        operator().try_again(make_context(StateStore()), "now", **deferred.kwargs)

    assert again.value.kwargs == {"give_up_at": deferred.kwargs["give_up_at"], "refusals": 2}


def test_waiting_is_bounded_over_all_refusals_together(sim: Simulator):
    create()
    give_up_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    with pytest.raises(XBackupFailError, match="max_wait"):
        operator().try_again(make_context(StateStore()), "now", give_up_at=give_up_at, refusals=3)


def test_a_cooldown_longer_than_max_wait_fails_at_once(sim: Simulator):
    create()

    with pytest.raises(XBackupFailError, match=r"acme.*6 hours.*max_wait"):
        create(max_wait=timedelta(hours=5))


def test_a_cooldown_skips_the_task_where_that_is_wanted(sim: Simulator):
    create()

    with pytest.raises(AirflowSkipException, match="acme"):
        create(on_cooldown="skip")


def test_a_cooldown_fails_the_task_without_retries_where_that_is_wanted(sim: Simulator):
    create()

    with pytest.raises(AirflowFailException, match="on_cooldown='wait'"):
        create(on_cooldown="fail")


def test_a_running_job_of_somebody_else_is_waited_for_like_a_cooldown(sim: Simulator):
    sim.settings.xray.job_seconds = 60
    create()

    assert refuse(operator()).method_name == "try_again"


# Answers that never came


def test_an_answer_that_never_came_is_an_error_and_the_request_is_not_repeated(sim: Simulator):
    sim.add_fault(action="drop_answer", path="/api/v2/backup$", method="POST")

    with pytest.raises(XBackupError, match="not known"):
        create()

    assert len(sim.journal.entries(**POST)) == 1


def test_the_retry_after_a_lost_answer_meets_the_cooldown_and_waits(sim: Simulator):
    sim.add_fault(action="drop_answer", path="/api/v2/backup$", method="POST")
    with pytest.raises(XBackupError):
        create()

    assert refuse(operator()).method_name == "try_again"


def test_a_disk_with_little_room_is_warned_of_before_the_six_hours_are_spent(
    sim: Simulator, vault: Vault, caplog: pytest.LogCaptureFixture
):
    at = datetime(2026, 11, 1, tzinfo=UTC)
    draft = vault.draft("xray", "acme", "20261101T000000Z-full-00000001")
    draft.add("backup", [b"zip"], media_type="application/zip")
    manifest = draft.commit(requested_at=at, producer={"package_version": "0"}).path.manifest
    path = Path(vault.url.prefix) / manifest
    path.write_text(path.read_text().replace('"stored_size": 3', '"stored_size": 1000000000000000000'))

    create(vault=str(vault.url))

    assert "make room or apply retention" in caplog.text


def test_a_vault_that_cannot_be_written_fails_before_the_six_hours_are_spent(sim: Simulator, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(XBackupError, match=r"acme.*vault"):
        create(vault=(tmp_path / "file" / "vault").as_uri(), account="acme")

    assert not sim.journal.entries(**POST)


# Arguments

WRONG = [
    pytest.param("project_ids", [], "empty list", id="no projects"),
    pytest.param("project_ids", ["ABC"], "numeric ids", id="project keys"),
    pytest.param("project_ids", "10042", "must be a list", id="projects as text"),
    pytest.param("modified_since", "2999-01-01T00:00:00Z", "future", id="future instant"),
    pytest.param("modified_since", "yesterday", "yesterday", id="no instant"),
    pytest.param("modified_since", "auto", "vault", id="auto without a vault"),
    pytest.param("with_attachments", "perhaps", "True or False", id="attachments neither yes nor no"),
    pytest.param("on_cooldown", "hope", "'wait', 'skip' or 'fail'", id="unknown choice"),
    pytest.param("account", "../x", "account", id="account that leads out of the vault"),
    pytest.param("vault", "ftp://host/x", "ftp", id="vault of an unknown scheme"),
    pytest.param("xray_conn_id", " ", "connection id", id="empty connection id"),
    pytest.param("max_wait", timedelta(0), "max_wait", id="no wait at all"),
    pytest.param("full_every", 7, "full_every must be a timedelta above 0", id="fulls every number"),
    pytest.param("full_every", timedelta(0), "full_every", id="fulls without end"),
    pytest.param("overlap", "x", "overlap must be a timedelta of 0 or more", id="an overlap in words"),
    pytest.param("overlap", timedelta(seconds=-1), "overlap", id="a gap"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_literal_that_cannot_be_meant_is_refused_when_the_dag_is_parsed(name: str, value: Any, words: str):
    with pytest.raises(XBackupFailError, match=words):
        operator(**{name: value})


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_template_that_renders_to_it_is_refused_with_the_same_words_before_anything_is_asked(
    sim: Simulator, name: str, value: Any, words: str
):
    with pytest.raises(XBackupFailError) as literal:
        operator(**{name: value})
    task = operator(**{} if name in ("max_wait", "full_every", "overlap") else {name: "{{ params.value }}"})
    setattr(task, name, value)  # as Airflow does when it renders

    with pytest.raises(XBackupFailError) as rendered:
        task.execute(make_context(StateStore()))

    assert str(rendered.value) == str(literal.value)
    assert not sim.journal.entries()


def test_a_missing_connection_fails_and_names_it(sim: Simulator):
    with pytest.raises(XBackupError, match="nobody"):
        create(xray_conn_id="nobody")


# modified_since="auto"


def auto(vault: Vault, **arguments: Any) -> dict[str, Any]:
    return create(vault=str(vault.url), account="acme", modified_since="auto", **arguments)


@pytest.fixture
def stored_full(sim: Simulator, vault: Vault) -> dict[str, Any]:
    sim.settings.xray.cooldown_seconds = 0
    job = create(vault=str(vault.url), account="acme")
    return {**job, **put_into_vault(job, vault)}


def test_auto_makes_a_full_where_there_is_none(sim: Simulator, vault: Vault):
    job = auto(vault)

    assert (job["kind"], job["base"], job["modified_since"]) == ("full", None, None)


def test_auto_makes_a_partial_that_overlaps_its_base(stored_full: dict[str, Any], vault: Vault):
    job = auto(vault, overlap=timedelta(minutes=15))

    since = datetime.fromisoformat(stored_full["requested_at"]) - timedelta(minutes=15)
    assert job["kind"] == "partial"
    assert job["base"] == stored_full["backup_id"]
    assert datetime.fromisoformat(job["modified_since"]) == since


def test_auto_makes_a_full_when_the_last_one_is_too_old(stored_full: dict[str, Any], vault: Vault):
    assert auto(vault, full_every=timedelta(microseconds=1))["kind"] == "full"


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"project_ids": ["10042"]}, id="other projects"),
        pytest.param({"with_attachments": True}, id="with attachments"),
    ],
)
def test_auto_makes_a_full_when_the_last_one_is_of_another_scope(
    stored_full: dict[str, Any], vault: Vault, scope: dict[str, Any]
):
    assert auto(vault, **scope)["kind"] == "full"


def test_auto_builds_on_the_order_of_projects_in_no_way(sim: Simulator, vault: Vault):
    sim.settings.xray.cooldown_seconds = 0
    job = create(vault=str(vault.url), account="acme", project_ids=["10077", "10042"])
    put_into_vault(job, vault)

    assert auto(vault, project_ids=["10042", "10077"])["kind"] == "partial"


def test_auto_never_builds_on_a_suspect_full(stored_full: dict[str, Any], sim: Simulator, vault: Vault):
    sim.advance(2)  # ids sort by the second
    sim.change_data(tests=1)
    smaller = create(vault=str(vault.url), account="acme", with_attachments=False)
    put_into_vault(smaller, vault)
    newest, _ = vault.backups("xray", "acme")
    assert newest.state == "suspect"

    assert auto(vault)["base"] == stored_full["backup_id"]


def test_a_retry_of_auto_asks_for_what_the_first_try_asked_for(stored_full: dict[str, Any], vault: Vault):
    store = StateStore()
    task = {"vault": str(vault.url), "account": "acme", "modified_since": "auto"}

    first = create(store, **task)

    assert create(store, **task) == first


def test_auto_never_builds_on_a_full_that_a_verification_found_damaged(stored_full: dict[str, Any], vault: Vault):
    (full,) = vault.backups("xray", "acme")
    file = Path(vault.url.prefix) / full.path.file(full.manifest.artifacts[0].name)
    file.write_bytes(b"x" * file.stat().st_size)
    assert main(["verify", str(vault.url), "latest"]) == 1

    assert auto(vault)["kind"] == "full"
