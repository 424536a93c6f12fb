"""Everybody sees, counts and changes what is of their own teams or of none, and learns nothing of others.

Airflow's SimpleAuthManager knows teams with `[core] multi_team = True`: a user is `name:role:team` there. An API server
alone tells them apart, so nothing runs here but a machine that enrols.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from playwright.sync_api import expect

from airflow_edge.protocol.states import JobState, WorkerState
from harness.written import WrittenFleet
from tests.browser.test_actions import GONE, begin, confirm, told
from tests.browser.test_adding import enrolling
from tests.browser.world import PATIENT, Centre, open_centre

TEAMS = ("red", "blue")


@dataclass(frozen=True)
class Sight:
    """What somebody sees."""

    user: str
    workers: tuple[str, ...]
    glance: tuple[str, ...]
    """Of the fleet's numbers."""
    queues: tuple[tuple[str, str, str, str], ...]
    """Of each its name, its team, and how many jobs wait and run."""
    jobs: tuple[str, ...]
    never: str | None
    """The team of which there is not a word."""


SIGHTS = (
    Sight(
        user="red",
        workers=("nobodys-1", "red-1"),
        glance=("of 2 workers", "1 of 8", "7 free", "Jobs waiting3"),
        queues=(("common", "none", "1", "0"), ("forge", "red", "1", "1"), ("paint", "red", "1", "0")),
        jobs=("common-a", "red-a", "red-b", "red-c"),
        never="blue",
    ),
    Sight(
        user="blue",
        workers=("blue-1", "blue-2", "nobodys-1"),
        glance=("of 3 workers", "1 of 12", "11 free", "Jobs waiting4"),
        queues=(("common", "none", "1", "0"), ("forge", "blue", "0", "1"), ("paint", "blue", "3", "0")),
        jobs=("blue-a", "blue-b", "blue-c", "blue-d", "common-a"),
        never="red",
    ),
    Sight(
        user="admin",
        workers=("blue-1", "blue-2", "nobodys-1", "red-1"),
        glance=("of 4 workers", "2 of 16", "14 free", "Jobs waiting6"),
        queues=(
            ("common", "none", "1", "0"),
            ("forge", "blue", "0", "1"),
            ("forge", "red", "1", "1"),
            ("paint", "blue", "3", "0"),
            ("paint", "red", "1", "0"),
        ),
        jobs=("blue-a", "blue-b", "blue-c", "blue-d", "common-a", "red-a", "red-b", "red-c"),
        never=None,
    ),
)


@pytest.fixture(scope="module")
def shared(browser, databases, tmp_path_factory) -> Iterator[Centre]:
    """An API server alone, of an Airflow that two teams share."""
    folder, database = tmp_path_factory.mktemp("teams"), databases("3.3").create("teams")
    with open_centre(folder, database, "3.3", runs=False, settings=PATIENT, teams=TEAMS) as centre:
        yield centre


@pytest.fixture(autouse=True)
def jobs(shared) -> dict[str, UUID]:
    """Workers and jobs of both teams and of none, queues of the same names among them."""
    fleet = WrittenFleet(shared.sessions)
    fleet.clear()
    red = fleet.worker("red-1", "forge", state=WorkerState.RUNNING, team_name="red")
    blue = fleet.worker("blue-1", "forge", state=WorkerState.RUNNING, team_name="blue")
    fleet.worker("blue-2", "paint", team_name="blue")
    fleet.worker("nobodys-1", "common")
    written = (
        ("blue-a", "blue", "forge", blue),
        ("blue-b", "blue", "paint", None),
        ("blue-c", "blue", "paint", None),
        ("blue-d", "blue", "paint", None),
        ("common-a", None, "common", None),
        ("red-a", "red", "forge", red),
        ("red-b", "red", "forge", None),
        # Of this name only the other team serves a queue.
        ("red-c", "red", "paint", None),
    )
    return {
        task: fleet.job(
            queue,
            state=JobState.QUEUED if worker is None else JobState.RUNNING,
            worker=worker,
            queued=timedelta(minutes=20 - minutes),
            task=task,
            team_name=team,
        )
        for minutes, (task, team, queue, worker) in enumerate(written)
    }


