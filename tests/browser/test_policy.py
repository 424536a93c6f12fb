"""The policy is set, asked about and changed with nothing but the page and a keyboard; what it denies is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete

from airflow_edge.store.policy.uses import NotedUse, Times
from airflow_edge.store.tables import PolicyRow, PolicyUseRow
from tests.browser.window import AXE

POLICY = """
modes: {plc: enforce}
rules:
- who: {dags: [press]}
  may: {connections: [plc_*]}
"""


@pytest.fixture
def nothing_said(prepared) -> Iterator[None]:
    """No policy, and none afterwards; a task has asked for what none would grant."""
    use = NotedUse(team_name="", queue="plc", dag_id="payroll", task_id="read", kind="variables", name="<b>pay</b>")
    prepared.store.policy_uses.note(datetime.now(UTC).date(), {use: Times(0, 41)})
    yield
    with prepared.sessions.begin() as session:
        session.execute(delete(PolicyRow))
        session.execute(delete(PolicyUseRow))


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run `npm ci` in ui/")
def test_a_policy_from_the_first_to_the_second_by_keyboard(prepared, open_window):
    assert prepared.store.policies.add("modes: {plc: report}", "a look first", by="ada", now=datetime.now(UTC)) == 1
    shown = open_window(prepared)
    page = shown.page
    shown.open("policy")
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    denied = page.get_by_role("table", name="Denied, or would have been").get_by_role("row").filter(has_text="payroll")
    expect(denied).to_contain_text("<b>pay</b>")
    expect(denied).to_contain_text("41")
    page.get_by_role("button", name="Change it…").press("Enter")
    text = page.get_by_role("textbox", name="The policy, as YAML, JSON or TOML")
    text.focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(POLICY)
    assert shown.violations() == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Queue plc: report → enforce")
    expect(dialog).to_contain_text("Dag press: connections plc_*")
    assert shown.violations() == []
    dialog.get_by_label("Note").focus()
    page.keyboard.insert_text("the press and its PLC")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible()
    expect(page.get_by_role("table", name="Versions")).to_contain_text("the press and its PLC")
    asked = page.get_by_role("region", name="Who may what")
    for label, words in (("Its name", "db"), ("Dag", "press"), ("Queue", "plc")):
        asked.get_by_label(re.compile(f"^{label}")).fill(words)
    page.keyboard.press("Enter")
    expect(asked.get_by_role("status")).to_contain_text("may not read connection 'db'")
    assert shown.violations() == []
    shown.picture("policy")
