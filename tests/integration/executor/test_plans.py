"""What is asked of PostgreSQL again and again stays cheap, however many rows there are."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest
from airflow import settings
from airflow.utils.session import create_session
from sqlalchemy import Engine, event, text

from airflow_edge.gateway.gateway import Gateway
from airflow_edge.protocol.messages import Accepted
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.overview import JobFilter
from harness.database import Database, PostgresServer
from tests.integration.executor.world import Centre, Scheduler
from tests.integration.gateway.world import NoTaskApi, config

ROWS: Final = 250_000
"""Beyond what PostgreSQL hashes for one condition with its own settings: there plans change."""

FILL: Final = (
    f"""
    INSERT INTO airflow_edge_job (id, kind, workload_id, dag_id, task_id, run_id, map_index, try_number, queue,
        priority_weight, slots, owner, log_path, workload, state, assignment, worker_id, released, to_stop,
        log_complete, queued_at, started_at, ended_at, booked_at, reason)
    SELECT md5('job' || n)::uuid, 'task', md5('task' || n)::uuid, 'dag' || n % 100, 'task', 'run' || n, -1, 1,
        'default', 1, 1, 1, '', '{{}}', (ARRAY['succeeded', 'failed', 'lost', 'cancelled'])[1 + n % 4], 1,
        md5('worker' || n % 1000)::uuid, false, false, true, now() - n * interval '10 ms', now(), now(), now(), ''
    FROM generate_series(1, {ROWS}) n
    """,
    f"""
    INSERT INTO airflow_edge_call (digest, job_id, content_type, body)
    SELECT md5('call' || n) || md5('job' || n), md5('job' || n)::uuid, '', '' FROM generate_series(1, {ROWS}) n
    """,
    f"""
    INSERT INTO airflow_edge_log (id, path_hash, path, job_id, assignment, worker_id, created_at, changed_at, size,
        sha256_from, complete, revision, loose, merged, object_size, handed_over_at)
    SELECT md5('log' || n)::uuid, md5('path' || n), '', md5('job' || n)::uuid, 1, md5('worker' || n % 1000)::uuid,
        now() - n * interval '10 ms', now(), 1, 0, true, 0, 0, 1, 0, CASE WHEN n % 100 > 0 THEN now() END
    FROM generate_series(1, {ROWS // 5}) n
    """,
    f"""
    INSERT INTO airflow_edge_nonce (digest, expires_at)
    SELECT md5('a' || n) || md5('b' || n), now() + interval '1 hour' FROM generate_series(1, {ROWS // 5}) n
    """,
    f"""
    INSERT INTO airflow_edge_worker_log (worker_id, number, received_at, run, first, answers, size, data)
    SELECT md5('worker' || n % 1000)::uuid, n, now() - n * interval '1 s', '', n, '', 1, ''
    FROM generate_series(1, {ROWS // 5}) n
    """,
    """
    INSERT INTO airflow_edge_worker (id, name, public_key, queues, state, concurrency, enrolled_at, last_seen_at,
        changed_at, version_refused, version_warning, maintenance_comment, system,
        question, answered, answers_there, silent, conditions, warnings)
    SELECT md5('worker' || n)::uuid, 'worker' || n, decode(md5('' || n), 'hex'), '["default"]', 'idle', 8, now(),
        now() - interval '1 hour', now() - interval '1 hour', '', '', '', '{}',
        0, 0, false, false, '', ''
    FROM generate_series(0, 999) n
    """,
)

LARGE: Final = re.compile("airflow_edge_(job|call|log|log_chunk|nonce|worker_log)")

ONCE: Final = "SELECT digest FROM airflow_edge_call WHERE job_id NOT IN (SELECT id FROM airflow_edge_job) LIMIT 1"
"""What each API server once asked each minute: with the plan that it has here it takes hours."""


class Asked(NamedTuple):
    """A statement as it was sent."""

    statement: str
    parameters: Any


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with PostgresServer().running() as server:
        yield server.create("airflow")


def _engine() -> Engine:
    assert settings.engine is not None
    return settings.engine


@pytest.fixture
def large(centre: Centre) -> Centre:
    with create_session() as session:
        for statement in FILL:
            session.execute(text(statement))
    with _engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return centre


@contextmanager
def noted() -> Iterator[list[Asked]]:
    """Note what is asked of the database."""
    asked: list[Asked] = []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        asked.append(Asked(statement, parameters))

    # A gateway has an engine of its own.
    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


class Steps:
    """Takes what a gateway wants repeated, to be done step by step."""

    def __init__(self) -> None:
        self.repeated: list[Callable[[], Awaitable[None]]] = []

    def start(self, _name: str, _loop: Callable[[], Awaitable[None]]) -> None:
        """Leave the endless ones out: what they do is called by itself."""

    def repeat(self, _name: str, _interval: float, *steps: Callable[[], Awaitable[None]]) -> None:
        self.repeated += steps


async def let_the_gateway_work(centre: Centre) -> None:
    """Do once what a gateway does all the time."""
    gateway = Gateway(
        config(metrics_retention=timedelta(days=1), log_retention=timedelta(days=90)),
        settings.NonScopedSession,
        NoTaskApi,
    )
    steps = Steps()
    gateway.background = steps  # type: ignore[assignment]
    gateway._start(_engine())
    now = datetime.now(UTC)
    try:
        # Twice: some look for longer than once before they do anything.
        for step in steps.repeated * 2:
            await step()
    finally:
        for calls in (gateway.calls, gateway._dispatcher_calls):
            await asyncio.to_thread(calls.close)
    store = gateway.store
    store.log_upkeep.tidy(None, clock=lambda: now, stopping=lambda: False)
    store.log_handovers.claim(now=now, until=now)
    store.jobs.unwanted([centre.worker_id])
    store.jobs.not_held({centre.worker_id: []})
    store.jobs.held_by([centre.worker_id])
    store.workers.seen({centre.worker_id: WorkerState.IDLE}, {}, now=now)
    store.orders.waiting([centre.worker_id])


def look_at_the_fleet(centre: Centre) -> None:
    """Ask for what a page shows while it is open."""
    fleet = centre.store.fleet
    now = datetime.now(UTC)
    fleet.overview()
    # The jobs of these tables have all ended just now; mostly it is longer ago.
    fleet.overview(now=now + timedelta(hours=1))
    patience = Patience(silence=timedelta(seconds=15), grace=timedelta(minutes=15))
    fleet.page_of_workers(WorkerFilter(), patience, limit=50, offset=0, now=now)
    fleet.page_of_workers(WorkerFilter(), patience, order="-cpu", limit=50, offset=0, now=now)
    fleet.sheet_of("worker1", patience, now=now)


def let_the_scheduler_work(centre: Centre) -> None:
    scheduler = Scheduler()
    centre.run("a", "b", "c")
    scheduler.step()
    jobs = centre.claim()
    centre.accept(*jobs[:2])
    centre.store.jobs.confirm(centre.worker_id, jobs[0].id, 1, now=datetime.now(UTC))
    centre.store.calls.superseded(jobs[0].id)
    centre.store.jobs.settle(centre.worker_id, [Accepted(job_id=str(jobs[2].id), assignment=1)], now=datetime.now(UTC))
    centre.end(jobs[0], "success")
    for _ in range(3):
        scheduler.executor._next_look_at_ownership = scheduler.executor._next_look_for_unwanted = 0.0
        scheduler.executor._next_look_for_orphans = scheduler.executor._next_keep_alive = 0.0
        scheduler.heartbeat()


async def test_what_is_asked_again_and_again_reads_no_large_table_from_end_to_end(large: Centre) -> None:
    with noted() as asked:
        let_the_scheduler_work(large)
        await let_the_gateway_work(large)
        look_at_the_fleet(large)
    ours = {one.statement: one for one in asked if "airflow_edge_" in one.statement and not _is_insert(one.statement)}
    assert len(ours) > 40
    found = [f"{problem}: {statement}" for statement, one in ours.items() if (problem := _problem(one))]
    assert not found, "\n\n".join(found)
    assert _problem(Asked(ONCE, ())) is not None


async def test_the_workload_is_read_to_be_handed_out_and_for_nothing_else(centre: Centre) -> None:
    with noted() as asked:
        let_the_scheduler_work(centre)
        await let_the_gateway_work(centre)
        look_at_the_fleet(centre)
        centre.store.fleet.find_jobs(JobFilter(), limit=50, offset=0)
    workload, path = "airflow_edge_job.workload,", "airflow_edge_job.log_path,"
    # Whole rows are read by the test itself.
    readers = {one.statement for one in asked if (workload in one.statement) is not (path in one.statement)}
    assert [("SKIP LOCKED" in one, workload in one) for one in readers] == [(True, True)]


def _is_insert(statement: str) -> bool:
    return statement.lstrip().startswith("INSERT")


def _problem(one: Asked) -> str | None:
    """Say what is bad about a statement's plan."""
    with _engine().connect() as connection:
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {one.statement}", one.parameters).scalar()
    assert found is not None
    (plan,) = found
    for node, parent in _nodes(plan["Plan"], None):
        table = node.get("Relation Name", "")
        if node["Node Type"] == "Seq Scan" and LARGE.fullmatch(table):
            return f"reads {table} from end to end"
        if node.get("Parent Relationship") == "SubPlan" and LARGE.search(json.dumps(node)):
            hashed = f"hashed {node.get('Subplan Name')}" in json.dumps(parent)
            if not hashed and not node["Node Type"].startswith("Index"):
                return f"reads {table} anew for each row"
    return None


def _nodes(node: dict[str, Any], parent: dict[str, Any] | None) -> Iterator[tuple[dict[str, Any], Any]]:
    yield node, parent
    for child in node.get("Plans", ()):
        yield from _nodes(child, node)
