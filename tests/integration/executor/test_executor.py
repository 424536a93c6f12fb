from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from airflow.executors.workloads import ExecuteCallback, ExecuteTask
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session

from airflow_edge.admin.audit import note_denial
from airflow_edge.executor import EdgeExecutor
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Accepted, Ended, Refused
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.matching import Capacity
from airflow_edge.store.workers.workers import LinkFacts
from tests.integration.executor.world import TRIES_ARE_KEPT, Centre, Scheduler, ended_of


def test_a_task_becomes_a_job_without_a_secret_and_its_outcome_is_reported(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run(priority_weight=7, pool_slots=3)
    assert scheduler.step() == 1
    (row,) = centre.jobs()
    ti = centre.task(dag_id)
    assert (row.workload_id, row.owner, row.queue, row.slots, row.priority_weight) == (
        ti.id,
        scheduler.job.id,
        "default",
        3,
        7,
    )
    document = json.loads(row.workload)
    assert document["token"] == ""
    assert row.log_path == document["log_path"]
    assert ExecuteTask.model_validate(document).ti.id == ti.id
    (job,) = centre.start()
    assert scheduler.heartbeat() == 0
    assert scheduler.executor.slots_occupied == 1
    centre.end(job, "success")
    assert scheduler.heartbeat() == 1
    assert scheduler.executor.slots_occupied == 0
    assert centre.job(job.id).booked_at is None
    assert scheduler.heartbeat() == 0
    assert centre.job(job.id).booked_at is not None
    assert centre.tasks(dag_id) == {"täsk": "success"}
    assert "state mismatch" not in centre.event_log(dag_id)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_an_end_that_airflow_has_not_heard_of_is_a_failure(centre: Centre, exit_code: int) -> None:
    scheduler, dag_id = Scheduler(), centre.run(retries=1, retry_delay=timedelta(0))
    scheduler.step()
    (job,) = centre.start()
    centre.end(job, exit_code=exit_code)
    assert scheduler.heartbeat() == 1
    assert centre.tasks(dag_id) == {"täsk": "up_for_retry"}
    assert scheduler.step() == 1
    centre.end(centre.start()[0], "success")
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}


def test_the_reason_of_a_failure_is_in_the_event_log(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    centre.store.jobs.lose(centre.worker_id, [job.id], "the machine burnt down", now=datetime.now(UTC))
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "failed"}
    assert "the machine burnt down" in centre.event_log(dag_id)


