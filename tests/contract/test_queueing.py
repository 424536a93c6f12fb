"""Whatever puts a job into a queue says so, and into which, where the database can tell."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import closing
from typing import get_args

import pytest
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.gateway.database.listener import Listener
from airflow_edge.protocol.messages import Refused
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.explanation.journey import Undone
from airflow_edge.rules.matching import QueueKey
from airflow_edge.store.queueing import read_queued
from airflow_edge.store.store import Store
from tests.contract.world import NOW, accepted, claim, enrolled, new_job, queue, row
from tests.contract.world import capacity as a_capacity

Sessions = sessionmaker[Session]
QUEUE, SLOTS = 'pl c"; ü', 3
LAST = "that was all"


@pytest.fixture
def heard(sessions: Sessions, store: Store) -> Iterator[Heard]:
    engine = sessions.kw["bind"]
    if engine.dialect.name != "postgresql":
        yield Heard(store, None)
        return
    with closing(Listener(engine)) as listener:
        yield Heard(store, listener)


class Heard:
    """What a gateway hears."""

    def __init__(self, store: Store, listener: Listener | None) -> None:
        self._store = store
        self._listener = listener
        self.tells = listener is not None

    def __call__(self) -> list[str]:
        """Give what was notified since; nothing on a database that cannot."""
        if self._listener is None:
            assert not self._store.queue.notify(LAST)
            return []
        assert self._store.queue.notify(LAST)
        said: list[str] = []
        while LAST not in said:
            assert select.select([self._listener], [], [], 30)[0]
            said += self._listener.listen()
        return said[:-1]

    def expect(self, *queued: tuple[QueueKey, int]) -> None:
        said = self()
        if self._listener is not None:
            assert [read_queued(payload) for payload in said] == [*queued]


@pytest.mark.parametrize("event", ["denied", *get_args(Undone)])
def test_what_is_put_back_is_told_with_the_name_of_its_queue(
    event: str, store: Store, sessions: Sessions, heard: Heard
) -> None:
    worker, _ = enrolled(store, queues=(QUEUE,)), enrolled(store, queues=(QUEUE,))
    waiting = new_job(queue=QUEUE, slots=SLOTS)
    queue(sessions, waiting)
    heard.expect((QueueKey(None, QUEUE), SLOTS))
    (job,) = claim(store, a_capacity(worker.id, QUEUE, free_slots=SLOTS))
    heard.expect()
    match event:
        case "refused" | "denied":
            denied = event == "denied"
            said = Refused(job_id=str(job.id), assignment=job.assignment, reason="no", denied=denied)
            store.jobs.settle(worker.id, [said], now=NOW)
        case "expired":
            assert store.jobs.expire_leases({job.id: job.assignment}, now=NOW) == 1
        case "not begun":
            store.jobs.settle(worker.id, [accepted(job)], now=NOW)
            assert store.job_authority.give_back({job.id: job.assignment}, now=NOW) == 1
        case "taken back":
            assert store.workers.revoke(worker.name, now=NOW)
    assert row(sessions, job.id).state is JobState.QUEUED
    heard.expect((QueueKey(None, QUEUE), SLOTS))


def test_jobs_that_are_alike_are_told_once_in_a_transaction(store: Store, sessions: Sessions, heard: Heard) -> None:
    worker = enrolled(store)
    queue(sessions, *(new_job(slots=slots) for slots in (1, 1, 1, 2)))
    told = [(QueueKey(None, "default"), slots) for slots in (1, 2)]
    heard.expect(*told)
    jobs = sorted(claim(store, a_capacity(worker.id, free_slots=9)), key=lambda job: job.slots)
    said = [Refused(job_id=str(job.id), assignment=job.assignment, reason="no") for job in jobs]
    store.jobs.settle(worker.id, said, now=NOW)
    heard.expect(*told)


def test_a_test_job_which_is_in_no_queue_is_told_without_one(store: Store, sessions: Sessions, heard: Heard) -> None:
    queue(sessions, new_job(kind="test", worker_id=enrolled(store).id))
    assert heard() == (["queued"] if heard.tells else [])
