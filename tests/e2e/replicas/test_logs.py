"""A Dag author notices no difference to LocalExecutor: the same tasks run on both, in one Airflow, and are compared."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from harness import browser
from harness.airflow import EDGE_EXECUTOR
from harness.client import DagRun
from harness.waiting import wait_for
from tests.e2e.world import EXECUTOR, World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(EXECUTOR != EDGE_EXECUTOR, reason="compares the edge with LocalExecutor"),
]

ATTEMPTS = [("talk", 1), ("talk", 2), ("shout", 1)]
ALL = [*ATTEMPTS, ("stray", 1)]
SECRETS = ("pa55-of-warehouse", "t0ken-of-the-api", "registered-by-the-task")
OWN = re.compile(r"[^\"' ]*/(?=(site-packages|dags)/)|manual__[0-9T:.+-]+|[0-9a-f]{8}-[0-9a-f-]{27}|logs_(edge|local)")
"""What is each run's own: folders, ids, names of the Dags."""
ENDLESS = "until somebody stops it"
LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
COMPLETE = re.compile(r"From edge worker .*, complete")
TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")


@dataclass
class Both:
    """The runs of the same tasks on LocalExecutor and at the edge, and an API server that has no link to the worker."""

    world: World
    replica: str
    edge: DagRun
    local: DagRun

    def messages(self, run: DagRun, task_id: str, try_number: int) -> list[dict[str, Any]]:
        """What the log API gives, without what is each run's own, and without where it is from."""
        with self.world.airflow.client(self.replica) as client:
            found = [normal(entry) for entry in client.log_entries(run, task_id, try_number=try_number)]
        return found[[entry["event"] for entry in found].index("::endgroup::") + 1 :]


def normal(entry: dict[str, Any]) -> dict[str, Any]:
    text = OWN.sub("OWN", json.dumps(entry, ensure_ascii=False))
    text = re.sub(r'"(bundle_prepare_ms|dag_file_parse_ms|lineno)": \d+', r'"\1": 0', text)
    return {name: value for name, value in json.loads(TIME.sub("TIME", text)).items() if name != "ti"}


def _ends_with(log: Callable[[], list[str]], event: str) -> bool:
    return log()[-1:] == [event]


@pytest.fixture(scope="module")
def both(world):
    client = world.client
    client.set_variable("api_token", SECRETS[1])
    client.set_variable("city", "Würzburg")
    client.add_connection("warehouse", "postgres", host="db", login="reader", password=SECRETS[0])
    client.wait_for_dags(["logs_edge", "logs_local"])
    runs = [world.trigger(dag_id) for dag_id in ("logs_edge", "logs_local")]
    for run in runs:
        # Airflow knows no log of a first try that nobody has begun yet.
        client.wait_for_task(run, "stopped", {"running"}, timeout=120)
        stops = partial(client.log, run, "stopped")
        wait_for(partial(_ends_with, stops, ENDLESS), "a task to stop", timeout=120)
        client.mark(run, "stopped", "success")
    edge, local = (client.wait_for_run(run, timeout=240, check=world.check) for run in runs)
    assert (edge.state, local.state) == ("success", "success")
    assert {task.hostname for task in client.tasks(edge)} == set(world.sites)
    assert not {task.hostname for task in client.tasks(local)} & set(world.sites)

    def all_complete() -> bool:
        logs = [client.log(edge, task_id, try_number=number) for task_id, number in [*ALL, ("stopped", 1)]]
        return all(any(COMPLETE.fullmatch(line) for line in log) for log in logs)

    wait_for(all_complete, "the whole logs at the centre", timeout=60)
    return Both(world, world.airflow.urls[-1], edge, local)


@pytest.mark.parametrize(("task_id", "try_number"), ALL)
def test_every_message_is_the_same_as_with_local_executor(both, task_id, try_number):
    edge = both.messages(both.edge, task_id, try_number)
    local = both.messages(both.local, task_id, try_number)
    # What a task logs and what it prints go separate ways in the Task SDK.
    for way in {entry.get("logger") for entry in (*edge, *local)}:
        of_edge, of_local = ([entry for entry in entries if entry.get("logger") == way] for entries in (edge, local))
        assert of_edge == of_local
    assert any("timestamp" in entry for entry in edge)


