"""What a task tells of itself, at a StatsD server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred
from stand_in import STORAGE, make_context
from statsd_server import RefusingClient, StatsdServer, sending_metrics

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.vault import ApplyRetentionOperator, VerifyBackupOperator
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.tasks import metrics
from airflow_provider_xbackup.tasks.metrics import Metric
from airflow_provider_xbackup.transfer.tally import REASONS
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.plan import REFUSALS

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
FILE = "/api/v2/backup/file$"
Job = Callable[..., dict[str, Any]]


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdServer]:
    with sending_metrics(monkeypatch) as server:
        yield server


def store(vault: Vault, job: dict[str, Any]) -> dict[str, Any]:
    task = XrayToObjectStorageOperator(task_id="store", job=job, vault=str(vault.url), xray_conn_id="acme")
    stored: dict[str, Any] = task.execute(make_context())
    return stored


# -- transfers ---------------------------------------------------------------------------------------------


def test_a_transfer_tells_what_it_stored(vault: Vault, finished_job: Job, statsd: StatsdServer):
    stored = store(vault, finished_job())

    got = statsd.received
    assert got.pop("transfer.xray.acme")
    assert got == {"stored_backups.xray.acme": ["1|c"], "stored_bytes.xray.acme": [f"{stored['bytes']}|c"]}


def test_a_transfer_that_finds_its_backup_stored_has_stored_nothing(
    vault: Vault, finished_job: Job, statsd: StatsdServer
):
    job = finished_job()
    store(vault, job)
    before = statsd.received

    store(vault, job)

    assert statsd.received == before


def test_a_download_that_goes_on_is_counted(sim: Simulator, vault: Vault, finished_job: Job, statsd: StatsdServer):
    job = finished_job()
    for _ in range(2):
        sim.add_fault(action="reset", path=STORAGE, after_bytes=5000)

    store(vault, job)

    assert statsd.received["resumes.xray.acme"] == ["2|c"]


def test_requests_that_are_sent_again_and_files_that_are_taken_again_are_retries(
    sim: Simulator, vault: Vault, finished_job: Job, statsd: StatsdServer
):
    job = finished_job()
    sim.add_fault(action="status", status=503, path=FILE)
    sim.add_fault(action="corrupt", path=STORAGE, offset=300)

    store(vault, job)

    assert statsd.received["retries.xray.acme"] == ["2|c"]
    assert statsd.received["refused_files.xray.acme.damaged"] == ["1|c"]


@pytest.mark.parametrize(
    ("modified", "reason"),
    [
        pytest.param("Mon, 05 Jan 2026 00:00:00 GMT", "stale", id="an earlier backup's"),
        pytest.param("Mon, 05 Jan 2099 00:00:00 GMT", "foreign", id="a later backup's"),
    ],
)
def test_a_refused_file_is_counted_once_however_often_it_is_looked_at(
    sim: Simulator, vault: Vault, finished_job: Job, statsd: StatsdServer, modified: str, reason: str
):
    job = finished_job()
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="headers", path=FILE, set={"last-modified": modified}, times=None)

    with pytest.raises(XBackupError):
        store(vault, job)

    got = statsd.received
    got.pop("retries.xray.acme", None)
    assert got == {f"refused_files.xray.acme.{reason}": ["1|c"]}


def test_the_answer_of_a_bot_that_was_cut_off_is_a_refused_file(
    sim: Simulator, vault: Vault, spool_dir: Path, statsd: StatsdServer
):
    sim.add_fault(action="truncate", path="/backup$", after_bytes=2000, length="silent")
    task = XeniooToObjectStorageOperator(task_id="store", vault=str(vault.url), xenioo_conn_id="welcome")

    with pytest.raises(XBackupError, match="cut off"):
        task.execute(make_context())

    assert statsd.received == {"refused_files.xenioo.welcome.cut-off": ["1|c"]}


def test_a_bots_backup_is_told_of(vault: Vault, sim: Simulator, spool_dir: Path, statsd: StatsdServer):
    task = XeniooToObjectStorageOperator(task_id="store", vault=str(vault.url), xenioo_conn_id="welcome")

    stored = task.execute(make_context())

    assert statsd.received["stored_bytes.xenioo.welcome"] == [f"{stored['bytes']}|c"]


# -- waiting -----------------------------------------------------------------------------------------------


@pytest.fixture
def early(sim: Simulator) -> XrayCreateBackupOperator:
    """A task that asks within the cooldown."""
    create = XrayCreateBackupOperator(task_id="create", xray_conn_id="acme")
    create.execute(make_context())
    sim.finish_jobs()
    return create


def test_a_cooldown_that_is_waited_for_is_told_of(early: XrayCreateBackupOperator, statsd: StatsdServer):
    with pytest.raises(TaskDeferred):
        early.execute(make_context())

    (wait,) = statsd.received["cooldown_wait.xray.acme"]
    assert timedelta(hours=5) < timedelta(milliseconds=float(wait.removesuffix("|ms"))) < timedelta(hours=7)
    assert statsd.received["cooldown_waits.xray.acme"] == ["1|c"]


def test_the_polls_of_the_triggerer_are_counted_by_the_sensor(finished_job: Job, statsd: StatsdServer):
    job = {**finished_job(), "finished_at": None}
    sensor = XrayBackupSensor(task_id="wait", job=job, xray_conn_id="acme")
    event = {"status": "timeout", "job_id": job["job_id"], "message": "Too late.", "polls": 41}

    with pytest.raises(AirflowSensorTimeout):
        sensor.execute_complete(make_context(), event)

    assert statsd.received == {"polls.xray.acme": ["41|c"]}


# -- a vault -----------------------------------------------------------------------------------------------


def take(vault: Vault, days_ago: int, account: str = "acme") -> None:
    instant = datetime.now(UTC) - timedelta(days=days_ago)
    draft = vault.draft("xray", account, f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("backup", [b"no zip"], media_type="application/zip")
    draft.commit(requested_at=instant, producer={"package_version": "1"})


def test_checks_are_counted_by_their_result(vault: Vault, finished_job: Job, statsd: StatsdServer):
    store(vault, finished_job())
    take(vault, 1, "globex")

    with pytest.raises(XBackupFailError):
        VerifyBackupOperator(task_id="verify", vault=str(vault.url), level="content").execute(make_context())

    assert statsd.received["checks.xray.acme.passed"] == ["1|c"]
    assert statsd.received["checks.xray.globex.failed"] == ["1|c"]


def test_what_retention_did_and_what_it_refused_is_told_of(vault: Vault, statsd: StatsdServer):
    for days_ago in range(1, 9):
        take(vault, days_ago, "globex")
    for days_ago in range(1, 4):
        take(vault, days_ago)

    for _ in range(2):  # what expires the first time is removed the second
        with pytest.raises(XBackupFailError):
            retain(vault, grace=timedelta(0))

    assert statsd.received == {
        "expired_backups.xray.acme": ["2|c"],
        "removed_backups.xray.acme": ["2|c"],
        "refused_plans.xray.globex.max-delete-fraction": ["1|c", "1|c"],
    }


def test_a_dry_run_of_retention_tells_of_nothing(vault: Vault, statsd: StatsdServer):
    for days_ago in range(1, 4):
        take(vault, days_ago)

    retain(vault, dry_run=True)

    assert statsd.received == {}


def retain(vault: Vault, **arguments: Any) -> None:
    task = ApplyRetentionOperator(task_id="retain", vault=str(vault.url), keep_last=1, **arguments)
    task.execute(make_context())


# -- a backend that fails ----------------------------------------------------------------------------------


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every metric that is sent is refused."""
    path = f"{RefusingClient.__module__}.{RefusingClient.__qualname__}"
    with sending_metrics(monkeypatch, statsd_custom_client_path=path):
        yield


