"""Six fleets in trouble: the first view says in a sentence what is wrong; the button beside it leads to the mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from harness.written import WrittenFleet
from tests.browser import fleets


@dataclass(frozen=True)
class Trouble:
    fleet: Callable[[WrittenFleet], None]
    severity: str
    sentence: str
    says: str
    """Of why it is so, or of what to do."""
    action: str
    leads_to: str | None
    """The address, below the page's own; None for a dialog."""
    sees: str
    """What is seen there."""


TROUBLES = (
    Trouble(
        fleets.queue_that_nobody_serves,
        "Error",
        "3 jobs wait in queue 'ovens', which no worker serves.",
        "airflow edge enroll-token create --queues ovens",
        "Add a worker",
        "/add?queues=ovens",
        "Make the token",
    ),
    Trouble(
        fleets.full_site,
        "Warning",
        "12 jobs wait in queue 'plc': all 4 slots of its 2 ready workers are taken.",
        "for 13 min",
        "Show the queue",
        "/queues?queue=plc",
        "0 free slots at 2 workers",
    ),
    Trouble(
        fleets.worker_out_of_reach,
        "Error",
        "Worker 'press-8' is out of reach with 2 jobs.",
        "unless it comes back, they count as lost in 3 d ",
        "Show the worker",
        "/workers/press-8",
        "Out of reach",
    ),
    Trouble(
        fleets.refused_version,
        "Error",
        "Worker 'press-8' gets no job because of its version.",
        "airflow-edge 0.0.9 is older than 0.1.0 ([edge] minimum_worker_version).",
        "Show the worker",
        "/workers/press-8",
        "pip install --upgrade 'airflow-edge[worker]>=0.1.0'",
    ),
    Trouble(
        fleets.maintenance_with_tasks_waiting,
        "Error",
        "3 jobs wait in queue 'plc', and none of its 2 workers takes jobs: 2 in maintenance.",
        "In maintenance by kim, ending in 2 h",
        "End the maintenance…",
        None,
        "takes tasks again; it was in maintenance by kim, ending",
    ),
    Trouble(
        fleets.copied_key,
        "Error",
        "Worker 'press-7' has a key that another machine has, too.",
        "'press-8.example.org' at 10.20.0.8 is refused, last ",
        "Show the worker",
        "/workers/press-7",
        "the key is stolen: revoke this worker, and enrol it anew.",
    ),
)


@pytest.fixture
def fleet(prepared) -> WrittenFleet:
    """A fleet to write down, with nobody in it yet."""
    fleet = WrittenFleet(prepared.sessions)
    fleet.clear()
    return fleet


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.fleet.__name__)
def test_what_is_wrong_and_what_to_click_are_there(prepared, fleet, open_window, trouble):
    trouble.fleet(fleet)
    shown = open_window(prepared, size=(1280, 800))
    shown.open()
    first = shown.page.get_by_role("region", name=re.compile("Needs attention")).get_by_role("listitem").first
    expect(first).to_contain_text(trouble.sentence)
    expect(first).to_contain_text(trouble.severity)
    expect(first).to_contain_text(trouble.says)
    expect(shown.page.get_by_role("row").filter(has_text=re.compile("-[0-9]")).first).to_be_visible()
    shown.picture(f"trouble-{trouble.fleet.__name__.replace('_', '-')}")
    if trouble.leads_to is None:
        first.get_by_role("button", name=trouble.action).click()
    else:
        first.get_by_role("link", name=trouble.action).click()
        expect(shown.page).to_have_url(f"{prepared.url}/plugin/edge{trouble.leads_to}")
    shown.see(trouble.sees)
