from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.acts.pausing import QueuePause
from airflow_edge.rules.explanation.explain import explain
from airflow_edge.rules.explanation.facts import NOBODY_AHEAD, Ahead, Cause, TaskFacts, WorkerFacts
from airflow_edge.rules.explanation.last_words import LastWords
from airflow_edge.rules.overview import JobView
from airflow_edge.rules.processes import at_the_centre

NOW = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
TASK = TaskFacts(
    dag_id="dag",
    state="queued",
    try_number=1,
    executor="EdgeExecutor",
    team_name=None,
    dag_paused=False,
    run_state="running",
    due_at=None,
    upstream_waiting=0,
    pool="default_pool",
    pool_slots=1,
    pool_free=100,
    executor_free=30,
    parallelism=32,
)
JOB = JobView(
    id=UUID(int=1),
    kind="task",
    dag_id="dag",
    run_id="run",
    task_id="task",
    map_index=-1,
    try_number=1,
    assignment=0,
    exit_code=None,
    signal=None,
    state=JobState.QUEUED,
    queue="plc",
    team_name=None,
    slots=1,
    priority_weight=1,
    queued_at=NOW - timedelta(seconds=12),
    worker="",
    lease_until=None,
    started_at=None,
    ended_at=None,
    reason="",
)
WORKER = WorkerFacts(
    name="w",
    state=WorkerState.IDLE,
    revoked=False,
    queues=frozenset({"plc"}),
    team_name=None,
    slots=2,
    free_slots=2,
    seen_at=NOW - timedelta(minutes=3),
)


def task(**facts):
    return replace(TASK, **facts)


def job(**facts):
    return replace(JOB, **facts)


def worker(name="w", **facts):
    return replace(WORKER, name=name, **facts)