def test_a_task_that_somebody_stops_is_no_worse_than_with_local_executor(both):
    """Its supervisor took what we ended for want of memory, and said so as CRITICAL."""
    edge, local = (both.messages(run, "stopped", 1) for run in (both.edge, both.local))
    for entries in (edge, local):
        assert [entry["event"] for entry in entries if entry.get("logger") == "task.stdout"] == [ENDLESS]
    assert "memory" not in json.dumps(edge)
    worst, worst_of_local = (max(LEVELS[entry.get("level", "info")] for entry in entries) for entries in (edge, local))
    assert worst <= worst_of_local


@pytest.mark.parametrize(("task_id", "try_number"), ATTEMPTS)
def test_secrets_are_masked_as_with_local_executor(both, task_id, try_number):
    events = [entry["event"] for entry in both.messages(both.edge, task_id, try_number)]
    for line in ("password: ***", "variable: ***", "registered: ***", "harmless: Würzburg"):
        assert line in events
    assert not any(secret in json.dumps(both.messages(both.edge, task_id, try_number)) for secret in SECRETS)
    stored = both.world.airflow.python(
        "from airflow import settings\n"
        "from airflow_edge.store.store import Store\n"
        "from airflow_edge.store.tables import LogRow\n"
        "settings.configure_orm()\n"
        "store = Store(settings.NonScopedSession)\n"
        "with settings.NonScopedSession() as session:\n"
        "    paths = [row.path for row in session.query(LogRow)]\n"
        "parts = [part for path in paths for part in store.logs.parts(path)]\n"
        "print(b''.join(piece for part in parts for piece in store.logs.read(part.id)).decode())"
    )
    assert "password: ***" in stored
    assert not any(secret in stored for secret in SECRETS)


def test_a_live_log_is_read_where_the_worker_is_not_linked(world, tmp_path):
    go_on = tmp_path / "go on"
    with world.airflow.client(world.airflow.urls[-1]) as replica:
        world.client.wait_for_dags(["live_log"])
        run = world.trigger("live_log", go_on=str(go_on))
        world.client.wait_for_task(run, "wait", {"running"})
        wait_for(lambda: "line 1" in replica.log(run, "wait"), "the first line at the other API server", timeout=60)
        assert "line 2" not in replica.log(run, "wait")
        go_on.touch()
        world.client.wait_for_run(run, check=world.check)
        events = wait_for(
            lambda: (found := replica.log(run, "wait")) and any(COMPLETE.fullmatch(text) for text in found) and found,
            "the whole log at the other API server",
            timeout=60,
        )
        assert [text for text in events if text in {"line 1", "line 2"}] == ["line 1", "line 2"]


@pytest.mark.skipif(browser.chromium() is None, reason=browser.HOW_TO_INSTALL)
def test_the_log_page_looks_the_same_as_with_local_executor(both):
    pages = []
    login = both.world.airflow.login
    with browser.logged_in(both.replica, username=login[0], password=login[1]) as page:
        for run in (both.edge, both.local):
            page.goto(f"{both.replica}/dags/{run.dag_id}/runs/{run.run_id}/tasks/talk?try_number=1")
            shown = {}
            for attempt in (1, 2):
                page.get_by_test_id(f"log-attempt-select-button-{attempt}").click()
                page.get_by_text("RuntimeError: no connection with ***").first.wait_for(
                    state="visible" if attempt == 1 else "hidden"
                )
                page.get_by_text("harmless: Würzburg").first.wait_for()
                if not page.get_by_text("pressure of press-7 is 40 bar").is_visible():
                    page.get_by_test_id("summary-Measurements").click()
                page.get_by_text("pressure of press-7 is 40 bar").wait_for()
                link = page.get_by_role("link", name="https://example.org/report?from=1&to=2")
                assert link.get_attribute("href") == "https://example.org/report?from=1&to=2"
                text = page.get_by_test_id("virtual-scroll-container").inner_text()
                assert TIME.search(text)
                shown[attempt] = OWN.sub("OWN", TIME.sub("TIME", re.sub(r"line \d+", "line N", text))).split("\n")
            pages.append(shown)
    edge, local = pages
    assert edge == local
    for level in ("INFO", "WARNING", "ERROR"):
        assert any(line.startswith(f"[TIME] {level} - pressure of press-7") for line in edge[1])
