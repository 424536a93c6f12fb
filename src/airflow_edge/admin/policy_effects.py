"""What setting a policy changes here: it is said beside what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.models import DagModel
from airflow.models.team import Team
from sqlalchemy import select

from airflow_edge.admin.config import session
from airflow_edge.rules.policy.effects import KnownNames, ModeChange
from airflow_edge.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEffects:
    """What a policy changes, and what of it is about nothing."""

    changes: list[ModeChange]
    unmatched: list[str]


def known_names(store: Store) -> KnownNames:
    """Give the names that there are: Airflow's, and those of workers and jobs."""
    workers = [worker for worker in store.workers.all() if worker.revoked_at is None]
    with session() as airflow:
        dags = frozenset(airflow.scalars(select(DagModel.dag_id)))
    served = {queue for worker in workers for queue in worker.served_queues}
    return KnownNames(
        queues=frozenset(served | store.fleet.queue_names()),
        teams=frozenset({*Team.get_all_team_names(), *store.fleet.team_names()}),
        workers=frozenset(worker.name for worker in workers),
        dags=dags,
    )
