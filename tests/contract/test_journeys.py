"""Jobs between two workers, when messages come twice, late, in any order or never."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.messages import Accepted, Ended, Refused, Released
from airflow_edge.protocol.states import JOB_ENDED, JOB_HELD, JobState
from airflow_edge.rules.reports import Reading, Report
from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.claims import ClaimedJob
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow
from tests.contract.world import NOW, capacity, claim, new_job, queue

WORKERS = (UUID(int=1), UUID(int=2))
workers = st.sampled_from(WORKERS)


def _reports(job: ClaimedJob) -> st.SearchStrategy[Report]:
    this: dict[str, Any] = {"job_id": str(job.id), "assignment": job.assignment}
    return st.one_of(
        st.just(Accepted(**this)),
        st.just(Released(**this)),
        st.just(Refused(**this, reason="full")),
        st.builds(lambda code: Ended(**this, exit_code=code), st.integers(0, 2)),
    )


@pytest.mark.hypothesis
def test_whatever_happens_a_job_has_one_holder_and_one_end(sessions: sessionmaker[Session], store: Store) -> None:
    class Journeys(RuleBasedStateMachine):
        offers: Bundle[ClaimedJob] = Bundle("offers")

        def __init__(self) -> None:
            super().__init__()
            self.now = NOW
            # Among equals the smaller id comes first: an example has to have the same ones each time.
            self.ids = (UUID(int=number) for number in count(1))
            self.made: set[UUID] = set()
            self.offered: dict[tuple[UUID, int], UUID] = {}
            self.seen: dict[UUID, tuple[int, JobState]] = {}
            with sessions.begin() as session:
                session.query(JobRow).delete()

        @rule(slots=st.integers(1, 2), priority=st.integers(1, 2))
        def queue_one(self, slots: int, priority: int) -> None:
            job = new_job(id=next(self.ids), slots=slots, priority_weight=priority)
            queue(sessions, job, now=self.now)
            self.made.add(job.id)

        @rule(target=offers, free=st.tuples(st.integers(0, 3), st.integers(0, 3)))
        def hand_out(self, free: tuple[int, int]):
            capacities = [capacity(worker, free_slots=slots) for worker, slots in zip(WORKERS, free, strict=True)]
            claimed = claim(store, *capacities, now=self.now)
            for one in capacities:
                assert sum(job.slots for job in claimed if job.worker_id == one.worker_id) <= one.free_slots
            for job in claimed:
                assert (job.id, job.assignment) not in self.offered
                self.offered[job.id, job.assignment] = job.worker_id
            return multiple(*claimed)

        @rule(data=st.data(), offer=offers, other=offers, worker=workers, repeat=st.integers(1, 2))
        def report(self, data, offer: ClaimedJob, other: ClaimedJob, worker: UUID, repeat: int) -> None:
            reports = [data.draw(_reports(offer)), data.draw(_reports(other))] * repeat
            before = self._rows()
            readings = store.jobs.settle(worker, reports, now=self.now)
            for report, reading in zip(reports, readings, strict=True):
                row = before.get(UUID(report.job_id))
                mine = row is not None and (row.worker_id, row.assignment) == (worker, report.assignment)
                assert mine or reading is Reading.VOID

        @rule(offer=offers, worker=workers)
        def pass_the_gate(self, offer: ClaimedJob, worker: UUID) -> None:
            held = store.jobs.confirm(worker, offer.id, offer.assignment, now=self.now)
            row = self._rows().get(offer.id)
            if held is None:
                assert row is None or not (
                    row.state in JOB_HELD and (row.worker_id, row.assignment) == (worker, offer.assignment)
                )
            else:
                assert row is not None
                assert (row.state, held.state) == (JobState.RUNNING, JobState.RUNNING)
                assert self.offered[held.id, held.assignment] == worker

        @rule(seconds=st.sampled_from([1, 11]))
        def wait(self, seconds: int) -> None:
            self.now += timedelta(seconds=seconds)

        @rule(offer=offers, other=offers)
        def expire(self, offer: ClaimedJob, other: ClaimedJob) -> None:
            before, expired = self._rows(), {one.id: one.assignment for one in (offer, other)}
            meant = {
                id_
                for id_, row in before.items()
                if row.state is JobState.LEASED and expired.get(id_) == row.assignment
            }
            assert store.jobs.expire_leases(expired, now=NOW) == len(meant)
            assert {id_ for id_, row in self._rows().items() if row.state is not before[id_].state} == meant

        @rule(offer=offers, worker=workers)
        def lose(self, offer: ClaimedJob, worker: UUID) -> None:
            for lost in store.jobs.lose(worker, [offer.id], "gone", now=self.now):
                assert self._rows()[lost].worker_id == worker

        @rule(offer=offers)
        def revoke(self, offer: ClaimedJob) -> None:
            held = [job.id for job in store.jobs.held_by(WORKERS)]
            with sessions.begin() as session:
                outbox.cancel(session, [offer.id], 7, "revoked", now=self.now)
            row = self._rows().get(offer.id)
            if row is not None and offer.id in held:
                assert (row.state, row.to_stop) == (JobState.CANCELLED, True)

        @rule()
        def book_and_purge(self) -> None:
            with sessions.begin() as session:
                done = [job.id for job in outbox.ended(session, 7)]
                outbox.book(session, done, 7, now=self.now)
            gone = {row.id for row in self._rows().values() if row.state in JOB_ENDED and row.booked_at is not None}
            far = self.now + timedelta(days=2)
            assert store.jobs.purge(succeeded_before=far, failed_before=far, limit=1000) == len(gone)
            self.made -= gone
            for job_id in gone:
                self.seen.pop(job_id, None)

        @invariant()
        def no_job_vanishes_and_numbers_only_grow(self) -> None:
            rows = self._rows()
            assert set(rows) == self.made
            for row in rows.values():
                assignment, state = self.seen.get(row.id, (0, JobState.QUEUED))
                assert row.assignment >= assignment
                assert state not in JOB_ENDED or row.state is state
                assert row.state not in JOB_HELD or row.worker_id == self.offered[row.id, row.assignment]
                assert (row.state in JOB_ENDED) is (row.ended_at is not None)
                self.seen[row.id] = (row.assignment, row.state)

        @invariant()
        def no_job_has_two_holders(self) -> None:
            held = [job.id for job in store.jobs.held_by(WORKERS)]
            assert len(held) == len(set(held))

        def _rows(self) -> dict[UUID, JobRow]:
            with sessions() as session:
                return {row.id: row for row in session.query(JobRow)}

    run_state_machine_as_test(
        Journeys,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
