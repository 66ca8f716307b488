"""The page's API: who may ask, what is answered, and what a vault in trouble does to it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from sample_vault import EVIL, SampleVault, fill_with_everything

import airflow_provider_xbackup

ACCOUNTS = "/xbackup/api/vaults/main/accounts"
DOCS = Path(__file__).resolve().parents[2] / "docs"
STATIC = Path(airflow_provider_xbackup.__file__).parent / "page" / "static"


def routes() -> list[str]:
    from airflow_provider_xbackup.page.app import create_app

    values = {
        "name": "style.css",
        "vault": "main",
        "service": "xray",
        "account": "acme",
        "backup_id": "20261123T014500Z-full-1a2b3c4d",
    }
    return ["/xbackup" + route.path.format(**values) for route in create_app().routes]  # type: ignore[attr-defined]


# -- who may ask -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", routes())
def test_nobody_who_is_not_signed_in_gets_an_answer(visit, main_vault, path):
    answer = visit(None).get(path)

    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize("path", routes())
def test_a_user_without_a_role_is_refused(visit, main_vault, path):
    assert visit("").get(path).status_code == 403


@pytest.mark.parametrize("path", routes())
def test_a_forged_token_is_refused(visit, main_vault, path):
    client = visit(None)
    client.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")

    assert client.get(path).status_code in (401, 403)


@pytest.mark.parametrize("path", routes())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(visit, main_vault, path, method):
    assert visit("ADMIN").request(method, path).status_code == 405


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN"])
def test_whoever_may_see_plugins_sees_the_page(visit, main_vault, role):
    answer = visit(role).get("/xbackup/")

    assert answer.status_code == 200
    assert '<script type="module"' in answer.text


def test_a_browser_that_is_not_signed_in_gets_words_for_people(visit, main_vault):
    answer = visit(None).get("/xbackup/", headers={"accept": "text/html"})

    assert answer.status_code == 401
    assert "Sign in" in answer.text


@pytest.mark.parametrize("path", ["/xbackup/", "/xbackup/assets/main.js", ACCOUNTS, "/xbackup/nothing"])
def test_every_answer_allows_own_scripts_only_and_frames_of_airflow_only(viewer, main_vault, path):
    policy = viewer.get(path).headers["content-security-policy"]

    assert "default-src 'none'; script-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy


def test_the_page_has_no_inline_script_or_style_and_nothing_of_other_hosts():
    text = (STATIC / "index.html").read_text()
    code = "".join(path.read_text() for path in STATIC.glob("*.js"))

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", code)
    assert set(re.findall(r"https?://[^\"'`\s]+", text + code)) <= {"http://www.w3.org/2000/svg"}


def test_every_file_that_the_page_asks_for_is_served(viewer, main_vault):
    text = (STATIC / "index.html").read_text()
    code = "".join(path.read_text() for path in STATIC.glob("*.js"))
    names = {*re.findall(r"assets/([\w.-]+)", text), *re.findall(r'from "\./([\w.-]+)"', code)}

    answers = {name: viewer.get(f"/xbackup/assets/{name}").status_code for name in names}
    assert set(answers.values()) == {200}, answers


@pytest.mark.parametrize("name", ["..%2Fapp.py", "%2e%2e/%2e%2e/app.py", "app.py", "", "nothing.js"])
def test_no_other_file_is_served(viewer, main_vault, name):
    assert viewer.get(f"/xbackup/assets/{name}").status_code == 404


def test_the_api_describes_itself(viewer, main_vault):
    described = viewer.get("/xbackup/api/openapi.json").json()

    assert described["servers"] == [{"url": "/xbackup"}]
    assert {method for path in described["paths"].values() for method in path} == {"get"}


def test_the_documentation_names_the_paths_of_the_description(viewer, main_vault):
    described = viewer.get("/xbackup/api/openapi.json").json()
    (_, _, told) = (DOCS / "page.md").read_text().partition("## The JSON API")

    assert re.findall(r"^\| `(/\S+)` \|", told, re.MULTILINE) == list(described["paths"])


# -- what is answered --------------------------------------------------------------------------------------


def test_every_condition_is_told_apart_and_the_worst_comes_first(viewer, configure, sample: SampleVault):
    fill_with_everything(sample)
    configure(
        {
            "name": "main",
            "url": str(sample.vault.url),
            "rpo": "26h",
            "expected_accounts": ["xray/acme", "xray/zorg"],
        }
    )

    answer = viewer.get(ACCOUNTS).json()

    found = {row["account"]: row["condition"] for row in answer["accounts"]}
    assert found == {
        "zorg": "never",
        "umbrella": "damaged",
        "hooli": "suspect",
        "blank": "empty",
        "initech": "late",
        "support": "unverified",
        "acme": "fine",
        "globex": "fine",
        "welcome": "fine",
        EVIL: "fine",
    }
    assert [row["condition"] for row in answer["accounts"]][:2] == ["never", "damaged"]
    assert answer["conditions"]["fine"] == 4
    assert answer["problem"] is None


def test_accounts_are_found_by_a_part_of_their_name_and_by_condition(viewer, main_vault: SampleVault):
    for number in range(30):
        main_vault.add(f"xenioo/bot-{number:02}", 0.1)
    main_vault.add("xray/acme", 3)

    some = viewer.get(ACCOUNTS, params={"q": "BOT-1", "limit": 4, "offset": 4}).json()
    late = viewer.get(ACCOUNTS, params={"condition": "late"}).json()

    assert (some["total"], [row["account"] for row in some["accounts"]]) == (
        10,
        ["bot-14", "bot-15", "bot-16", "bot-17"],
    )
    assert [row["account"] for row in late["accounts"]] == ["acme"]
    assert sum(late["conditions"].values()) == 31


def test_a_backup_has_everything_that_is_known_of_it(viewer, configure, sample: SampleVault):
    base = sample.add("xray/acme", 2.2, entities={"tests": 7})
    partial = sample.add("xray/acme", 0.2, kind="partial", base=base.backup_id)
    sample.hold(partial)
    configure({"name": "main", "url": str(sample.vault.url), "retention": {"keep_daily": 7}})

    answer = viewer.get(f"{ACCOUNTS}/xray/acme/backups/{partial.backup_id}").json()

    assert [link["backup_id"] for link in answer["chain"]] == [base.backup_id, partial.backup_id]
    assert answer["manifest"] == partial.manifest.to_dict()
    assert answer["hold"]["who"] == "dora@example.com"
    assert [check["passed"] for check in answer["checks"]] == [True]
    assert "held" in answer["retention"]["reasons"]
    assert answer["fetch"] == (
        f"xbackup fetch {sample.vault.url} {partial.backup_id} DIR --chain --service xray --account acme"
    )


def test_the_command_for_an_encrypted_backup_asks_for_the_private_keys(viewer, main_vault: SampleVault):
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    encrypted = main_vault.add("xenioo/welcome", 0.1, recipients=[recipient])
    plain = main_vault.add("xenioo/welcome", 0.2)

    commands = [
        viewer.get(f"{ACCOUNTS}/xenioo/welcome/backups/{backup.backup_id}").json()["fetch"]
        for backup in (encrypted, plain)
    ]

    assert ["--identity FILE" in command for command in commands] == [True, False]


def test_a_backup_that_holds_nothing_is_whole_and_said_to_be_empty(viewer, main_vault: SampleVault):
    main_vault.add("xenioo/blank", 0.2, size=60, entities={"steps": 0})

    (row,) = viewer.get(ACCOUNTS).json()["accounts"]

    assert row["condition"] == "empty"
    assert row["reasons"][0]["text"] == f"The newest backup {row['last']['backup_id']} holds nothing."
    assert [row[which]["empty"] for which in ("newest", "verified", "oldest")] == [True, True, True]


def test_retention_is_previewed_with_reasons_and_touches_nothing(viewer, configure, sample: SampleVault):
    sample.history("xray/acme", [day + 0.1 for day in range(9, -1, -1)])
    configure(
        {"name": "main", "url": str(sample.vault.url), "retention": {"keep_last": 7, "max_delete_fraction": 1}}
    )
    before = {each.path for each in sample.vault.store.list("")}

    (group,) = viewer.get(f"{ACCOUNTS}/xray/acme/retention").json()["groups"]

    assert [each["action"] for each in group["backups"]] == ["keep"] * 7 + ["expire"] * 3
    assert group["backups"][0]["reasons"][0] == "last"
    goes = [each["goes"] for each in group["backups"][:7]]
    assert goes == sorted(goes, reverse=True)
    assert {each.path for each in sample.vault.store.list("")} == before


def test_a_new_backup_is_seen_by_the_next_look_and_old_manifests_are_not_read_again(
    viewer, main_vault: SampleVault, monkeypatch
):
    main_vault.add("xray/acme", 1)
    assert viewer.get(ACCOUNTS).json()["storage"]["backups"] == 1

    monkeypatch.setattr(
        "airflow_provider_xbackup.page.watch.FRESH", airflow_provider_xbackup.page.watch.timedelta(0)
    )
    main_vault.add("xray/acme", 0)

    assert viewer.get(ACCOUNTS).json()["storage"]["backups"] == 2


# -- names and ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/vaults/other/accounts", 404, id="a vault that is not configured"),
        pytest.param("/vaults/file%3A%2F%2F%2Fetc/accounts", 404, id="a url for a vault"),
        pytest.param("/vaults/main/accounts/xray/%2e%2e", 422, id="an account that leads out"),
        pytest.param("/vaults/main/accounts/jira/acme", 422, id="no such service"),
        pytest.param("/vaults/main/accounts/xray/acme/backups/%2e%2e%5Cx", 422, id="no backup id"),
        pytest.param(
            "/vaults/main/accounts/xray/acme/backups/20261123T014500Z-full-1a2b3c4d", 404, id="no backup"
        ),
        pytest.param("/vaults/main/accounts/xray/nobody", 404, id="no account"),
        pytest.param("/vaults/main/accounts?limit=100000", 422, id="more than a page"),
    ],
)
def test_what_is_asked_for_never_leaves_the_configured_vaults(viewer, main_vault: SampleVault, path, status):
    main_vault.add("xray/acme", 1)

    assert viewer.get(f"/xbackup/api{path}").status_code == status


# -- vaults in trouble -------------------------------------------------------------------------------------


@pytest.fixture
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 endpoint that takes connections and never answers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AIRFLOW__XBACKUP__PAGE_TIMEOUT", "0.5")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield "s3://bucket/prefix"


def test_a_vault_that_does_not_answer_is_said_so_and_the_others_are_shown(
    visit, configure, sample: SampleVault, silent_store
):
    sample.add("xray/acme", 0.1)
    configure({"name": "silent", "url": silent_store}, {"name": "main", "url": str(sample.vault.url)})
    viewer = visit("VIEWER")

    silent = viewer.get("/xbackup/api/vaults/silent/accounts").json()

    assert "has not answered within 0.5 seconds" in silent["problem"]
    assert (silent["at"], silent["accounts"]) == (None, [])
    # A vault that answers late on a busy machine is looked at further: whoever asks again sees it.
    answers = (viewer.get(ACCOUNTS).json() for _ in range(60))
    main = next(answer for answer in answers if answer["problem"] is None)
    assert [row["account"] for row in main["accounts"]] == ["acme"]
    assert viewer.get("/xbackup/api/vaults/silent/accounts/xray/acme").status_code == 504


def test_questions_to_a_vault_that_does_not_answer_do_not_pile_up(visit, configure, silent_store):
    configure({"name": "silent", "url": silent_store})
    viewer = visit("VIEWER")
    path = "/xbackup/api/vaults/silent/accounts/xray/acme/retention"
    path = path.replace("retention", "backups/20261123T014500Z-full-1a2b3c4d")

    answers = [viewer.get(path) for _ in range(6)]

    assert {answer.status_code for answer in answers} == {504}
    assert "not answered yet" in answers[-1].json()["detail"]
    waiting = [thread for thread in threading.enumerate() if thread.name == "xbackup-store"]
    assert len(waiting) < 12


def test_an_expected_account_of_a_vault_that_does_not_exist_was_never_backed_up(viewer, configure, tmp_path):
    configure({"name": "main", "url": (tmp_path / "none").as_uri(), "expected_accounts": ["xray/acme"]})

    answer = viewer.get(ACCOUNTS).json()

    assert "does not exist" in answer["problem"]
    assert [row["condition"] for row in answer["accounts"]] == ["never"]


def test_a_damaged_manifest_makes_its_account_damaged_and_the_rest_is_shown(viewer, main_vault: SampleVault):
    damaged = main_vault.add("xray/acme", 0.1)
    main_vault.add("xray/globex", 0.1)
    main_vault.vault.store.put(damaged.path.manifest, b"{", media_type="application/json")

    answer = viewer.get(ACCOUNTS).json()

    assert {row["account"]: row["condition"] for row in answer["accounts"]} == {
        "acme": "damaged",
        "globex": "fine",
    }
    assert "cannot be used" in answer["findings"][0]
    assert viewer.get(f"{ACCOUNTS}/xray/acme/backups/{damaged.backup_id}").status_code == 409


def test_a_mistake_in_the_configuration_is_told_to_whoever_opens_the_page(viewer, monkeypatch):
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", '[{"name": "main"}]')

    answer = viewer.get("/xbackup/api/vaults")

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(
        "[xbackup] vaults in Airflow's configuration cannot be used: vault 'main'"
    )


def test_no_error_tells_a_secret(visit, configure, silent_store):
    configure({"name": "silent", "url": silent_store})

    answer = visit("VIEWER").get("/xbackup/api/vaults/silent/accounts")

    assert "very-secret" not in answer.text
