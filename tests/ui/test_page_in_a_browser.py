"""The page as people meet it: in Airflow's UI, in chromium, signed out and signed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Locator, Page, expect
from sample_vault import EVIL

pytestmark = [pytest.mark.ui, pytest.mark.xdist_group("ui")]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
Visit = Callable[..., Page]


def settled(page: Page | FrameLocator) -> None:
    """Wait until all vaults have answered, or were given up."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.locator(".summary")).not_to_contain_text("Asking")


def vault(page: Page | FrameLocator, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def account(page: Page | FrameLocator, name: str) -> Locator:
    return page.locator(".accounts tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


# -- who sees it -------------------------------------------------------------------------------------------


def test_who_is_not_signed_in_is_sent_to_airflows_sign_in_and_sees_nothing(visit: Visit):
    page = visit("/plugin/xbackup", None)

    expect(page).to_have_url(re.compile("/login"))
    assert "acme" not in page.content()


def test_who_is_not_signed_in_and_knows_the_address_is_told_to_sign_in(visit: Visit):
    page = visit("/xbackup/", None)

    expect(page.get_by_text("You are not signed in to Airflow.")).to_be_visible()


@pytest.mark.parametrize("user", ["viewer", "admin"])
def test_who_is_signed_in_finds_it_in_the_navigation_and_sees_it_in_a_frame(visit: Visit, user: str):
    page = visit("/", user)

    page.get_by_role("link", name="Backups").click()

    frame = page.frame_locator("iframe")
    expect(account(frame, "xray/acme")).to_be_visible()
    page.reload()
    expect(account(frame, "xray/acme")).to_be_visible()


def test_a_session_that_has_ended_is_said(visit: Visit):
    page = visit("/xbackup/")
    settled(page)

    page.context.clear_cookies()
    account(page, "xray/acme").get_by_role("link", name="xray/acme").click()

    expect(page.get_by_role("alert")).to_contain_text("not signed in to Airflow any more")


# -- what it shows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("xray/zorg", "Never backed up"),
        ("xray/umbrella", "Damaged"),
        ("xray/hooli", "Suspect"),
        ("xenioo/blank", "Empty"),
        ("xray/initech", "Late"),
        ("xenioo/support", "Unverified"),
        ("xray/acme", "Fine"),
    ],
)
def test_every_account_has_its_condition(visit: Visit, name: str, condition: str):
    page = visit("/xbackup/")

    expect(account(page, name).locator(".badge")).to_have_text(condition)


def test_a_vault_that_does_not_answer_is_said_so_in_time_and_the_rest_is_shown(visit: Visit):
    page = visit("/xbackup/")

    expect(account(page, "xray/acme")).to_be_visible()
    expect(vault(page, "silent").get_by_role("status")).to_contain_text("has not answered within 2 seconds")
    expect(page.locator(".summary")).to_contain_text("1 vault cannot be read.")


def test_an_empty_vault_says_so(visit: Visit):
    page = visit("/xbackup/")

    expect(vault(page, "new")).to_contain_text("This vault holds no backups yet")


def test_a_vault_that_answers_late_is_asked_again(visit: Visit):
    page = visit("/xbackup/#/main/xray/acme")
    answer = {
        "problem": "It has not answered.",
        "at": None,
        "conditions": {},
        "findings": [],
        "total": 0,
        "accounts": [],
    }
    answer |= {"vault": {"name": "new"}, "storage": {"full": 0, "partial": 0, "expired": 0, "backups": 0}}
    page.route("**/vaults/new/accounts*", lambda route: route.fulfill(json=answer), times=1)
    page.get_by_role("link", name="Backups").click()

    expect(vault(page, "new")).to_contain_text("It has not answered.")
    expect(vault(page, "new")).to_contain_text("This vault holds no backups yet")


def test_a_thousand_accounts_are_paged_and_found(visit: Visit):
    page = visit("/xbackup/")
    large = vault(page, "large")
    rows = large.locator("tbody tr")
    expect(rows).to_have_count(50)

    large.get_by_role("button", name="Next").click()
    expect(large.get_by_text("51 to 100 of 1,000")).to_be_visible()
    expect(rows.first).to_contain_text("bot-0050")

    large.get_by_role("searchbox").fill("BOT-099")
    expect(rows).to_have_count(10)
    large.get_by_role("button", name="Fine").click()
    expect(rows).to_have_count(10)


