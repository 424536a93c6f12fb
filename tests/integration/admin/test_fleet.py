from __future__ import annotations

import re
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event, insert, update

from airflow_edge.admin.tokens import verify_key
from airflow_edge.protocol.messages import Accepted, Ended, Metrics
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.closing import CLOSED, Closure, write_closures
from airflow_edge.rules.matching import Capacity
from airflow_edge.rules.metrics import Recorder, minute_of
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import OtherInstance
from airflow_edge.store.tables import JobRow, WorkerRow
from tests.integration.admin.test_unchanged import ask

LARGE = 5_000


@contextmanager
def statements():
    """Note what routes of the REST API ask of the database."""
    asked = []

    def note(_connection, _cursor, statement, *_):
        # The gateway in this process asks, too, and Airflow whether the token was revoked.
        files = {frame.f_code.co_filename for frame, _ in traceback.walk_stack(None)}
        if "airflow_edge" in statement and any("/admin/rest/" in file for file in files):
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def now():
    return datetime.now(UTC)


def offer(api, worker, *queues, free_slots=8, team_name=None):
    capacity = Capacity(
        worker_id=worker.id, queues=frozenset(queues or ("default",)), team_name=team_name, free_slots=free_slots
    )
    return api.store.queue.claim([capacity], lease_until=now() + timedelta(seconds=10), now=now()).jobs


def run(api, worker, *queues, **options):
    """Hand out and accept what waits."""
    jobs = offer(api, worker, *queues, **options)
    accepted = [Accepted(job_id=str(job.id), assignment=job.assignment) for job in jobs]
    api.store.jobs.settle(worker.id, accepted, now=now())
    return jobs


def silence(api, worker, minutes=9):
    """Have a worker out of reach, as a gateway notes it."""
    api.store.workers.seen({worker.id: WorkerState.UNKNOWN}, {}, now=now() - timedelta(minutes=minutes))


def test_an_empty_fleet_needs_nobody(api):
    found = api.get("/overview")
    assert set(found["workers"].values()) == {0}
    assert (found["slots"], found["attention"]) == ({"total": 0, "taken": 0, "free": 0}, [])
    assert found["jobs"] == {"queued": 0, "running": 0, "oldest_queued_at": None, "oldest_queue": None}


def test_the_fleet_at_a_glance(api):
    busy = api.worker("busy", concurrency=3)
    api.worker("idle", queues=("plc",))
    api.worker("resting", WorkerState.MAINTENANCE_MODE)
    api.worker("leaving", WorkerState.TERMINATING)
    away = api.worker("away")
    silence(api, away)
    api.store.enroll_tokens.enroll_trusted("new", b"n" * 32, ("default",), now=now())
    held = api.worker("held")
    api.store.workers.seen({held.id: WorkerState.IDLE}, {held.id: {"conditions": "the disk is full"}}, now=now())
    api.worker("gone")
    api.store.workers.revoke("gone", now=now())
    api.queue(slots=2)
    run(api, busy)
    oldest = api.queue(queue="gpu")
    api.queue(queue="gpu")
    found = api.get("/overview")
    assert found["workers"] == {
        "total": 7,
        "well": 2,
        "busy": 1,
        "maintenance": 1,
        "draining": 1,
        "held_back": 1,
        "starting": 0,
        "out_of_reach": 1,
        "offline": 0,
        "never_linked": 1,
        "revoked": 1,
    }
    assert found["slots"] == {"total": 43, "taken": 2, "free": 9}
    assert (found["jobs"]["queued"], found["jobs"]["running"], found["jobs"]["oldest_queue"]) == (2, 1, "gpu")
    queued_at = {job["id"]: job["queued_at"] for job in api.get("/jobs")["items"]}
    assert found["jobs"]["oldest_queued_at"] == queued_at[str(oldest)]
    kinds = [(one["kind"], one["severity"], one["count"], one["action"]["view"]) for one in found["attention"]]
    assert kinds == [
        ("queue nobody serves", "error", 2, "add"),
        ("held back", "warning", 1, "worker"),
        ("out of reach", "warning", 1, "worker"),
    ]
    assert found["attention"][0]["command"] == "airflow edge enroll-token create --queues gpu"
    seen = datetime.fromisoformat(found["out_of_reach_since"])
    assert seen == datetime.fromisoformat(found["attention"][2]["since"]) < now() - timedelta(minutes=8)


