"""The routes of the REST API about the policy: only for who may change workers, since it says what their tasks may."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Path, Query

from airflow_edge.admin.policy import SET, PolicyQuestion, PolicyWishError, check
from airflow_edge.admin.rest.access import Services, may_change, may_change_every_team
from airflow_edge.admin.rest.documents import NO_NUL
from airflow_edge.admin.rest.parameters import LONGEST_PAGE, Id, Limit, Offset, Word
from airflow_edge.admin.rest.policy.documents import (
    ModeChangeDocument,
    PolicyAnswerDocument,
    PolicyRuleDocument,
    PolicyUseDocument,
    PolicyVersionDocument,
    SetPolicyDocument,
    ShownPolicyDocument,
    SuggestionDocument,
    WithPolicy,
)
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.rules.policy.grants import Grant

policy = APIRouter(
    prefix="/policy",
    dependencies=[Depends(may_change), Depends(may_change_every_team)],
    responses=PROBLEMS,
    tags=["Policy"],
)

Days = Annotated[int, Query(ge=1, le=3650, description="Of so many last days, today (UTC) among them")]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


@policy.get("", operation_id="show_policy")
def show_policy(admin: Services) -> ShownPolicyDocument:
    """Give what is to be in force: the newest version, or what the file of `[edge] policy_file` says."""
    return ShownPolicyDocument.model_validate(admin.policies.show())


@policy.post("", operation_id="set_policy", name=SET)
def set_policy(
    wanted: WithPolicy,
    user: GetUserDep,
    admin: Services,
    dry_run: Annotated[bool, Query(description="Only say whether it could be set; nothing is changed")] = False,
) -> SetPolicyDocument:
    """Put a policy in force, at every API server within seconds."""
    try:
        version, before = None, admin.policies.show()
        if not dry_run:
            version = admin.policies.set(wanted.text, wanted.note, after=wanted.after, by=user.get_name())
        document = check(wanted.text)
        effects = admin.policies.effects(document, before)
    except PolicyWishError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    return SetPolicyDocument(
        result="would" if version is None else "done",
        version=version,
        modes=dict(document.modes),
        rules=len(document.rules),
        granting=[PolicyRuleDocument.model_validate(rule) for rule in document.rules],
        changes=[ModeChangeDocument.model_validate(change) for change in effects.changes],
        unmatched=effects.unmatched,
    )


@policy.get("/versions", operation_id="list_policy_versions")
def list_policy_versions(
    admin: Services,
    limit: Limit = 100,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only versions with lower numbers")] = None,
) -> list[PolicyVersionDocument]:
    """Give who has set which version, newest first."""
    found = admin.policies.versions(limit=limit, before=before)
    return [PolicyVersionDocument.model_validate(one) for one in found]


@policy.get("/versions/{version}", operation_id="get_policy_version")
def get_policy_version(version: Version, admin: Services) -> ShownPolicyDocument:
    """Give a version, as it was given."""
    return ShownPolicyDocument.model_validate(admin.policies.show(version))


@policy.get("/test", operation_id="test_policy")
def ask_about_policy(
    admin: Services,
    grant: Annotated[Grant, Query(description="What it is about")],
    name: Annotated[
        str,
        Query(
            min_length=1,
            max_length=1500,
            pattern=NO_NUL,
            description="The name of what it asks for; of Dags also `@upstream`, `@run` or `@dag`",
        ),
    ],
    dag_id: Id,
    task_id: Id = "",
    queue: Word = "",
    team: Word = "",
    worker: Word = "",
) -> PolicyAnswerDocument:
    """Say whether a task may have something, and which rules grant it."""
    question = PolicyQuestion(
        grant=grant, name=name, dag_id=dag_id, task_id=task_id, queue=queue, team_name=team or None, worker=worker
    )
    try:
        return PolicyAnswerDocument.model_validate(admin.policies.test(question))
    except PolicyWishError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None


@policy.get("/suggest", operation_id="suggest_policy")
def suggest_policy(
    admin: Services,
    days: Days = 7,
    with_denied: Annotated[
        bool, Query(description="Grant also what was denied, or is on queues whose mode is `enforce`")
    ] = False,
) -> SuggestionDocument:
    """Give the least policy for what tasks have asked for on queues whose mode is `report`, or were given elsewhere."""
    return SuggestionDocument.model_validate(admin.policies.suggest(days, with_denied=with_denied))


@policy.get("/uses", operation_id="list_policy_uses")
def list_policy_uses(
    admin: Services,
    days: Days = 7,
    dag_id: Annotated[str | None, Query(max_length=250, pattern=NO_NUL, description="Only of this Dag")] = None,
    denied: Annotated[bool, Query(description="Only what was denied, or would have been")] = False,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many to give")] = LONGEST_PAGE,
    offset: Offset = 0,
) -> list[PolicyUseDocument]:
    """Give what tasks have asked for, in the order of who did."""
    found = admin.policies.uses(days, limit=limit, offset=offset, dag_id=dag_id, denied=denied)
    return [PolicyUseDocument.model_validate(one) for one in found]
