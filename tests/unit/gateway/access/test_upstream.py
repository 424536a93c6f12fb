from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from airflow_edge.gateway.access import upstream
from airflow_edge.gateway.access.upstream import UpstreamTasks
from airflow_edge.gateway.database.calls import StoreCalls

VERSION = uuid4()


class Airflow:
    """Which tasks are before others, and how often it was asked."""

    def __init__(self) -> None:
        self.tasks: dict[UUID, tuple[UUID, str] | None] = {}
        self.before: dict[tuple[UUID, str], Collection[str] | Exception] = {}
        self.asked: list[object] = []

    def version_of(self, _: object, task_instance_id: UUID) -> tuple[UUID, str] | None:
        self.asked.append(task_instance_id)
        return self.tasks.get(task_instance_id)

    def upstream_of(self, _: object, version: UUID, task_id: str) -> Collection[str] | None:
        self.asked.append((version, task_id))
        found = self.before.get((version, task_id))
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
async def tasks(airflow: Airflow) -> AsyncIterator[UpstreamTasks]:
    calls = StoreCalls()
    sessions: Callable[[], Any] = sessionmaker(create_engine("sqlite://"))
    yield UpstreamTasks(sessions, calls, airflow.version_of, airflow.upstream_of)
    calls.close()


async def test_each_job_is_asked_for_once_and_each_version_of_a_dag_read_once(airflow, tasks) -> None:
    one, other = uuid4(), uuid4()
    airflow.tasks = {one: (VERSION, "write"), other: (VERSION, "write")}
    airflow.before = {(VERSION, "write"): {"read", "check"}}
    for _ in range(3):
        assert await tasks.of(one) == {"read", "check"}
        assert await tasks.of(other) == {"read", "check"}
    assert airflow.asked == [one, (VERSION, "write"), other]


@pytest.mark.parametrize(
    "trouble", [ValueError("of another version"), OperationalError("select", {}, Exception("gone")), None]
)
async def test_what_cannot_be_known_is_asked_again_later(airflow, tasks, monkeypatch, trouble) -> None:
    job = uuid4()
    airflow.tasks = {job: (VERSION, "write")}
    if trouble is not None:
        airflow.before = {(VERSION, "write"): trouble}
    assert [await tasks.of(job), await tasks.of(job)] == [None, None]
    assert len(airflow.asked) == 2
    airflow.before = {(VERSION, "write"): ["read"]}
    monkeypatch.setattr(upstream, "MOST_UNKNOWN", -1.0)
    assert await tasks.of(job) == ["read"]


async def test_a_task_that_is_gone_is_not_known(airflow, tasks) -> None:
    assert await tasks.of(uuid4()) is None


async def test_only_so_many_are_kept(airflow, tasks, monkeypatch) -> None:
    monkeypatch.setattr(upstream, "MOST_KEPT", 2)
    jobs = [uuid4() for _ in range(3)]
    airflow.tasks = {job: (VERSION, str(number)) for number, job in enumerate(jobs)}
    airflow.before = {(VERSION, str(number)): [] for number in range(3)}
    for job in [*jobs, jobs[2], jobs[0]]:
        assert await tasks.of(job) == []
    assert airflow.asked.count(jobs[2]) == 1
    assert airflow.asked.count(jobs[0]) == 2