def test_time_alone_changes_nothing_that_is_shown(api):
    worker = api.worker("w")
    api.queue(dag_id="etl")
    run(api, worker)
    before = {path: ask(api, path).headers["ETag"] for path in ("/overview", "/workers", "/queues")}
    # It is heard of again, and its load is another one.
    api.store.workers.seen({worker.id: WorkerState.IDLE}, {worker.id: {"load": 0.1, "cpus": 4}}, now=now())
    first = {path: ask(api, path).headers["ETag"] for path in before}
    api.store.workers.seen({worker.id: WorkerState.IDLE}, {worker.id: {"load": 0.7, "cpus": 4}}, now=now())
    for path, tag in first.items():
        assert ask(api, path, tag).status_code == 304, path
    assert first["/overview"] == before["/overview"]
    [item] = api.get("/workers")["items"]
    assert (item["last_seen_at"], item["system"]) == (None, {"cpus": 4})
    alone = api.get("/workers/w")
    assert alone["last_seen_at"] is not None
    assert alone["system"] == {"cpus": 4, "load": 0.7}


def test_a_worker_with_all_there_is_to_show(api):
    worker = api.worker("w", concurrency=9, host_name="press", address="192.0.2.7", instance=uuid4())
    for number in range(7):
        api.queue(dag_id="etl", task_id=f"t{number}", map_index=number)
        run(api, worker)
    order = api.store.orders.give(worker.id, Wish("restart"), by="op", now=now())
    assert order is not None
    recorder, minute = Recorder(worker.id), minute_of(now().timestamp())
    for ago in (3, 2):
        recorder.add(Metrics(cpu_percent=10.0 * ago, memory_percent=50.0, disk_free=2.0**30), 7, minute - ago)
    chunk = recorder.due(minute)
    assert chunk is not None
    api.store.metrics.write([chunk])
    for found in (api.get("/workers")["items"][0], api.get("/workers/w")):
        assert (found["link"], found["stance"], found["load"]) == ("linked", "taking jobs", "busy")
        assert (found["jobs"], [task["task_id"] for task in found["tasks"]]) == (7, ["t0", "t1", "t2", "t3", "t4"])
        assert found["tasks"][3] | {"job_id": "", "started_at": ""} == {
            "job_id": "",
            "kind": "task",
            "dag_id": "etl",
            "run_id": "run",
            "task_id": "t3",
            "map_index": 3,
            "try_number": 1,
            "state": "running",
            "started_at": "",
        }
        assert found["order_waiting"] == {
            "kind": "restart",
            "asked_by": "op",
            "asked_at": order.asked_at.isoformat().replace("+00:00", "Z"),
        }
        # A minute may have begun meanwhile.
        known = [value for value in found["spark"]["cpu_percent"] if value is not None]
        assert (len(found["spark"]["cpu_percent"]), known) == (15, [30, 20])
        assert found["latest"] == {"cpu_percent": 20, "memory_percent": 50, "disk_free": 2**30}
    alone = api.get("/workers/w")
    assert re.fullmatch(r"([0-9a-f]{4}:){7}[0-9a-f]{4}", alone["fingerprint"])
    assert alone["instance"] == str(api.store.workers.named("w").instance)
    assert (alone["allowed_queues"], alone["asked_queues"], alone["added_queues"]) == (["default"], None, [])
    assert (alone["enrolled_by"], alone["enroll_token_id"]) == (None, None)
    assert api.get("/workers", limit=201)["items"][0]["spark"] is None


def test_queues_that_an_owner_has_closed_are_told_of_at_the_worker_and_where_jobs_wait(api):
    worker = api.worker("w")
    shut = Closure("by its owner's site policy (/p.toml on that machine): until Mon 06:00 CET", for_good=False)
    said = {worker.id: {CLOSED: write_closures({"default": shut})}}
    api.store.workers.seen({worker.id: WorkerState.IDLE}, said, now=now())
    api.queue()
    for found in (api.get("/workers", attention="closed queues")["items"][0], api.get("/workers/w")):
        [remark] = found["attention"]
        assert (remark["kind"], remark["why"]) == ("closed queues", f"'default' is closed {shut.reason}")
    queue = api.get("/queues/default")
    assert (queue["ready_workers"], queue["free_slots"], queue["unready"]["closed"]) == (0, 0, 1)
    assert (queue["attention"]["severity"], queue["attention"]["why"]) == ("info", f"closed {shut.reason}")
    [entry] = api.get("/overview")["attention"]
    assert (entry["kind"], entry["queue"]) == ("queue without ready worker", "default")


def test_who_made_its_token_is_known_of_a_worker(api):
    made = api.post("/enroll-tokens", {"queues": ["default"], "api_url": "https://a.example"}, role="admin")
    api.store.enroll_tokens.enroll(verify_key(made["token"]), "w", b"k" * 32, now=now())
    alone = api.get("/workers/w")
    assert (alone["enrolled_by"], alone["enroll_token_id"]) == ("admin", made["id"])


