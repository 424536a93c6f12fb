"""Why a task is not running, from Airflow's own tables and ours, in every situation that has a cause of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_edge.protocol.messages import Ended
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.explanation.facts import Cause
from airflow_edge.rules.orders import Wish
from airflow_edge.store.policy.uses import NotedUse, Times

SITUATIONS: list[Any] = []
DUE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def situation(cause, *words):
    """Mark a function that brings the task into a situation with this cause, explained with these words."""

    def mark(arrange):
        SITUATIONS.append(pytest.param(arrange, cause, words, id=arrange.__name__))
        return arrange

    return mark


# What Airflow decides


@situation(Cause.DAG_PAUSED, "airflow dags unpause explained")
def a_paused_dag(task):
    task.dag(is_paused=True)


@situation(Cause.NOT_SCHEDULED, "1 task upstream")
def a_task_upstream_that_runs(task):
    task.task("running", "first")


@situation(Cause.NOT_SCHEDULED, "next round")
def nothing_upstream_that_holds_it(task):
    task.task("success", "first")


@situation(Cause.NOT_SCHEDULED, "max_active_runs")
def a_run_that_has_not_started(task):
    task.task("success", "first")
    task.run("queued")


@situation(Cause.NOT_SCHEDULED, "Its run is over (state failed)")
def a_run_that_is_over(task):
    task.task("failed", "first")
    task.run("failed")


@situation(Cause.SCHEDULED, "next round")
def a_scheduled_task(task):
    task.task("scheduled")


@situation(Cause.POOL, "Pool 'small' has 0 free slots, it needs 1")
def a_pool_that_is_full(task):
    task.task("running", "first", pool="small")
    task.task("scheduled", pool="small")


@situation(Cause.POOL, "Pool 'gone' has 0 free slots")
def a_pool_that_is_gone(task):
    task.task("scheduled", pool="gone")


@situation(Cause.PARALLELISM, "1 tasks are queued or running per scheduler")
def parallelism_that_is_used_up(task):
    task.limit_parallelism(1)
    task.task("running", "first")
    task.task("scheduled")


@situation(Cause.SCHEDULED, "next round")
def parallelism_that_another_executor_has_used_up(task):
    task.limit_parallelism(1)
    task.task("running", "first", executor=None)
    task.task("scheduled")


@situation(Cause.DEFERRED, "triggerer")
def a_deferred_task(task):
    task.task("deferred")


@situation(Cause.RETRY_WAITS, "Try 1 failed", "again at 2030-01-02 03:09:05 UTC")
def a_retry_that_is_not_due(task):
    task.task("up_for_retry", try_number=1, end_date=DUE)


@situation(Cause.DAG_NOT_FOUND, "It is no sensor", "starts it again at 2030-01-02 03:04:05 UTC")
def a_task_whose_dag_was_not_found_and_whose_log_has_not_come(task):
    task.reschedule(DUE)


@situation(
    Cause.DAG_NOT_FOUND, "not found at the site of worker 'w'", "Dag not found during start up", "2030-01-02 03:04:05"
)
def a_task_whose_dag_was_not_found(task):
    worker = task.api.worker("w")
    task.hand_over()
    job = task.accept(worker)
    task.log(
        worker,
        job,
        {"level": "error", "event": "Dag not found during start up", "dag_id": "explained"},
        {"level": "error", "event": "Startup reschedule limit exceeded"},
    )
    task.end(worker, job, "")
    task.reschedule(DUE)


@situation(Cause.FINISHED, "its state is success")
def a_task_that_is_done(task):
    task.task("success")


def ran(task, *lines, reason=""):
    worker = task.api.worker("press-7")
    task.hand_over()
    job = task.accept(worker)
    task.log(worker, job, *lines)
    task.end(worker, job, reason)
    return job


FAILED = {
    "level": "error",
    "event": "Task failed with exception",
    "error_detail": [{"exc_type": "ModuleNotFoundError", "exc_value": "No module named 'opcua'"}],
}


@situation(
    Cause.FINISHED, "It ran on worker 'press-7'", "(try 1)", "ModuleNotFoundError: No module named 'opcua'", "site"
)
def a_provider_that_is_missing_at_the_site(task):
    ran(task, {"level": "info", "event": "go"}, FAILED)
    task.task("failed", try_number=1)


@situation(Cause.FINISHED, "It ran on worker 'press-7'", "No module named 'opcua'")
def what_was_known_is_known_when_the_job_is_purged(task):
    ran(task, FAILED)
    task.task("failed", try_number=1)
    task.forget_jobs()


@situation(Cause.FINISHED, "It ran on 'vm'", "no worker of that name is enrolled")
def a_task_that_another_executor_ran(task):
    task.task("success", hostname="vm", try_number=1)


@situation(Cause.QUEUED_TOO_LONG, "task_queued_timeout", "No worker serves queue 'plcc' (nearest: 'plc')")
def a_task_that_airflow_gave_up_in_the_queue(task):
    task.api.worker("w", queues=("plc",))
    task.hand_over(queue="plcc")
    task.task("failed", try_number=1)
    task.note("stuck in queued tries exceeded")


@situation(Cause.NO_SCHEDULER, "No running scheduler has loaded EdgeExecutor", "airflow edge check")
def a_task_that_no_scheduler_can_hand_over(task):
    task.task("scheduled")
    task.started("gateway")


@situation(Cause.NO_GATEWAY, "no API server that serves edge workers has been alive since")
def a_job_that_no_gateway_hands_out(task):
    task.api.worker("w")
    task.hand_over()
    task.started("scheduler")
    task.started("gateway", ago=timedelta(minutes=5))


@situation(Cause.NO_GATEWAY, "last known to be with worker 'w'", "has been alive since")
def a_running_job_of_which_nobody_hears(task):
    worker = task.api.worker("w")
    task.hand_over()
    task.accept(worker)
    task.task("running")
    task.started("gateway", ago=timedelta(minutes=5))


@situation(Cause.OTHER_EXECUTOR, "LocalExecutor")
def a_task_of_another_executor(task):
    task.task("queued", executor=None)


@situation(Cause.NOT_HANDED_OVER, "task_queued_timeout")
def a_queued_task_without_a_job(task):
    task.task("queued")


# What we decide


@situation(Cause.QUEUE_PAUSED, "is paused since", "by ada: why", "airflow edge resume-queue default")
def a_queue_that_is_paused(task):
    task.api.worker("w")
    task.hand_over()
    task.api.store.queue_pauses.pause(["default"], None, "why", by="ada", now=datetime.now(UTC))


@situation(Cause.NO_WORKERS, "enroll-token create")
def no_worker_at_all(task):
    task.hand_over()


@situation(Cause.NO_WORKER_FOR_QUEUE, "No worker serves queue 'plc' (nearest: 'plc2')")
def a_queue_that_is_misspelt(task):
    task.api.worker(queues=("plc2", "gpu"))
    task.hand_over(queue="plc")


@situation(Cause.OTHER_TEAM, "belong to red", "no team")
def workers_of_another_team(task):
    task.api.worker(team="red")
    task.hand_over()


@situation(Cause.TOO_LARGE, "It needs 4 slots", "'small', the largest worker", "has 2")
def a_task_that_is_too_large(task):
    task.api.worker("small", concurrency=2)
    task.hand_over(slots=4)


@situation(Cause.NO_WORKER_READY, "3 workers serve queue 'default'", "2 are in maintenance", "unreachable since")
def workers_that_are_all_hindered(task):
    task.api.worker(state=WorkerState.MAINTENANCE_MODE)
    task.api.worker(state=WorkerState.MAINTENANCE_PENDING)
    task.api.worker("away", state=WorkerState.UNKNOWN)
    task.hand_over()


@situation(Cause.WORKERS_FULL, "1 is full (the longest job there runs since", "It gets the next free slot")
def workers_that_are_full(task):
    worker = task.api.worker(concurrency=1)
    task.api.queue()
    task.accept(worker)
    task.hand_over()


@situation(Cause.BEHIND_OTHERS, "behind 2 jobs of queue 'default', 1 of them of higher priority")
def jobs_that_are_due_before_it(task):
    task.api.worker()
    task.api.queue()
    task.hand_over()
    task.api.queue(priority_weight=5)


@situation(Cause.DUE, "'free' has 8 free slots")
def nothing_that_holds_it(task):
    task.api.worker("free")
    task.hand_over()


@situation(Cause.OFFERED, "just handed to worker 'asked'")
def a_job_that_is_offered(task):
    worker = task.api.worker("asked")
    task.hand_over()
    task.offer(worker)


@situation(Cause.STARTING, "Worker 'ready' accepted it at")
def a_job_that_was_accepted(task):
    worker = task.api.worker("ready")
    task.hand_over()
    task.accept(worker)


@situation(Cause.RUNNING, "It runs on worker 'busy' since")
def a_job_that_runs(task):
    worker = task.api.worker("busy")
    task.hand_over()
    task.accept(worker)
    task.task("running")


@situation(Cause.UNREACHABLE, "'away', which is unreachable since", "the task is failed so that a retry can run")
def a_job_whose_worker_is_unreachable(task):
    worker = task.api.worker("away", state=WorkerState.UNKNOWN)
    task.hand_over()
    task.accept(worker)
    task.task("running")


@situation(Cause.UNREACHABLE, "'away', which is unreachable since", "the task is failed so that a retry can run")
def a_job_whose_worker_is_unreachable_and_asked_for_something(task):
    worker = task.api.worker("away")
    task.hand_over()
    task.accept(worker)
    task.task("running")
    task.silence(worker)
    task.api.store.orders.give(worker.id, Wish("maintenance", "where is it?"), by="ada", now=datetime.now(UTC))


@situation(Cause.UNREACHABLE, "'away', which is unreachable since", "the task is failed, and has no retry left")
def a_job_of_a_last_try_whose_worker_is_unreachable(task):
    worker = task.api.worker("away", state=WorkerState.UNKNOWN)
    task.hand_over()
    task.accept(worker)
    task.task("running", try_number=1, max_tries=0)


@situation(
    Cause.FINISHED,
    "It ran on worker 'press-7'",
    "Its last job: the worker was stopped, and the 3 s that it had for its tasks are over.",
)
def a_job_that_the_workers_owner_gave_no_more_time(task):
    worker = task.api.worker("press-7")
    task.hand_over()
    reason = "the worker was stopped, and the 3 s that it had for its tasks are over"
    task.end(worker, task.accept(worker), reason)
    task.task("failed", hostname="press-7", try_number=1)


@situation(Cause.NOT_HANDED_OVER, "no job of it is left")
def a_job_of_an_earlier_try(task):
    worker = task.api.worker("done")
    task.hand_over()
    task.end(worker, task.accept(worker), "out of memory")
    task.task("queued", try_number=2)


@situation(Cause.ENDED_AT_SITE, "Its process on worker 'done' has ended (out of memory)")
def a_job_that_has_just_ended(task):
    worker = task.api.worker("done")
    task.hand_over()
    task.end(worker, task.accept(worker), "out of memory")
    task.task("running")


@pytest.mark.parametrize(("arrange", "cause", "words"), SITUATIONS)
def test_it_is_explained(task, arrange, cause, words):
    arrange(task)
    explanation = task.why()
    assert explanation.cause is cause, explanation.sentence
    for part in words:
        assert part in explanation.sentence
    assert "unknown" not in explanation.sentence.lower()


def test_a_task_of_the_run_that_there_is_not(task):
    assert task.why("another").cause is Cause.NO_TASK


def test_every_cause_is_shown():
    shown = {parameters.values[1] for parameters in SITUATIONS} | {Cause.NO_TASK}
    assert shown | {Cause.RESCHEDULED} == set(Cause)


def test_the_api_says_the_same(task, api):
    began = datetime.now(UTC)
    task.reschedule(began + timedelta(minutes=1))
    said = api.get("/explanation", dag_id="explained", run_id="run", task_id="task")
    explanation = task.why()
    assert said == {"cause": explanation.cause.value, "sentence": explanation.sentence, "denied": []}


def test_a_task_of_another_team_is_as_if_it_were_not_there(task, api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    task.give_to("red")
    task.hand_over(team_name="red")

    def said_to(role):
        return Cause(api.get("/explanation", role, dag_id="explained", run_id="run", task_id="task")["cause"])

    assert said_to("blue") is Cause.NO_TASK
    assert said_to("red") is said_to("admin") is Cause.NO_WORKERS


def test_a_sensor_is_told_from_a_task_whose_dag_was_not_found(task):
    task.reschedule(DUE, "sensor")
    said = task.why("sensor")
    assert (said.cause, said.sentence) == (
        Cause.RESCHEDULED,
        "It is a sensor that looks again at 2030-01-02 03:04:05 UTC.",
    )


def test_a_jobs_end_stands_beside_that_of_its_task(task, api):
    """A process that has ended well may have been of a task that failed."""
    from airflow.models import TaskInstance

    with api.sessions() as session:
        workload_id = session.query(TaskInstance.id).filter_by(dag_id="explained", task_id="task").scalar()
    worker = api.worker("w")
    task.hand_over(workload_id=workload_id)
    job = task.accept(worker)
    ended = Ended(job_id=str(job), assignment=1, exit_code=0, reason="")
    api.store.jobs.settle(worker.id, [ended], now=datetime.now(UTC))
    task.task("failed")
    (item,) = [item for item in api.get("/jobs")["items"] if item["id"] == str(job)]
    assert (item["state"], item["task_state"]) == ("succeeded", "failed")


def test_what_the_policy_denied_is_said_with_how_often(task):
    worker = task.api.worker("press-7")
    task.hand_over()
    job = task.accept(worker)
    task.task("running", hostname="press-7", try_number=1)
    assert task.why().denied == ()
    task.denied("db_password")
    task.denied("db_password")
    today = datetime.now(UTC).date()
    names = {"team_name": "", "queue": "default", "dag_id": "explained", "task_id": "task", "kind": "variables"}
    uses = {NotedUse(**names, name="db_password"): Times(0, 12), NotedUse(**names, name="free"): Times(3, 0)}
    task.api.store.policy_uses.note(today, uses)
    (line,) = task.why().denied
    assert line.startswith("Denied since ")
    # What was counted while the policy was only reported on was not denied.
    assert line.endswith(" UTC, in one try of all runs: It may not read variable 'db_password'.")
    found = task.api.get(f"/jobs/{job}")
    assert found["denied"] == found["explanation"]["denied"] == [line]
    task.end(worker, job, "")
    over = task.api.get(f"/jobs/{job}")
    assert (over["denied"], over["explanation"]) == ([line], None)
