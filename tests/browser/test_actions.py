"""What somebody does on the page happens at a real worker; by keyboard as by mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from harness.site import Site
from harness.waiting import wait_for
from tests.browser.window import Window

pytestmark = pytest.mark.parametrize("centre", ["Airflow 3.3"], indirect=True)

NAME = "bench-1"
BESIDE_THE_MENU = ("Put into maintenance", "End maintenance")
GONE = re.compile("status of 404")
"""The page of a worker goes on asking for it until it has been told that it is not there any more."""


@pytest.fixture(scope="module")
def bench(centre) -> Iterator[Site]:
    """A worker that each test leaves as it has found it."""
    with centre.site(NAME, queues=("bench",)) as site:
        yield site


@pytest.fixture
def spare(centre) -> Iterator[Site]:
    """A worker that need not be there any more afterwards."""
    with centre.site("spare", queues=("bench",)) as site:
        yield site


def becomes(site: Site, **facts: object) -> None:
    """Wait until the worker itself says so: what `airflow-edge status` shows."""
    wait_for(lambda: facts.items() <= site.status().items(), f"the worker to be {facts}", timeout=60)


def dialog(shown: Window) -> Locator:
    return shown.page.get_by_role("dialog").or_(shown.page.get_by_role("alertdialog"))


def begin(shown: Window, action: str, name: str = NAME) -> Locator:
    """Open a worker's page, choose an action there and give its dialog."""
    shown.open(f"workers/{name}")
    if action in BESIDE_THE_MENU:
        shown.page.get_by_role("button", name=f"{action}…").click()
    else:
        shown.page.get_by_role("button", name="More actions").click()
        shown.page.get_by_role("menuitem", name=f"{action}…").click()
    expect(dialog(shown)).to_be_visible()
    return dialog(shown)


def confirm(asked: Locator, action: str) -> None:
    """Do what a dialog asks."""
    asked.get_by_role("button", name=action, exact=True).click()


def told(shown: Window) -> None:
    """Wait until a dialog says that it is done, and leave it."""
    expect(dialog(shown)).to_contain_text(": done")
    shown.page.keyboard.press("Escape")
    expect(dialog(shown)).to_be_hidden()


def begin_by_keyboard(shown: Window, action: str, name: str = NAME) -> None:
    """The same without a mouse."""
    shown.open(f"workers/{name}")
    if action in BESIDE_THE_MENU:
        tab_to(shown, shown.page.get_by_role("button", name=f"{action}…"))
    else:
        tab_to(shown, shown.page.get_by_role("button", name="More actions"))
        shown.page.keyboard.press("Enter")
        item = shown.page.get_by_role("menuitem", name=f"{action}…")
        expect(item).to_be_visible()
        for _ in range(20):
            if item.get_attribute("data-highlighted") is not None:
                break
            shown.page.keyboard.press("ArrowDown")
    shown.page.keyboard.press("Enter")
    expect(dialog(shown)).to_be_visible()


def tab_to(shown: Window, wanted: Locator) -> None:
    expect(wanted).to_be_enabled()
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        shown.page.keyboard.press("Tab")
    raise AssertionError("it cannot be reached with the Tab key")


def test_a_test_job_is_followed_to_its_end(centre, bench, open_window):
    shown = open_window(centre)
    asked = begin(shown, "Run a test job")
    expect(asked).to_contain_text("it gets a small job as soon as it has a free slot")
    confirm(asked, "Run a test job")
    expect(dialog(shown)).to_contain_text("the test job went there and back", timeout=60_000)
    dialog(shown).get_by_role("link", name="Look at it").click()
    expect(shown.page.get_by_role("heading", name="Test job")).to_be_visible()
    (job,) = centre.call("jobs", worker="bench-1")["items"]
    assert (job["kind"], job["state"], job["queue"]) == ("test", "succeeded", "")