def test_a_job_whose_transaction_was_rolled_back_does_not_count(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run("a", "b")
    with pytest.raises(ZeroDivisionError), create_session() as session:
        scheduler.schedule_and(session, lambda: 1 / 0)
    assert scheduler.executor.slots_occupied == 2
    scheduler.heartbeat()
    assert (scheduler.executor.slots_occupied, centre.jobs()) == (0, [])
    assert scheduler.step() == 2
    assert scheduler.executor.slots_occupied == 2
    assert centre.tasks(dag_id) == {"a": "queued", "b": "queued"}


def test_parallelism_is_kept_while_jobs_wait_for_a_worker(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(parallelism=3), centre.run(*"abcde")
    assert [scheduler.step() for _ in range(3)] == [3, 0, 0]
    centre.end(centre.start()[0], "success")
    scheduler.heartbeat()
    assert [scheduler.step() for _ in range(2)] == [1, 0]
    assert sorted(state or "" for state in centre.tasks(dag_id).values()) == [
        "queued",
        "running",
        "running",
        "scheduled",
        "success",
    ]


@pytest.mark.parametrize("first_ends", ["before it is queued again", "after it is queued again", "last of all"])
def test_a_deferred_task_is_not_disturbed_by_the_end_of_its_first_job(centre: Centre, first_ends: str) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (first,) = centre.start()
    ti = centre.task(dag_id)
    centre.set_task(ti.id, state="deferred")
    if first_ends == "before it is queued again":
        centre.end(first)
        scheduler.heartbeat()
        assert scheduler.executor.slots_occupied == 0
    centre.set_task(ti.id, state="scheduled", next_method="resume")
    assert scheduler.step() == 1
    assert centre.tasks(dag_id) == {"täsk": "queued"}
    (second,) = centre.start()
    assert second.id != first.id
    if first_ends == "after it is queued again":
        centre.end(first)
        scheduler.heartbeat()
        assert centre.tasks(dag_id) == {"täsk": "running"}
        assert scheduler.executor.slots_occupied == 1
    centre.end(second, "success")
    scheduler.heartbeat()
    if first_ends == "last of all":
        centre.end(first, exit_code=1)
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}
    assert [row.booked_at is not None for row in centre.jobs()] == [True, True]
    assert scheduler.executor.slots_occupied == 0


def test_a_task_that_another_scheduler_has_queued_again_is_not_reported(centre: Centre) -> None:
    one, other, dag_id = Scheduler(), Scheduler(), centre.run()
    one.step()
    (first,) = centre.start()
    centre.set_task(centre.task(dag_id).id, state="scheduled", next_method="resume")
    other.step()
    (second,) = centre.start()
    centre.end(first)
    assert one.heartbeat() == 0
    assert centre.tasks(dag_id) == {"täsk": "running"}
    centre.end(second, "success")
    assert other.heartbeat() == 1


def test_a_report_that_the_scheduler_could_not_read_is_made_again(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    centre.end(job, exit_code=1)
    scheduler.executor.heartbeat()
    # As when another process has the row of the task instance locked: the scheduler takes the event and skips the row.
    scheduler.executor.get_event_buffer()
    assert scheduler.heartbeat() == 1
    assert centre.tasks(dag_id) == {"täsk": "failed"}
    scheduler.heartbeat()
    assert centre.job(job.id).booked_at is not None


def test_the_jobs_of_a_dead_scheduler_are_adopted_those_that_have_ended_too(centre: Centre) -> None:
    dead, dag_id = Scheduler(), centre.run(*"abcd")
    dead.step()
    centre.start()
    rows = {row.task_id: row for row in centre.jobs()}
    claimed = {row.task_id: row for row in rows.values()}
    heir = Scheduler()
    centre.store.jobs.settle(
        centre.worker_id,
        [ended_of(claimed["b"], 0), ended_of(claimed["c"], 1)],
        now=datetime.now(UTC),
    )
    centre.set_task(rows["b"].workload_id, state="success")
    centre.forget(rows["d"].id)
    dead.die()
    assert heir.adopt() == 1
    assert heir.executor.slots_occupied == 2
    assert heir.heartbeat() == 1
    assert centre.tasks(dag_id) == {"a": "running", "b": "success", "c": "failed", "d": None}
    centre.set_task(rows["a"].workload_id, state="success")
    centre.store.jobs.settle(centre.worker_id, [ended_of(claimed["a"], 0)], now=datetime.now(UTC))
    assert heir.heartbeat() == 1
    assert heir.executor.slots_occupied == 0


def test_an_adoption_that_is_rolled_back_adopts_nothing(centre: Centre) -> None:
    dead, heir = Scheduler(), Scheduler()
    centre.run()
    dead.step()
    dead.die()
    with create_session() as session:
        heir.runner.adopt_or_reset_orphaned_tasks(session=session)
        session.rollback()
    assert centre.jobs()[0].owner == dead.job.id
    assert heir.executor.slots_occupied == 1
    heir.heartbeat()
    assert heir.executor.slots_occupied == 0


@pytest.mark.parametrize("runs", [False, True])
def test_a_revoked_task_is_taken_back_within_the_schedulers_transaction(centre: Centre, runs: bool) -> None:
    scheduler = Scheduler()
    centre.run()
    scheduler.step()
    if runs:
        centre.start()
    (row,) = centre.jobs()
    with create_session() as session:
        scheduler.executor.revoke_task(ti=session.get_one(TaskInstance, row.workload_id))
        session.rollback()
    assert centre.job(row.id).state is not JobState.CANCELLED
    with create_session() as session:
        scheduler.executor.revoke_task(ti=session.get_one(TaskInstance, row.workload_id))
    row = centre.job(row.id)
    assert (row.state, row.to_stop) == (JobState.CANCELLED, runs)
    assert scheduler.executor.slots_occupied == 0
    unwanted = centre.store.jobs.unwanted([centre.worker_id])
    reasons = {AssignmentKey(str(row.id), 1): "the scheduler revoked the task"}
    assert unwanted == ({centre.worker_id: reasons} if runs else {})
    if runs:
        centre.store.jobs.settle(centre.worker_id, [ended_of(row, 1)], now=datetime.now(UTC))
        assert centre.store.jobs.unwanted([centre.worker_id]) == {}
    assert scheduler.heartbeat() == 0


def test_a_task_that_is_stuck_is_queued_again_as_another_job(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    centre.set_task(centre.task(dag_id).id, queued_dttm=datetime.now(UTC) - timedelta(days=1))
    scheduler.runner._handle_tasks_stuck_in_queued()
    assert scheduler.step() == 1
    assert [row.state for row in centre.jobs()] == [JobState.CANCELLED, JobState.QUEUED]
    centre.end(centre.start()[0], "success")
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "success"}


def test_a_task_without_a_heartbeat_is_stopped(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    centre.set_task(centre.task(dag_id).id, last_heartbeat_at=datetime.now(UTC) - timedelta(days=1))
    scheduler.runner._find_and_purge_task_instances_without_heartbeats()
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": "failed"}
    (unwanted,) = centre.store.jobs.unwanted([centre.worker_id])[centre.worker_id]
    assert unwanted.job_id == str(job.id)
    assert centre.job(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize(("state", "word"), [("failed", "failed"), (None, "cleared"), ("restarting", "cleared")])
def test_a_running_task_that_is_no_longer_wanted_is_stopped(centre: Centre, state: str | None, word: str) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    assert centre.store.jobs.unwanted([centre.worker_id]) == {}
    centre.set_task(centre.task(dag_id).id, state=state)
    ((key, reason),) = centre.store.jobs.unwanted([centre.worker_id])[centre.worker_id].items()
    assert key == AssignmentKey(str(job.id), 1)
    assert word in reason
    assert centre.store.jobs.unwanted([job.id]) == {}
    centre.end(job, exit_code=143)
    assert centre.store.jobs.unwanted([centre.worker_id]) == {}


def test_a_task_cleared_while_it_runs_is_run_again_when_its_process_has_ended(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    before = centre.task(dag_id).id
    centre.clear(dag_id)
    assert (centre.task(dag_id).id == before) is TRIES_ARE_KEPT
    (reason,) = centre.store.jobs.unwanted([centre.worker_id])[centre.worker_id].values()
    assert "cleared" in reason
    centre.end(job, exit_code=143)
    scheduler.heartbeat()
    assert centre.tasks(dag_id) == {"täsk": None}
    assert scheduler.step() == 1
    assert centre.jobs()[-1].try_number == 2


def test_a_queued_task_that_is_no_longer_wanted_is_taken_out_of_the_queue(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run("a", "b")
    scheduler.step()
    row = next(row for row in centre.jobs() if row.task_id == "a")
    centre.set_task(row.workload_id, state="failed")
    scheduler.executor._next_look_for_unwanted = 0
    scheduler.heartbeat()
    scheduler.heartbeat()
    assert centre.job(row.id).state is JobState.CANCELLED
    assert scheduler.executor.slots_occupied == 1
    assert centre.tasks(dag_id) == {"a": "failed", "b": "queued"}
    assert [job.id for job in centre.claim()] != [row.id]


def test_heartbeats_are_kept_fresh_for_living_jobs_and_for_those_of_a_worker_out_of_reach(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    now = datetime.now(UTC)
    patience = Patience(timedelta(seconds=15), timedelta(seconds=900))

    def age() -> timedelta:
        beat = centre.task(dag_id).last_heartbeat_at
        assert beat is not None
        return now - beat

    centre.set_task(centre.task(dag_id).id, last_heartbeat_at=now - timedelta(seconds=40))
    assert centre.store.jobs.keep_alive([], patience, now=now) == 0
    assert centre.store.jobs.keep_alive([job.id], patience, now=now) == 1
    assert age() == timedelta(0)
    assert centre.store.jobs.keep_alive([job.id], patience, now=now + timedelta(seconds=29)) == 0
    centre.enroll_worker(last_seen_at=now - timedelta(seconds=899))
    centre.set_task(centre.task(dag_id).id, last_heartbeat_at=now - timedelta(seconds=40))
    assert centre.store.jobs.keep_alive([], patience, now=now) == 1
    # However long it seems to be so: whoever sees its grace end ends the job.
    assert centre.store.jobs.keep_alive([], patience, now=now + timedelta(seconds=32)) == 1
    centre.end(job, "success")
    assert centre.store.jobs.keep_alive([job.id], patience, now=now + timedelta(seconds=99)) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("disconnect_grace", "soon"), ("queue_disconnect_grace", "12h"), ("queue_disconnect_grace", "a=b")],
)
def test_a_grace_that_makes_no_sense_keeps_the_scheduler_from_starting(name, value, monkeypatch) -> None:
    monkeypatch.setenv(f"AIRFLOW__EDGE__{name.upper()}", value)
    with pytest.raises(ValueError, match=rf"\[edge\] {name}: '"):
        EdgeExecutor().start()


def test_a_task_out_of_reach_is_kept_alive_by_its_scheduler_while_no_api_server_runs(centre: Centre) -> None:
    dead, dag_id = Scheduler(), centre.run()
    dead.step()
    centre.start()
    heir = Scheduler()
    dead.die()
    heir.adopt()
    now = datetime.now(UTC)
    centre.enroll_worker(last_seen_at=now - timedelta(seconds=60))
    centre.set_task(centre.task(dag_id).id, last_heartbeat_at=now - timedelta(seconds=60))
    heir.heartbeat()
    beat = centre.task(dag_id).last_heartbeat_at
    assert beat is not None
    assert beat >= now


def test_a_queue_with_too_long_a_name_fails_the_task_and_says_why(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    centre.step_with_queue(scheduler, dag_id, "q" * 257)
    assert centre.jobs() == []
    assert centre.tasks(dag_id) == {"täsk": "failed"}
    assert "has 257 characters, at most 256" in centre.event_log(dag_id)


def test_the_log_of_a_running_task_is_read_from_the_store(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    (job,) = centre.start()
    ti = centre.task(dag_id)
    assert scheduler.executor.get_task_log(ti, 2) == ([], [])
    text = "schön\n" * 1000
    centre.send_log(job, (text + "half").encode())
    sources, logs = scheduler.executor.get_task_log(ti, 1)
    assert logs == [text.removesuffix("\n")]
    assert any("7 KiB" in source for source in sources)


def test_the_log_of_a_running_task_says_what_the_policy_denied_it_and_who_refused_it(centre: Centre) -> None:
    scheduler, dag_id = Scheduler(), centre.run()
    scheduler.step()
    centre.enroll_worker(last_seen_at=datetime.now(UTC))
    (job,) = centre.claim(slots=1)
    refused = Refused(job_id=str(job.id), assignment=1, reason="by its owner's site policy", denied=True)
    centre.store.jobs.settle(centre.worker_id, [refused], now=datetime.now(UTC))
    ti = centre.task(dag_id)
    note_denial(ti, "It may not read variable 'db'", by="worker press-7", wish={"grant": "variables", "name": "db"})
    sources, logs = scheduler.executor.get_task_log(ti, 1)
    assert sources == [
        "Nothing has arrived from the edge worker yet",
        f"This task was not run there: worker '{centre.worker_id}' refused it by its owner's site policy",
        "It may not read variable 'db'.",
    ]
    assert logs == []


def test_an_executor_is_made_without_doing_anything(centre: Centre) -> None:
    executor = EdgeExecutor()
    assert (executor.supports_multi_team, executor.is_local) == (True, True)
    executor.sync()
    executor.end()
    executor.terminate()
    assert not executor.event_buffer


@pytest.mark.parametrize(("exit_code", "state"), [(0, "success"), (3, "failed")])
def test_a_callback_runs_before_tasks_and_is_reported(centre: Centre, exit_code: int, state: str) -> None:
    scheduler, dag_id = Scheduler(), centre.run(priority_weight=999)
    scheduler.step()
    callback_id = centre.callback(dag_id)
    scheduler.queue_callbacks()
    assert centre.callback_state(callback_id) == "queued"
    (job,) = centre.claim(slots=1)
    row = centre.job(job.id)
    assert (row.kind, row.workload_id, row.dag_id) == ("callback", callback_id, dag_id)
    document = ExecuteCallback.model_validate_json(job.workload)
    assert (document.token, document.callback.id) == ("", str(callback_id))
    assert scheduler.heartbeat() == 0
    centre.accept(job)
    assert scheduler.heartbeat() == 1
    assert centre.callback_state(callback_id) == ("queued" if TRIES_ARE_KEPT else "running")
    assert scheduler.heartbeat() == 0
    centre.end(job, exit_code=exit_code)
    assert scheduler.heartbeat() == 1
    assert centre.callback_state(callback_id) == state
    assert scheduler.executor.slots_occupied == 1
    scheduler.heartbeat()
    assert centre.job(job.id).booked_at is not None


def test_the_callbacks_of_a_dead_scheduler_are_adopted(centre: Centre) -> None:
    dead, dag_id = Scheduler(), centre.run()
    callback_id = centre.callback(dag_id)
    dead.queue_callbacks()
    bystander = Scheduler()
    bystander.heartbeat()
    assert bystander.executor.slots_occupied == 0
    dead.die()
    heir = Scheduler()
    heir.heartbeat()
    assert heir.executor.slots_occupied == 1
    (job,) = centre.claim()
    centre.end(job)
    heir.heartbeat()
    assert centre.callback_state(callback_id) == "success"


def test_a_test_job_is_no_schedulers_business(centre: Centre) -> None:
    """Not of one that runs, of one that adopts, or of one that takes back; no task of Airflow's knows of it."""
    scheduler, dag_id = Scheduler(), centre.run()
    worker = centre.store.enroll_tokens.enroll_trusted("tested", bytes(32), ["default"], now=datetime.now(UTC))
    link = LinkFacts(
        link_id=uuid4(),
        gateway_id="g",
        transport="WebSocket",
        boot_id="b",
        agent_version="1",
        airflow_version="3",
        concurrency=1,
        state=WorkerState.IDLE,
    )
    centre.store.workers.link({worker.id: link}, now=datetime.now(UTC))
    asked = centre.store.worker_tests.ask(worker.id, now=datetime.now(UTC))
    assert asked is not None
    assert asked.job_id is not None
    scheduler.step()
    scheduler.die()
    other = Scheduler()
    other.adopt()
    other.queue_callbacks()
    assert other.heartbeat() == 0
    assert centre.store.orphaned_jobs.finish(now=datetime.now(UTC), limit=9) == 0
    assert other.executor.slots_occupied == 1
    before = centre.job(asked.job_id)
    assert (before.state, before.owner) == (JobState.QUEUED, None)
    room = Capacity(worker_id=worker.id, queues=frozenset(), team_name=None, free_slots=1)
    (job,) = centre.store.queue.claim([room], lease_until=datetime.now(UTC), now=datetime.now(UTC)).jobs
    accepted = Accepted(job_id=str(job.id), assignment=job.assignment)
    ended = Ended(job_id=str(job.id), assignment=job.assignment, exit_code=1)
    centre.store.jobs.settle(worker.id, [accepted], now=datetime.now(UTC))
    assert centre.store.jobs.unwanted([worker.id]) == {}
    centre.store.jobs.settle(worker.id, [ended], now=datetime.now(UTC))
    assert other.heartbeat() == 0
    after = centre.job(asked.job_id)
    assert (after.state, after.owner, after.booked_at) == (JobState.FAILED, None, before.booked_at)
    assert centre.tasks(dag_id) == {"täsk": "queued"}
    other.die()