@pytest.mark.parametrize("sight", SIGHTS, ids=lambda sight: sight.user)
def test_each_view_has_what_is_of_the_teams_and_counts_only_that(shared, open_window, sight):
    shown = open_window(shared, sight.user)
    page = shown.page

    def nothing_of_others() -> None:
        shown.settle()
        assert sight.never is None or not re.search(rf"\b{sight.never}\b", page.locator("body").inner_text())

    shown.open()
    table = page.get_by_role("region", name="Table of workers")
    expect(table.get_by_role("rowheader").get_by_role("link")).to_have_text(sight.workers)
    for number in sight.glance:
        expect(page.get_by_role("region", name="The fleet at a glance")).to_contain_text(number)
    nothing_of_others()

    shown.open("queues?order=queue")
    table = page.get_by_role("table", name="Queues")
    columns = zip(*sight.queues, strict=True)
    for name, texts in zip(("Queue", "Team", "Waiting", "Running"), columns, strict=True):
        expect(table.locator(f"[data-name={name}]")).to_have_text(texts)
    nothing_of_others()

    shown.open("jobs?order=queued_at")
    table = page.get_by_role("table", name="Jobs")
    expect(table.locator("[data-name=Task]").get_by_role("link")).to_have_text(sight.jobs)
    nothing_of_others()


def test_what_is_of_another_team_is_not_there(shared, jobs, open_window):
    """Its address does not help either; who is of that team is offered what can be done with it."""
    others, own = open_window(shared, "red"), open_window(shared, "blue")
    others.expected = GONE
    others.open("workers/blue-1")
    others.see("There is no worker 'blue-1'")
    others.see("belongs to a team that is not yours")
    others.settle()
    expect(others.page.get_by_role("button", name=re.compile("More actions|maintenance"))).to_have_count(0)
    others.open(f"jobs/{jobs['blue-a']}")
    others.see("There is no such job any more")

    own.open("workers/blue-1")
    own.see("Team blue")
    expect(own.page.get_by_role("button", name="Put into maintenance…")).to_be_enabled()
    own.open(f"jobs/{jobs['blue-a']}")
    expect(own.page.get_by_role("heading", name="blue-a")).to_be_visible()


def test_what_is_of_the_own_team_can_be_changed(shared, open_window):
    shown = open_window(shared, "red")
    asked = begin(shown, "Set disconnect grace", "red-1")
    asked.get_by_role("textbox", name="Disconnect grace").fill("30m")
    confirm(asked, "Set disconnect grace")
    told(shown)
    assert shared.call("workers/red-1")["disconnect_grace"] == 1800


def test_a_worker_is_added_to_the_own_team(shared, open_window):
    """From the queue that nobody of the team serves to the worker that does; the other team sees no token."""
    shown, other = open_window(shared, "red"), open_window(shared, "blue")
    shown.open("queues")
    shown.page.get_by_role("link", name="Add a worker for it").click()
    team = shown.page.get_by_role("combobox", name="Team")
    expect(team).to_have_value("red")
    expect(team.get_by_role("option")).to_have_text(["No team", "red"])
    expect(shown.page.get_by_role("textbox", name="Queues")).to_have_value("paint")
    shown.page.get_by_role("textbox", name="Name of the worker").fill("red-2")
    shown.page.get_by_role("button", name="Make the token").click()
    guide = shown.page.get_by_role("region", name="Guided set-up")
    expect(guide).to_contain_text("A token for queue paint of team red, for one worker.")
    expect(shown.page.get_by_role("table", name="Tokens").locator("[data-name=Queues]")).to_have_text("paint (red)")
    other.open("add")
    other.see("None yet.")

    shown.page.get_by_role("button", name=re.compile("^Copy the commands?")).first.click()
    with shared.machine("red-2") as site:
        site.cli(*enrolling(shown.page.evaluate("navigator.clipboard.readText()")))
        shown.see("red-2 is enrolled, and has not linked yet")
    worker = shared.call("workers/red-2")
    assert (worker["team"], worker["queues"]) == ("red", ["paint"])
