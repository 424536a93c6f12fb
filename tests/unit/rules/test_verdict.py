from __future__ import annotations

import pytest

from airflow_edge.protocol.states import JOB_ENDED, JobState
from airflow_edge.rules.verdict import Verdict, callback_verdict, task_verdict


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
