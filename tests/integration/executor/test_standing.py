"""A scheduler whose database does not let it hand jobs over: it goes on, and no task is burnt."""

from __future__ import annotations

import logging

import pytest
from airflow import settings
from sqlalchemy import delete

from airflow_edge.executor import standing
from airflow_edge.store.tables import Base, ProcessRow
from tests.integration.executor.world import Centre, Scheduler


@pytest.fixture
def tables(centre: Centre, monkeypatch):
    """Drop and make our tables; there again at the end."""
    monkeypatch.setattr(standing, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(standing, "MARK_INTERVAL", 0.0)
    assert settings.engine is not None
    yield Tables(settings.engine)
    Base.metadata.create_all(settings.engine)


class Tables:
    def __init__(self, engine) -> None:
        self._engine = engine

    def drop(self) -> None:
        Base.metadata.drop_all(self._engine)

    def make(self) -> None:
        Base.metadata.create_all(self._engine)


def test_tasks_stay_scheduled_until_there_are_tables(centre: Centre, tables, caplog) -> None:
    tables.drop()
    with caplog.at_level(logging.ERROR):
        scheduler, dag_id = Scheduler(), centre.run()
        assert [scheduler.step() for _ in range(3)] == [0, 0, 0]
    assert centre.tasks(dag_id) == {"täsk": "scheduled"}
    said = [record for record in caplog.records if "airflow db migrate" in record.getMessage()]
    assert len(said) == 1
    assert not any(record.exc_info for record in said)
    tables.make()
    scheduler.heartbeat()
    assert scheduler.step() == 1
    (job,) = centre.start()
    centre.end(job, "success")
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}


def test_tables_that_go_while_jobs_run_end_no_scheduler(centre: Centre, tables) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    assert scheduler.step() == 1
    tables.drop()
    other = centre.run()
    scheduler.heartbeat()
    assert scheduler.step() == 0
    assert (centre.tasks(dag_id), centre.tasks(other)) == ({"täsk": "queued"}, {"täsk": "scheduled"})
    tables.make()
    scheduler.heartbeat()
    assert scheduler.step() == 1
    assert centre.tasks(other) == {"täsk": "queued"}


def test_what_is_queued_in_the_meantime_becomes_a_job_later(centre: Centre, tables) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.executor._standing.usable = True
    tables.drop()
    # The database failed between Airflow's look at the free slots and the moment in which it queues.
    available = scheduler.executor.slots_available
    scheduler.executor._standing.usable = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scheduler.executor), "slots_available", available)
        assert scheduler.schedule() == 1
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "queued"}
    assert scheduler.executor.slots_occupied == 1
    tables.make()
    scheduler.heartbeat()
    (job,) = centre.start()
    centre.end(job, "success")
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}


def test_jobs_of_a_scheduler_that_is_gone_are_adopted_when_the_database_lets_them_be(centre: Centre, tables) -> None:
    gone, dag_id = Scheduler(), centre.run()
    assert gone.step() == 1
    (job,) = centre.start()
    gone.die()
    heir = Scheduler()
    heir.executor._standing.usable = False
    assert heir.adopt() == 0
    assert centre.tasks(dag_id) == {"täsk": "running"}
    heir.heartbeat()
    assert centre.job(job.id).owner == heir.job.id
    centre.end(job, "success")
    heir.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}


def test_a_scheduler_leaves_a_mark_while_it_runs(centre: Centre, tables) -> None:
    with centre.store.processes._transactions._session_factory() as session:
        session.execute(delete(ProcessRow))
        session.commit()
    scheduler = Scheduler()
    (mark,) = centre.store.processes.all()
    assert (mark.kind, mark.executors, mark.ended_at) == (
        "scheduler",
        "airflow_edge.executor.EdgeExecutor",
        None,
    )
    scheduler.heartbeat()
    (later,) = centre.store.processes.all()
    assert later.seen_at > mark.seen_at
    assert later.started_at == mark.started_at
    scheduler.executor.end()
    (ended,) = centre.store.processes.all()
    assert ended.ended_at is not None
