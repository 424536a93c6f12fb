"""Airflow's audit log: who wanted what of which worker, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from airflow.models.log import Log
from sqlalchemy.orm import Session

from airflow_edge.admin.fleet import OrderOutcome

WORKERS_PER_ENTRY: Final = 50
"""MySQL has 64 KiB for an entry's text."""
LONGEST_DETAIL: Final = 200


def record(session: Session, event: str, *, by: str, wish: dict[str, object], outcomes: Sequence[OrderOutcome]) -> None:
    """Add an entry, or several where there are many workers, and commit.

    :param event: what was wanted, at most 48 characters
    :param by: the user's name
    :param wish: the rest of what was wanted; nothing secret
    """
    for first in range(0, len(outcomes), WORKERS_PER_ENTRY):
        some = outcomes[first : first + WORKERS_PER_ENTRY]
        came_of_it = {one.worker: f"{one.result}: {one.detail[:LONGEST_DETAIL]}".rstrip(": ") for one in some}
        extra = json.dumps({**wish, "workers": came_of_it}, ensure_ascii=False)
        session.add(Log(event=f"edge_worker.{event}", owner=by, owner_display_name=by, extra=extra))
    session.commit()
