"""Why a task is not running: one sentence, from the facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from airflow_edge.protocol.states import JOB_HELD, MAINTENANCE, JobState, WorkerState
from airflow_edge.rules.acts.pausing import QueuePause, resume_command
from airflow_edge.rules.explanation.ended import (
    clock,
    finished,
    no_gateway,
    no_scheduler,
    rescheduled,
    to_be_tried_again,
)
from airflow_edge.rules.explanation.facts import (
    EDGE_EXECUTOR,
    NOBODY_AHEAD,
    Ahead,
    Cause,
    Explanation,
    TaskFacts,
    WorkerFacts,
)
from airflow_edge.rules.explanation.last_words import LastWords
from airflow_edge.rules.overview import JobView
from airflow_edge.rules.processes import CentreFacts

JOB_UNDER_WAY: Final = JOB_HELD | {JobState.QUEUED}
_IN_MAINTENANCE: Final = "in maintenance"


def explain(
    task: TaskFacts | None,
    job: JobView | None,
    workers: Sequence[WorkerFacts],
    *,
    ahead: Ahead = NOBODY_AHEAD,
    words: LastWords | None = None,
    centre: CentreFacts | None = None,
    pause: QueuePause | None = None,
    now: datetime,
) -> Explanation:
    """Say why a task is not running, or what it does.

    :param task: None if Airflow has no such task instance
    :param job: its newest job, None if it was never handed to the edge executor, or was purged since
    :param workers: all enrolled workers
    :param ahead: what is due before the job while it is queued
    :param words: the last error in the job's log
    :param centre: what runs at the centre; None if that is not known
    :param pause: that of the job's queue, if it is paused
    """
    if task is None:
        return Explanation(
            Cause.NO_TASK,
            "Airflow has no such task instance: check the ids of the Dag, run and task, and the map index.",
        )
    to_queue = task.executor == EDGE_EXECUTOR and task.state in {"scheduled", "queued"} and job is None
    if to_queue and centre is not None and not centre.schedulers and not task.dag_paused:
        return no_scheduler(centre)
    if job is not None and job.state in JOB_UNDER_WAY and centre is not None and not centre.gateways:
        return no_gateway(job, centre)
    if job is not None and job.state is JobState.RUNNING:
        return _running(task, job, workers, now)
    if task.state == "queued":
        return _queued(task, job, workers, ahead, pause, now)
    if task.state in {None, "scheduled", "deferred", "running", "restarting"}:
        return _not_queued(task, job)
    if task.state == "up_for_reschedule":
        return rescheduled(task, job, words)
    if task.state == "up_for_retry":
        return to_be_tried_again(task, job, words)
    waits = None if job is None or not task.given_up_in_queue else _waiting(job, workers, NOBODY_AHEAD, pause, now)
    return finished(task, job, workers, words, waits)


# What Airflow decides


def _not_queued(task: TaskFacts, job: JobView | None) -> Explanation:
    match task.state:
        case None | "scheduled" if task.dag_paused:
            return Explanation(
                Cause.DAG_PAUSED, f"Its Dag is paused: airflow dags unpause {task.dag_id}, or the switch in the UI."
            )
        case None:
            return _not_scheduled(task)
        case "scheduled":
            return _scheduled(task)
        case "deferred":
            return Explanation(
                Cause.DEFERRED, "It is deferred: it waits for its trigger, which Airflow's triggerer runs."
            )
        case "running" | "restarting" if job is not None and job.ended_at is not None:
            return Explanation(
                Cause.ENDED_AT_SITE,
                f"Its process on worker '{job.worker}' has ended ({job.reason or job.state}) and Airflow knows; "
                "the scheduler will set its state.",
            )
        case _:
            return Explanation(Cause.RUNNING, f"It is {task.state}, on an executor that is not the edge executor.")


def _not_scheduled(task: TaskFacts) -> Explanation:
    if task.upstream_waiting:
        return Explanation(
            Cause.NOT_SCHEDULED, f"It waits for {_count(task.upstream_waiting, 'task')} upstream in the same run."
        )
    if task.run_state == "queued":
        return Explanation(
            Cause.NOT_SCHEDULED, "Its run has not started: the Dag has as many active runs as `max_active_runs` allows."
        )
    if task.run_state != "running":
        return Explanation(
            Cause.NOT_SCHEDULED, f"Its run is over (state {task.run_state}), and it was never scheduled."
        )
    return Explanation(
        Cause.NOT_SCHEDULED,
        "Nothing upstream holds it: the scheduler schedules it on its next round, if one is running.",
    )


def _scheduled(task: TaskFacts) -> Explanation:
    if task.pool_free < task.pool_slots:
        return Explanation(
            Cause.POOL,
            f"Pool '{task.pool}' has {task.pool_free} free slots, it needs {task.pool_slots}: enlarge it, or wait.",
        )
    if task.executor_free <= 0:
        return Explanation(
            Cause.PARALLELISM,
            f"The executor's parallelism is used up: {task.parallelism} tasks are queued or running per scheduler "
            "([core] parallelism).",
        )
    return Explanation(
        Cause.SCHEDULED,
        "It is scheduled and will be queued on the scheduler's next round, unless a limit of its Dag or task on active "
        "tasks holds it (max_active_tasks, max_active_tis_per_dag).",
    )


# What we decide


def _queued(
    task: TaskFacts,
    job: JobView | None,
    workers: Sequence[WorkerFacts],
    ahead: Ahead,
    pause: QueuePause | None,
    now: datetime,
) -> Explanation:
    if task.executor != EDGE_EXECUTOR:
        return Explanation(
            Cause.OTHER_EXECUTOR,
            f'It is queued for {task.executor}, not for an edge worker: set executor="EdgeExecutor" on the task.',
        )
    if job is None:
        return Explanation(
            Cause.NOT_HANDED_OVER,
            "Airflow has queued it and no job of it is left: its scheduler is about to hand it over or died before it "
            "could; the next one does it after [scheduler] task_queued_timeout.",
        )
    if job.state is JobState.LEASED:
        return Explanation(
            Cause.OFFERED,
            f"It was just handed to worker '{job.worker}', which has until {clock(job.lease_until)} to answer; "
            "unanswered, it goes back into the queue.",
        )
    if job.state is not JobState.QUEUED:
        return Explanation(
            Cause.ENDED_AT_SITE,
            f"Its last job has ended ({job.state}{': ' + job.reason if job.reason else ''}); "
            "the scheduler will set its state.",
        )
    return _waiting(job, workers, ahead, pause, now)


def _waiting(
    job: JobView, workers: Sequence[WorkerFacts], ahead: Ahead, pause: QueuePause | None, now: datetime
) -> Explanation:
    if pause is not None:
        command = resume_command(pause.team_name, pause.queue)
        return Explanation(Cause.QUEUE_PAUSED, f"Its queue '{job.queue}' is {pause}. To have it run: {command}")
    enrolled = [worker for worker in workers if not worker.revoked]
    if not enrolled:
        return Explanation(
            Cause.NO_WORKERS, "No worker is enrolled: airflow edge enroll-token create prints the command for a site."
        )
    serving = [worker for worker in enrolled if job.queue in worker.queues]
    if not serving:
        return _no_worker_for_queue(job, enrolled)
    own = [worker for worker in serving if worker.team_name == job.team_name]
    if not own:
        teams = ", ".join(sorted({worker.team_name or "no team" for worker in serving}))
        return Explanation(
            Cause.OTHER_TEAM,
            f"The workers that serve queue '{job.queue}' belong to {teams}, the task to {job.team_name or 'no team'}.",
        )
    largest = max(own, key=lambda worker: worker.slots)
    if largest.slots < job.slots:
        return Explanation(
            Cause.TOO_LARGE,
            f"It needs {_count(job.slots, 'slot')}, and '{largest.name}', the largest worker of queue '{job.queue}', "
            f"has {largest.slots}: lower the task's pool_slots or raise the worker's concurrency.",
        )
    ready = [worker for worker in own if not why_not_given(worker, job)]
    if not ready:
        return _none_ready(job, own)
    if all(worker.free_slots < job.slots for worker in ready):
        return _all_full(job, own, ready, ahead)
    if ahead.jobs:
        weightier = f", {ahead.weightier} of them of higher priority" if ahead.weightier else ""
        return Explanation(
            Cause.BEHIND_OTHERS,
            f"It waits behind {_count(ahead.jobs, 'job')} of queue '{job.queue}'{weightier}; they are handed out "
            "first.",
        )
    return _due(job, ready, now)


def _no_worker_for_queue(job: JobView, enrolled: Sequence[WorkerFacts]) -> Explanation:
    known = sorted(set().union(*(worker.queues for worker in enrolled)))
    nearest = get_close_matches(job.queue, known, n=1)
    hint = f" (nearest: '{nearest[0]}')" if nearest else f" (served: {', '.join(known[:5])})" if known else ""
    return Explanation(Cause.NO_WORKER_FOR_QUEUE, f"No worker serves queue '{job.queue}'{hint}.")


def _none_ready(job: JobView, own: Sequence[WorkerFacts]) -> Explanation:
    return Explanation(
        Cause.NO_WORKER_READY,
        f"{_count(len(own), 'worker serves', 'workers serve')} queue '{job.queue}', and none can take it: "
        f"{_tally(job, own)}.",
    )


def _all_full(job: JobView, own: Sequence[WorkerFacts], ready: Sequence[WorkerFacts], ahead: Ahead) -> Explanation:
    others = [worker for worker in own if worker not in ready]
    busiest = max(ready, key=lambda worker: worker.free_slots)
    if busiest.free_slots:
        fullness = (
            f"it needs {job.slots} slots at once and '{busiest.name}' has the most free, {busiest.free_slots} of "
            f"{busiest.slots}"
        )
    else:
        since = min((worker.full_since for worker in ready if worker.full_since), default=None)
        running = f" (the longest job there runs since {clock(since)})" if since else ""
        fullness = f"{len(ready)} {'is' if len(ready) == 1 else 'are'} full{running}"
    tally = f", {_tally(job, others)}" if others else ""
    queue = f", behind {_count(ahead.jobs, 'job')} before it" if ahead.jobs else ""
    return Explanation(
        Cause.WORKERS_FULL,
        f"{_count(len(own), 'worker serves', 'workers serve')} queue '{job.queue}': {fullness}{tally}. "
        f"It gets the next free slot{'s' if job.slots > 1 else ''}{queue}.",
    )


def _due(job: JobView, ready: Sequence[WorkerFacts], now: datetime) -> Explanation:
    free = max(ready, key=lambda worker: worker.free_slots)
    waited = (now - job.queued_at).total_seconds()
    again = f" It came back {_count(job.assignment, 'time')} unanswered or refused." if job.assignment else ""
    return Explanation(
        Cause.DUE,
        f"Worker '{free.name}' has {_count(free.free_slots, 'free slot')} for it: it is handed out at any moment "
        f"(it waits since {waited:.0f} s; if that grows, look whether the API server that the worker is linked to "
        f"reaches the database).{again}",
    )


def _running(task: TaskFacts, job: JobView, workers: Sequence[WorkerFacts], now: datetime) -> Explanation:
    worker = next((worker for worker in workers if worker.name == job.worker), None)
    after = " so that a retry can run" if task.tries_left else ", and has no retry left"
    if job.left_at is not None:
        return Explanation(
            Cause.UNREACHABLE,
            f"It runs on the machine that used the key of worker '{job.worker}' until {clock(job.left_at)}; another "
            "machine uses it now (a copied state folder?). Unless the first is the worker again within its grace, the "
            f"task is failed{after}.",
        )
    if worker is not None and worker.state is WorkerState.UNKNOWN:
        until = (
            f"if it is not back by {clock(worker.grace_until)}, the task is failed{after}"
            if worker.grace_until is not None and worker.grace_until > now
            else "its grace is over and the task will be failed at any moment"
        )
        return Explanation(
            Cause.UNREACHABLE,
            f"It runs on worker '{worker.name}', which is unreachable since {clock(worker.seen_at)}; {until}.",
        )
    if task.state == "queued":
        held_up = (
            f"; it waits there, since the worker says: {worker.conditions.rstrip('.')}"
            if worker and worker.conditions
            else ""
        )
        return Explanation(
            Cause.STARTING,
            f"Worker '{job.worker}' accepted it at {clock(job.started_at)} and is starting it{held_up}.",
        )
    return Explanation(Cause.RUNNING, f"It runs on worker '{job.worker}' since {clock(job.started_at)}.")


def why_not_given(worker: WorkerFacts, job: JobView) -> str:
    """Say in a few words why this worker cannot take any job now, or not this one ever; empty if it can."""
    if worker.refusal:
        return f"not allowed to take it {worker.refusal}"
    if worker.state is WorkerState.UNKNOWN:
        return "unreachable"
    if worker.state is WorkerState.STARTING and worker.conditions:
        return f"unable ({worker.conditions})"
    if worker.state in {WorkerState.OFFLINE, WorkerState.STARTING, WorkerState.TERMINATING}:
        return worker.state.value
    if worker.state is WorkerState.SHUTDOWN_REQUEST:
        return "shutting down"
    if worker.state in MAINTENANCE:
        return _IN_MAINTENANCE
    if worker.state is WorkerState.MAINTENANCE_EXIT:
        return "leaving maintenance"
    if worker.version_refused:
        return f"refused for its version ({worker.version_refused})"
    if worker.conditions:
        return f"unable ({worker.conditions})"
    if worker.closed:
        return f"closed for its queue {worker.closed}"
    if worker.slots < job.slots:
        return f"too small ({_count(worker.slots, 'slot')})"
    return ""


def _tally(job: JobView, workers: Sequence[WorkerFacts]) -> str:
    """Count workers by what hinders them, the most frequent first, with a name where there is one only."""
    groups: dict[str, list[WorkerFacts]] = {}
    for worker in workers:
        groups.setdefault(why_not_given(worker, job), []).append(worker)
    parts = []
    for reason, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        who = f"'{group[0].name}' is" if len(group) == 1 else f"{len(group)} are"
        seen = max((worker.seen_at for worker in group if worker.seen_at), default=None)
        since = f" since {clock(seen)}" if reason == "unreachable" and seen else ""
        told = group[0].maintenance if reason == _IN_MAINTENANCE and len(group) == 1 else ""
        parts.append(f"{who} {told or reason}{since}")
    return ", ".join(parts)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
