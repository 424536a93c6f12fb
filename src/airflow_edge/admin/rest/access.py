"""Who may use the REST API: what Airflow's auth manager says, asked in one place. Nobody may what was not asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, Protocol, cast

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, PoolDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.team import Team
from fastapi import Depends, HTTPException, Request

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.config import multi_team, session
from airflow_edge.admin.fleet import Fleet
from airflow_edge.admin.pauses import Pauses
from airflow_edge.admin.policy import Policies
from airflow_edge.admin.tokens import Tokens
from airflow_edge.store.store import Store

READ: Final = "to see jobs (Airflow's view 'Jobs')"
CHANGE: Final = "to edit pools"


class Found(Protocol):
    """Something that was found out about the centre."""

    @property
    def mark(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def advice(self) -> str: ...


Look = Callable[[], Sequence[tuple[str, Found]]]
"""Finds out what there is to say about the centre, each with what it is about: it knows more than this folder may."""


def nothing_found() -> Sequence[tuple[str, Found]]:
    """Find out nothing: where the API is not mounted."""
    return ()


class AdminServices:
    """What the routes do their work with, on Airflow's own configuration and database."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.store = Store(session)
        self.fleet = Fleet(self.store)
        self.tokens = Tokens(self.store)
        self.pauses = Pauses(self.store)
        self.policies = Policies(self.store)


def _services(request: Request) -> AdminServices:
    return cast("AdminServices", request.app.state.services)


Services = Annotated[AdminServices, Depends(_services)]


def may(user: BaseUser, method: Literal["GET", "PUT"], team_name: str | None) -> bool:
    """Say whether a user may see, or change, what belongs to a team, or to none."""
    # As the team's pools: Airflow's auth manager knows who belongs to which team.
    return get_auth_manager().is_authorized_pool(method=method, user=user, details=PoolDetails(team_name=team_name))


def may_read(user: GetUserDep) -> None:
    """Let in who may read.

    :raises HTTPException: 403, which says what is missing.
    """
    if missing := missing_for(user)[0]:
        raise _missing(user, missing)


def missing_for(user: BaseUser) -> tuple[str, str]:
    """Say which permission a user lacks to read, and which to change something; empty for none."""
    if not get_auth_manager().is_authorized_view(access_view=AccessView.JOBS, user=user):
        return READ, READ
    return "", "" if may(user, "PUT", None) else CHANGE


async def _body(request: Request) -> bytes:
    return await request.body()


def may_change(request: Request, user: GetUserDep, body: Annotated[bytes, Depends(_body)]) -> None:
    """Let in who may change something, and note who wanted to and may not.

    :raises HTTPException: 403, which says what is missing.
    """
    _, missing = missing_for(user)
    if missing and request.method != "GET":
        with recorded(event_of(request), by=user.get_name(), wish=_wish(request, body)):
            raise _missing(user, missing)
    if missing:
        raise _missing(user, missing)


def may_change_every_team(
    request: Request, user: GetUserDep, admin: Services, body: Annotated[bytes, Depends(_body)]
) -> None:
    """Let in who may change what is of any team, where there are teams, and note who wanted to change something.

    :raises HTTPException: 403.
    """
    if not multi_team():
        return
    known = {*Team.get_all_team_names(), *admin.store.fleet.team_names()}
    others = sorted(name for name in known if not may(user, "PUT", name))
    if not others:
        return
    refusal = HTTPException(HTTPStatus.FORBIDDEN, f"It is about all teams, and you do not belong to '{others[0]}'.")
    if request.method != "GET":
        with recorded(event_of(request), by=user.get_name(), wish=_wish(request, body)):
            raise refusal
    raise refusal


def see_team(user: BaseUser, team: str | None, event: str, **wish: object) -> None:
    """Refuse whoever may not change what is of this team, and note it.

    :raises HTTPException: 403.
    """
    if team is not None and multi_team() and not may(user, "PUT", team):
        with recorded(event, by=user.get_name(), wish={"team": team, **wish}):
            raise HTTPException(HTTPStatus.FORBIDDEN, f"It belongs to team '{team}', you do not.")


def event_of(request: Request) -> str:
    """Give what a route's changes are called in the audit log: the route's name."""
    return str(request.scope["route"].name)


Event = Annotated[str, Depends(event_of)]


def _missing(user: BaseUser, what: str) -> HTTPException:
    return HTTPException(
        HTTPStatus.FORBIDDEN, f"User '{user.get_name()}' lacks the permission {what}; ask an administrator of Airflow."
    )


def _wish(request: Request, body: bytes) -> dict[str, Any]:
    """Give what somebody wanted who may not even have it looked at."""
    try:
        said = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        said = {}
    known = {str(name): value for name, value in said.items()} if isinstance(said, dict) else {}
    asked = {"asked": known.pop("workers", None)}
    return {**asked, **dict(list(known.items())[:10]), **request.path_params}


def _teams(user: GetUserDep, admin: Services) -> frozenset[str] | None:
    """Give the teams that the user may see; those that Airflow does not have any more are asked for, too."""
    return seen_by(user, admin.store.fleet.team_names()) if multi_team() else None


def seen_by(user: BaseUser, known: Iterable[str]) -> frozenset[str]:
    """Give the teams that a user may see.

    :param known: teams of workers, jobs and tokens, which Airflow may have or not
    """
    return frozenset(name for name in {*Team.get_all_team_names(), *known} if may(user, "GET", name))


Teams = Annotated[frozenset[str] | None, Depends(_teams)]
"""Whose workers and jobs the caller may see besides those of no team; None for everybody's."""
