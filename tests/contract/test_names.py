"""Names are compared as Python compares them, whatever a database does by itself: each by its bytes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.overview import JobFilter
from airflow_edge.store.airflow_tables import TASK_INSTANCE, TaskInstanceState
from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.claims import MAX_PER_QUEUE
from airflow_edge.store.store import Store
from tests.contract.world import NOW, capacity, claim, enrolled, new_job, queue, row, token

COMPOSED = "größe"
ALIKE = [
    "plc",
    "PLC",
    "Plc",
    "plc ",
    "plç",
    COMPOSED,
    unicodedata.normalize("NFD", COMPOSED),
    "grösse",
    "grosse",
    "\N{LATIN SMALL LIGATURE FI}",
    "fi",
    "\N{FACTORY}",
    "\N{SLICE OF PIZZA}",
    'p"l\\c',
    "p*c",
    "p?c",
    "[plc]",
    "p_c",
    "p%c",
]
"""Some of them are the same for one database or another."""

Sessions = sessionmaker[Session]


def found(store: Store, **wanted) -> list[str]:
    return sorted(view.worker.name for view in store.fleet.find_workers(WorkerFilter(**wanted), limit=99).items)


def test_each_worker_is_its_own(store: Store) -> None:
    workers = {name: enrolled(store, name=name, queues=[name]) for name in ALIKE}
    assert len({worker.id for worker in workers.values()}) == len(ALIKE)
    for name, worker in workers.items():
        named = store.workers.named(name)
        assert named is not None
        assert (named.id, named.name) == (worker.id, name)
        assert found(store, queue=name) == [name]
    assert found(store, name_pattern="p*") == sorted(name for name in ALIKE if name.startswith("p"))
    assert found(store, name_pattern="P?C") == ["PLC"]
    assert found(store, name_pattern="[plc]") == ["[plc]"]
    assert found(store, name_pattern="\N{FACTORY}?") == []
    assert store.workers.set_disconnect_grace(["Plc", "pLc"], None) == ["pLc"]
    assert store.workers.revoke("PLC", now=NOW)
    assert [name for name in ALIKE if (one := store.workers.named(name)) and one.revoked_at] == ["PLC"]


def test_each_queue_is_its_own(store: Store, sessions: Sessions) -> None:
    jobs = {name: new_job(queue=name) for name in ALIKE}
    queue(sessions, *jobs.values())
    for name, job in jobs.items():
        assert [one.id for one in store.fleet.find_jobs(JobFilter(queue=name), limit=9).items] == [job.id]
    demands = store.fleet.overview().demands
    assert {demand.queue: demand.queued for demand in demands} == dict.fromkeys(ALIKE, 1)
    for name, job in jobs.items():
        assert [one.id for one in claim(store, capacity(uuid4(), name, free_slots=99))] == [job.id]


def test_a_queue_is_not_held_up_by_one_that_is_nearly_called_so(store: Store, sessions: Sessions) -> None:
    others = [new_job(queue=("GPU", "gpu ")[number % 2], priority_weight=9) for number in range(MAX_PER_QUEUE + 1)]
    queue(sessions, job := new_job(queue="gpu"), *others)
    assert [one.id for one in claim(store, capacity(uuid4(), "gpu", free_slots=1))] == [job.id]


@pytest.mark.parametrize("field", ["dag_id", "task_id", "run_id"])
def test_each_task_is_its_own(store: Store, sessions: Sessions, field: str) -> None:
    jobs = {name: new_job(**{field: name}) for name in ALIKE}
    queue(sessions, *jobs.values())
    for name, job in jobs.items():
        wanted: dict[str, Any] = {field: name}
        assert [one.id for one in store.fleet.find_jobs(JobFilter(**wanted), limit=9).items] == [job.id]
        key = {"dag_id": job.dag_id, "run_id": job.run_id, "task_id": job.task_id}
        newest = store.fleet.newest_job(**key, map_index=-1)
        assert newest is not None
        assert newest.id == job.id


def test_each_team_is_its_own(store: Store, sessions: Sessions) -> None:
    queue(sessions, *(new_job(team_name=name) for name in ALIKE))
    for number, name in enumerate(ALIKE):
        store.enroll_tokens.create(token(team_name=name), secret := f"secret {number}")
        store.enroll_tokens.enroll(secret, f"of {name}", name.encode().ljust(32), now=NOW)
        assert found(store, team_name=name) == [f"of {name}"]
        assert [job.team_name for job in store.fleet.find_jobs(JobFilter(team_name=name), limit=99).items] == [name]
        [claimed] = claim(store, capacity(uuid4(), free_slots=99, team_name=name))
        assert row(sessions, claimed.id).team_name == name


@pytest.fixture
def task_instances(sessions: Sessions) -> Callable[..., None]:
    def add(**fields) -> None:
        with sessions.begin() as session:
            session.execute(insert(TASK_INSTANCE).values(id=uuid4(), map_index=-1, try_number=1, **fields))

    return add


def test_a_task_that_was_cleared_is_found_by_its_exact_key(
    sessions: Sessions, task_instances: Callable[..., None]
) -> None:
    job, other = new_job(), new_job(task_id="TÄSK")
    queue(sessions, job, other)
    task_instances(dag_id="dag", task_id="täsk", run_id="run", state="restarting", queued_by_job_id=3)
    with sessions() as session:
        assert outbox.restarting(session, [job.id, other.id]) == {job.workload_id: TaskInstanceState("restarting", 3)}