def test_a_name_that_looks_like_markup_is_text(visit: Visit):
    page = visit("/xbackup/")

    account(page, f"xenioo/{EVIL}").get_by_role("link", name=EVIL).click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"xenioo/{EVIL}")
    assert page.locator("main img").count() == 0


def test_an_account_shows_its_history_and_what_fell(visit: Visit):
    page = visit("/xbackup/#/main/xray/hooli")

    expect(page.get_by_role("heading", level=1)).to_have_text("xray/hooli")
    expect(page.locator(".reasons")).to_contain_text("is suspect")
    expect(page.get_by_role("img", name=re.compile(r"^Size: .* 1 anomaly marked$"))).to_be_visible()
    expect(page.locator(".wide .mark")).to_have_count(30)


def test_what_fell_is_told_in_sentences(visit: Visit):
    page = visit("/xbackup/#/main/xray/hooli")

    sentence = r"fell from {}, against backup \S+-full-[0-9a-f]{{8}}\."
    told = re.compile(
        f": The size of .* {sentence.format('116,000 to 9,000')} The tests {sentence.format('2,277 to 140')}$"
    )
    expect(page.locator(".odd li").first).to_have_text(told)


def test_an_empty_backup_is_called_so_wherever_its_age_is_told(visit: Visit):
    page = visit("/xbackup/")
    row = account(page, "xenioo/blank")

    for heading in ("Newest whole", "Newest verified", "Can go back to"):
        expect(row.locator(f"td[data-label='{heading}']")).to_contain_text(", empty")
    expect(account(page, "xray/acme")).not_to_contain_text("empty")


def test_an_account_tells_from_when_to_when_and_what_was_promised(visit: Visit):
    page = visit("/xbackup/#/main/xray/acme")
    facts = page.locator(".facts").first

    expect(facts).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC to \d{4}-\d\d-\d\d \d\d:\d\d UTC"))
    expect(facts).to_contain_text(re.compile(r"Newest whole8 h, every 26 h promised"))


def test_a_vault_that_nobody_configured_is_said_so(visit: Visit):
    page = visit("/xbackup/#/nope")

    expect(page.get_by_role("alert")).to_have_text("No vault nope is configured.")
    expect(page.get_by_role("link", name="All accounts")).to_be_visible()


def test_a_damaged_backup_says_what_is_wrong_and_how_to_get_another(visit: Visit):
    page = visit("/xbackup/#/main/xray/umbrella")

    page.locator("tbody tr").first.get_by_role("link").click()

    expect(page.locator(".notice.bad")).to_contain_text("The stored bytes are not those of the manifest.")
    expect(page.locator(".command")).to_contain_text("xbackup fetch file://")
    expect(page.get_by_role("region", name="Checks")).to_contain_text("failed")


def test_a_bots_backup_says_how_a_bot_is_made_of_it_and_a_tenants_does_not(visit: Visit):
    page = visit("/xbackup/#/main/xenioo/welcome")
    link = page.locator("tbody tr").first.get_by_role("link")
    backup_id = link.text_content()
    link.click()
    ways = page.locator(".card").filter(has=page.get_by_role("heading", name="Get it back"))

    expect(ways).to_contain_text(
        f'trigger the DAG xenioo_restore with {{"account":"welcome","backup_id":"{backup_id}"}}'
    )
    expect(ways).not_to_contain_text("private keys")
    page.goto(page.url.partition("#")[0] + "#/main/xray/acme")
    page.locator("tbody tr").first.get_by_role("link").click()
    expect(ways).to_contain_text("xbackup fetch")
    expect(ways).not_to_contain_text("xenioo_restore")


def test_retention_is_previewed_with_reasons(visit: Visit):
    page = visit("/xbackup/#/main/xray/acme/retention")

    rows = page.locator("tbody tr")
    expect(rows).to_have_count(30)
    expect(rows.nth(27)).to_contain_text("held")
    expect(rows.first).to_contain_text("newest verified")