def test_jobs_of_a_worker_out_of_reach_are_waited_for(api):
    worker = api.worker("w", concurrency=9)
    for _ in range(6):
        api.queue()
        run(api, worker)
    silence(api, worker, minutes=2)
    [item] = api.get("/workers")["items"]
    assert (item["link"], item["attention"][0]["severity"]) == ("out of reach", "error")
    lost = datetime.fromisoformat(item["running_jobs_lost_after"])
    assert lost > datetime.fromisoformat(item["last_seen_at"])
    assert item["unreachable_since"] == item["last_seen_at"]
    # As the command says it, which asks the database otherwise.
    from airflow_edge.admin.config import read_patience

    awaited = api.store.jobs.awaited(read_patience(), now=now())
    assert (awaited[worker.id].jobs, awaited[worker.id].first_lost_after) == (6, lost)
    [entry] = [one for one in api.get("/overview")["attention"] if one["kind"] == "out of reach"]
    assert entry["sentence"] == "Worker 'w' is out of reach with 6 jobs."
    assert f"count as lost {lost:%Y-%m-%d %H:%M} UTC" in entry["why"]
    assert entry["why"] == item["attention"][0]["why"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"search": "HALL"}, ["a-1"]),
        ({"search": "a-?"}, ["a-1", "a-2"]),
        ({"link": "out of reach"}, ["a-2"]),
        ({"link": ["out of reach", "linked"], "order_by": "-link"}, ["a-2", "a-1", "b"]),
        ({"stance": "maintenance"}, ["b"]),
        ({"load": "busy"}, ["a-1"]),
        ({"attention": "out of reach"}, ["a-2"]),
        ({"order_by": "-load", "limit": 1}, ["a-1"]),
        ({"order_by": "-cpu"}, ["a-2", "a-1", "b"]),
        ({"order_by": "cpu", "offset": 1, "limit": 1}, ["a-2"]),
    ],
)
def test_workers_by_what_is_seen_of_them(api, query, names):
    first = api.worker("a-1", host_name="Hall 7")
    second = api.worker("a-2")
    silence(api, second)
    api.worker("b", WorkerState.MAINTENANCE_MODE)
    api.queue()
    run(api, first)
    minute = minute_of(now().timestamp())
    for worker, percent in ((first, 10.0), (second, 90.0)):
        recorder = Recorder(worker.id)
        recorder.add(Metrics(cpu_percent=percent), 0, minute - 2)
        chunk = recorder.due(minute)
        assert chunk is not None
        api.store.metrics.write([chunk])
    assert [item["name"] for item in api.get("/workers", **query)["items"]] == names


def test_a_queue_with_who_serves_it_and_how_fast(api):
    worker = api.worker("w", concurrency=4)
    api.worker("resting", WorkerState.MAINTENANCE_MODE)
    for _ in range(3):
        api.queue()
    jobs = run(api, worker, free_slots=2)
    ended = Ended(job_id=str(jobs[0].id), assignment=1, exit_code=0)
    api.store.jobs.settle(worker.id, [ended], now=now())
    long_ago(api, minutes=2)
    found = api.get("/queues/default")
    assert (found["queued"], found["running"], found["in_rate"], found["out_rate"]) == (1, 1, 0.6, 0.2)
    assert (found["workers"], found["ready_workers"], found["free_slots"], found["slots"]) == (2, 1, 3, 4)
    assert found["served_by"] == [
        {"worker": "w", "link": "linked", "stance": "taking jobs", "free_slots": 3},
        {"worker": "resting", "link": "linked", "stance": "maintenance", "free_slots": 0},
    ]
    assert found["unready"] == {
        "maintenance": 1,
        "out_of_reach": 0,
        "held_back": 0,
        "closed": 0,
        "starting": 0,
        "draining": 0,
        "offline": 0,
    }
    assert (found["paused"], found["attention"]) == (None, None)
    assert api.get("/queues", search="DEF") == {"items": [found], "total": 1}
    missing = api.call("GET", "/queues/none")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_queues_that_need_somebody_are_found(api):
    api.worker("w", queues=("a/b",))
    api.queue(queue="gpu")
    assert [one["queue"] for one in api.get("/queues", order_by="-queued")["items"]] == ["gpu", "a/b"]
    page = api.get("/queues", attention="queue nobody serves")
    assert (page["total"], page["items"][0]["queue"]) == (1, "gpu")
    assert page["items"][0]["attention"]["command"] == "airflow edge enroll-token create --queues gpu"
    assert api.get("/queues/a/b")["workers"] == 1


def test_where_no_gateway_is_alive_the_first_view_says_that(api, monkeypatch):
    for name in ("a", "b"):
        silence(api, api.worker(name))
    api.queue()
    assert {one["kind"] for one in api.get("/overview")["attention"]} == {"out of reach", "queue without ready worker"}
    # The API of these tests is one with a gateway, which leaves a mark now and then: none counts as alive from here on.
    monkeypatch.setattr("airflow_edge.rules.processes.ALIVE_FOR", timedelta(days=-1))
    [entry] = api.get("/overview")["attention"]
    assert (entry["kind"], entry["severity"], entry["count"]) == ("no gateway is alive", "error", 2)
    assert abs(now() - datetime.fromisoformat(entry["since"])) < timedelta(minutes=1)


