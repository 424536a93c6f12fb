"""Airflow's teams (`[core] multi_team`): which there are, and whose workers a user may see and change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow.configuration import conf
from airflow.models.team import Team

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


def may_change(user: BaseUser, team_name: str | None) -> bool:
    """Say whether the user may change this team's workers, as its pools; everybody may who may change any without one.

    Airflow's auth manager knows who belongs to which team.
    """
    return team_name is None or not _in_use() or _may(user, "PUT", team_name)


def readable_teams(user: BaseUser) -> frozenset[str] | None:
    """Give the teams whose workers and jobs the user may see besides those of none, as its pools; None for all."""
    if not _in_use():
        return None
    return frozenset(name for name in Team.get_all_team_names() if _may(user, "GET", name))


def check_team(name: str) -> None:
    """Check that workers of this team could ever be given a job.

    :raises ValueError: they could not; says what to do.
    """
    if not _in_use():
        raise ValueError("This Airflow has no teams: leave --team out, or set [core] multi_team = True.")
    if Team.get_name_if_exists(name) is None:
        raise ValueError(f"There is no team '{name}'; see: airflow teams list")


def _may(user: BaseUser, method: Literal["GET", "PUT"], team_name: str) -> bool:
    # The command line has no users, and Airflow's web service takes a second to import.
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import PoolDetails

    return get_auth_manager().is_authorized_pool(method=method, user=user, details=PoolDetails(team_name=team_name))


def _in_use() -> bool:
    return bool(conf.getboolean("core", "multi_team", fallback=False))