def test_a_metric_that_is_refused_fails_no_transfer(
    vault: Vault, finished_job: Job, refusing: None, caplog: pytest.LogCaptureFixture
):
    stored = store(vault, finished_job())

    assert vault.find("xray", "acme", stored["backup_id"]) is not None
    assert "The metric xbackup.stored_bytes was not sent (ConnectionRefusedError" in caplog.text


def test_a_metric_that_is_refused_takes_no_errors_place(
    sim: Simulator, vault: Vault, finished_job: Job, refusing: None
):
    job = finished_job()
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="headers", path=FILE, set={"last-modified": "Mon, 05 Jan 2099 00:00:00 GMT"}, times=None)

    with pytest.raises(XBackupError, match="2099"):
        store(vault, job)


def test_a_metric_that_is_refused_ends_no_verification(vault: Vault, refusing: None):
    take(vault, 1, "acme")
    take(vault, 1, "globex")

    checked = VerifyBackupOperator(task_id="verify", vault=str(vault.url)).execute(make_context())

    assert checked["backups"] == 2


def test_a_metric_that_is_refused_stops_no_look_at_ages(vault: Vault, refusing: None):
    take(vault, 1)
    sensor = BackupFreshnessSensor(task_id="fresh", vault=str(vault.url), rpo=timedelta(days=2))

    assert sensor.poke(make_context()).is_done