RUNNING = job(state=JobState.RUNNING, worker="w", started_at=NOW - timedelta(minutes=9))
SITUATIONS = [
    (None, None, [], Cause.NO_TASK, "no such task instance"),
    (task(state=None, dag_paused=True), None, [], Cause.DAG_PAUSED, "airflow dags unpause dag"),
    (task(state=None, upstream_waiting=2), None, [], Cause.NOT_SCHEDULED, "waits for 2 tasks upstream"),
    (task(state=None, run_state="queued"), None, [], Cause.NOT_SCHEDULED, "`max_active_runs`"),
    (task(state=None, run_state="failed"), None, [], Cause.NOT_SCHEDULED, "run is over (state failed)"),
    (task(state=None), None, [], Cause.NOT_SCHEDULED, "next round"),
    (task(state="scheduled", dag_paused=True), None, [], Cause.DAG_PAUSED, "paused"),
    (task(state="scheduled", pool_free=1, pool_slots=2), None, [], Cause.POOL, "has 1 free slots, it needs 2"),
    (task(state="scheduled", executor_free=0), None, [], Cause.PARALLELISM, "parallelism is used up: 32"),
    (task(state="scheduled"), None, [], Cause.SCHEDULED, "will be queued"),
    (task(state="deferred"), None, [], Cause.DEFERRED, "trigger"),
    (
        task(state="up_for_retry", try_number=2, due_at=NOW),
        None,
        [],
        Cause.RETRY_WAITS,
        "Try 2 failed; Airflow will try",
    ),
    (task(state="up_for_reschedule", due_at=NOW, is_sensor=True), None, [], Cause.RESCHEDULED, "14:05:00"),
    (task(state="up_for_reschedule", is_sensor=False), None, [], Cause.DAG_NOT_FOUND, "It is no sensor"),
    (
        task(state="failed", given_up_in_queue=True),
        job(state=JobState.CANCELLED),
        [worker(queues=frozenset({"gpu"}))],
        Cause.QUEUED_TOO_LONG,
        "No worker serves queue 'plc'",
    ),
    (
        task(state="failed"),
        job(state=JobState.LOST, reason="the worker is gone"),
        [],
        Cause.FINISHED,
        "failed. Its last job: the worker is gone",
    ),
    (task(executor="LocalExecutor"), None, [], Cause.OTHER_EXECUTOR, 'executor="EdgeExecutor"'),
    (task(), None, [], Cause.NOT_HANDED_OVER, "task_queued_timeout"),
    (task(), job(), [], Cause.NO_WORKERS, "enroll-token create"),
    (task(), job(), [worker(revoked=True)], Cause.NO_WORKERS, "No worker is enrolled"),
    (
        task(),
        job(),
        [worker(queues=frozenset({"plc2"})), worker("o", queues=frozenset({"gpu"}))],
        Cause.NO_WORKER_FOR_QUEUE,
        "No worker serves queue 'plc' (nearest: 'plc2').",
    ),
    (task(), job(), [worker(queues=frozenset({"gpu"}))], Cause.NO_WORKER_FOR_QUEUE, "(served: gpu)"),
    (task(), job(team_name="red"), [worker(team_name="blue")], Cause.OTHER_TEAM, "belong to blue, the task to red"),
    (
        task(),
        job(slots=4),
        [worker("small", slots=1), worker("big")],
        Cause.TOO_LARGE,
        "It needs 4 slots, and 'big', the largest worker of queue 'plc', has 2",
    ),
    (
        task(),
        job(),
        [
            worker("a", state=WorkerState.MAINTENANCE_MODE),
            worker("b", state=WorkerState.MAINTENANCE_PENDING),
            worker("c", free_slots=0, full_since=NOW - timedelta(minutes=30)),
        ],
        Cause.WORKERS_FULL,
        "3 workers serve queue 'plc': 1 is full (the longest job there runs since 2026-11-21 13:35:00 UTC), "
        "2 are in maintenance. It gets the next free slot.",
    ),
    (
        task(),
        job(),
        [worker("a", state=WorkerState.MAINTENANCE_MODE, maintenance="in maintenance by ada: 'new belts'")],
        Cause.NO_WORKER_READY,
        "1 worker serves queue 'plc', and none can take it: 'a' is in maintenance by ada: 'new belts'.",
    ),
    (
        task(),
        job(slots=2),
        [worker(free_slots=1)],
        Cause.WORKERS_FULL,
        "it needs 2 slots at once and 'w' has the most free, 1 of 2",
    ),
    (
        task(),
        job(),
        [worker(state=WorkerState.UNKNOWN)],
        Cause.NO_WORKER_READY,
        "'w' is unreachable since 2026-11-21 14:02:00 UTC",
    ),
    (task(), job(), [worker(state=WorkerState.OFFLINE)], Cause.NO_WORKER_READY, "'w' is offline"),
    (task(), job(), [worker(state=WorkerState.SHUTDOWN_REQUEST)], Cause.NO_WORKER_READY, "'w' is shutting down"),
    (
        task(),
        job(),
        [worker(version_refused="0.1.0 is older than 0.2.0")],
        Cause.NO_WORKER_READY,
        "refused for its version (0.1.0 is older than 0.2.0)",
    ),
    (task(), job(), [worker(conditions="its disk is full")], Cause.NO_WORKER_READY, "unable (its disk is full)"),
    (
        task(),
        job(),
        [worker(state=WorkerState.STARTING, conditions="the runtime ended once: no")],
        Cause.NO_WORKER_READY,
        "unable (the runtime ended once: no)",
    ),
    (
        task(),
        job(),
        [worker()],
        Cause.BEHIND_OTHERS,
        "behind 18 jobs of queue 'plc', 17 of them of higher priority",
    ),
    (task(), job(assignment=2), [worker()], Cause.DUE, "waits since 12 s"),
    (
        task(),
        job(state=JobState.LEASED, worker="w", lease_until=NOW),
        [worker()],
        Cause.OFFERED,
        "handed to worker 'w', which has until",
    ),
    (task(), job(state=JobState.FAILED, reason="killed"), [worker()], Cause.ENDED_AT_SITE, "(failed: killed)"),
    (task(), RUNNING, [worker()], Cause.STARTING, "accepted it at 2026-11-21 13:56:00 UTC"),
    (task(state="running"), RUNNING, [worker()], Cause.RUNNING, "runs on worker 'w' since"),
    (
        task(state="running"),
        RUNNING,
        [worker(state=WorkerState.UNKNOWN, grace_until=NOW + timedelta(minutes=12))],
        Cause.UNREACHABLE,
        "unreachable since 2026-11-21 14:02:00 UTC; if it is not back by 2026-11-21 14:17:00 UTC",
    ),
    (
        task(state="running"),
        job(state=JobState.RUNNING, worker="w", left_at=NOW - timedelta(minutes=3)),
        [worker()],
        Cause.UNREACHABLE,
        "the machine that used the key of worker 'w' until 2026-11-21 14:02:00 UTC; another machine uses it now",
    ),
    (
        task(state="running"),
        RUNNING,
        [worker(state=WorkerState.UNKNOWN, grace_until=NOW)],
        Cause.UNREACHABLE,
        "its grace is over",
    ),
    (
        task(state="running"),
        job(state=JobState.FAILED, worker="w", ended_at=NOW, reason="killed"),
        [worker()],
        Cause.ENDED_AT_SITE,
        "Its process on worker 'w' has ended (killed)",
    ),
    (task(state="running", executor="LocalExecutor"), None, [], Cause.RUNNING, "not the edge executor"),
]


