"""The routes of the REST API about who asks, and about the centre itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends

from airflow_edge.admin.config import multi_team
from airflow_edge.admin.rest.access import Services, Teams, may_change, missing_for
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


class CheckFindingDocument(Document):
    """Something that was found out about the centre; `text` says what is, `advice` what to do about it."""

    name: str
    status: Literal["ok", "warning", "error"]
    text: str
    advice: str


class CheckDocument(Document):
    """What is right about the centre, and what has to be set."""

    findings: list[CheckFindingDocument]


_STATUSES: Final[Mapping[str, Literal["ok", "warning", "error"]]] = {"OK": "ok", "NOTE": "warning", "WRONG": "error"}


@centre.get("/check", operation_id="check_centre", dependencies=[Depends(may_change)])
def check_centre(admin: Services) -> CheckDocument:
    """Look at the centre's configuration, database and gateway, as `airflow edge check` does where this is served."""
    return CheckDocument(
        findings=[
            CheckFindingDocument(
                name=about,
                status=_STATUSES[found.mark],
                text=found.text.removesuffix(f"; {found.advice}") if found.advice else found.text,
                advice=found.advice,
            )
            for about, found in admin.look()
        ]
    )


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