def test_a_metric_that_is_refused_keeps_no_task_from_waiting(early: XrayCreateBackupOperator, refusing: None):
    with pytest.raises(TaskDeferred):
        early.execute(make_context())


def test_a_metric_that_is_refused_lets_a_job_be_waited_for(finished_job: Job, refusing: None):
    job = {**finished_job(), "finished_at": None}
    sensor = XrayBackupSensor(task_id="wait", job=job, xray_conn_id="acme", deferrable=False)

    assert sensor.poke(make_context()).is_done


def test_options_of_metrics_that_cannot_be_read_fail_no_task(
    vault: Vault, finished_job: Job, statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "perhaps")

    assert store(vault, finished_job())["account"] == "acme"


# -- names and tags ----------------------------------------------------------------------------------------


def test_where_there_are_tags_they_tell_the_account(monkeypatch: pytest.MonkeyPatch):
    with sending_metrics(monkeypatch, statsd_influxdb_enabled="True") as server:
        metrics.count(Metric.REFUSED_FILES, service="xray", account="acme", reason="stale")

        assert server.received == {"refused_files,service=xray,account=acme,reason=stale": ["1|c"]}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param({}, "polls", id="tags, as Datadog has them"),
        pytest.param({"statsd_datadog_metrics_tags": "False"}, "polls.xray.acme", id="tags that are switched off"),
    ],
)
def test_with_datadog_the_name_tells_the_account_where_no_tag_does(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str], name: str
):
    # Airflow's client for StatsD stands in for that of Datadog, and drops the tags.
    with sending_metrics(monkeypatch, statsd_datadog_enabled="True", **options) as server:
        metrics.count(Metric.POLLS, service="xray", account="acme")

        assert server.received == {name: ["1|c"]}


@pytest.mark.parametrize("account", ["Büro 1", "a.b:c|d", "x,y=z"])
def test_an_account_is_one_part_of_a_name_whatever_it_is_called(statsd: StatsdServer, account: str):
    metrics.tell(Metric.AGE_OF_WHOLE, 1.5, service="xenioo", account=account)

    ((name, values),) = statsd.received.items()
    assert re.fullmatch(r"age_of_whole\.xenioo\.[A-Za-z0-9_-]+", name)
    assert values == ["1.5|g"]


def test_an_age_that_falls_is_no_difference_to_the_one_before(statsd: StatsdServer):
    for age in (100.0, 3.0):
        metrics.tell(Metric.AGE_OF_WHOLE, age, service="xray", account="acme")

    assert statsd.received == {"age_of_whole.xray.acme": ["100.0|g", "3.0|g"]}


def test_without_metrics_nothing_is_in_the_way(vault: Vault, finished_job: Job):
    assert store(vault, finished_job())["account"] == "acme"


def test_every_metric_and_every_reason_is_documented():
    told = DOCUMENTED.read_text()
    rows = set(re.findall(r"^\| `xbackup\.(\w+)` \|", told, re.MULTILINE))

    assert rows == {metric.value for metric in Metric}
    assert [reason for reason in (*REASONS, *REFUSALS) if f"`{reason}`" not in told] == []


def test_the_documented_mapping_for_prometheus_gives_every_metric_the_documented_labels():
    told = DOCUMENTED.read_text()
    (block,) = re.findall(r"^```yaml\n(mappings:.*?)^```$", told, re.MULTILINE | re.DOTALL)
    # Of a statsd_exporter's mappings the first that matches counts, and each * is one part of a name.
    mappings = [
        (re.compile(re.escape(each["match"]).replace(r"\*", r"([^.]*)")), each["labels"])
        for each in yaml.safe_load(block)["mappings"]
    ]

    def labels_of(name: str) -> dict[str, str]:
        match, labels = next((match, labels) for rule, labels in mappings if (match := rule.fullmatch(name)))
        return {label: match[int(value.removeprefix("$"))] for label, value in labels.items()}

    rows = re.findall(r"^\| `xbackup\.(\w+)` \|[^|]*\|[^|]*\| (?:`(\w+)`)?", told, re.MULTILINE)
    assert len(rows) == len(Metric)
    for metric, tag in rows:
        tags = {"service": "xray", "account": "acme", **({tag: "value"} if tag else {})}
        assert labels_of(".".join(("airflow.xbackup", metric, *tags.values()))) == tags
