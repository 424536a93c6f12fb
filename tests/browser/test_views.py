"""Each view shows what is there: a worker, its task, its queue, the journey of a job, and why another one waits."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from harness.client import DagRun


@pytest.fixture
def running(centre, request) -> Iterator[DagRun]:
    """A run whose task is at the worker until the test is over."""
    run_id = f"{request.node.originalname}-{secrets.token_hex(3)}"
    gate = centre.gate(run_id)
    run = centre.trigger("press_check", run_id, gate=str(gate))
    centre.client.wait_for_task(run, "temperature", {"running"}, timeout=120)
    yield run
    gate.touch()
    assert centre.client.wait_for_run(run, check=centre.check).state == "success"


def test_the_fleet_has_the_worker_and_its_task(centre, running, open_window):
    shown = open_window(centre)
    shown.open()
    row = shown.page.get_by_role("row").filter(has_text="press-7")
    for fact in ("Linked", "Taking jobs", "1 of 4"):
        expect(row).to_contain_text(fact)
    row.get_by_role("link", name=re.compile("temperature")).click()
    expect(shown.page).to_have_url(re.compile(rf"/dags/press_check/runs/{re.escape(running.run_id)}/tasks/temperature"))


@pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)
def test_a_queue_has_its_worker_and_its_jobs(centre, running, open_window):
    shown = open_window(centre)
    shown.open("queues")
    row = shown.page.get_by_role("row").filter(has_text="press-7")
    expect(row.get_by_role("cell").first).to_have_text("plc")
    row.get_by_role("link", name="1 job running in queue plc").click()
    jobs = shown.page.get_by_role("table", name="Jobs")
    expect(jobs.get_by_role("row").filter(has_text="temperature")).to_have_count(1)


@pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)
def test_a_job_has_its_journey(centre, running, open_window):
    shown = open_window(centre)
    shown.open("jobs?state=running")
    shown.page.get_by_role("link", name=re.compile("Journey of .*temperature")).click()
    journey = shown.page.get_by_role("list", name="Journey of the job")
    for step in ("Queued", "Offered", "Accepted", "Runs"):
        expect(journey.get_by_role("listitem").filter(has_text=step).first).to_be_visible()
    centre.gate(running.run_id).touch()
    expect(journey).to_contain_text("succeeded")


def test_a_task_that_waits_says_why_where_airflow_shows_it(centre, open_window):
    run = centre.trigger("oven_check")
    centre.client.wait_for_task(run, "heat", {"queued"}, timeout=120)
    shown = open_window(centre)
    shown.page.goto(f"{centre.url}/dags/oven_check/runs/{run.run_id}/tasks/heat")
    shown.page.get_by_role("link", name="Why it waits").click()
    expect(shown.page.get_by_text("No worker serves queue 'ovens'").first).to_be_visible()
    expect(shown.page.get_by_role("list", name="Journey of the job")).to_contain_text("Waits for a worker")
    centre.client.mark(run, "heat", "success")


@pytest.mark.parametrize("centre", ["Airflow 3.4"], indirect=True)
def test_a_dag_says_what_of_it_waits_and_why(centre, open_window):
    run = centre.trigger("oven_check")
    centre.client.wait_for_task(run, "heat", {"queued"}, timeout=120)
    shown = open_window(centre)
    shown.page.goto(f"{centre.url}/dags/oven_check")
    panel = shown.page.get_by_role("region", name="At edge workers")
    expect(panel).to_contain_text("No worker serves queue 'ovens'")
    panel.get_by_role("link", name="Journey of heat").first.click()
    expect(shown.page.get_by_role("list", name="Journey of the job")).to_contain_text("Waits for a worker")
    centre.client.mark(run, "heat", "success")


@pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)
def test_a_worker_has_a_page_of_its_own(centre, running, open_window):
    shown = open_window(centre)
    shown.open("workers/press-7")
    expect(shown.page.get_by_role("heading", name="press-7")).to_be_visible()
    shown.see(re.compile("temperature"))
