"""A queue is paused and resumed at both doors, and whoever asks is told so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from airflow_edge.rules.matching import Capacity
from tests.integration.admin.test_api import noted
from tests.integration.airflow_here import airflow_command

NOTE = "the line is rebuilt"


def handed_out(api, worker):
    here = Capacity(worker_id=worker.id, queues=frozenset({"plc"}), team_name=None, free_slots=8)
    return api.store.queue.claim(
        [here], lease_until=datetime.now(UTC) + timedelta(minutes=1), now=datetime.now(UTC)
    ).jobs


def test_a_queue_is_paused_seen_explained_and_resumed(api, task):
    worker = api.worker("press-7", queues=("plc",))
    task.hand_over(queue="plc")
    [would] = api.call(
        "POST", "/queues/pause", role="op", json={"queues": ["plc"], "note": NOTE}, params={"dry_run": "true"}
    ).json()
    assert (would["result"], would["detail"]) == (
        "would",
        "none of its jobs is handed out; 1 job waits until it is resumed",
    )
    assert (api.store.queue_pauses.of(None, "plc"), api.audit()) == (None, [])
    [done] = api.post("/queues/pause", {"queues": ["plc"], "note": NOTE})
    assert (done["queue"], done["team_name"], done["result"]) == ("plc", None, "done")
    assert handed_out(api, worker) == []
    shown = api.get("/queues/plc")
    assert (shown["paused"]["note"], shown["paused"]["by"]) == (NOTE, "op")
    assert (shown["attention"]["kind"], shown["attention"]["severity"]) == ("paused queue with waiting jobs", "info")
    assert NOTE in shown["attention"]["sentence"]
    [needed] = [one for one in api.get("/overview")["attention"] if one["queue"] == "plc"]
    assert needed["kind"] == "paused queue with waiting jobs"
    found = task.why()
    assert found.cause == "queue-paused"
    assert found.sentence.endswith(f"by op: {NOTE}. To have it run: airflow edge resume-queue plc")
    [resumed] = api.post("/queues/resume", {"queues": ["plc"]})
    assert resumed["detail"] == "1 job of it is handed out as workers have room"
    [again] = api.post("/queues/resume", {"queues": ["plc"]})
    assert (again["result"], again["detail"]) == ("done", "it is not paused")
    assert len(handed_out(api, worker)) == 1
    assert api.get("/queues/plc")["paused"] is None
    paused, *others = noted(api)
    assert paused == ("pause queue", "op", {"queues": ["plc"], "note": NOTE, "outcome": "done"})
    assert [event for event, _, _ in others] == ["resume queue"] * 2


def test_by_command_it_is_the_same(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    done = airflow_command("edge", "pause-queue", "plc", "gpu", "--note", NOTE, "-o", "json")
    assert (done.status, [row["queue"] for row in json.loads(done.out)]) == (0, ["plc", "gpu"])
    assert {one["queue"]: one["paused"]["note"] for one in api.get("/queues")["items"]} == {"plc": NOTE, "gpu": NOTE}
    rows = json.loads(airflow_command("edge", "list-queues", "-o", "json").out)
    assert all(NOTE in row["paused"] for row in rows)
    assert airflow_command("edge", "resume-queue", "plc", "gpu").status == 0
    assert api.get("/queues")["items"] == []
    assert airflow_command("edge", "pause-queue", "plc").status == 0
    assert [one["paused"]["note"] for one in api.get("/queues")["items"]] == [""]
    assert [event for event, _, _ in noted(api)] == ["pause queue", "resume queue", "pause queue"]


def test_a_queue_of_another_team_is_not_paused(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    for path in ("/queues/pause", "/queues/resume"):
        answer = api.call("POST", path, role="blue", json={"queues": ["plc"], "team": "red"})
        assert (answer.status_code, answer.json()["detail"]) == (403, "It belongs to team 'red', you do not.")
    api.post("/queues/pause", {"queues": ["plc"], "team": "red"}, role="red")
    assert api.get("/queues", "blue")["items"] == []
    assert [one["team_name"] for one in api.get("/queues", "red")["items"]] == ["red"]
    assert [said["outcome"].partition(":")[0] for _, _, said in noted(api)] == ["refused", "refused", "done"]
