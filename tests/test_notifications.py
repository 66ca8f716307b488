"""What alerts say; that they arrive is tried in tests/dags."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from airflow.sdk import BaseNotifier
from airflow.sdk.log import mask_secret
from asgiref.sync import async_to_sync

from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.links import Subject
from airflow_provider_xbackup.notifications import BackupAlert, BackupNotifier, tell_of_late_backups
from airflow_provider_xbackup.operators.vault import VerifyBackupOperator
from airflow_provider_xbackup.provider_info import get_provider_info
from airflow_provider_xbackup.vault.catalog import Finding
from airflow_provider_xbackup.vault.url import VaultUrl

VAULT = "s3://my_aws@backups/vault"


class Inbox(BaseNotifier):
    """A notifier that keeps what it would send."""

    template_fields = ("text",)

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.text = text
        self.sent: list[Any] = []

    def notify(self, context: Any) -> None:
        self.sent.append(self.text)


class Broken(BaseNotifier):
    def notify(self, context: Any) -> None:
        raise ConnectionError("no way to the chat")


class Asking(BaseNotifier):
    """A notifier that asks Airflow for something, as they do in 3.1: on the loop that it came from."""

    asked_on: ClassVar[list[asyncio.AbstractEventLoop]] = []

    def notify(self, context: Any) -> None:
        async def ask() -> None:
            self.asked_on.append(asyncio.get_running_loop())

        async_to_sync(ask)()


def failed(
    subject: Subject | None = None, error: object = None, *, account: object = None, **ti_has: Any
) -> dict[str, Any]:
    """What Airflow hands to the callback of a task that failed."""
    task = VerifyBackupOperator(task_id="verify", vault=VAULT, account=account)
    task.subject = subject
    ti = SimpleNamespace(
        dag_id="nightly",
        task_id="verify",
        run_id="run 1",
        try_number=2,
        log_url="https://airflow/log",
        **({"map_index": -1, "rendered_map_index": None} | ti_has),
    )
    return {"ti": ti, "task": task, "dag": None, **({} if error is None else {"exception": error})}


def found(*texts: str, vault: str = VAULT) -> list[tuple[VaultUrl, Finding]]:
    return [(VaultUrl.parse(vault), Finding("late", "", text)) for text in texts]


def watch(monkeypatch: pytest.MonkeyPatch, **vaults: str) -> None:
    """Let the page show vaults, by what it calls them."""
    shown = [{"name": name, "url": url} for name, url in vaults.items()]
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps(shown))


def test_an_alert_says_what_happened_to_whom_and_where_to_look(monkeypatch: pytest.MonkeyPatch):
    watch(monkeypatch, main="s3://backups/vault")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow")
    error = XBackupFailError("1 of 3 backups did not pass. Run the DAG again.")

    alert = BackupAlert.of_task(failed(Subject(VaultUrl.parse(VAULT), "xray", "acme"), error))

    assert alert.subject == "xray/acme: verify failed"
    assert alert.text.splitlines() == [
        "1 of 3 backups did not pass. Run the DAG again.",
        "Task verify of DAG nightly, run run 1, try 2.",
        "Backup: https://airflow/xbackup/#/main/xray/acme",
        "Log: https://airflow/log",
    ]


def test_an_alert_has_no_link_to_a_page_whose_address_nobody_tells(monkeypatch: pytest.MonkeyPatch):
    watch(monkeypatch, main="s3://backups/vault")
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)

    of_task = BackupAlert.of_task(failed(Subject(VaultUrl.parse(VAULT), "xray", "acme"), "It failed."))
    of_vaults = BackupAlert.of_findings(found("xray/acme is late."), "A deadline was missed.")

    assert (list(of_task.links), list(of_vaults.links)) == (["Log"], [])


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        pytest.param(None, "nightly: verify failed", id="a task that came to no vault"),
        pytest.param(Subject(VaultUrl.parse(VAULT)), "The vault s3://backups/vault: verify failed", id="a vault"),
    ],
)
def test_an_alert_without_an_account_names_what_is_known(subject: Subject | None, said: str):
    alert = BackupAlert.of_task(failed(subject, "Airflow ended it."))

    assert (alert.subject, alert.lines[0]) == (said, "Airflow ended it.")
    assert list(alert.links) == ["Log"]


@pytest.mark.parametrize(
    ("known", "subject", "task"),
    [
        pytest.param({"account": "acme"}, "acme: verify failed", "Task verify", id="the DAG names the account"),
        pytest.param({"account": "{{ params.who }}"}, "nightly: verify failed", "Task verify", id="a template"),
        pytest.param({"map_index": 3}, "nightly: verify [3] failed", "Task verify [3]", id="mapped"),
        pytest.param(
            {"map_index": 3, "rendered_map_index": "welcome"},
            "nightly: verify [welcome] failed",
            "Task verify [welcome]",
            id="mapped, with a name",
        ),
    ],
)
def test_an_alert_of_a_task_that_never_ran_says_which_it_was(known: dict[str, Any], subject: str, task: str):
    alert = BackupAlert.of_task(failed(**known))

    assert alert.subject == subject
    assert alert.lines[1].startswith(f"{task} of DAG nightly")


def test_a_task_that_ended_without_an_error_is_told_of_as_well():
    assert "without an error" in BackupAlert.of_task(failed()).text


def test_what_others_have_written_is_no_markup():
    alert = BackupAlert("s", ('<img src="x">',), {"<b>": 'https://x/"onload="'})

    assert "<img" not in alert.html
    assert '"onload' not in alert.html


@pytest.fixture
def secret() -> str:
    """A secret that Airflow knows of, as it knows of the passwords of connections that a task has read."""
    made_up = uuid4().hex  # so that no other test has masked its beginning
    mask_secret(made_up)
    return made_up


def test_an_error_does_not_tell_what_airflow_masks(secret: str):
    alert = BackupAlert.of_task(failed(error=ValueError(f"The answer was: {secret} is no key.")))

    assert alert.lines[0] == "The answer was: *** is no key."


def test_a_finding_does_not_tell_what_airflow_masks(secret: str):
    alert = BackupAlert.of_findings(found(f"It answered {secret}."), "Missed.")

    assert secret not in alert.subject + alert.text + alert.html
    assert "It answered ***." in alert.text


@pytest.mark.parametrize(
    ("findings", "subject"),
    [
        pytest.param([], "All backups are as promised", id="none"),
        pytest.param(["acme is late."], "s3://backups/vault: acme is late.", id="one"),
        pytest.param(["acme is late.", "globex is damaged."], "2 things are wrong with backups", id="two"),
    ],
)
def test_an_alert_about_vaults_names_all_that_is_wrong(findings: list[str], subject: str):
    alert = BackupAlert.of_findings(found(*findings), "The deadline was missed.")

    assert alert.subject == subject
    assert all(text in alert.text for text in findings)
    assert alert.text.startswith("The deadline was missed.")


def test_an_alert_says_which_vault_is_meant_and_not_how_it_is_opened():
    copies = found("acme is late.", vault="gs://copies")

    alert = BackupAlert.of_findings([*found("acme is late."), *copies], "Missed.")

    assert alert.lines[1:] == ("s3://backups/vault: acme is late.", "gs://copies: acme is late.")


@pytest.mark.parametrize(
    ("shown", "links"),
    [
        pytest.param("s3://other@backups/vault", {"Backups": "https://airflow/xbackup/#/"}, id="shown"),
        pytest.param("s3://elsewhere", {}, id="another is shown"),
        pytest.param("no vault", {}, id="the option cannot be read"),
    ],
)
def test_an_alert_leads_to_the_page_where_that_shows_the_vault(
    monkeypatch: pytest.MonkeyPatch, shown: str, links: dict[str, str]
):
    watch(monkeypatch, main=shown)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow")

    assert BackupAlert.of_findings(found("acme is late."), "Missed.").links == links


def test_every_notifier_is_told_though_one_fails():
    inbox = Inbox("{{ backup_alert.subject }} / {{ ti.task_id }}")

    with pytest.raises(RuntimeError, match=r"Broken did not send"):
        BackupNotifier(Broken(), inbox)(failed())

    assert inbox.sent == ["nightly: verify failed / verify"]


def test_a_notifier_says_every_time_what_happened_this_time():
    inbox = Inbox({"blocks": ["{{ backup_alert.subject }}"]})
    tell = BackupNotifier(inbox)

    for account in ("acme", "globex"):
        tell(failed(Subject(VaultUrl.parse(VAULT), "xray", account)))

    assert inbox.sent == [{"blocks": ["xray/acme: verify failed"]}, {"blocks": ["xray/globex: verify failed"]}]


async def test_what_a_deadlines_notifier_asks_airflow_for_goes_through_the_loop_of_the_triggerer(tmp_path: Path):
    Asking.asked_on.clear()

    await tell_of_late_backups(tmp_path.as_uri(), expect=["xray/acme"], notifier=f"{__name__}.Asking")

    assert Asking.asked_on == [asyncio.get_running_loop()]


async def test_a_vault_that_cannot_be_opened_at_all_keeps_nobody_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    role = {"role_arn": "arn:aws:iam::1:role/backup", "assume_role_method": "by_magic"}
    connection = {"conn_type": "aws", "extra": json.dumps(role)}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_ODD", json.dumps(connection))
    watch(monkeypatch, odd="s3://aws_odd@backups", empty=tmp_path.as_uri())

    said = await tell_of_late_backups()

    assert "s3://backups: The connection 'aws_odd' of the vault" in said
    assert "There is no backup at all" in said
    assert "by_magic" not in said


def test_airflow_knows_the_notifier():
    assert get_provider_info()["notifications"] == [f"{BackupNotifier.__module__}.{BackupNotifier.__qualname__}"]
