"""The sentence about one task: for the command, the REST API and the page on which Airflow shows its log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from airflow_edge.admin.airflow_facts import log_path, task_facts
from airflow_edge.admin.audit import denials
from airflow_edge.admin.config import read_patience, session
from airflow_edge.admin.fleet import Fleet, is_of
from airflow_edge.rules.explanation.denied import TimesDenied, in_explanation
from airflow_edge.rules.explanation.facts import Explanation
from airflow_edge.rules.overview import JobView
from airflow_edge.store.store import Store


def explain_task(
    store: Store,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int,
    *,
    teams: Collection[str] | None = None,
) -> Explanation:
    """Say why a task is not running, or what became of it.

    :param teams: those whose tasks may be told of; None for all
    :raises SettingError: a setting makes no sense.
    """
    patience = read_patience()
    with session() as airflow:
        task = task_facts(airflow, dag_id, run_id, task_id, map_index)
        path = log_path(airflow, dag_id, run_id, task_id, map_index)
    if task is not None and not is_of(task.team_name, teams):
        task = None
    job = store.fleet.newest_job(dag_id, run_id, task_id, map_index)
    found = Fleet(store).explain(task, job, patience=patience, log_path=path)
    return found if task is None or job is None else replace(found, denied=denied_to(store, job))


def denied_to(store: Store, job: JobView) -> tuple[str, ...]:
    """Say what the policy has denied a job, a line for each thing, with when and how often."""
    if not (denied := denials(job)):
        return ()
    return tuple(in_explanation(denied, _counted(store, job, min(one.at for one in denied))))


def _counted(store: Store, job: JobView, since: datetime) -> dict[tuple[str, str], TimesDenied]:
    """Give how often the task was denied what."""
    counted: dict[tuple[str, str], TimesDenied] = {}
    for use in store.policy_uses.seen(since=since.date(), dag_id=job.dag_id, task_id=job.task_id, denied=True):
        times, last_day = counted.get((use.kind, use.name), TimesDenied(0, use.last_day))
        counted[use.kind, use.name] = TimesDenied(times + use.denied, max(last_day, use.last_day))
    return counted
