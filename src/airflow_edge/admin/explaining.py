"""The sentence about one task: for the command, the REST API and the page on which Airflow shows its log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from airflow_edge.admin.airflow_facts import log_path, task_facts
from airflow_edge.admin.audit import denials, tries_denied
from airflow_edge.admin.config import read_patience, session
from airflow_edge.admin.fleet import Fleet, is_of
from airflow_edge.rules.explanation.denied import in_explanation
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
    return found if task is None or job is None else replace(found, denied=denied_to(job))


def denied_to(job: JobView) -> tuple[str, ...]:
    """Say what the policy has denied a job, a line for each thing, with when and how often."""
    denied = denials(job)
    # What is counted of uses would have been denied only, where the policy was reported on: the audit log knows it.
    return tuple(in_explanation(denied, tries_denied(job))) if denied else ()
