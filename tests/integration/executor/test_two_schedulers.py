"""Jobs that change their owner: what each of two schedulers thinks it has is what the database says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update

from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.claims import ClaimedJob
from tests.integration.executor.world import Centre, Scheduler


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_edge.executor.executor.OWNERSHIP_INTERVAL", 0.0)


@pytest.fixture
def stalled(centre: Centre) -> Scheduler:
    """A scheduler whose four running tasks another one has adopted while it stood still."""
    first = Scheduler(parallelism=4)
    centre.run(*"abcd")
    first.step()
    centre.start()
    first.heartbeat()
    assert first.executor.slots_occupied == 4
    first.die()
    return first


def test_a_scheduler_that_stood_still_has_its_slots_back_when_its_tasks_were_adopted(
    centre: Centre, stalled: Scheduler
) -> None:
    second = Scheduler()
    assert second.adopt() == 0
    stalled.wake()
    stalled.heartbeat()
    assert (stalled.executor.running, stalled.executor.slots_occupied, stalled.executor.event_buffer) == (set(), 0, {})
    assert second.executor.slots_occupied == 4
    for row in centre.jobs():
        centre.end_row(row, "success")
    assert (stalled.heartbeat(), second.heartbeat()) == (0, 4)
    second.heartbeat()
    assert [row.booked_at is not None for row in centre.jobs()] == [True] * 4
    dag_id = centre.run(*"efgh")
    assert stalled.step() == 4
    assert set(centre.tasks(dag_id).values()) == {"queued"}


def test_what_others_have_booked_or_deleted_is_forgotten(centre: Centre, stalled: Scheduler) -> None:
    stalled.wake()
    booked, deleted, *_ = centre.jobs()
    with create_session() as session:
        outbox.cancel(session, [booked.id], stalled.job.id, "somebody else did so", now=datetime.now(UTC))
    centre.forget(deleted.id)
    assert stalled.heartbeat() == 0
    assert stalled.executor.slots_occupied == 2


def test_a_report_that_stood_still_is_not_waited_for_any_more(centre: Centre, stalled: Scheduler) -> None:
    (row, *_) = centre.jobs()
    centre.end_row(row, exit_code=1)
    stalled.executor.heartbeat()
    second = Scheduler()
    second.adopt()
    stalled.wake()
    stalled.heartbeat()
    assert not stalled.executor._reported
    assert second.heartbeat() == 1
    assert list(centre.tasks(row.dag_id).values()).count("failed") == 1


def test_what_a_stalled_scheduler_wanted_to_cancel_or_book_is_the_heirs(centre: Centre, stalled: Scheduler) -> None:
    job_ids = [row.id for row in centre.jobs()]
    Scheduler().adopt()
    with create_session() as session:
        outbox.cancel(session, job_ids, stalled.job.id, "gone", now=datetime.now(UTC))
        outbox.book(session, job_ids, stalled.job.id, now=datetime.now(UTC))
        assert outbox.running(session, job_ids, stalled.job.id) == set()
    assert [(row.state, row.booked_at) for row in centre.jobs()] == [("running", None)] * 4


def test_an_adoption_that_seemed_to_fail_is_found_out(centre: Centre, stalled: Scheduler) -> None:
    """The commit came through, but its answer did not: the adopter knows nothing of what it owns."""
    heir = Scheduler()
    with create_session() as session:
        outbox.adopt(session, [row.workload_id for row in centre.jobs()], heir.job.id)
        session.execute(update(TaskInstance).values(queued_by_job_id=heir.job.id))
    (row, *_) = centre.jobs()
    centre.end_row(row, exit_code=1)
    assert heir.heartbeat() == 1
    assert heir.executor.slots_occupied == 3
    assert list(centre.tasks(row.dag_id).values()).count("failed") == 1


class TwoSchedulers(RuleBasedStateMachine):
    """Two schedulers stall, adopt from each other and go on, while tasks are queued, run and end."""

    centre: Centre

    @initialize()
    def begin(self) -> None:
        self.schedulers = [Scheduler(parallelism=64), Scheduler(parallelism=64)]
        self.stalled: set[int] = set()
        self.running: list[ClaimedJob] = []
        self.dags: set[str] = set()
        for one in self.schedulers:
            one.heartbeat()

    @precondition(lambda self: len(self.stalled) < 2)
    @rule(tasks=st.integers(1, 3), data=st.data())
    def queue(self, tasks: int, data: st.DataObject) -> None:
        scheduler = self.schedulers[data.draw(st.sampled_from(sorted({0, 1} - self.stalled)))]
        self.dags.add(self.centre.run(*"abc"[:tasks]))
        scheduler.step()

    @rule(one=st.sampled_from([0, 1]))
    def stall(self, one: int) -> None:
        self.schedulers[one].die()
        self.stalled.add(one)

    @rule(one=st.sampled_from([0, 1]))
    def wake(self, one: int) -> None:
        self.schedulers[one].wake()
        self.stalled.discard(one)

    @rule(heir=st.sampled_from([0, 1]), commits=st.sampled_from([True, True, False]))
    def adopt(self, heir: int, commits: bool) -> None:
        self.wake(heir)
        self.stall(1 - heir)
        with create_session() as session:
            self.schedulers[heir].runner.adopt_or_reset_orphaned_tasks(session=session)
            if not commits:
                session.rollback()

    @rule()
    def start(self) -> None:
        self.running += self.centre.start()

    @precondition(lambda self: self.running)
    @rule(exit_code=st.sampled_from([0, 1]), data=st.data())
    def end(self, exit_code: int, data: st.DataObject) -> None:
        job = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.centre.end(job, "success" if exit_code == 0 else None, exit_code=exit_code)

    @precondition(lambda self: len(self.stalled) < 2)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        self.schedulers[data.draw(st.sampled_from(sorted({0, 1} - self.stalled)))].heartbeat()

    def teardown(self) -> None:
        try:
            if hasattr(self, "schedulers"):
                self.check()
        finally:
            self.centre.close()

    def check(self) -> None:
        for one in self.schedulers:
            one.wake()
        for _ in range(3):
            for one in self.schedulers:
                one.heartbeat()
        for one in self.schedulers:
            with create_session() as session:
                owned = {job.workload_id for job in outbox.owned(session, one.job.id)}
                keys = {ti.key for ti in session.scalars(select(TaskInstance).where(TaskInstance.id.in_(owned)))}
            assert one.executor.running == keys
            assert not one.executor._reported
        for job in [*self.running, *self.centre.start()]:
            self.centre.end(job, "success")
        for _ in range(3):
            for one in self.schedulers:
                one.heartbeat()
        assert [one.executor.running for one in self.schedulers] == [set(), set()]
        assert all(row.booked_at for row in self.centre.jobs())
        assert {state for dag in self.dags for state in self.centre.tasks(dag).values()} <= {"success", "failed", None}


@pytest.fixture
def machine(centre: Centre) -> type[TwoSchedulers]:
    return type("Machine", (TwoSchedulers,), {"centre": centre})


def test_whoever_adopts_from_whom_each_end_is_booked_and_no_slot_is_lost(machine: type[TwoSchedulers]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def finish(centre: Centre) -> int:
    return centre.store.orphaned_jobs.finish(now=datetime.now(UTC), limit=9)


def test_what_ended_while_no_scheduler_ran_is_booked_once_nobody_can_adopt_it(centre: Centre) -> None:
    gone, dag_id = Scheduler(), centre.run(*"abcd")
    gone.step()
    jobs = {centre.job(job.id).task_id: job for job in centre.start()}
    gone.die()
    centre.end(jobs["a"], "success")
    centre.end(jobs["b"], "up_for_retry", exit_code=1)
    # Airflow waits for its word still: another scheduler is to adopt it and hear of the end.
    centre.end(jobs["c"], exit_code=1)
    assert (finish(centre), finish(centre)) == (2, 0)
    heir = Scheduler()
    heir.adopt()
    assert heir.heartbeat() == 1
    assert centre.tasks(dag_id) == {"a": "success", "b": "up_for_retry", "c": "failed", "d": "running"}
    heir.heartbeat()
    assert {row.task_id for row in centre.jobs() if row.booked_at} == {"a", "b", "c"}


def test_what_waits_for_a_worker_in_vain_is_taken_back_when_its_scheduler_is_gone(centre: Centre) -> None:
    gone, dag_id = Scheduler(), centre.run("a", "b")
    gone.step()
    centre.set_task(next(row for row in centre.jobs() if row.task_id == "a").workload_id, state="failed")
    assert finish(centre) == 0
    gone.die()
    assert (finish(centre), finish(centre)) == (1, 0)
    assert [job.task_id for job in map(centre.job, (job.id for job in centre.claim()))] == ["b"]
    assert centre.tasks(dag_id) == {"a": "failed", "b": "queued"}


def test_what_a_running_scheduler_has_is_left_to_it(centre: Centre) -> None:
    scheduler = Scheduler()
    centre.run()
    scheduler.step()
    centre.end(centre.start()[0], "success")
    assert finish(centre) == 0
    assert scheduler.heartbeat() == 1
