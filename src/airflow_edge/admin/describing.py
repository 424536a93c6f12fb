"""What there is to say of a worker: the same in the command's list and over the REST API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from airflow.models.team import Team

from airflow_edge.admin.config import multi_team
from airflow_edge.protocol.states import MAINTENANCE, WorkerState
from airflow_edge.rules.overview import WorkerView
from airflow_edge.rules.worker import CONDITIONS, PYTHON, WARNINGS, describe_others, trying
from airflow_edge.store.jobs.unreachable import AwaitedJobs

_IN_MAINTENANCE: Final = MAINTENANCE | {WorkerState.UNKNOWN}
"""States in which what was said of a maintenance holds; one that the site ended is forgotten when its time is over."""


def known_teams() -> frozenset[str] | None:
    """Give the teams that this Airflow has; None where it has none at all."""
    return frozenset(Team.get_all_team_names()) if multi_team() else None


def describe_workers(
    views: Iterable[WorkerView],
    awaited: Mapping[UUID, AwaitedJobs],
    teams: Collection[str] | None,
    now: datetime,
) -> list[dict[str, Any]]:
    """Give the facts of each worker, by name; what is not there, or not known, is None or empty.

    :param awaited: the running jobs of those that are out of reach
    :param teams: those that Airflow has; None where it has none
    """
    found = []
    for view in views:
        worker, its_jobs = view.worker, awaited.get(view.worker.id)
        orphaned = teams is not None and worker.team_name is not None and worker.team_name not in teams
        others = describe_others(trying(worker.other_instances, now))
        troubles = (
            f"its team '{worker.team_name}' was deleted: it gets no task; enrol it anew, or revoke it" * orphaned,
            f"unreachable since {worker.last_seen_at:%Y-%m-%d %H:%M} UTC"
            if worker.silent and worker.last_seen_at
            else "",
            view.conditions,
            worker.version_refused,
            others,
        )
        found.append(
            {
                "name": worker.name,
                "state": worker.state.value,
                "revoked": worker.revoked_at is not None,
                "queues": list(worker.served_queues),
                "team": worker.team_name,
                "team_deleted": orphaned,
                "concurrency": worker.concurrency,
                "transport": worker.transport,
                "taken_slots": view.taken_slots,
                "free_slots": view.free_slots,
                "jobs": view.jobs,
                "maintenance_comment": worker.maintenance_comment,
                "maintenance_cause": worker.maintenance_cause,
                "maintenance_until": worker.maintenance_until if worker.state in _IN_MAINTENANCE else None,
                "maintenance_by": worker.maintenance_by if worker.state in _IN_MAINTENANCE else None,
                "last_seen_at": worker.last_seen_at,
                "unreachable_since": worker.last_seen_at if worker.silent or its_jobs else None,
                "running_jobs_lost_after": its_jobs.first_lost_after if its_jobs else None,
                "disconnect_grace": worker.disconnect_grace,
                # One that was stopped, or that somebody works on, is in none, unless it has jobs that are waited for.
                "trouble": next(filter(None, troubles), "its jobs are waited for" if its_jobs else ""),
                "conditions": str(worker.system.get(CONDITIONS, "")),
                "warnings": str(worker.system.get(WARNINGS, "")),
                "other_instances": others,
                "agent_version": worker.agent_version,
                "airflow_version": worker.airflow_version,
                "python_version": str(worker.system.get(PYTHON, "")) or None,
                "version_refused": worker.version_refused,
                "version_warning": worker.version_warning,
            }
        )
    return found
