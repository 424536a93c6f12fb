"""The page is there in every Airflow, whatever its address and its colours; where it cannot be, words are."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

VIEWS = ("", "queues", "jobs", "add")
NO_GLOBAL = "Object.defineProperty(window, 'ChakraUI', {get: () => undefined, set: () => {}})"


def heading(shown):
    return shown.page.get_by_role("heading", name="Edge workers", level=1)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_view_is_there(centre, open_window, dark):
    shown = open_window(centre, dark=dark)
    for view in VIEWS:
        shown.open(view)
        expect(heading(shown)).to_be_visible()
        expect(shown.page.get_by_role("status").filter(has_text="Loading")).to_have_count(0)
        expect(shown.page.get_by_role("alert")).to_have_count(0)
    assert bool(shown.page.evaluate("document.documentElement.classList.contains('dark')")) is dark


def test_airflows_own_navigation_leads_to_it(centre, open_window):
    shown = open_window(centre)
    shown.page.goto(f"{centre.url}/dags")
    shown.page.get_by_role("button", name="Admin").click()
    shown.page.get_by_role("menuitem", name="Edge workers").click()
    expect(heading(shown)).to_be_visible()
    assert shown.page.url.removeprefix(centre.url) == "/plugin/edge"


@pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)
def test_it_stands_below_a_path(below_a_path, open_window):
    shown = open_window(below_a_path)
    for view in VIEWS:
        shown.open(view)
        expect(heading(shown)).to_be_visible()
        expect(shown.page.get_by_role("alert")).to_have_count(0)
    shown.page.get_by_role("navigation", name="Views of edge workers").get_by_role("link", name="Queues").click()
    assert shown.page.url.removeprefix(below_a_path.url) == "/plugin/edge/queues"


def test_what_is_typed_as_soon_as_it_is_there_stays(centre, open_window):
    """Airflow draws the place of a plugin anew when the address changes first: with the first letter, that is."""
    shown = open_window(centre)
    shown.open()
    field = shown.page.get_by_role("searchbox", name="Name, host or address")
    field.click()
    field.evaluate("element => { window.firstField = element }")
    for length, letter in enumerate("press-7", 1):
        shown.page.keyboard.press(letter)
        shown.page.wait_for_url(re.compile(f"search={'press-7'[:length]}$"))
    expect(field).to_have_value("press-7")
    expect(field).to_be_focused()
    assert shown.page.evaluate("window.firstField.isConnected")


def test_who_is_logged_out_is_told_so_and_led_to_the_log_in(centre, open_window):
    shown = open_window(centre)
    shown.expected = re.compile("401|NetworkError|status code")
    shown.open("queues")
    shown.settle()
    kept = shown.page.context.cookies()
    shown.page.context.clear_cookies()
    shown.see("You are logged out")
    shown.page.context.add_cookies(kept)
    shown.page.evaluate("window.dispatchEvent(new Event('visibilitychange'))")
    expect(shown.page.get_by_text("You are logged out")).to_have_count(0)
    shown.page.context.clear_cookies()
    shown.page.get_by_role("button", name="Log in again").first.click()
    shown.page.wait_for_url(re.compile("/auth/login"))


def test_a_part_that_is_not_there_any_more_is_said(prepared, open_window):
    """After an update, or where several API servers run different versions."""
    shown = open_window(prepared)
    shown.expected = re.compile("404")
    shown.page.route(re.compile(r"/edge_worker/page/.*Page.*\.js"), lambda route: route.fulfill(status=404))
    shown.open()
    expect(shown.page.get_by_role("alert").filter(has_text="could not be loaded")).to_contain_text("Reload the page")


def test_an_airflow_that_does_not_share_what_is_needed_is_said(prepared, open_window):
    shown = open_window(prepared)
    shown.page.add_init_script(NO_GLOBAL)
    shown.open()
    expect(shown.page.get_by_role("alert")).to_contain_text("does not share what the page of edge workers is made with")
