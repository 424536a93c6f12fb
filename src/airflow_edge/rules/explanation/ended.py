"""The sentences about what became of a task, and about a centre that hands nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.explanation.facts import EDGE_EXECUTOR, Cause, Explanation, TaskFacts, WorkerFacts
from airflow_edge.rules.explanation.last_words import LastWords
from airflow_edge.rules.overview import JobView
from airflow_edge.rules.processes import CentreFacts


def rescheduled(task: TaskFacts, job: JobView | None, words: LastWords | None) -> Explanation:
    """Tell a sensor from a task whose Dag was not to be had: Airflow has one state for both."""
    due = f" at {clock(task.due_at)}" if task.due_at else ""
    if words is not None and words.dag_not_found:
        return Explanation(Cause.DAG_NOT_FOUND, f"{_not_found(job, words)} Airflow starts it again{due}.")
    if task.is_sensor:
        return Explanation(Cause.RESCHEDULED, f"It is a sensor that looks again{due}.")
    if task.is_sensor is False:
        said = f" (its log ends with: {words.text})" if words else "; its log says which"
        return Explanation(
            Cause.DAG_NOT_FOUND,
            f"It is no sensor, and Airflow starts it again{due}: its Dag or task was not found{_at(job)}{said}. Put "
            "the Dag's file where the site looks for Dags.",
        )
    return Explanation(
        Cause.RESCHEDULED,
        f"Airflow starts it again{due}: it is a sensor that looks again, or its Dag was not found{_at(job)}.",
    )


def to_be_tried_again(task: TaskFacts, job: JobView | None, words: LastWords | None) -> Explanation:
    """Say when, and what the last try ended with."""
    due = f" at {clock(task.due_at)}" if task.due_at else ""
    why = _why(task, job, words)
    return Explanation(Cause.RETRY_WAITS, f"Try {task.try_number} failed{_at(job)}; Airflow will try again{due}.{why}")


def finished(
    task: TaskFacts,
    job: JobView | None,
    workers: Sequence[WorkerFacts],
    words: LastWords | None,
    waits: Explanation | None,
) -> Explanation:
    """Say how it ended, where it ran, and what its log knew.

    :param waits: why the job of a task that was given up in the queue would wait now
    """
    if task.given_up_in_queue and (job is None or job.started_at is None):
        now = f" Now it would wait for this: {waits.sentence}" if waits else ""
        return Explanation(
            Cause.QUEUED_TOO_LONG,
            f"Its state is {task.state}: Airflow gave it up because no worker had taken it within "
            f"{task.queued_timeout:g} s ([scheduler] task_queued_timeout), time and again.{now}",
        )
    where, why = _where(task, job, workers), _why(task, job, words)
    return Explanation(Cause.FINISHED, f"It does not wait for anything: its state is {task.state}.{where}{why}")


def no_scheduler(centre: CentreFacts) -> Explanation:
    """Say that nobody hands tasks to workers, whatever is configured."""
    return Explanation(
        Cause.NO_SCHEDULER,
        f"No running scheduler has loaded EdgeExecutor{_since(centre.scheduler_seen_at)}: see `airflow edge check`.",
    )


def no_gateway(job: JobView, centre: CentreFacts) -> Explanation:
    """Say that what is known of workers and jobs is not of now."""
    held = (
        f"It was last known to be with worker '{job.worker}', and" if job.state is not JobState.QUEUED else "It waits:"
    )
    return Explanation(
        Cause.NO_GATEWAY,
        f"{held} no API server that serves edge workers has been alive{_since(centre.gateway_seen_at) or ' yet'}; "
        "start one (airflow api-server), with [edge] api_enabled = True.",
    )


def clock(moment: datetime | None) -> str:
    """Write a time."""
    return "a time that was not recorded" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _since(moment: datetime | None) -> str:
    return f" since {clock(moment)}" if moment else ""


def _at(job: JobView | None) -> str:
    return f" at worker '{job.worker}'" if job is not None and job.worker else ""


def _not_found(job: JobView | None, words: LastWords) -> str:
    if words.not_loaded:
        return (
            f"Its Dag's file could not be loaded at the site{_of(job)} (its log: {words.not_loaded}): see that it "
            "is the same file as at the centre, and that all that it imports and reads is there."
        )
    if words.task_not_found:
        return (
            f"Its Dag has no such task at the site{_of(job)} (its log: {words.text}): bring the Dag's file there up "
            "to date."
        )
    return (
        f"Its Dag was not found at the site{_of(job)} (its log: {words.text}): put the Dag's file where that looks "
        "for Dags, or bring it up to date."
    )


def _where(task: TaskFacts, job: JobView | None, workers: Sequence[WorkerFacts]) -> str:
    """Say where it ran, by what is known of it: configured is not what was."""
    times = f" from {clock(task.started_at)} to {clock(task.ended_at)}" if task.started_at and task.ended_at else ""
    tried = f" (try {task.try_number})"
    if job is not None and job.worker and job.started_at is not None:
        return f" It ran on worker '{job.worker}'{times}{tried}."
    if not task.host:
        return ""
    if task.executor != EDGE_EXECUTOR:
        return f" It ran by {task.executor} on '{task.host}'{times}{tried}."
    if task.has_edge_log or task.host in {worker.name for worker in workers}:
        return f" It ran on worker '{task.host}'{times}{tried}."
    return (
        f" It ran on '{task.host}'{times}{tried}, and no worker of that name is enrolled: it was removed or renamed "
        "since, or the scheduler had another executor (see `airflow edge check`)."
    )


def _why(task: TaskFacts, job: JobView | None, words: LastWords | None) -> str:
    if task.state == "success":
        return ""
    why = f" Its last job: {job.reason}." if job is not None and job.reason else ""
    if words is None:
        return why
    if words.dag_not_found:
        return f"{why} {_not_found(job, words)}"
    if words.import_failed:
        return f"{why} Its log ends with: {words.text} – install what is missing at the site{_of(job)}."
    if words.kept_at_site:
        return (
            f"{why} Its log ends with: {words.text} – that is the word of the site{_of(job)}, not of the centre's "
            f"policy: {words.kept_at_site}"
        )
    return f"{why} Its log ends with: {words.text}"


def _of(job: JobView | None) -> str:
    return f" of worker '{job.worker}'" if job is not None and job.worker else ""
