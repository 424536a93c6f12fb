from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.fleet.queues import queues
from airflow_edge.rules.overview import JobFilter
from airflow_edge.rules.processes import CentreProcess, GatewaySigns, ProcessKind
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, capacity, claim, ended, enrolled, facts, new_job, queue, token

MINUTE = timedelta(minutes=1)


def linked(store, name, queues=("default",), concurrency=8, state=WorkerState.IDLE):
    worker = enrolled(store, name=name, queues=queues)
    store.workers.link({worker.id: facts(concurrency=concurrency, state=state)}, now=NOW)
    return worker


def names(store, limit=10, offset=0, order="name", **wanted):
    page = store.fleet.find_workers(WorkerFilter(**wanted), order=order, limit=limit, offset=offset)
    return [view.worker.name for view in page.items], page.total


def test_workers_by_name_state_and_queue_in_pages(store: Store) -> None:
    linked(store, "a_1", queues=("plc", "ä"))
    linked(store, "a-2", queues=("x", "plc"), state=WorkerState.MAINTENANCE_MODE)
    linked(store, "b%", queues=('x, "plc"', "plc2"))
    revoked = linked(store, "c", queues=("plc",))
    store.workers.revoke(revoked.name, now=NOW)
    assert names(store) == (["a-2", "a_1", "b%", "c"], 4)
    assert names(store, limit=2, offset=1) == (["a_1", "b%"], 4)
    assert names(store, order="-name", limit=1) == (["c"], 4)
    assert names(store, name_pattern="a?1") == (["a_1"], 1)
    assert names(store, name_pattern="a_*") == (["a_1"], 1)
    assert names(store, name_pattern="b%") == (["b%"], 1)
    assert names(store, queue="plc") == (["a-2", "a_1", "c"], 3)
    assert names(store, queue="plc", revoked=False) == (["a-2", "a_1"], 2)
    assert names(store, queue="ä") == (["a_1"], 1)
    assert names(store, queue='x, "plc"') == (["b%"], 1)
    assert names(store, queue="pl_") == ([], 0)
    assert names(store, states=frozenset({WorkerState.MAINTENANCE_MODE})) == (["a-2"], 1)
    with pytest.raises(KeyError):
        names(store, order="password")


def test_a_worker_is_found_by_the_queues_that_it_serves(store: Store) -> None:
    all_of_them, narrowed = enrolled(store, name="all", queues=("a", "b")), enrolled(store, name="b", queues=("a", "b"))
    store.workers.link({all_of_them.id: facts()}, now=NOW)
    store.workers.link({narrowed.id: facts(asked_queues=("b",))}, now=NOW)

    def found(queue: str) -> list[str]:
        page = store.fleet.find_workers(WorkerFilter(queue=queue), limit=10)
        for view in page.items:
            assert queue in view.worker.served_queues
        return [view.worker.name for view in page.items]

    assert (found("a"), found("b"), found("c")) == (["all"], ["all", "b"], [])
    store.workers.change_queues(narrowed.id, add=["c", "a"], now=NOW)
    assert (found("a"), found("c")) == (["all", "b"], ["b"])
    store.workers.change_queues(narrowed.id, remove=["a"], now=NOW)
    assert found("a") == ["all"]


def test_workers_and_jobs_of_one_team(store: Store, sessions) -> None:
    linked(store, "nobodys")
    for team in ("red", "blue"):
        store.enroll_tokens.create(token(team_name=team), team)
        store.enroll_tokens.enroll(team, f"of-{team}", team.encode().ljust(32), now=NOW)
        queue(sessions, new_job(team_name=team, dag_id=team))
    queue(sessions, new_job())
    assert names(store, team_name="red") == (["of-red"], 1)
    assert [job.dag_id for job in store.fleet.find_jobs(JobFilter(team_name="blue"), limit=10).items] == ["blue"]


def test_a_worker_is_shown_with_what_it_has_taken(store: Store, sessions) -> None:
    worker = linked(store, "w", concurrency=5)
    queue(sessions, new_job(slots=2), new_job(), new_job())
    jobs = claim(store, capacity(worker.id, free_slots=5))
    store.jobs.settle(worker.id, [accepted(job) for job in jobs], now=NOW)
    [view] = store.fleet.find_workers(WorkerFilter(), limit=10).items
    assert (view.taken_slots, view.jobs, view.free_slots) == (4, 3, 1)
    assert store.fleet.oldest_start([worker.id]) == {worker.id: NOW}
    store.jobs.settle(worker.id, [ended(job) for job in jobs], now=NOW)
    [view] = store.fleet.find_workers(WorkerFilter(), limit=10).items
    assert (view.taken_slots, view.jobs, view.free_slots) == (0, 0, 5)
    assert store.fleet.oldest_start([worker.id]) == {}