def test_the_dag_run_that_made_a_backup_opens_in_airflow_around_the_frame(visit: Visit):
    page = visit("/plugin/xbackup")
    frame = page.frame_locator("iframe")
    account(frame, "xray/acme").get_by_role("link", name="xray/acme").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("xray/acme")
    frame.locator("tbody tr").first.get_by_role("link").click()

    frame.get_by_role("link", name=re.compile("^nightly_backups, ")).click()

    expect(page).to_have_url(re.compile(r"/dags/nightly_backups/runs/scheduled__"))


# -- how it can be used ------------------------------------------------------------------------------------


def test_it_can_be_used_by_keyboard_alone(visit: Visit):
    page = visit("/xbackup/")
    settled(page)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text(re.compile("Damaged"))
    page.keyboard.press("Enter")
    expect(vault(page, "main").locator("tbody tr")).to_have_count(1)
    expect(page.locator("[data-chip=damaged]").first).to_be_focused()
    account(page, "xray/umbrella").get_by_role("link", name="xray/umbrella").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_be_focused()


PLACES = [
    pytest.param("/xbackup/", id="overview"),
    pytest.param("/xbackup/#/main/xray/hooli", id="account"),
    pytest.param("/xbackup/#/main/xray/acme/retention", id="retention"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PLACES)
def test_contrast_names_and_roles_are_as_wcag_demands(visit: Visit, path: str, theme: str):
    page = visit(path, theme=theme)
    settled(page) if path == "/xbackup/" else expect(page.locator("tbody tr").first).to_be_visible()

    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})

    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", PLACES)
def test_on_a_phone_nothing_is_wider_than_the_screen(visit: Visit, path: str):
    page = visit(path, width=390)
    expect(page.locator("tbody tr").first).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_follows_airflows_look_at_once(visit: Visit):
    page = visit("/plugin/xbackup")
    frame = page.frame_locator("iframe")
    root = frame.locator("html")
    expect(root).to_have_attribute("data-theme", "light")

    page.evaluate("document.documentElement.classList.replace('light', 'dark')")

    expect(root).to_have_attribute("data-theme", "dark")


# -- pictures for the documentation ------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_of_the_overview_is_taken(visit: Visit, theme: str):
    page = visit("/plugin/xbackup", theme=theme)
    frame = page.frame_locator("iframe")
    expect(frame.locator(".summary")).to_have_text("6 of 1,010 accounts need somebody. 1 vault cannot be read.")

    _take(page, f"overview-{theme}.png", width=1400, height=960)


def test_a_picture_of_an_account_is_taken(visit: Visit):
    page = visit("/xbackup/#/main/xray/hooli")
    expect(page.locator("tbody tr")).to_have_count(30)

    _take(page, "account.png", width=1200, height=820)


def test_a_picture_of_a_backup_is_taken(visit: Visit):
    page = visit("/xbackup/#/main/xray/acme")
    page.locator("tbody tr").nth(2).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Manifest")).to_be_visible()

    _take(page, "backup.png", width=1200, height=900)


def test_a_picture_on_a_phone_is_taken(visit: Visit):
    page = visit("/xbackup/", width=390)
    expect(page.locator(".summary")).to_have_text("6 of 1,010 accounts need somebody. 1 vault cannot be read.")

    _take(page, "phone.png", width=390, height=844)


def _take(page: Page, name: str, *, width: int, height: int) -> None:
    IMAGES.mkdir(exist_ok=True)
    page.set_viewport_size({"width": width, "height": height})
    hide_the_machine = "document.querySelectorAll('.vault > .quiet').forEach((each) => each.remove())"
    for frame in page.frames:
        frame.evaluate(hide_the_machine)
        frame.evaluate(_RENAME)
    page.mouse.move(0, 0)
    page.screenshot(path=IMAGES / name, animations="disabled")


#: The folders of a test run are nobody's vaults: pictures show an address as a deployment has it.
_RENAME = r"""() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        node.nodeValue = node.nodeValue.replace(/file:\/\/\/\S*\/(main|large|new)\b/g, "s3://aws_default@backups/$1");
    }
}"""