def test_maintenance_with_a_comment_and_an_end_and_back_by_keyboard(centre, bench, open_window):
    shown = open_window(centre)
    keys = shown.page.keyboard
    begin_by_keyboard(shown, "Put into maintenance")
    tab_to(shown, dialog(shown).get_by_role("textbox", name="Comment"))
    keys.type("new belts")
    keys.press("Tab")
    keys.type("for 2 hours")
    button = dialog(shown).get_by_role("button", name="Put into maintenance", exact=True)
    expect(button).to_be_enabled()
    tab_to(shown, button)
    keys.press("Enter")
    becomes(bench, maintenance_comment="new belts", state="maintenance mode")
    # The worker may have it before the page has the answer, and until then the dialog stays.
    told(shown)
    shown.see("new belts")
    until = centre.call("workers/bench-1")["maintenance_until"]
    assert until is not None

    begin_by_keyboard(shown, "End maintenance")
    button = dialog(shown).get_by_role("button", name="End maintenance", exact=True)
    expect(button).to_be_enabled()
    tab_to(shown, button)
    keys.press("Enter")
    becomes(bench, state="idle")


def test_the_comment_of_a_maintenance_is_changed(centre, bench, open_window):
    shown = open_window(centre)
    asked = begin(shown, "Put into maintenance")
    asked.get_by_role("textbox", name="Comment").fill("new belts")
    confirm(asked, "Put into maintenance")
    told(shown)
    becomes(bench, maintenance_comment="new belts", state="maintenance mode")

    asked = begin(shown, "Change the comment")
    comment = asked.get_by_role("textbox", name="Comment")
    expect(comment).to_have_value("new belts")
    comment.fill("new belts and rollers")
    confirm(asked, "Change the comment")
    told(shown)
    becomes(bench, maintenance_comment="new belts and rollers", state="maintenance mode")
    shown.see("new belts and rollers")

    confirm(begin(shown, "End maintenance"), "End maintenance")
    told(shown)
    becomes(bench, state="idle")


def test_a_disconnect_grace_of_its_own_and_back(centre, bench, open_window):
    shown = open_window(centre)
    identity = shown.page.get_by_role("region", name="Identity")
    stood = ""
    for said, seconds, words in (("2h", 7200, "2 h"), ("", None, "As the settings say")):
        asked = begin(shown, "Set disconnect grace")
        field = asked.get_by_role("textbox", name="Disconnect grace")
        expect(field).to_have_value(stood)
        field.fill("for ever")
        expect(asked).to_contain_text("A time such as 90s, 30m, 2h or 1d.")
        expect(asked.get_by_role("button", name="Set disconnect grace", exact=True)).to_be_disabled()
        field.fill(said)
        confirm(asked, "Set disconnect grace")
        told(shown)
        assert centre.call(f"workers/{NAME}")["disconnect_grace"] == seconds
        expect(identity).to_contain_text(re.compile(rf"Disconnect grace\s*{words}"))
        stood = "7200s"


def test_slots_by_keyboard(centre, bench, open_window):
    shown = open_window(centre)
    for slots in ("6", "4"):
        begin_by_keyboard(shown, "Set slots")
        field = dialog(shown).get_by_role("spinbutton", name="Slots")
        tab_to(shown, field)
        shown.page.keyboard.press("Control+A")
        shown.page.keyboard.type(slots)
        button = dialog(shown).get_by_role("button", name="Set slots", exact=True)
        expect(button).to_be_enabled()
        shown.page.keyboard.press("Enter")
        becomes(bench, concurrency=int(slots))


def test_queues_by_keyboard_and_back(centre, bench, open_window):
    shown = open_window(centre)
    begin_by_keyboard(shown, "Add queues")
    tab_to(shown, dialog(shown).get_by_role("textbox", name="Queues"))
    shown.page.keyboard.type("drill")
    expect(dialog(shown).get_by_role("button", name="Add queues", exact=True)).to_be_enabled()
    shown.page.keyboard.press("Enter")
    becomes(bench, queues=["bench", "drill"])
    asked = begin(shown, "Remove queues")
    asked.get_by_role("textbox", name="Queues").fill("drill")
    confirm(asked, "Remove queues")
    told(shown)
    becomes(bench, queues=["bench"])


