"""What others ask about a worker's jobs, and the offers that wait."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.jobs import ALIVE_FOR, PHASES, TRANSITIONS, HeldJobs, Job, Stage, Step, WaitingOffers
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.messages import Accepted, Ended, HeldJob, Offer, Released

JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
RUNNING = JobRecord(key=AssignmentKey(JOB, 1), kind="task", slots=2, phase="running")
RELEASED = JobRecord(key=AssignmentKey(OTHER, 3), kind="task", slots=1, phase="released")
ENDED = JobRecord(
    key=AssignmentKey(JOB, 2), kind="task", slots=1, phase="ended", ended=Ended(job_id=JOB, assignment=2, exit_code=0)
)


def test_a_job_takes_its_slots_until_it_is_released() -> None:
    assert HeldJobs([RUNNING, RELEASED, ENDED]).slots == 2


def test_live_jobs_are_those_whose_processes_are_not_gone() -> None:
    jobs = HeldJobs([RUNNING, RELEASED, ENDED])
    assert [job.key for job in jobs.live()] == [RUNNING.key, RELEASED.key]
    assert [job.key for job in jobs.others(ENDED.key)] == [RUNNING.key]
    assert jobs.others(RUNNING.key) == []
    assert [jobs.newest_assignment(job_id) for job_id in (JOB, OTHER, "none")] == [2, 3, 0]


def test_held_jobs_are_told_with_their_phase_until_nobody_asks_for_them() -> None:
    jobs = HeldJobs([RUNNING, replace(RELEASED, void=True), ENDED])
    assert jobs.held() == (
        HeldJob(job_id=JOB, assignment=1, phase="running"),
        HeldJob(job_id=JOB, assignment=2, phase="ended"),
    )
    jobs[ENDED.key].change(acknowledged=True)
    assert [job.assignment for job in jobs.held()] == [1]


def test_a_job_is_alive_for_a_while_after_its_supervisor_was_seen() -> None:
    jobs = HeldJobs([RUNNING])
    assert jobs.alive(0.0) == ()
    jobs[RUNNING.key].last_seen = 0.0
    assert jobs.alive(ALIVE_FOR) == (JOB,)
    assert jobs.alive(ALIVE_FOR + 1) == ()


def test_the_next_agent_tells_what_may_not_have_been_heard() -> None:
    assert HeldJobs([RELEASED, ENDED]).reports() == [
        Accepted(job_id=OTHER, assignment=3),
        Released(job_id=OTHER, assignment=3),
        Accepted(job_id=JOB, assignment=2),
        Ended(job_id=JOB, assignment=2, exit_code=0),
    ]
    assert HeldJobs([replace(RELEASED, void=True), replace(ENDED, acknowledged=True)]).reports() == []


# Offers that wait


def offer(job_id: str = JOB, assignment: int = 1) -> Offer:
    return Offer(job_id=job_id, assignment=assignment, kind="task", queue="q", slots=1, lease=10.0, workload=b"{}")


def test_one_is_taken_when_it_may_go_and_only_once() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=0.0)
    assert waiting.take(lambda key: key.job_id == OTHER, now=5.0) == [offer(OTHER)]
    assert waiting.take(lambda _: True, now=5.0) == [offer()]
    assert waiting.take(lambda _: True, now=5.0) == []


def test_one_whose_lease_is_over_is_forgotten() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=1.0)
    assert waiting.take(lambda _: True, now=10.0) == [offer(OTHER)]
    assert waiting.newest_assignment(JOB) == 0


def test_a_newer_assignment_takes_the_place_of_the_older() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(assignment=1), now=0.0)
    waiting.add(offer(assignment=3), now=0.0)
    assert waiting.newest_assignment(JOB) == 3
    assert not waiting.withdraw(AssignmentKey(JOB, 1))
    assert waiting.withdraw(offer(assignment=3).key)
    assert waiting.withdraw_all() == []


def test_all_are_withdrawn_at_once() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=0.0)
    waiting.drop("00000000-0000-4000-8000-000000000003")
    assert waiting.withdraw_all() == [AssignmentKey(JOB, 1), AssignmentKey(OTHER, 1)]
    assert waiting.take(lambda _: True, now=0.0) == []


# The steps of a job


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("step", Step)
def test_a_step_is_in_the_table_or_changes_nothing_and_says_what_came_before(stage: Stage, step: Step) -> None:
    job = Job(record=replace(RUNNING, phase=PHASES[stage]), stage=stage, steps=(Step.STORED, Step.ORDERED))
    before = job.record
    if step in TRANSITIONS[stage]:
        job.step(step)
        assert job.record.phase == PHASES[TRANSITIONS[stage][step]]
    else:
        with pytest.raises(IllegalTransitionError, match="before that it took these steps: is stored, is ordered"):
            job.step(step)
        assert (job.stage, job.record) == (stage, before)


def test_what_has_ended_stays_so() -> None:
    assert not TRANSITIONS[Stage.ENDED]
    assert set(TRANSITIONS) == set(PHASES) == set(Stage)
