"""What can be done with workers: one place for the command line and the REST API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final, NamedTuple
from uuid import UUID

from airflow_edge.admin.audit import OrderOutcome, Result
from airflow_edge.admin.describing import known_teams
from airflow_edge.admin.tokens import token_state
from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.acts.consequences import NO_QUEUE_LEFT, REVOKED_ALREADY, waited_for
from airflow_edge.rules.acts.maintaining import describe_maintenance
from airflow_edge.rules.explanation.explain import explain
from airflow_edge.rules.explanation.facts import NOBODY_AHEAD, Explanation, TaskFacts, WorkerFacts
from airflow_edge.rules.explanation.last_words import ENOUGH, last_words
from airflow_edge.rules.explanation.testing import explain_test, log_tail
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.fleet.queues import QueueView, queues
from airflow_edge.rules.fleet.standing import Glance
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.logs.log_notices import LogPart
from airflow_edge.rules.orders import AlreadySoError, OrderState, Wish, WorkerOrder
from airflow_edge.rules.overview import JobView
from airflow_edge.rules.processes import at_the_centre
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs.testing import log_path_of_test
from airflow_edge.store.logs.logs import LogUnreadableError
from airflow_edge.store.store import Store
from airflow_edge.store.workers.enrollment import EnrollToken

REMOVED: Final = "it was removed meanwhile"
GONE: Final = "it is not there any more; see: airflow edge list-workers"
MOST_WORKERS: Final = 100_000
"""That a filter finds."""

_WITHOUT_LOG: Final = frozenset({None, "scheduled", "queued", "success"})
"""States of tasks whose newest try has no log, or none that says why."""


class UnknownWorkerError(LookupError):
    """No worker has this name, or none fits the pattern."""


class Selected(NamedTuple):
    """The workers that are meant, and the names and patterns that meet none."""

    workers: list[Worker]
    gone: list[str]

    def outcomes_of_gone(self) -> list[OrderOutcome]:
        """Say of each of those that there is nothing to be done."""
        return [OrderOutcome(worker=name, result="refused", detail=GONE) for name in self.gone]


def is_of(team_name: str | None, teams: Collection[str] | None) -> bool:
    """Say whether what is of this team, or of none, is among what these teams have; None for all teams."""
    return teams is None or team_name is None or team_name in teams


class Fleet:
    """All workers of a centre."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def select(
        self, patterns: Sequence[str], match: WorkerFilter | None = None, *, teams: Collection[str] | None = None
    ) -> Selected:
        """Give the workers with these names; `*`, `?` and `[…]` stand for what they stand for in file names.

        Of several, one that is gone does not keep the others from what is wanted of them.

        :param match: those that fit this, too
        :param teams: of one of these, or of none; None for any. To whom the others belong, and that there are such, is
            nothing that somebody learns who asks for all.
        :raises UnknownWorkerError: the only name or pattern meets none, or nothing fits.
        """
        if match is None:
            named = self._with_names(patterns, teams)
            if named.gone and len(patterns) == 1:
                raise _unknown(patterns[0])
            return named
        page = self._store.fleet.find_workers(match, limit=MOST_WORKERS, known_teams=known_teams())
        named = self._with_names(patterns, teams) if patterns else Selected([], [])
        found = {worker.id: worker for worker in [*named.workers, *(view.worker for view in page.items)]}
        if not (found or named.gone):
            raise UnknownWorkerError("There is no worker that fits; see: airflow edge list-workers")
        return Selected(list(found.values()), named.gone)

    def _with_names(self, patterns: Sequence[str], teams: Collection[str] | None) -> Selected:
        workers = [worker for worker in self._store.workers.all() if is_of(worker.team_name, teams)]
        named = {worker.name: worker for worker in workers}
        chosen: dict[UUID, Worker] = {}
        gone = []
        for pattern in dict.fromkeys(patterns):
            # Thousands of names would be compared with thousands.
            exact = named.get(pattern)
            found = [exact] if exact else [worker for worker in workers if fnmatchcase(worker.name, pattern)]
            if not found:
                gone.append(pattern)
            chosen.update((worker.id, worker) for worker in found)
        return Selected(list(chosen.values()), gone)

    def named(self, name: str, *, teams: Collection[str] | None = None) -> Worker:
        """Give the worker of this name.

        :param teams: of one of these, or of none; None for any
        :raises UnknownWorkerError: there is none.
        """
        worker = self._store.workers.named(name)
        if worker is None or not is_of(worker.team_name, teams):
            raise _unknown(name)
        return worker

    def linked(self) -> list[Worker]:
        """Give the workers that can be told something now: those out of reach may have a link, and do not hear."""
        return [
            worker
            for worker in self._store.workers.all()
            if worker.link_id is not None
            and worker.revoked_at is None
            and not (worker.silent or worker.state is WorkerState.UNKNOWN)
        ]

    def give_order(self, worker: Worker, wish: Wish, *, by: str) -> OrderOutcome:
        """Ask something of a worker. If it is linked it obeys within a second."""
        try:
            order = self._store.orders.give(worker.id, wish, by=by, now=datetime.now(UTC))
        except AlreadySoError as so:
            waits = next((one for one in self._store.orders.waiting([worker.id]) if one.kind == wish.kind), None)
            if waits is not None:
                return replace(_outcome(worker.name, waits), detail=str(so))
            return OrderOutcome(worker=worker.name, result="done", detail=str(so))
        except IllegalTransitionError as refusal:
            return refused(worker, str(refusal))
        return refused(worker, REMOVED) if order is None else _outcome(worker.name, order)

    def outcome(self, order_id: UUID, *, teams: Collection[str] | None = None) -> OrderOutcome | None:
        """Say what has become of an order; None if there is none.

        :param teams: its worker is of one of these, or of none; None for any
        """
        order = self._store.orders.get(order_id)
        worker = self._store.workers.get(order.worker_id) if order is not None else None
        if order is None or worker is None or not is_of(worker.team_name, teams):
            return None
        return _outcome(worker.name, order)

    def change_queues(self, worker: Worker, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> OrderOutcome:
        """Have a worker serve more queues, whatever it was started for, or fewer: jobs that it has of them go on."""
        changed = self._store.workers.change_queues(worker.id, add=add, remove=remove, now=datetime.now(UTC))
        if changed is None:
            return refused(worker, REMOVED)
        if not changed.queues:
            return refused(worker, NO_QUEUE_LEFT)
        served = ", ".join(changed.served_queues) or "no queue that it was started for"
        return OrderOutcome(worker=worker.name, result="done", detail=f"serves {served}")

    def revoke(self, worker: Worker) -> OrderOutcome:
        """Revoke a worker's key: it is cut off at once, and what it runs is lost."""
        if not self._store.workers.revoke(worker.name, now=datetime.now(UTC)):
            return refused(worker, REMOVED)
        said = [REVOKED_ALREADY] if worker.revoked_at is not None else []
        # What it came with is where it was: whoever was cut off may enrol with it again, as somebody else.
        if (token := self._token_of(worker)) is not None:
            said.append(
                f"the enrolment token that it came with is good for {token.uses_left} more until "
                f"{token.expires_at:%Y-%m-%d %H:%M} UTC: airflow edge enroll-token revoke {token.id}"
            )
        return OrderOutcome(worker=worker.name, result="done", detail="; ".join(said))

    def _token_of(self, worker: Worker) -> EnrollToken | None:
        """Give the token that it was enrolled with, if that still opens anything."""
        now = datetime.now(UTC)
        tokens = [token for token in self._store.enroll_tokens.all() if token.id == worker.enroll_token_id]
        return next((token for token in tokens if token_state(token, now) == "valid"), None)

    def set_disconnect_grace(self, worker: Worker, grace: timedelta | None) -> OrderOutcome:
        """Give a worker a grace of its own, or take it back; it holds at once."""
        if self._store.workers.set_disconnect_grace([worker.name], grace):
            return refused(worker, REMOVED)
        return OrderOutcome(worker=worker.name, result="done", detail=waited_for(grace))

    def remove(self, worker: Worker) -> OrderOutcome:
        """Forget a worker that is offline or revoked."""
        reason = self._store.workers.remove(worker.id, now=datetime.now(UTC))
        return refused(worker, reason) if reason else OrderOutcome(worker=worker.name, result="done")

    def queues(self) -> list[QueueView]:
        """Give every queue, with what waits in it and who serves it."""
        workers, demands, _ = self._store.fleet.overview()
        return queues(demands, workers)

    def explain(
        self, task: TaskFacts | None, job: JobView | None, *, patience: Patience, log_path: str | None = None
    ) -> Explanation:
        """Say why a task does not run, or what became of it.

        :param job: its newest job
        :param log_path: the relative path of the log of its newest try
        """
        now = datetime.now(UTC)
        if task is not None and job is not None and job.try_number < task.try_number:
            # What became of an earlier try is no reason for anything now.
            job = None
        glances = [one for one in self._store.fleet.glances() if one.revoked_at is None]
        starts = self._store.fleet.oldest_start([one.id for one in glances if not one.free_slots])
        refusals = {} if job is None else self._store.refusals.of_job(job.id)
        workers = [
            replace(worker_facts(one, patience, job, starts.get(one.id)), refusal=refusals.get(one.id, ""))
            for one in glances
        ]
        ahead = NOBODY_AHEAD if job is None else self._store.fleet.ahead_of(job)
        words = None
        if task is not None and log_path is not None and task.state not in _WITHOUT_LOG:
            parts = self._store.logs.parts(log_path)
            newest = parts[-1] if parts else None
            if newest is not None:
                task = replace(task, has_edge_log=True, host=newest.worker_name)
                words = last_words(self._end_of(newest))
        centre = at_the_centre(self._store.processes.all(), now)
        pause = None if job is None else self._store.queue_pauses.of(job.team_name, job.queue)
        return explain(task, job, workers, ahead=ahead, words=words, centre=centre, pause=pause, now=now)

    def explain_test(self, job: JobView, *, patience: Patience) -> Explanation:
        """Say why a test job that has not ended does not run, or what it does."""
        worker = self._store.fleet.glance_at(job.worker)
        centre = at_the_centre(self._store.processes.all(), datetime.now(UTC))
        return explain_test(job, None if worker is None else worker_facts(worker, patience), centre)

    def test_log(self, job: JobView) -> list[str]:
        """Give the last lines of a test job's log, as far as it has come."""
        parts = self._store.logs.parts(log_path_of_test(job.id))
        return log_tail(self._end_of(parts[-1])) if parts else []

    def test(self, worker: Worker) -> OrderOutcome:
        """Ask for a test job at a worker; one that is under way is the one that is meant."""
        asked = self._store.worker_tests.ask(worker.id, now=datetime.now(UTC))
        if asked is None or asked.job_id is None:
            return refused(worker, REMOVED if asked is None else asked.why_not)
        return OrderOutcome(worker=worker.name, result="waiting", job_id=asked.job_id)

    def _end_of(self, part: LogPart) -> list[bytes]:
        """Give the last lines of a log; none if it cannot be read."""
        try:
            return b"".join(self._store.logs.read(part.id, max(0, part.size - ENOUGH))).split(b"\n")
        except LogUnreadableError:
            return []


def _unknown(name: str) -> UnknownWorkerError:
    return UnknownWorkerError(f"There is no worker '{name}'; see: airflow edge list-workers")


def refused(worker: Worker, why: str) -> OrderOutcome:
    """Say that something is not to be had of a worker."""
    return OrderOutcome(worker=worker.name, result="refused", detail=why)


def worker_facts(
    worker: Glance, patience: Patience, job: JobView | None = None, full_since: datetime | None = None
) -> WorkerFacts:
    """Give a worker as far as it matters to a job.

    :param full_since: when the job that runs there longest began, where it is full
    """
    seen, queue = worker.last_seen_at, job.queue if job else ""
    return WorkerFacts(
        name=worker.name,
        # What was asked of a worker shows as its state for however long it is silent.
        state=WorkerState.UNKNOWN if worker.silent else worker.state,
        revoked=worker.revoked_at is not None,
        queues=frozenset(worker.queues),
        team_name=worker.team_name,
        slots=worker.concurrency,
        free_slots=worker.free_slots,
        seen_at=seen,
        grace_until=patience.lost_after(seen, queue, worker.own_grace) if seen else None,
        full_since=full_since,
        version_refused=worker.version_refused,
        conditions=worker.conditions,
        closed=closure.reason if (closure := worker.closed.get(queue)) else "",
        maintenance=describe_maintenance(worker.maintenance_comment, worker.maintenance_by, worker.maintenance_until),
    )


def _outcome(worker: str, order: WorkerOrder) -> OrderOutcome:
    results: dict[OrderState, Result] = {
        OrderState.WAITING: "waiting",
        OrderState.DONE: "done",
        OrderState.REFUSED: "refused",
        OrderState.SUPERSEDED: "refused",
    }
    return OrderOutcome(worker=worker, result=results[order.state], detail=order.detail, order_id=order.id)