def test_another_name_and_back(centre, bench, open_window):
    shown = open_window(centre)
    shown.expected = GONE
    for before, after in ((NAME, "bench-2"), ("bench-2", NAME)):
        asked = begin(shown, "Rename", before)
        asked.get_by_label("New name").fill(after)
        confirm(asked, "Rename")
        becomes(bench, name=after)


def test_a_restart_is_another_life(centre, bench, open_window):
    def events() -> list[str]:
        return [event["kind"] for event in centre.call(f"workers/{NAME}/events")["items"]]

    before = events().count("restarted")
    shown = open_window(centre)
    confirm(begin(shown, "Restart the agent"), "Restart the agent")
    told(shown)
    wait_for(lambda: events().count("restarted") > before, "the agent that was begun anew", timeout=60)
    wait_for(bench.is_linked, "its link", timeout=60)
    shown.open(f"workers/{NAME}?tab=events")
    shown.see(re.compile("Restarted", re.IGNORECASE))


def test_shut_down_and_removed(centre, spare, open_window):
    shown = open_window(centre)
    shown.expected = GONE
    confirm(begin(shown, "Drain and shut down", "spare"), "Drain and shut down")
    told(shown)
    assert spare.worker is not None
    wait_for(lambda: spare.worker.exit_status is not None, "the agent to end", timeout=60)
    wait_for(lambda: centre.call("workers/spare")["link"] == "offline", "the centre to know", timeout=60)
    confirm(begin(shown, "Remove", "spare"), "Remove")
    shown.see("There is no worker 'spare'")
    assert not [worker for worker in centre.call("workers")["items"] if worker["name"] == "spare"]


def test_revoked_at_once_and_removed(centre, spare, open_window):
    shown = open_window(centre)
    shown.expected = GONE
    asked = begin(shown, "Revoke", "spare")
    confirm(asked, "Revoke")
    wait_for(lambda: not spare.is_linked(), "the link to be cut", timeout=60)
    confirm(begin(shown, "Remove", "spare"), "Remove")
    shown.see("There is no worker 'spare'")
    assert not [worker for worker in centre.call("workers", revoked=True)["items"] if worker["name"] == "spare"]


def test_many_at_once_with_a_preview(centre, bench, open_window):
    """All that fit a filter are meant, and the dialog says whom it touches before it is confirmed."""
    shown = open_window(centre)
    shown.open("?queue=bench")
    shown.page.get_by_role("checkbox", name=f"Choose {NAME}").check()
    chosen = shown.page.get_by_role("region", name="Chosen workers")
    chosen.get_by_role("button", name="Put into maintenance…").click()
    asked = dialog(shown)
    expect(asked).to_contain_text(NAME)
    asked.get_by_label("Comment").fill("all of them")
    confirm(asked, "Put into maintenance")
    told(shown)
    becomes(bench, maintenance_comment="all of them")
    confirm(begin(shown, "End maintenance"), "End maintenance")
    becomes(bench, state="idle")


def test_a_paused_queue_hands_nothing_out(centre, open_window):
    shown = open_window(centre)
    shown.open("queues?search=plc")
    shown.page.get_by_role("button", name="Pause queue plc").click()
    asked = dialog(shown)
    asked.get_by_label("Note").fill("the line is being moved")
    asked.get_by_role("button", name="Pause the queue").click()
    expect(asked).to_be_hidden()
    shown.see("the line is being moved")
    run = centre.trigger("press_check")
    centre.client.wait_for_task(run, "temperature", {"queued"}, timeout=120)
    expect(shown.page.get_by_role("link", name="1 job waiting in queue plc")).to_be_visible()
    shown.page.get_by_role("button", name="Resume queue plc").click()
    assert centre.client.wait_for_run(run, check=centre.check).state == "success"
