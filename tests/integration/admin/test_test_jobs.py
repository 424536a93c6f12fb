"""A test job as people ask for it, and what they are shown of it."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import Accepted, Ended, LogEnd
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.acts.testing import WITHIN
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs.claims import ClaimedJob
from harness.waiting import wait_for
from tests.integration.admin.test_api import noted
from tests.integration.admin.test_foreseen import foretold
from tests.integration.admin.world import Api
from tests.integration.airflow_here import airflow_command

LINES = [
    {"timestamp": "2026-03-04T05:06:07.000000Z", "level": "info", "event": "Python 3.11.9 on Linux"},
    {
        "timestamp": "2026-03-04T05:06:08.000000Z",
        "level": "error",
        "event": "Callback failed",
        "error_detail": [{"exc_type": "ImportError", "exc_value": "no module\x1b[31m 'x'"}],
    },
]


def claimed(api: Api, worker: Worker) -> ClaimedJob | None:
    """What a gateway with room hands to this worker."""
    now = datetime.now(UTC)
    room = Capacity(worker_id=worker.id, queues=frozenset(), team_name=None, free_slots=1)
    return next(iter(api.store.queue.claim([room], lease_until=now + timedelta(minutes=1), now=now).jobs), None)


def run(api: Api, worker: Worker, job: ClaimedJob, *, exit_code: int = 0, reason: str = "") -> None:
    """Be the worker that runs it, and sends its log."""
    job_id, assignment, now = str(job.id), job.assignment, datetime.now(UTC)
    text = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    chunk = logdata.pack(job_id, assignment, 0, text, logdata.NO_DICTIONARY)
    end = LogEnd(job_id=job_id, assignment=assignment, size=len(text), sha256=hashlib.sha256(text).hexdigest())
    api.store.jobs.settle(worker.id, [Accepted(job_id=job_id, assignment=assignment)], now=now)
    api.store.logs.append(worker.id, chunk, now=now)
    api.store.logs.finish(worker.id, end, now=now)
    ended = Ended(job_id=job_id, assignment=assignment, exit_code=exit_code, reason=reason)
    api.store.jobs.settle(worker.id, [ended], now=now)


def test_it_is_asked_for_followed_and_read(api: Api) -> None:
    api.gateway()
    worker = api.worker("press-7")
    [asked] = api.post("/workers/press-7/test", {})
    assert (asked["worker"], asked["result"], asked["order_id"]) == ("press-7", "waiting", None)
    [again] = api.post("/workers/press-7/test", {})
    assert again["job_id"] == asked["job_id"]
    path = f"/jobs/{asked['job_id']}"
    job = api.get(path)
    assert (job["kind"], job["state"], job["worker"], job["queue"], job["log"]) == ("test", "queued", "press-7", "", [])
    assert job["explanation"]["sentence"].startswith("It waits for worker 'press-7': it has a free slot")
    [listed] = api.get("/jobs", worker="press-7")["items"]
    assert (listed["id"], listed["kind"]) == (asked["job_id"], "test")
    assert api.get("/queues")["items"] == [] or all(one["queued"] == 0 for one in api.get("/queues")["items"])
    assert "test job" in {event for event, _, _ in noted(api)}
    offered = claimed(api, worker)
    assert offered is not None
    run(api, worker, offered, exit_code=1, reason="it failed")
    job = api.get(path)
    assert [step["event"] for step in job["journey"]] == ["queued", "offered", "accepted", "ended"]
    assert (job["state"], job["reason"], job["explanation"], job["task_state"]) == ("failed", "it failed", None, None)
    assert job["log"] == [
        "05:06:07 INFO Python 3.11.9 on Linux",
        "05:06:08 ERROR Callback failed",
        "05:06:08 ERROR ImportError: no module 'x'",
    ]


@pytest.mark.parametrize("state", WorkerState)
def test_what_a_dry_run_says_comes_true_of_a_worker_in_every_state(api: Api, state: WorkerState) -> None:
    api.worker("w", state)
    [(foreseen, detail)] = foretold(api, "/workers/w/test", {}).values()
    assert api.get("/jobs")["total"] == 0
    [outcome] = api.post("/workers/w/test", {})
    assert {"would": "waiting"}.get(foreseen, foreseen) == outcome["result"]
    assert outcome["detail"] == ("" if foreseen == "would" else detail)
    assert api.get("/jobs")["total"] == (1 if foreseen == "would" else 0)


def test_a_pattern_means_no_worker_and_another_teams_worker_is_not_tested(api: Api, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    api.worker("press-7", team="red")
    assert api.call("POST", "/workers/press-*/test", role="op", json={}).status_code == 404
    # It is as if it were not there.
    assert api.call("POST", "/workers/press-7/test", role="blue", json={}).status_code == 404
    assert api.get("/jobs", "admin")["total"] == 0


@pytest.fixture
def typed(api: Api, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    api.gateway()


@pytest.mark.parametrize(("exit_code", "said"), [(0, "went there and back"), (3, "did not end well (failed): broken")])
def test_the_command_waits_and_says_how_it_ended(api: Api, typed: None, exit_code: int, said: str) -> None:
    worker = api.worker("press-7")
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(airflow_command, "edge", "test-worker", "press-7")
        job = wait_for(lambda: claimed(api, worker), "the job", timeout=60, interval=0.05)
        run(api, worker, job, exit_code=exit_code, reason="broken" if exit_code else "")
        done = command.result(timeout=60)
    assert done.status == (1 if exit_code else 0)
    assert said in (done.err if exit_code else done.out)
    assert "05:06:07 INFO Python 3.11.9 on Linux" in done.out
    assert "ended" in done.err
    told = airflow_command("edge", "explain-job", str(job.id))
    assert told.out.startswith("It is a test job of worker 'press-7'. It ")
    assert "(test job)" in airflow_command("edge", "list-jobs").out


def test_the_command_does_not_wait_if_told_so_and_a_refusal_says_what_to_do(api: Api, typed: None) -> None:
    worker = api.worker("press-7")
    done = airflow_command("edge", "test-worker", "press-7", "--no-wait")
    assert (done.status, done.out) == (0, "")
    job_id = UUID(done.err.split()[2])
    told = airflow_command("edge", "explain-job", str(job_id)[:8])
    assert told.out.startswith("It waits for worker 'press-7'")
    api.store.worker_tests.cancel(job_id, "nobody took it", now=datetime.now(UTC) + WITHIN)
    api.store.workers.seen({worker.id: WorkerState.MAINTENANCE_MODE}, {}, now=datetime.now(UTC))
    refused = airflow_command("edge", "test-worker", "press-7")
    assert refused.status == 1
    assert "airflow edge remote-edge-worker-exit-maintenance press-7" in refused.err
    unknown = airflow_command("edge", "test-worker", "nobody")
    assert (unknown.status, "There is no worker 'nobody'" in unknown.err) == (1, True)
    assert [event for event, _, _ in noted(api)] == ["test job"] * 3
