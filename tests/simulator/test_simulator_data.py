"""The zips: their layout, what is in them, when two are the same."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup.simulator.archive import BuildStoppedError, Extract, write_attachments, write_data
from airflow_provider_xbackup.simulator.data import Revision, TenantData
from airflow_provider_xbackup.simulator.settings import DataSettings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def extract(settings: DataSettings, *, marker: str = "job") -> Extract:
    return Extract(TenantData(settings, NOON), None, None, NOON, marker)


def zipped(settings: DataSettings, write=write_data, *, marker: str = "job") -> bytes:
    target = io.BytesIO()
    write(target, extract(settings, marker=marker), lambda: False)
    return target.getvalue()


def opened(content: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive


@pytest.mark.parametrize(
    ("entity", "query"),
    [
        ("tests", "getTests"),
        ("testSets", "getTestSets"),
        ("testPlans", "getTestPlans"),
        ("preconditions", "getPreconditions"),
    ],
)
def test_a_full_backup_has_as_many_entities_as_graphql_counts(xray, read_entries, entity, query):
    xray.finished_job()
    archive = xray.unzip()
    for project in ("10042", "10077"):
        assert len(read_entries(archive, entity, project)) == xray.count(query, project)


def test_every_kind_of_entity_has_its_chunks(sim, xray, read_entries):
    sim.change_data(chunk=15)
    xray.finished_job(projectIds=["10042"])
    archive = xray.unzip()
    assert [name for name in archive.namelist() if name.startswith("tests_")] == [
        "tests_10042_0.json",
        "tests_10042_1.json",
        "tests_10042_2.json",
    ]
    assert {name.split("_")[0] for name in archive.namelist()} == {
        "tests",
        "preconditions",
        "testSets",
        "testPlans",
        "datasets",
        "testRepository",
        "issueHistory",
    }
    assert len({test["id"] for test in read_entries(archive, "tests", "10042")}) == 40


def test_a_test_has_steps_as_readers_of_real_backups_describe(xray, read_entries):
    xray.finished_job()
    test = read_entries(xray.unzip(), "tests", "10042")[0]
    assert test["id"].isdigit()
    assert test["type"] in {"Manual", "Cucumber", "Generic"}
    assert {"action", "data", "result", "attachments"} <= set(test["steps"][0])


def test_the_attachments_zip_holds_every_attachment_the_tests_name(xray, read_entries):
    xray.finished_job(withAttachment=True)
    data, attachments = xray.unzip(), xray.unzip("/api/v2/backup/file/attachment")
    total = 0
    for project in ("10042", "10077"):
        metadata = json.loads(attachments.read(f"metadata_{project}.json"))["attachment_metadata"]
        named = [
            attachment
            for test in read_entries(data, "tests", project)
            for step in test["steps"]
            for attachment in step["attachments"]
        ]
        assert {each["id"]: each["filename"] for each in named} == {
            id_: entry["filename"] for id_, entry in metadata.items()
        }
        total += sum(len(attachments.read(each["id"])) for each in named)
    assert total == 200_000


def test_a_partial_backup_has_only_what_changed_since(sim, xray, read_entries):
    since = sim.clock.now() - timedelta(days=60)
    xray.finished_job(modifiedSince=since.isoformat())
    changed = read_entries(xray.unzip(), "tests", "10042")
    assert 0 < len(changed) < 40
    assert all(datetime.fromisoformat(test["updatedAt"]) >= since for test in changed)


def test_a_partial_backup_after_a_revision_has_what_the_revision_changed(sim, xray, read_entries):
    sim.advance(86_400)
    xray.login()
    since = sim.clock.now() - timedelta(hours=1)
    sim.change_data(revision=1)
    xray.finished_job(modifiedSince=since.isoformat())
    changed = read_entries(xray.unzip(), "tests", "10042")
    assert len(changed) == 5
    assert {test["revision"] for test in changed} == {1}


@pytest.mark.parametrize("body", [{"modifiedSince": "2099-01-01T00:00:00Z"}, {"projectIds": ["99999"]}])
def test_a_backup_of_nothing_is_a_zip_without_entries(xray, body):
    xray.finished_job(**body, withAttachment=True)
    assert xray.unzip().namelist() == []
    assert xray.unzip("/api/v2/backup/file/attachment").namelist() == []


def test_an_empty_tenant_can_give_files_with_empty_lists(sim, xray):
    sim.change_data(tests=0, empty_files=True)
    xray.finished_job()
    assert json.loads(xray.unzip().read("tests_10042_0.json")) == {"tests": []}


def test_entities_can_be_spelt_otherwise_and_executions_can_be_in(sim, xray, read_entries):
    sim.change_data(entity_names={"testSets": "TestSets"}, with_executions=True)
    xray.finished_job()
    archive = xray.unzip()
    assert len(read_entries(archive, "TestSets", "10042")) == 2
    assert len(read_entries(archive, "testExecutions", "10042")) == xray.count("getTestExecutions", "10042")


def test_two_jobs_over_the_same_data_differ_in_stamps_only(sim, xray):
    xray.finished_job()
    first = xray.unzip()
    xray.next_job()
    second = xray.unzip()
    assert first.comment != second.comment
    assert {name: first.read(name) for name in first.namelist()} == {
        name: second.read(name) for name in second.namelist()
    }


def test_two_jobs_over_the_same_data_can_be_the_same_to_the_byte(sim, xray):
    sim.change_data(zip_varies=False)
    xray.finished_job(withAttachment=True)
    first = xray.download().content
    xray.next_job(withAttachment=True)
    assert xray.download().content == first


@pytest.mark.parametrize("write", [write_data, write_attachments])
def test_the_same_parameters_give_the_same_bytes(write):
    assert zipped(DataSettings(), write) == zipped(DataSettings(), write)
    assert zipped(DataSettings(), write) != zipped(DataSettings(seed=2), write)


def test_a_revision_changes_a_tenth_of_the_tests_and_leaves_the_others():
    def texts(*revisions: Revision) -> dict[str, str]:
        data = TenantData(DataSettings(), NOON, revisions)
        return {test["id"]: json.dumps(test) for test in data.items("10042", "tests")}

    before, after = texts(), texts(Revision(1, NOON))
    changed = [test for test in before if before[test] != after[test]]
    assert before.keys() == after.keys()
    assert len(changed) == 5


@pytest.mark.parametrize("layout", ["streamed", "seekable"])
@pytest.mark.parametrize("stored", [False, True])
def test_all_layouts_of_zips_can_be_read(layout, stored):
    archive = opened(zipped(DataSettings(zip_layout=layout, zip_stored=stored)))
    behind = {bool(info.flag_bits & 0x08) for info in archive.infolist()}
    assert behind == {layout == "streamed"}
    methods = {info.compress_type for info in archive.infolist()}
    assert methods == {zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED}


def test_padding_brings_the_data_zip_to_the_wanted_size():
    archive = opened(content := zipped(DataSettings(padding_bytes=20_000_000)))
    assert 20_000_000 < len(content) < 20_200_000
    names = [name for name in archive.namelist() if name.startswith("issueHistory_10042_")]
    assert len(names) == 3
    for name in names:
        assert json.loads(archive.read(name))["issueHistory"]


class _Nowhere(io.RawIOBase):
    """Takes bytes and keeps their number."""

    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.size += len(data)
        return len(data)


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (write_data, DataSettings(padding_bytes=200_000_000)),
        (write_attachments, DataSettings(tests=1, attachment_bytes=200_000_000)),
    ],
)
def test_zips_are_made_without_holding_them(write, settings):
    target = _Nowhere()
    tracemalloc.start()
    try:
        write(target, extract(settings), lambda: False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert target.size > 200_000_000
    assert peak < 20_000_000


def test_the_making_of_a_zip_can_be_stopped():
    with pytest.raises(BuildStoppedError):
        write_data(io.BytesIO(), extract(DataSettings()), lambda: True)
