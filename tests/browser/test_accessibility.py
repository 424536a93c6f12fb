"""axe finds nothing wrong with any view, in the light and in the dark; a phone shows them without a sideways scroll."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from airflow_edge.protocol.states import JobState, WorkerState
from harness.written import WrittenFleet
from tests.browser.window import AXE, PHONE

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run `npm ci` in ui/")


NAMES = {
    "": "small-fleet",
    "workers/press-7": "worker",
    "workers/press-8": "worker-out-of-reach",
    "queues": "queues",
    "jobs": "jobs",
    "jobs/{job}": "job",
    "policy": "policy-none",
    "add": "add",
}
"""The views, and what their pictures are called."""


@pytest.fixture(scope="module")
def job(prepared) -> str:
    """A fleet with a bit of everything; the id of a job that waits."""
    fleet = WrittenFleet(prepared.sessions)
    fleet.clear()
    busy = fleet.worker("press-7", "plc", "default", state=WorkerState.RUNNING)
    fleet.job(state=JobState.RUNNING, worker=busy)
    fleet.worker("press-8", state=WorkerState.UNKNOWN, seen=timedelta(minutes=20), silent=True)
    fleet.worker("press-9", state=WorkerState.MAINTENANCE_MODE, maintenance_comment="new belts")
    fleet.worker("oven-1", "bakery", conditions="its disk is full: 12 MB are left")
    return str(fleet.job("ovens", queued=timedelta(minutes=41)))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", NAMES)
def test_axe_finds_nothing(prepared, job, open_window, view, dark):
    shown = open_window(prepared, dark=dark)
    shown.open(view.format(job=job))
    shown.settle()
    assert shown.violations() == []
    shown.picture(f"{NAMES[view]}{'-dark' if dark else ''}")


def test_axe_finds_nothing_in_a_dialog(prepared, job, open_window):
    shown = open_window(prepared)
    shown.open("workers/press-7")
    shown.page.get_by_role("button", name="Put into maintenance…").click()
    expect(shown.page.get_by_role("dialog")).to_contain_text("1 task goes on")
    assert shown.violations() == []


@pytest.mark.parametrize("view", NAMES)
def test_it_fits_a_phone(prepared, job, open_window, view):
    shown = open_window(prepared, size=PHONE)
    shown.open(view.format(job=job))
    shown.settle()
    shown.picture(f"phone-{NAMES[view]}")
    wider = shown.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0
