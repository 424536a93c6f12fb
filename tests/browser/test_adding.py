"""A worker is added with nothing but the page and a shell at its site, greeted, and seen to run a test job."""

from __future__ import annotations

import re
import shlex

import pytest
from playwright.sync_api import expect

from harness.processes import ProcessFailedError

pytestmark = pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)


def enrolling(commands: str) -> list[str]:
    """Give the words after `airflow-edge` in the command that enrols."""
    (line,) = [line for line in commands.split("\n") if "airflow-edge enroll " in line]
    return shlex.split(line)[1:]


def test_from_the_token_to_a_test_job_that_has_ended_well(centre, open_window):
    shown = open_window(centre)
    shown.open("add")
    shown.page.get_by_role("textbox", name="Queues").fill("kilns")
    shown.page.get_by_role("textbox", name="Name of the worker").fill("kiln-1")
    shown.page.get_by_role("button", name="Make the token").click()
    shown.page.get_by_role("button", name=re.compile("^Copy the commands?")).first.click()
    commands = shown.page.evaluate("navigator.clipboard.readText()")
    shown.picture("add-a-worker")
    with centre.machine("kiln-1") as site:
        site.cli(*enrolling(commands))
        shown.see("kiln-1 is enrolled, and has not linked yet")
        site.start_worker(concurrency=2)
        shown.see("Welcome, kiln-1")
        shown.see("It is linked, with 2 slots for kilns.")
        shown.picture("add-a-worker-greeted")
        shown.page.get_by_role("button", name="Run a test job there").click()
        shown.see("The test job went there and back")
        log = shown.page.get_by_role("group", name="The end of its log")
        expect(log).to_contain_text(re.compile(r"Airflow 3\.\S+ with Task SDK"))
        expect(log).to_contain_text("tasks can run here")
        for event in ("Queued", "Offered", "Accepted", "Ended"):
            shown.see(event)
        shown.picture("add-a-worker-tested")
        shown.page.get_by_role("link", name="Look at the job").click()
        expect(shown.page.get_by_role("heading", name="Test job")).to_be_visible()


def test_who_is_refused_is_seen(centre, open_window):
    shown = open_window(centre)
    shown.open("add")
    shown.page.get_by_role("textbox", name="Name of the worker").fill("kiln-2")
    shown.page.get_by_role("button", name="Make the token").click()
    shown.page.get_by_role("button", name=re.compile("^Copy the commands?")).first.click()
    words = enrolling(shown.page.evaluate("navigator.clipboard.readText()"))
    with centre.machine("kiln-3") as site, pytest.raises(ProcessFailedError, match="kiln-2"):
        site.cli(*[{"kiln-2": "kiln-3"}.get(word, word) for word in words])
    shown.see("Somebody tried, and was refused")
    shown.see(re.compile("kiln-3"))


def test_a_token_is_revoked(centre, open_window):
    shown = open_window(centre)
    shown.open("add")
    shown.page.get_by_role("textbox", name="Queues").fill("lathes")
    shown.page.get_by_role("button", name="Make the token").click()
    row = shown.page.get_by_role("table", name="Tokens").get_by_role("row").filter(has_text="lathes")
    expect(row).to_contain_text("Never used")
    row.get_by_role("button", name="Revoke").click()
    shown.page.get_by_role("alertdialog").get_by_role("button", name="Revoke the token").click()
    expect(row).to_contain_text("Revoked")


def test_the_centre_is_checked_from_here(centre, open_window):
    shown = open_window(centre)
    shown.open("add")
    shown.page.get_by_role("button", name="Check", exact=True).click()
    expect(shown.page.get_by_role("region", name="Check this centre").get_by_role("listitem").first).to_be_visible()
