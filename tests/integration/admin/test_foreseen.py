"""What somebody may do, what would come of it, and whom it would concern: said before anything is done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_edge.protocol.messages import Accepted
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.matching import Capacity
from tests.integration.admin.test_api import CHANGES, OF_WORKERS, noted


def run(api, worker, *tasks):
    """Have jobs of a Dag run at a worker."""
    for task in tasks:
        api.queue(dag_id="scan", task_id=task)
    here = Capacity(worker_id=worker.id, queues=frozenset({"default"}), team_name=None, free_slots=8)
    for job in api.store.queue.claim(
        [here], lease_until=datetime.now(UTC) + timedelta(minutes=1), now=datetime.now(UTC)
    ).jobs:
        accepted = Accepted(job_id=str(job.id), assignment=job.assignment)
        api.store.jobs.settle(worker.id, [accepted], now=datetime.now(UTC))


TEST = "/workers/{name}/test"
"""Of one worker, which has its own tests."""


def foretold(api, path, body, **query):
    answer = api.call("POST", path, role="op", json=body, params={"dry_run": "true", **query})
    assert answer.status_code == 200, answer.text
    return {one["worker"]: (one["result"], one["detail"]) for one in answer.json()}


def everything(api):
    return [api.get(path, "admin") for path in ("/workers", "/jobs")], api.audit()


@pytest.mark.parametrize("path", OF_WORKERS)
def test_a_dry_run_says_what_would_be_and_changes_nothing(api, path):
    state = WorkerState.MAINTENANCE_MODE if path.startswith("/workers/maintenance/") else WorkerState.IDLE
    worker = api.worker("w", state, queues=("default", "plc"))
    run(api, worker, "read")
    before = everything(api)
    [(result, detail)] = foretold(api, path.format(name="w"), CHANGES[path]).values()
    assert (result, bool(detail)) == ("refused" if path == "/workers/remove" else "would", True)
    assert everything(api) == before
    assert api.store.orders.newest(worker.id, limit=1) == []
    assert api.store.workers.get(worker.id).log_request is None


@pytest.mark.parametrize("path", [path for path in OF_WORKERS if path != TEST])
def test_what_was_foretold_comes_true(api, path):
    """Of workers in every state, the same ones refuse, or have nothing to do."""
    for number, state in enumerate(WorkerState):
        api.worker(f"w{number}", state, queues=("default", "plc"))
    body = CHANGES[path]
    if path == "/workers/rename":
        before: dict[str, tuple[str, str]] = {}
        for number in range(len(WorkerState)):
            wish = {"worker": f"w{number}", "name": f"x{number}"}
            before |= foretold(api, path, wish)
            [after] = api.post(path, wish)
            assert {"would": "waiting"}.get(before[f"w{number}"][0], "refused") == after["result"]
        return
    body = {**body, "workers": ["*"]}
    before = foretold(api, path, body)
    after = {one["worker"]: one["result"] for one in api.post(path, body)}
    done = {"waiting", "done"}
    for name, (result, detail) in before.items():
        assert after[name] in {"would": done, "done": done, "refused": {"refused"}}[result], (name, detail)


def test_what_happens_to_the_tasks_there_is_said(api):
    worker = api.worker("w")
    run(api, worker, "read", "write")
    assert foretold(api, "/workers/maintenance", CHANGES["/workers/maintenance"]) == {
        "w": ("would", "takes no new task; 2 tasks go on (scan/read, scan/write)")
    }
    assert foretold(api, "/workers/revoke", CHANGES["/workers/revoke"]) == {
        "w": ("would", "it is cut off at once; 2 tasks are lost (scan/read, scan/write)")
    }
    api.worker("x")
    result, detail = foretold(api, "/workers/rename", CHANGES["/workers/rename"])["w"]
    assert (result, detail) == ("refused", "another worker is called 'x'; choose another name, or remove that one")


def test_all_that_fit_are_meant_without_being_named(api):
    api.worker("a1", WorkerState.MAINTENANCE_MODE)
    api.worker("a2")
    api.worker("b", WorkerState.MAINTENANCE_MODE)
    wish = {"match": {"state": ["maintenance mode"]}}
    assert set(foretold(api, "/workers/maintenance/exit", wish)) == {"a1", "b"}
    assert set(foretold(api, "/workers/restart", {"match": {"name": "a*"}, "workers": ["b"]})) == {"a1", "a2", "b"}
    assert set(foretold(api, "/workers/restart", {"match": {}})) == {"a1", "a2", "b"}
    assert {one["worker"] for one in api.post("/workers/maintenance/exit", wish)} == {"a1", "b"}
    [(_, _, said)] = noted(api)
    assert (json.loads(said["match"]), set(said["workers"])) == ({"state": ["maintenance mode"]}, {"a1", "b"})
    answer = api.call("POST", "/workers/restart", role="op", json={"match": {"name": "nobody*"}})
    assert (answer.status_code, "no worker that fits" in answer.json()["detail"]) == (404, True)
    assert api.call("POST", "/workers/restart", role="op", json={}).status_code == 422


@pytest.mark.parametrize("path", [path for path in OF_WORKERS if path not in {"/workers/rename", TEST}])
def test_one_that_is_gone_does_not_keep_the_others_from_it(api, path):
    state = WorkerState.MAINTENANCE_MODE if path.startswith("/workers/maintenance/") else WorkerState.IDLE
    api.worker("w", state, queues=("default", "plc"))
    body = {**CHANGES[path], "workers": ["gone", "w", "no-*", "gone"]}
    would, done = foretold(api, path, body), {one["worker"]: one for one in api.post(path, body)}
    assert set(would) == set(done) == {"w", "gone", "no-*"}
    for name in ("gone", "no-*"):
        assert would[name] == (done[name]["result"], done[name]["detail"])
        assert (would[name][0], "is not there any more" in would[name][1]) == ("refused", True)
    assert (done["w"]["result"] == "refused") is (path == "/workers/remove")
    [(_, _, said)] = noted(api)
    assert said["workers"]["gone"].startswith("refused: it is not there any more")


def test_where_all_of_several_are_gone_each_is_told(api):
    assert set(foretold(api, "/workers/restart", {"workers": ["a", "b"]})) == {"a", "b"}
    assert set(foretold(api, "/workers/restart", {"workers": ["a"], "match": {"name": "b"}})) == {"a"}


def test_all_that_fit_are_those_whom_one_may_see(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    api.worker("of-red", team="red")
    api.worker("of-blue", team="blue")
    api.worker("nobodys")
    answer = api.call("POST", "/workers/restart", role="blue", json={"match": {}}, params={"dry_run": "true"})
    assert {one["worker"] for one in answer.json()} == {"of-blue", "nobodys"}
    assert api.get("/permissions", "blue") == {
        "read": True,
        "change": True,
        "missing": "",
        "teams": ["blue"],
        "multi_team": True,
        "user": "blue",
    }


def test_who_may_only_look_is_told_what_is_missing(api):
    assert api.get("/permissions", "viewer") == {
        "read": True,
        "change": False,
        "missing": "to edit pools",
        "teams": None,
        "multi_team": False,
        "user": "viewer",
    }
    assert api.get("/permissions", "op")["change"]
