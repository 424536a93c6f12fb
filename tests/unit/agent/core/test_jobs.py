"""What others ask about a worker's jobs."""

from __future__ import annotations

from msgspec.structs import replace

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.jobs import ALIVE_FOR, Jobs
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Accepted, Ended, HeldJob, Released

JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
RUNNING = JobRecord(key=AssignmentKey(JOB, 1), kind="task", slots=2, phase="running")
RELEASED = JobRecord(key=AssignmentKey(OTHER, 3), kind="task", slots=1, phase="released")
ENDED = JobRecord(
    key=AssignmentKey(JOB, 2), kind="task", slots=1, phase="ended", ended=Ended(job_id=JOB, assignment=2, exit_code=0)
)


def test_a_job_takes_its_slots_until_it_is_released() -> None:
    assert Jobs([RUNNING, RELEASED, ENDED]).slots == 2


def test_live_jobs_are_those_whose_processes_are_not_gone() -> None:
    jobs = Jobs([RUNNING, RELEASED, ENDED])
    assert [job.key for job in jobs.live()] == [RUNNING.key, RELEASED.key]
    assert [job.key for job in jobs.others(ENDED.key)] == [RUNNING.key]
    assert jobs.others(RUNNING.key) == []
    assert [jobs.newest_assignment(job_id) for job_id in (JOB, OTHER, "none")] == [2, 3, 0]


def test_held_jobs_are_told_with_their_phase_until_nobody_asks_for_them() -> None:
    jobs = Jobs([RUNNING, replace(RELEASED, void=True), ENDED])
    assert jobs.held() == (
        HeldJob(job_id=JOB, assignment=1, phase="running"),
        HeldJob(job_id=JOB, assignment=2, phase="ended"),
    )
    jobs[ENDED.key].acknowledged = True
    assert [job.assignment for job in jobs.held()] == [1]


def test_a_job_is_alive_for_a_while_after_its_supervisor_was_seen() -> None:
    jobs = Jobs([RUNNING])
    assert jobs.alive(0.0) == ()
    jobs[RUNNING.key].last_seen = 0.0
    assert jobs.alive(ALIVE_FOR) == (JOB,)
    assert jobs.alive(ALIVE_FOR + 1) == ()


def test_the_next_agent_tells_what_may_not_have_been_heard() -> None:
    assert Jobs([RELEASED, ENDED]).reports() == [
        Accepted(job_id=OTHER, assignment=3),
        Released(job_id=OTHER, assignment=3),
        Accepted(job_id=JOB, assignment=2),
        Ended(job_id=JOB, assignment=2, exit_code=0),
    ]
    assert Jobs([replace(RELEASED, void=True), replace(ENDED, acknowledged=True)]).reports() == []
