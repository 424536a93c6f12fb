from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.messages import Accepted, Ended, Refused, Released
from airflow_edge.protocol.states import JOB_ENDED, JOB_TRANSITIONS, JobEvent, JobState
from airflow_edge.rules.reports import Reading, Report, Verdict, callback_verdict, event_of, read, task_verdict

JOB = "12345678-1234-1234-1234-123456789abc"
REPORTS: tuple[Report, ...] = (
    Accepted(job_id=JOB, assignment=2),
    Refused(job_id=JOB, assignment=2, reason="full"),
    Released(job_id=JOB, assignment=2),
    Ended(job_id=JOB, assignment=2, exit_code=0),
    Ended(job_id=JOB, assignment=2, signal=9),
)


@given(st.sampled_from(REPORTS), st.sampled_from(JobState), st.integers(1, 3), st.booleans())
def test_only_the_current_assignment_at_its_own_worker_can_change_a_job(
    report: Report, state: JobState, assignment: int, same_worker: bool
) -> None:
    reading = read(report, state=state, assignment=assignment, same_worker=same_worker)
    if assignment != 2 or not same_worker:
        assert reading is Reading.VOID
    if reading is Reading.APPLY:
        assert event_of(report) in JOB_TRANSITIONS[state]


@given(st.sampled_from(REPORTS), st.sampled_from(sorted(JOB_ENDED)))
def test_nothing_changes_a_job_that_has_ended(report: Report, state: JobState) -> None:
    assert read(report, state=state, assignment=2, same_worker=True) is not Reading.APPLY


@pytest.mark.parametrize(
    ("report", "state", "reading"),
    [
        (REPORTS[0], JobState.LEASED, Reading.APPLY),
        (REPORTS[0], JobState.QUEUED, Reading.VOID),
        (REPORTS[0], JobState.SUCCEEDED, Reading.OLD_NEWS),
        (REPORTS[0], JobState.CANCELLED, Reading.VOID),
        (REPORTS[0], JobState.LOST, Reading.VOID),
        (REPORTS[1], JobState.QUEUED, Reading.OLD_NEWS),
        (REPORTS[1], JobState.RUNNING, Reading.VOID),
        (REPORTS[3], JobState.LEASED, Reading.APPLY),
        (REPORTS[3], JobState.SUCCEEDED, Reading.OLD_NEWS),
        (REPORTS[4], JobState.CANCELLED, Reading.OLD_NEWS),
        (REPORTS[4], JobState.QUEUED, Reading.VOID),
    ],
)
def test_late_and_repeated_reports(report: Report, state: JobState, reading: Reading) -> None:
    assert read(report, state=state, assignment=2, same_worker=True) is reading


def test_an_end_without_a_status_is_a_failure() -> None:
    assert event_of(Ended(job_id=JOB, assignment=1)) is JobEvent.FAIL


@pytest.mark.parametrize("task", ["success", "failed", "skipped", "up_for_retry"])
def test_success_when_airflow_holds_the_outcome(task: str) -> None:
    assert task_verdict(JobState.SUCCEEDED, task) is Verdict.SUCCESS


@pytest.mark.parametrize("task", ["queued", "running"])
def test_a_good_end_whose_state_never_arrived_is_a_failure(task: str) -> None:
    assert task_verdict(JobState.SUCCEEDED, task) is Verdict.FAILED


@pytest.mark.parametrize("job", sorted(JOB_ENDED - {JobState.SUCCEEDED}))
@pytest.mark.parametrize("task", ["queued", "running", "failed"])
def test_every_other_end_is_a_failure_so_that_retries_run(job: JobState, task: str) -> None:
    assert task_verdict(job, task) is Verdict.FAILED


@pytest.mark.parametrize("job", sorted(JOB_ENDED))
def test_a_task_cleared_while_it_ran_is_told_to_run_again(job: JobState) -> None:
    assert task_verdict(job, "restarting") is Verdict.SUCCESS


@pytest.mark.parametrize("job", sorted(JOB_ENDED))
@pytest.mark.parametrize("task", [None, "scheduled", "deferred", "up_for_reschedule"])
def test_what_airflow_has_moved_on_from_is_not_disturbed(job: JobState, task: str | None) -> None:
    assert task_verdict(job, task) is Verdict.SILENCE


def test_a_callback_is_what_its_process_says() -> None:
    assert callback_verdict(JobState.SUCCEEDED) is Verdict.SUCCESS
    assert {callback_verdict(job) for job in JOB_ENDED - {JobState.SUCCEEDED}} == {Verdict.FAILED}
