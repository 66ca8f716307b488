"""Where links lead, and which tasks have them; how Airflow asks for them is tried in tests/dags."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from google.auth.credentials import AnonymousCredentials

from airflow_provider_xbackup.links import BackupLink, ManifestLink, Subject
from airflow_provider_xbackup.operators.vault import FetchBackupOperator
from airflow_provider_xbackup.provider_info import get_provider_info
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.connect import azure_access, gcs_access, open_store, s3_access
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.url import VaultUrl

PATH = BackupPath("xray", "Büro 1", "20261123T014500Z-full-1a2b3c4d")
KEY = "a/b/xray/Büro 1/20261123T014500Z-full-1a2b3c4d/manifest.json"


def on_s3(region: str = "eu-central-1", endpoint: str | None = None) -> Vault:
    url = VaultUrl.parse("s3://my_aws@backups/a/b")
    session = boto3.Session("AKIAEXAMPLE", "secret", region_name=region)
    return Vault(url, open_store(url, s3_access(url, session, endpoint=endpoint)))


def on_google() -> Vault:
    url = VaultUrl.parse("gs://backups/a/b")
    return Vault(url, open_store(url, gcs_access(url, AnonymousCredentials())))


def on_azure() -> Vault:
    url = VaultUrl.parse("abfs://backups/a/b")
    return Vault(url, open_store(url, azure_access(url, "account", key="c2VjcmV0")))


def manifest_of(subject: Subject | None) -> str:
    task = FetchBackupOperator(task_id="fetch", vault="s3://b/p", directory="/tmp/x")
    task.subject = subject
    return ManifestLink().get_link(task, ti_key=None)


def page_of(subject: Subject) -> str:
    task = FetchBackupOperator(task_id="fetch", vault="s3://b/p", directory="/tmp/x")
    task.subject = subject
    return BackupLink().get_link(task, ti_key=None)


# -- the manifest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-central-1", "console.aws.amazon.com"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("cn-north-1", "console.amazonaws.cn"),
    ],
)
def test_a_manifest_on_s3_is_shown_in_the_console_of_aws(region: str, console: str):
    link = urlsplit(manifest_of(Subject.of(on_s3(region), PATH)))

    assert (link.scheme, link.netloc, link.path) == ("https", console, "/s3/object/backups")
    assert parse_qs(link.query) == {"region": [region], "prefix": [KEY]}


def test_a_manifest_on_google_cloud_storage_is_shown_in_the_google_cloud_console():
    assert manifest_of(Subject.of(on_google(), PATH)) == (
        "https://console.cloud.google.com/storage/browser/_details/backups/a/b/xray/B%C3%BCro%201/"
        "20261123T014500Z-full-1a2b3c4d/manifest.json"
    )


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "https://s3.example.com", "https://amazonaws.com.evil"]
)
def test_what_speaks_the_protocol_of_s3_has_no_console_of_aws(endpoint: str):
    assert manifest_of(Subject.of(on_s3(endpoint=endpoint), PATH)) == ""


def test_an_emulator_of_google_cloud_storage_has_no_console(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:4443")

    assert manifest_of(Subject.of(on_google(), PATH)) == ""


def test_azure_has_no_link_because_its_portal_asks_for_more_than_a_vault_knows():
    assert manifest_of(Subject.of(on_azure(), PATH)) == ""


def test_a_folder_has_no_console(tmp_path):
    assert manifest_of(Subject.of(Vault.open(tmp_path.as_uri()), PATH)) == ""


def test_a_task_that_came_to_no_backup_has_no_manifest():
    assert manifest_of(None) == ""
    assert manifest_of(Subject(on_s3().url, "xray", "acme")) == ""


# -- the page ----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps([{"name": "main", "url": "s3://other@backups/a/b"}]))


@pytest.mark.parametrize(
    ("subject", "page"),
    [
        pytest.param({}, "", id="all accounts"),
        pytest.param({"service": "xray"}, "", id="the accounts of a service"),
        pytest.param({"account": "acme"}, "", id="an account of any service"),
        pytest.param({"service": "xray", "account": "Büro 1"}, "main/xray/B%C3%BCro%201", id="an account"),
        pytest.param(
            {"service": "xray", "account": "acme", "backup_id": PATH.backup_id},
            f"main/xray/acme/{PATH.backup_id}",
            id="a backup",
        ),
    ],
)
def test_the_page_is_that_of_what_is_known(shown: None, subject: dict[str, str], page: str):
    assert page_of(Subject(VaultUrl.parse("s3://my_aws@backups/a/b"), **subject)) == f"/xbackup/#/{page}"


@pytest.mark.parametrize("base_url", ["https://example.com/airflow", "https://example.com/airflow/"])
def test_the_page_is_below_airflows_own_address(shown: None, monkeypatch: pytest.MonkeyPatch, base_url: str):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    assert page_of(Subject(VaultUrl.parse("s3://backups/a/b"))) == "https://example.com/airflow/xbackup/#/"


def test_a_vault_below_another_is_not_the_other(shown: None):
    assert page_of(Subject(VaultUrl.parse("s3://backups/a"))) == ""
    assert page_of(Subject(VaultUrl.parse("s3://backups/a/b/c"))) == ""


# -- the tasks ---------------------------------------------------------------------------------------------


def operators() -> set[type[Any]]:
    info = get_provider_info()
    modules = [
        module for kind in ("operators", "sensors") for each in info[kind] for module in each["python-modules"]
    ]
    modules += [each["python-module"] for each in info["transfers"]]
    return {
        value
        for module in modules
        for value in vars(importlib.import_module(module)).values()
        if inspect.isclass(value)
        and value.__module__.startswith(module)
        and hasattr(value, "operator_extra_links")
    }


def test_every_task_that_knows_a_vault_has_both_links():
    without = {
        operator
        for operator in operators()
        if {type(link) for link in operator.operator_extra_links} != {BackupLink, ManifestLink}
    }

    assert len(operators()) >= 11
    assert without == {XrayBackupSensor}


def test_the_links_are_listed_for_airflow():
    assert get_provider_info()["extra-links"] == [
        f"{link.__module__}.{link.__qualname__}" for link in (BackupLink, ManifestLink)
    ]
