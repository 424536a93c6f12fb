"""5,000 workers: the first view is soon there, a look at it costs little, and nothing if nothing has changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from harness.written import WrittenFleet

WORKERS = 5_000
MOST_STATEMENTS = 5
"""In all that the first view asks when it refreshes."""
MOST_BYTES = 1024
"""Of a refresh when nothing has changed: what is not the browser's own headers."""


@pytest.fixture(scope="module")
def many(prepared) -> None:
    fleet = WrittenFleet(prepared.sessions)
    fleet.clear()
    fleet.many(WORKERS)
    for minutes in (41, 17, 3):
        fleet.job("furnace", queued=timedelta(minutes=minutes))


@pytest.mark.usefixtures("many")
def test_the_first_view_of_5000_workers(prepared, open_window):
    shown = open_window(prepared)
    shown.open()
    expect(shown.page.get_by_text("5,000 workers", exact=True)).to_be_visible()
    expect(shown.page.get_by_role("link", name="dock-0001")).to_be_visible()
    expect(shown.page.get_by_role("row")).to_have_count(51)
    shown.picture("fleet")

    with shown.page.expect_response(lambda answer: "/api/workers?" in answer.url and answer.status == 304):
        pass
    with shown.page.expect_response(lambda answer: "/api/overview" in answer.url and answer.status == 304):
        pass
    asked = {answer.url: answer for answer in shown.answers if answer.status == 304}
    assert sum(int(answer.headers["x-statements"]) for answer in asked.values()) <= MOST_STATEMENTS, asked
    sizes = [answer.request.sizes() for answer in asked.values()]
    assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= MOST_BYTES, sizes


@pytest.mark.usefixtures("many")
def test_search_sort_and_pages_are_the_servers(prepared, open_window):
    shown = open_window(prepared)
    shown.open()
    shown.page.get_by_role("searchbox", name="Name, host or address").fill("oven-0499")
    expect(shown.page.get_by_role("status").filter(has_text="1 worker fits")).to_be_visible()
    expect(shown.page.get_by_role("link", name="oven-0499")).to_be_visible()
    shown.open("?link=out+of+reach")
    expect(shown.page.get_by_role("status").filter(has_text="250 workers fit")).to_be_visible()
    shown.open("?order=-name&page=100")
    expect(shown.page.get_by_role("row").nth(50).get_by_role("link").first).to_have_text("dock-0001")