AHEAD = {"behind 18 jobs of queue 'plc', 17 of them of higher priority": Ahead(18, 17)}


@pytest.mark.parametrize(("facts", "its_job", "workers", "cause", "words"), SITUATIONS)
def test_each_situation_has_its_sentence(facts, its_job, workers, cause, words):
    explanation = explain(facts, its_job, workers, ahead=AHEAD.get(words, NOBODY_AHEAD), now=NOW)
    assert explanation.cause is cause
    assert words in explanation.sentence


def test_every_cause_is_reached():
    assert {situation[3] for situation in SITUATIONS} | {
        Cause.NO_SCHEDULER,
        Cause.NO_GATEWAY,
        Cause.QUEUE_PAUSED,
    } == set(Cause)


def test_a_queue_that_is_paused_is_the_reason_whoever_could_take_it():
    pause = QueuePause(team_name="red", queue="plc", note="a new line", by="ada", since=NOW)
    for workers in ([], [worker()]):
        found = explain(task(), job(), workers, pause=pause, now=NOW)
        assert found.cause is Cause.QUEUE_PAUSED
        assert found.sentence == (
            f"Its queue 'plc' is paused since {NOW:%Y-%m-%d %H:%M} UTC by ada: a new line. "
            "To have it run: airflow edge resume-queue plc --team red"
        )
    assert explain(task(), RUNNING, [worker()], pause=pause, now=NOW).cause is Cause.STARTING


NOBODY = at_the_centre([], NOW)


def test_nothing_is_said_of_now_where_nobody_keeps_it_up():
    for state in ("scheduled", "queued"):
        found = explain(task(state=state), None, [worker()], centre=NOBODY, now=NOW)
        assert found.cause is Cause.NO_SCHEDULER
    for held in (job(), RUNNING, job(state=JobState.LEASED, worker="w")):
        found = explain(task(), held, [worker()], centre=NOBODY, now=NOW)
        assert found.cause is Cause.NO_GATEWAY
        assert ("'w'" in found.sentence) == bool(held.worker)
    # What has ended has.
    over = explain(task(state="success"), job(state=JobState.SUCCEEDED), [], centre=NOBODY, now=NOW)
    assert over.cause is Cause.FINISHED


def test_a_sensor_whose_dag_was_not_found_is_told_by_its_log():
    words = LastWords("Dag not found during start up", dag_not_found=True)
    found = explain(task(state="up_for_reschedule", is_sensor=True), None, [], words=words, now=NOW)
    assert found.cause is Cause.DAG_NOT_FOUND


def test_a_dag_whose_file_fails_at_the_site_is_not_called_missing():
    words = LastWords("Dag not found during start up", dag_not_found=True, not_loaded="No module named 'serial'")
    for state in ("failed", "up_for_retry", "up_for_reschedule"):
        sentence = explain(task(state=state, is_sensor=False), None, [], words=words, now=NOW).sentence
        assert "No module named 'serial'" in sentence
        assert "put the Dag's file" not in sentence