def test_jobs_by_what_they_are_and_where_they_run(store: Store, sessions) -> None:
    worker = linked(store, "w")
    first = new_job(dag_id="etl", run_id="r1", priority_weight=9, map_index=4)
    second = new_job(dag_id="etl", run_id="r2")
    third = new_job(dag_id="ml", queue="gpu")
    for seconds, job in enumerate((first, second, third)):
        queue(sessions, job, now=NOW + timedelta(seconds=seconds))
    [claimed] = claim(store, capacity(worker.id))
    assert claimed.id == first.id

    def found(order="-queued_at", **wanted):
        page = store.fleet.find_jobs(JobFilter(**wanted), order=order, limit=10)
        assert page.total == len(page.items)
        return [job.id for job in page.items]

    assert found() == [third.id, second.id, first.id]
    assert found(order="queued_at") == [first.id, second.id, third.id]
    assert found(dag_id="etl", run_id="r1") == [first.id]
    assert found(queue="gpu") == [third.id]
    assert (found(map_index=4), found(map_index=-1)) == ([first.id], [third.id, second.id])
    assert found(worker="w") == [first.id]
    assert found(states=frozenset({JobState.QUEUED})) == [third.id, second.id]
    [leased] = store.fleet.find_jobs(JobFilter(worker="w"), limit=1).items
    assert (leased.state, leased.worker, leased.assignment) == (JobState.LEASED, "w", 1)


def test_the_newest_job_of_a_task_and_who_is_due_before_it(store: Store, sessions) -> None:
    old, new = new_job(), new_job()
    queue(sessions, old)
    queue(sessions, new, now=NOW + timedelta(seconds=9))
    found = store.fleet.newest_job(new.dag_id, new.run_id, new.task_id, -1)
    assert found is not None
    assert (found.id, found.worker) == (new.id, "")
    assert store.fleet.newest_job(new.dag_id, new.run_id, new.task_id, 3) is None
    queue(sessions, new_job(priority_weight=5), now=NOW + timedelta(seconds=99))
    queue(sessions, new_job(priority_weight=5, queue="other"), new_job(team_name="red", priority_weight=5))
    queue(sessions, new_job(), now=NOW + timedelta(seconds=99))
    assert store.fleet.ahead_of(found) == (2, 1)


def test_queues_with_their_demand_and_who_serves_them(store: Store, sessions) -> None:
    ready = linked(store, "ready", queues=("default", "idle"), concurrency=3)
    linked(store, "away", queues=("default",), state=WorkerState.MAINTENANCE_MODE)
    queue(sessions, new_job(), new_job(), new_job(queue="nobody"))
    queue(sessions, new_job(team_name="red"), now=NOW + timedelta(seconds=1))
    claim(store, capacity(ready.id))
    workers, demands, _ = store.fleet.overview()
    seen = {
        (view.team_name, view.queue): (view.queued, view.running, view.workers, view.ready_workers, view.free_slots)
        for view in queues(demands, workers)
    }
    assert seen == {
        (None, "default"): (1, 1, 2, 1, 2),
        (None, "idle"): (0, 0, 1, 1, 2),
        (None, "nobody"): (1, 0, 0, 0, 0),
        ("red", "default"): (1, 0, 0, 0, 0),
    }
    oldest = {demand.queue: demand.oldest_queued_at for demand in demands if demand.team_name is None}
    assert oldest == {"default": NOW, "nobody": NOW}


def test_when_gateways_were_there_last(store: Store) -> None:
    def mark(kind: ProcessKind, minutes: int) -> CentreProcess:
        seen = NOW + minutes * MINUTE
        process = CentreProcess(
            id=uuid4(), kind=kind, host="vm", pid=7, version="1", executors="", started_at=NOW, seen_at=seen
        )
        store.processes.mark(process)
        return process

    def signs() -> GatewaySigns:
        found = store.fleet.overview(teams=["red"]).gateways
        assert found == store.fleet.overview(now=NOW).gateways
        return found

    assert signs() == GatewaySigns(alive_at=None, seen_at=None)
    mark("scheduler", 9)
    assert signs() == GatewaySigns(alive_at=None, seen_at=None)
    gateways = [mark("gateway", 1), mark("gateway", 3)]
    assert signs() == GatewaySigns(alive_at=NOW + 3 * MINUTE, seen_at=NOW + 3 * MINUTE)
    store.processes.ended(gateways[1].id, now=NOW + 4 * MINUTE)
    assert signs() == GatewaySigns(alive_at=NOW + MINUTE, seen_at=NOW + 4 * MINUTE)
    store.processes.ended(gateways[0].id, now=NOW + 2 * MINUTE)
    assert signs() == GatewaySigns(alive_at=None, seen_at=NOW + 4 * MINUTE)


def test_the_newest_jobs_are_read_from_an_index(store: Store, sessions) -> None:
    """However many there are: a database that has to sort them reads all."""
    engine = sessions.kw["bind"]
    jobs = [new_job() for _ in range(2_000)]
    for start in range(0, len(jobs), 100):
        queue(sessions, *jobs[start : start + 100], now=NOW + start * MINUTE)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("ANALYZE" + (" TABLE airflow_edge_job" if engine.dialect.name == "mysql" else ""))
    asked: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        for order in ("queued_at", "-queued_at"):
            page = store.fleet.find_jobs(JobFilter(), order=order, limit=20, offset=40)
            assert (len(page.items), page.total) == (20, 2_000)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    sorting = [(statement, parameters) for statement, parameters in asked if "ORDER BY" in statement]
    assert len(sorting) == 2
    with engine.connect() as connection:
        for statement, parameters in sorting:
            plan = str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())
            assert "ix_airflow_edge_job_queued_at" in plan, plan
            assert not re.search("TEMP B-TREE|Sort|filesort", plan), plan