def test_a_copied_key_is_seen_at_a_glance(api):
    worker = api.worker("w")
    api.store.instances.note_other(
        worker.id, OtherInstance(instance="i", host_name="copy", address="192.0.2.8", last_tried_at=now())
    )
    [entry] = api.get("/overview")["attention"]
    assert (entry["kind"], entry["severity"], entry["workers"]) == ("copied key", "error", ["w"])
    assert "'copy' at 192.0.2.8 is refused, last " in entry["why"]


def test_however_many_workers_there_are_a_look_is_a_few_statements(api):
    fill(api)
    with statements() as asked:
        took = {"/overview": timed(api, "/overview", 100)}
        assert len(asked) == 2, asked
        asked.clear()
        took["/workers"] = timed(api, "/workers", 100)
        assert len(asked) == 3, asked
        asked.clear()
        timed(api, "/queues", 100)
        assert len(asked) == 2, asked
    found = api.get("/overview")
    assert (found["workers"]["total"], found["workers"]["out_of_reach"]) == (LARGE, LARGE // 10)
    assert api.get("/workers", link="out of reach", limit=3)["total"] == LARGE // 10
    # A tenth of that is usual; what grows with the square of the workers is slower by far.
    assert max(took.values()) < 3.0, took


def timed(api, path, limit):
    # Of this process, whoever else is at work on the machine.
    started = time.process_time()
    api.get(path, **({} if path == "/overview" else {"limit": limit}))
    return time.process_time() - started


def fill(api):
    rows = [
        {
            "id": UUID(int=number + 1),
            "name": f"plant-{number % 50}-machine-{number}",
            "public_key": number.to_bytes(32),
            "queues": [f"queue-{number % 20}", "default"],
            "state": WorkerState.RUNNING,
            "silent": number % 10 == 0,
            "concurrency": 8,
            "enrolled_at": now(),
            "last_seen_at": now(),
            "linked_at": now(),
            "changed_at": now(),
            "link_id": uuid4(),
            "system": {"cpus": 4},
        }
        for number in range(LARGE)
    ]
    with api.sessions() as session:
        session.execute(insert(WorkerRow), rows)
        session.commit()


def long_ago(api, minutes):
    """Have what was queued and ended have been so some minutes ago."""
    then = now() - timedelta(minutes=minutes)
    with api.sessions() as session:
        session.execute(update(JobRow).values(queued_at=then))
        session.execute(update(JobRow).where(JobRow.ended_at.is_not(None)).values(ended_at=then))
        session.commit()


def test_a_job_with_its_way_and_why_it_waits(api):
    worker = api.worker("w")
    job_id = api.queue(dag_id="etl", task_id="scan")
    # The gateway in this process does so each minute, at any point of this test.
    assert api.store.orphaned_jobs.finish(now=now(), limit=10) == 0
    found = api.get(f"/jobs/{job_id}")
    assert [step["event"] for step in found["journey"]] == ["queued"]
    # Airflow has no such task, which is the reason that is known.
    assert found["explanation"]["cause"] == "no-such-task"
    assert found["offered_at"] is None
    [job] = run(api, worker)
    running = api.get(f"/jobs/{job_id}")
    assert [(step["event"], step["worker"], step["assignment"]) for step in running["journey"]] == [
        ("queued", None, None),
        ("offered", "w", 1),
        ("accepted", "w", 1),
    ]
    api.store.jobs.settle(worker.id, [Ended(job_id=str(job.id), assignment=1, exit_code=3)], now=now())
    over = api.get(f"/jobs/{job_id}")
    assert api.store.orphaned_jobs.finish(now=now(), limit=10) == 0
    assert (over["journey"][-1]["text"], over["explanation"]) == (
        "failed: its process ended with exit status 3",
        None,
    )
    [listed] = api.get("/jobs", search="SCA")["items"]
    assert listed["offered_at"] == over["journey"][1]["at"]
    assert api.get("/jobs", search="nothing")["total"] == 0


def test_what_has_happened_to_a_worker_with_who_wanted_it(api):
    api.worker("w")
    api.post("/workers/maintenance", {"workers": ["w"], "comment": "new disk"})
    page = api.get("/workers/w/events")
    assert page["total"] == 3
    assert [(one["kind"], one["text"], one["by"]) for one in page["items"]] == [
        ("maintenance", "new disk", "op"),
        ("linked", "an unknown machine, agent 1", None),
        ("enrolled", "for default", None),
    ]
    rest = api.get("/workers/w/events", before=page["items"][0]["id"], limit=1)
    assert ([one["kind"] for one in rest["items"]], rest["total"]) == (["linked"], 3)