def test_what_the_site_refuses_is_said_to_be_the_sites():
    kept = "this site has the connection 'plc_db', but none of its rules (/s.toml) lets a Dag have it"
    words = LastWords("PermissionError: Access denied for connection 'plc_db'", kept_at_site=kept)
    sentence = explain(task(state="failed"), None, [], words=words, now=NOW).sentence
    assert f"the word of the site, not of the centre's policy: {kept}" in sentence


def test_an_old_file_at_the_site_is_not_called_missing():
    words = LastWords("Task not found in Dag during start up", dag_not_found=True, task_not_found=True)
    sentence = explain(task(state="failed", is_sensor=False), None, [], words=words, now=NOW).sentence
    assert "has no such task at the site" in sentence
    assert "put the Dag's file" not in sentence


def test_both_meanings_of_a_state_are_named_where_it_cannot_be_told():
    found = explain(task(state="up_for_reschedule", is_sensor=None), None, [], now=NOW)
    assert "sensor" in found.sentence
    assert "Dag was not found" in found.sentence


MOMENTS = st.none() | st.just(NOW)
TASKS = st.none() | st.builds(
    TaskFacts,
    dag_id=st.just("dag"),
    state=st.sampled_from([None, "scheduled", "queued", "running", "deferred", "success", "removed", "up_for_retry"]),
    try_number=st.integers(0, 2),
    executor=st.sampled_from(["EdgeExecutor", "LocalExecutor"]),
    team_name=st.none(),
    dag_paused=st.booleans(),
    run_state=st.sampled_from(["queued", "running", "success"]),
    due_at=MOMENTS,
    upstream_waiting=st.integers(0, 1),
    pool=st.just("p"),
    pool_slots=st.just(1),
    pool_free=st.integers(0, 1),
    executor_free=st.integers(0, 1),
    parallelism=st.just(32),
)
JOBS = st.none() | st.builds(
    job,
    state=st.sampled_from(JobState),
    queue=st.sampled_from(["plc", "gpu"]),
    team_name=st.sampled_from([None, "red"]),
    slots=st.integers(1, 3),
    queued_at=st.just(NOW),
    worker=st.just("w"),
    lease_until=MOMENTS,
    started_at=MOMENTS,
    ended_at=MOMENTS,
    reason=st.sampled_from(["", "why"]),
    assignment=st.integers(0, 1),
)
WORKERS = st.lists(
    st.builds(
        WorkerFacts,
        name=st.sampled_from(["w", "v"]),
        state=st.sampled_from(WorkerState),
        revoked=st.booleans(),
        queues=st.frozensets(st.sampled_from(["plc", "plc2"])),
        team_name=st.sampled_from([None, "red"]),
        slots=st.integers(1, 3),
        free_slots=st.integers(0, 3),
        seen_at=MOMENTS,
        grace_until=MOMENTS,
        full_since=MOMENTS,
        version_refused=st.sampled_from(["", "old"]),
        conditions=st.sampled_from(["", "disk"]),
    ),
    max_size=3,
)


@given(TASKS, JOBS, WORKERS, st.builds(Ahead, st.integers(0, 1), st.just(0)))
def test_there_is_always_one_sentence_and_it_never_says_unknown(facts, its_job, workers, ahead):
    sentence = explain(facts, its_job, workers, ahead=ahead, now=NOW).sentence
    assert sentence.endswith(".")
    assert "unknown" not in sentence
    assert "None" not in sentence


def test_what_the_owner_of_a_machine_does_not_allow_is_said_in_his_words():
    by_policy = "by its owner's site policy (/p.toml on that machine)"
    shut = worker("press-7", closed=f"{by_policy}: it has jobs taken again from Mon 06:00 CET on")
    barred = worker("press-8", state=WorkerState.UNKNOWN, refusal=f"{by_policy}: Dag 'dag' is none of its dags")
    found = explain(task(), job(), [shut, barred], now=NOW)
    assert found.cause is Cause.NO_WORKER_READY
    assert f"'press-7' is closed for its queue {by_policy}: it has jobs taken again from Mon 06:00" in found.sentence
    assert f"'press-8' is not allowed to take it {by_policy}: Dag 'dag' is none of its dags" in found.sentence
    assert explain(task(), job(), [shut, worker("free")], now=NOW).cause is Cause.DUE
