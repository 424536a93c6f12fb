"""The routes of the REST API that pause queues and resume them."""

from __future__ import annotations

from typing import Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends

from airflow_edge.admin.pauses import PAUSE, RESUME
from airflow_edge.admin.rest.access import Services, may_change, see_team
from airflow_edge.admin.rest.acting import DryRun
from airflow_edge.admin.rest.documents import Document
from airflow_edge.admin.rest.problems import PROBLEMS
from airflow_edge.admin.rest.wishes import WithPause, WithResumption

pausing = APIRouter(dependencies=[Depends(may_change)], responses=PROBLEMS, tags=["Change"])


class QueueOutcomeDocument(Document):
    """What came of a wish for one queue; `would` is what a dry run says."""

    queue: str
    team_name: str | None
    result: Literal["done", "would"]
    detail: str


@pausing.post("/queues/pause", operation_id="pause_queues", name=PAUSE)
def pause_queues(
    wanted: WithPause, user: GetUserDep, admin: Services, dry_run: DryRun = False
) -> list[QueueOutcomeDocument]:
    """Hand out no job of these queues until they are resumed; those that run go on."""
    see_team(user, wanted.team, PAUSE, queues=wanted.queues)
    done = admin.pauses.pause(
        list(dict.fromkeys(wanted.queues)), wanted.team, wanted.note, by=user.get_name(), dry_run=dry_run
    )
    return [QueueOutcomeDocument.model_validate(one) for one in done]


@pausing.post("/queues/resume", operation_id="resume_queues", name=RESUME)
def resume_queues(
    wanted: WithResumption, user: GetUserDep, admin: Services, dry_run: DryRun = False
) -> list[QueueOutcomeDocument]:
    """Hand out the jobs of these queues again."""
    see_team(user, wanted.team, RESUME, queues=wanted.queues)
    done = admin.pauses.resume(list(dict.fromkeys(wanted.queues)), wanted.team, by=user.get_name(), dry_run=dry_run)
    return [QueueOutcomeDocument.model_validate(one) for one in done]
