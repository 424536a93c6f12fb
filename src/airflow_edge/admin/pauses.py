"""Pausing and resuming queues: one place for the command line and the REST API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.fleet import Fleet
from airflow_edge.rules.acts.pausing import foresee_pause, foresee_resumption
from airflow_edge.rules.fleet.queues import QueueView, empty_queue
from airflow_edge.store.store import Store

PAUSE: Final = "pause queue"
RESUME: Final = "resume queue"
NOT_PAUSED: Final = "it is not paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOutcome:
    """What came of a wish for one queue."""

    queue: str
    team_name: str | None
    result: Literal["done", "would"]
    detail: str


class Pauses:
    """Pauses and resumes queues; each attempt is in the audit log."""

    def __init__(self, store: Store) -> None:
        self._pauses = store.queue_pauses
        self._fleet = Fleet(store)

    def pause(
        self, queues: Sequence[str], team_name: str | None, note: str, *, by: str, dry_run: bool = False
    ) -> list[QueueOutcome]:
        """Have no job of these queues handed out, until they are resumed.

        :param dry_run: only say what would come of it
        """
        foreseen = {
            queue: foresee_pause(there.queued, there.running, served=there.workers > 0)
            for queue, there in self._there(queues, team_name).items()
        }
        if dry_run:
            return [_outcome(queue, team_name, "would", detail) for queue, detail in foreseen.items()]
        with recorded(PAUSE, by=by, wish={"queues": list(queues), "team": team_name, "note": note}):
            before = self._pauses.pause(queues, team_name, note, by=by, now=datetime.now(UTC))
        return [
            _outcome(queue, team_name, "done", "it was paused already; it has this note now")
            if queue in before
            else _outcome(queue, team_name, "done", detail)
            for queue, detail in foreseen.items()
        ]

    def resume(
        self, queues: Sequence[str], team_name: str | None, *, by: str, dry_run: bool = False
    ) -> list[QueueOutcome]:
        """Have jobs of these queues handed out again.

        :param dry_run: only say what would come of it
        """
        foreseen = {queue: foresee_resumption(there.queued) for queue, there in self._there(queues, team_name).items()}
        if dry_run:
            paused: Collection[str] = [queue for queue in foreseen if self._pauses.of(team_name, queue) is not None]
        else:
            with recorded(RESUME, by=by, wish={"queues": list(queues), "team": team_name}):
                paused = self._pauses.resume(queues, team_name)
        return [
            _outcome(queue, team_name, "would" if dry_run else "done", detail)
            if queue in paused
            else _outcome(queue, team_name, "done", NOT_PAUSED)
            for queue, detail in foreseen.items()
        ]

    def _there(self, queues: Sequence[str], team_name: str | None) -> dict[str, QueueView]:
        known = {view.queue: view for view in self._fleet.queues() if view.team_name == team_name}
        return {queue: known.get(queue) or empty_queue(team_name, queue) for queue in queues}


def _outcome(queue: str, team_name: str | None, result: Literal["done", "would"], detail: str) -> QueueOutcome:
    return QueueOutcome(queue=queue, team_name=team_name, result=result, detail=detail)
