"""Who may only look is offered nothing else; what is refused all the same is refused in words."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from harness.written import WrittenFleet
from tests.browser import fleets


@pytest.fixture(autouse=True)
def fleet(prepared) -> WrittenFleet:
    """A fleet of two workers, with jobs that wait for one that is not there."""
    fleet = WrittenFleet(prepared.sessions)
    fleet.clear()
    fleets.queue_that_nobody_serves(fleet)
    return fleet


def test_a_viewer_is_offered_no_action(prepared, open_window):
    shown = open_window(prepared, "victor")
    shown.open()
    expect(shown.page.get_by_role("link", name="press-8").first).to_be_visible()
    expect(shown.page.get_by_role("checkbox")).to_have_count(0)
    expect(shown.page.get_by_role("link", name="Add a worker")).to_have_count(0)
    shown.open("workers/press-8")
    expect(shown.page.get_by_role("heading", name="press-8")).to_be_visible()
    expect(shown.page.get_by_text("Idle").first).to_be_visible()
    expect(shown.page.get_by_role("button", name="More actions")).to_have_count(0)
    shown.open("queues")
    shown.see("which no worker serves")
    expect(shown.page.get_by_role("button", name=re.compile("Pause"))).to_have_count(0)
    expect(shown.page.get_by_role("link", name="Add a worker for it")).to_have_count(0)
    shown.open("add")
    shown.see("Adding a worker is for those who may change workers")
    expect(shown.page.get_by_role("button", name="Make the token")).to_have_count(0)


def test_a_refusal_names_the_permission(prepared, open_window):
    """Somebody's rights were taken away while the page was open."""
    shown = open_window(prepared)
    shown.expected = re.compile("403")
    shown.open("queues")
    shown.page.get_by_role("button", name="Pause queue ovens").click()
    login = {"username": "victor", "password": prepared.airflow.password}
    token = httpx.post(f"{prepared.url}/auth/token", json=login, timeout=60, trust_env=False).json()["access_token"]
    shown.page.context.add_cookies([{"name": "_token", "value": token, "url": prepared.url}])
    asked = shown.page.get_by_role("dialog")
    asked.get_by_label("Note").fill("no way")
    asked.get_by_role("button", name="Pause the queue").click()
    expect(asked.get_by_role("alert")).to_contain_text(re.compile("permission|may not"))
