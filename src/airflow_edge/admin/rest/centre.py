"""The routes of the REST API about who asks, and about the centre itself."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter

from airflow_edge.admin.config import multi_team
from airflow_edge.admin.rest.access import Teams, missing_for
from airflow_edge.admin.rest.documents import Document
from airflow_edge.admin.rest.problems import PROBLEMS

centre = APIRouter(responses=PROBLEMS, tags=["Centre"])


class PermissionsDocument(Document):
    """What the caller may do here.

    `missing` says which permission of Airflow's somebody lacks who may not change anything; `teams` are those whose
    workers, jobs and queues the caller sees beside those of none, null for all.
    """

    read: bool
    change: bool
    missing: str
    teams: list[str] | None
    multi_team: bool
    user: str


@centre.get("/permissions", operation_id="get_permissions")
def get_permissions(user: GetUserDep, teams: Teams) -> PermissionsDocument:
    """Say what the caller may do here, so that nothing else need be offered."""
    to_read, to_change = missing_for(user)
    return PermissionsDocument(
        read=not to_read,
        change=not to_change,
        missing=to_change,
        teams=None if teams is None else sorted(teams),
        multi_team=multi_team(),
        user=str(user.get_name()),
    )
