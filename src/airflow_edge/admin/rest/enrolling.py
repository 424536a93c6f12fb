"""The routes of the REST API about enrolment tokens: only for who may change workers, since a token makes one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.fleet import is_of
from airflow_edge.admin.rest.access import Services, Teams, may_change, see_team
from airflow_edge.admin.rest.documents import EnrollAttemptDocument, NewTokenDocument, TokenDocument
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.admin.rest.wishes import WithToken
from airflow_edge.admin.tokens import CREATE, REVOKE, TokenWish, TokenWishError, UnknownTokenError

enrolling = APIRouter(dependencies=[Depends(may_change)], responses=PROBLEMS, tags=["Enrol"])


@enrolling.get("/enroll-tokens", operation_id="list_enroll_tokens")
def list_enroll_tokens(admin: Services, teams: Teams) -> list[TokenDocument]:
    """Give the enrolment tokens, newest first; their secrets are not kept."""
    now = datetime.now(UTC)
    return [TokenDocument.of(token, now) for token in admin.tokens.all() if is_of(token.team_name, teams)]


@enrolling.get("/enroll-attempts", operation_id="list_enroll_attempts")
def list_enroll_attempts(
    admin: Services,
    teams: Teams,
    since: Annotated[AwareDatetime | None, Query(description="Default: as long as they are remembered")] = None,
) -> list[EnrollAttemptDocument]:
    """Give the machines that wanted to enrol lately, newest first, and what the gateway answered them."""
    found = admin.store.enroll_attempts.since(since)
    others = {token.id for token in admin.tokens.all() if not is_of(token.team_name, teams)} if found else set()
    return [EnrollAttemptDocument.model_validate(one) for one in found if one.token_id not in others]


@enrolling.post("/enroll-tokens", operation_id="create_enroll_token", name=CREATE)
def create_enroll_token(wanted: WithToken, user: GetUserDep, admin: Services) -> NewTokenDocument:
    """Make a token with which workers can enrol. Its secret, and the command for the site, are given only now."""
    wish = TokenWish(
        queues=wanted.queues,
        team_name=wanted.team,
        name_pattern=wanted.name_pattern,
        life=timedelta(seconds=wanted.seconds),
        uses=wanted.uses,
        max_slots=wanted.max_slots,
        disconnect_grace=None if wanted.disconnect_grace is None else timedelta(seconds=wanted.disconnect_grace),
        api_url=wanted.api_url,
    )
    see_team(user, wanted.team, CREATE)
    try:
        made = admin.tokens.create(wish, by=user.get_name())
    except TokenWishError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    return NewTokenDocument.made(made, datetime.now(UTC))


@enrolling.post("/enroll-tokens/{token_id}/revoke", operation_id="revoke_enroll_token", name=REVOKE)
def revoke_enroll_token(token_id: UUID, user: GetUserDep, admin: Services, teams: Teams) -> TokenDocument:
    """Revoke an enrolment token; workers that were enrolled with it stay."""
    found = {token.id: token for token in admin.tokens.all() if is_of(token.team_name, teams)}
    if token_id not in found:
        with recorded(REVOKE, by=user.get_name(), wish={"token": str(token_id)}):
            raise UnknownTokenError(token_id)
    see_team(user, found[token_id].team_name, REVOKE, token=str(token_id))
    admin.tokens.revoke(token_id, by=user.get_name())
    (token,) = [token for token in admin.tokens.all() if token.id == token_id]
    return TokenDocument.of(token, datetime.now(UTC))
