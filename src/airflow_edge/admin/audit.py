"""Airflow's audit log: who wanted what of which worker, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from airflow.models.log import Log
from sqlalchemy.orm import Session

from airflow_edge.admin.fleet import Outcome


def record(session: Session, event: str, *, by: str, wish: dict[str, object], outcomes: Sequence[Outcome]) -> None:
    """Add an entry and commit.

    :param event: what was wanted, at most 48 characters
    :param by: the user's name
    :param wish: the rest of what was wanted; nothing secret
    """
    came_of_it = {outcome.worker: f"{outcome.result}: {outcome.detail}".rstrip(": ") for outcome in outcomes}
    extra = json.dumps({**wish, "workers": came_of_it}, ensure_ascii=False)
    session.add(Log(event=f"edge_worker.{event}", owner=by, owner_display_name=by, extra=extra))
    session.commit()
