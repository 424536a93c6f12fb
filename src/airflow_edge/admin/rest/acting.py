"""How a route changes workers: each that is meant, noted with what came of it; or what would come of it is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, Query

from airflow_edge.admin.audit import OrderOutcome, recorded
from airflow_edge.admin.config import multi_team
from airflow_edge.admin.fleet import UnknownWorkerError, is_of, refused
from airflow_edge.admin.rest.access import AdminServices, Event, Services, Teams, may
from airflow_edge.admin.rest.documents import OutcomeDocument
from airflow_edge.admin.rest.wishes import Selection
from airflow_edge.rules.acts.consequences import NOTHING_THERE, Foreseen, JobsThere, foresee_order
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import Worker

Act = Callable[[Worker], OrderOutcome]
Foresight = Callable[[Worker, JobsThere], Foreseen]

NOT_TO_BE_HAD: Final = "this name is not to be had; choose another one"
"""Whoever has it is none of the user's business."""

DryRun = Annotated[
    bool, Query(description="Only say what would come of it, and of the tasks there; nothing is changed")
]


@dataclass(frozen=True)
class Change:
    """Somebody's wish to change workers, by the route that it came to."""

    admin: AdminServices
    user: BaseUser
    event: str
    """What it is called in the audit log."""
    teams: frozenset[str] | None
    dry_run: bool

    @property
    def by(self) -> str:
        """The user's name."""
        return str(self.user.get_name())

    def each(self, meant: Selection, act: Act, foresee: Foresight, **wish: object) -> list[OutcomeDocument]:
        """Do it to each worker that is meant, or say what would come of that.

        :param wish: the rest of what is wanted, for the audit log
        :raises UnknownWorkerError: there is none.
        """
        if self.dry_run:
            return self._foretold(meant, foresee)
        with recorded(self.event, by=self.by, wish={"asked": meant.workers, **_fitting(meant), **wish}) as outcomes:
            own, others = self._parted(meant)
            outcomes += others
            for worker in own:
                outcomes.append(act(worker))
        return [OutcomeDocument.model_validate(outcome) for outcome in outcomes]

    def only(self, meant: Selection) -> Worker | None:
        """Give the worker that is meant, if it is one, by its name, and the user may change it."""
        try:
            own, others = self._parted(meant)
        except UnknownWorkerError:
            return None
        return own[0] if [worker.name for worker in own] == meant.workers and not others else None

    def order(self, meant: Selection, wish: Wish, *, taken: bool = False) -> list[OutcomeDocument]:
        """Give each worker that is meant an order.

        :param taken: another worker has the name that is wanted
        """
        hidden = wish.kind == "rename" and self._is_hidden(wish.text)

        def act(worker: Worker) -> OrderOutcome:
            return refused(worker, NOT_TO_BE_HAD) if hidden else self.admin.fleet.give_order(worker, wish, by=self.by)

        def foresee(worker: Worker, there: JobsThere) -> Foreseen:
            return Foreseen("refused", NOT_TO_BE_HAD) if hidden else foresee_order(worker, wish, there, taken=taken)

        until = wish.until and wish.until.isoformat(timespec="seconds")
        return self.each(meant, act, foresee, text=wish.text, number=wish.number, until=until)

    def _is_hidden(self, name: str) -> bool:
        """Say whether it is the name of a worker that the user may not see."""
        worker = self.admin.store.workers.named(name)
        return worker is not None and not is_of(worker.team_name, self.teams)

    def _foretold(self, meant: Selection, foresee: Foresight) -> list[OutcomeDocument]:
        own, outcomes = self._parted(meant)
        there = self.admin.store.jobs_at_workers.there([worker.id for worker in own])
        for worker in own:
            result, detail = foresee(worker, there.get(worker.id, NOTHING_THERE))
            outcomes.append(OrderOutcome(worker=worker.name, result=result, detail=detail))
        return [OutcomeDocument.model_validate(outcome) for outcome in outcomes]

    def _parted(self, meant: Selection) -> tuple[list[Worker], list[OrderOutcome]]:
        """Part the workers that the user may change from those of other teams and those that are gone, with what there
        is to say of these.
        """
        match = None if meant.match is None else meant.match.filter(self.teams)
        selected = self.admin.fleet.select(meant.workers, match, teams=self.teams)
        workers = selected.workers
        others = self._others(workers)
        return [worker for worker in workers if worker.team_name not in others], [
            refused(worker, f"it belongs to team '{worker.team_name}', you do not")
            for worker in workers
            if worker.team_name in others
        ] + selected.outcomes_of_gone()

    def _others(self, workers: Sequence[Worker]) -> set[str]:
        teams = {worker.team_name for worker in workers} if multi_team() else ()
        return {team for team in teams if team is not None and not may(self.user, "PUT", team)}


def _fitting(meant: Selection) -> dict[str, object]:
    match = meant.match
    return {} if match is None else {"match": match.model_dump(exclude_defaults=True, mode="json") or "every worker"}


def _change(admin: Services, user: GetUserDep, event: Event, teams: Teams, dry_run: DryRun = False) -> Change:
    return Change(admin, user, event, teams, dry_run)


Changes = Annotated[Change, Depends(_change)]
