"""Enrolled workers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session, load_only, undefer

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.problems import is_queue_name
from airflow_edge.protocol.states import (
    JOB_HELD,
    OFFLINE_AS,
    REQUESTS,
    WORKER_TRANSITIONS,
    JobEvent,
    JobState,
    WorkerEvent,
    WorkerState,
    next_job_state,
)
from airflow_edge.rules.acts.consequences import why_not_removed
from airflow_edge.rules.fleet.closing import CLOSED
from airflow_edge.rules.fleet.events import OUT_OF_REACH, QUEUES, REVOKED, Happening, begun, happened
from airflow_edge.rules.fleet.standing import OFFLINE
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.orders import ASKED_STATES, OrderState
from airflow_edge.rules.worker import CONDITIONS, WARNINGS, Admission, Worker, place, read_others
from airflow_edge.store.columns import to_duration, to_seconds, to_value
from airflow_edge.store.queueing import put_back
from airflow_edge.store.tables import JobRow, WorkerEventRow, WorkerMetricRow, WorkerOrderRow, WorkerRow
from airflow_edge.store.transactions import StorePart, reading, writing
from airflow_edge.store.workers.events import LOOKED_AT, condition_of, note, noting
from airflow_edge.store.workers.instances import NO_CLAIM, Claim, Claimed, Comer, claim_key
from airflow_edge.store.workers.worker_logs import to_request

_MAY_FALL_SILENT = frozenset(state for state, steps in WORKER_TRANSITIONS.items() if WorkerEvent.SILENT in steps)
_SHOULD_BE_LINKED: Final = _MAY_FALL_SILENT | REQUESTS | {WorkerState.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What a worker says of itself when it links: columns of its row."""

    link_id: UUID
    gateway_id: str
    transport: str
    boot_id: str
    agent_version: str
    airflow_version: str
    protocol: int | None = None
    concurrency: int
    state: WorkerState
    version_refused: str = ""
    """What the centre thinks of these versions: see `rules.versions`."""
    version_warning: str = ""
    asked_queues: tuple[str, ...] | None = None
    instance: UUID | None = None
    """None from workers that are too old to say."""
    life: UUID | None = None
    host_name: str = ""
    address: str = ""


class Workers(StorePart):
    """Enrolled workers."""

    def get(self, worker_id: UUID) -> Worker | None:
        """Give a worker by its id."""
        return next(iter(self._workers(select(WorkerRow).where(WorkerRow.id == worker_id))), None)

    def named(self, name: str) -> Worker | None:
        """Give a worker by its name."""
        return next(iter(self._workers(select(WorkerRow).where(WorkerRow.name == name))), None)

    def all(self) -> list[Worker]:
        """Give all workers, by name."""
        return self._workers(select(WorkerRow).order_by(WorkerRow.name))

    def with_ids(self, worker_ids: Collection[UUID]) -> list[Worker]:
        """Give the workers with these ids, those there are."""
        return self._workers(select(WorkerRow).where(WorkerRow.id.in_(worker_ids)))

    @writing
    def link(
        self,
        session: Session,
        links: Mapping[UUID, LinkFacts],
        claims: Mapping[UUID, Claim] | None = None,
        *,
        now: datetime,
    ) -> dict[UUID, Claimed]:
        """Note new links by worker, those that may enter; each replaces any other of its worker.

        Where another instance enters, the running jobs of the one before stay that one's; its own are its own again.
        """
        # In one order everywhere, so that two gateways do not wait for each other.
        these = select(WorkerRow).where(WorkerRow.id.in_(links)).order_by(WorkerRow.id).with_for_update()
        before = {}
        for row in session.scalars(these):
            facts = links[row.id]
            claimed = claim_key(
                session,
                row,
                Comer(facts.instance, facts.life, facts.gateway_id),
                (claims or {}).get(row.id, NO_CLAIM),
                now=now,
            )
            before[row.id] = claimed
            if claimed.verdict is not Admission.ENTER:
                continue
            where = f"{place(facts.host_name, facts.address)}, agent {facts.agent_version}"
            offline = row.state in OFFLINE
            note(session, row.id, begun(claimed.before.life, facts.life, where, offline=offline), now=now)
            with noting(session, row, now=now):
                for name, value in asdict(replace(facts, instance=facts.instance or claimed.before.instance)).items():
                    setattr(row, name, value)
                row.linked_at = now
                row.state = row.asked_state or facts.state
                row.silent = False
                row.last_seen_at = now
                row.changed_at = now
        return before

    @writing
    def unlink(self, session: Session, worker_id: UUID, link_id: UUID, state: WorkerState, *, now: datetime) -> None:
        """Note that this link is over, unless a newer one has replaced it.

        A worker that has gone in good order has done what a shutdown asks for, and will be in maintenance when it
        comes back if it was asked to.
        """
        row = session.scalar(
            select(WorkerRow).where(WorkerRow.id == worker_id, WorkerRow.link_id == link_id).with_for_update()
        )
        if row is None:
            return
        with noting(session, row, now=now):
            _unlink(session, row, state, now)

    @writing
    def seen(
        self,
        session: Session,
        states: Mapping[UUID, WorkerState],
        systems: Mapping[UUID, Mapping[str, object]],
        comments: Mapping[UUID, str] | None = None,
        causes: Mapping[UUID, MaintenanceCause] | None = None,
        *,
        now: datetime,
    ) -> list[UUID]:
        """Note in one transaction that these workers are linked and what they do.

        Gives those that may not be: they were revoked, or removed.

        :param comments: on the maintenance of those that are in one; None leaves comments and causes as they are
        :param causes: of their maintenance
        """
        these = select(WorkerRow).where(WorkerRow.id.in_(states), WorkerRow.revoked_at.is_(None))
        columns = load_only(WorkerRow.id, WorkerRow.asked_state, *LOOKED_AT)
        unwanted = set(states)
        for row in session.scalars(these.options(columns).order_by(WorkerRow.id).with_for_update()):
            unwanted.remove(row.id)
            before = condition_of(row)
            row.state = row.asked_state or states[row.id]
            row.silent = states[row.id] is WorkerState.UNKNOWN
            row.last_seen_at = now
            if comments is not None and row.asked_state is None:
                row.maintenance_comment = comments.get(row.id, "")
                row.maintenance_cause = (causes or {}).get(row.id)
            if row.id in systems:
                row.system = said = _storable(systems[row.id])
                row.closed = str(said.get(CLOSED) or "") or None
                row.conditions, row.warnings = (str(said.get(name, "")) for name in (CONDITIONS, WARNINGS))
            note(session, row.id, happened(before, condition_of(row)), now=now)
        return sorted(unwanted)

    @writing
    def set_disconnect_grace(self, session: Session, names: Collection[str], grace: timedelta | None) -> list[str]:
        """Give workers a grace of their own, or none; if some do not exist, change nothing and give their names."""
        known = set(session.scalars(select(WorkerRow.name).where(WorkerRow.name.in_(names))))
        unknown = [name for name in names if name not in known]
        if not unknown:
            session.execute(
                update(WorkerRow).where(WorkerRow.name.in_(names)).values(disconnect_grace=to_seconds(grace))
            )
        return unknown

    @reading
    def last_seen(self, session: Session) -> dict[UUID, datetime]:
        """Give when each worker was last seen, by the clocks of those who saw them; who never was is left out.

        With them those instances of workers that have left running jobs behind, by their own ids.
        """
        query = select(WorkerRow.id, WorkerRow.last_seen_at).where(WorkerRow.last_seen_at.is_not(None))
        left = select(JobRow.instance, JobRow.left_at).where(
            JobRow.state == JobState.RUNNING, JobRow.instance.is_not(None)
        )
        seen = [*session.execute(query), *session.execute(left.distinct())]
        return {holder: at for holder, at in seen if holder is not None and at is not None}

    def mark_unreachable(self, silences: Mapping[UUID, Silence]) -> list[UUID]:
        """Note of those that should be linked, and are silent still, that they are, and give their ids.

        Their state is unknown then, unless it says what was asked of them.
        """
        if not silences:
            return []
        newest = max(silence.since for silence in silences.values())
        query = (
            select(WorkerRow.id, WorkerRow.last_seen_at)
            .where(
                WorkerRow.state.in_(_SHOULD_BE_LINKED),
                WorkerRow.silent.is_(False),
                WorkerRow.revoked_at.is_(None),
                WorkerRow.last_seen_at <= newest,
            )
            .order_by(WorkerRow.id)
        )

        def find(session: Session, query: Select[UUID, datetime | None]) -> list[UUID]:
            return [id_ for id_, seen in session.execute(query) if id_ in silences and silences[id_].since == seen]

        def mark(session: Session) -> list[UUID]:
            ids = find(session, query.with_for_update())
            these = update(WorkerRow).where(WorkerRow.id.in_(ids))
            session.execute(these.values(silent=True))
            session.execute(these.where(WorkerRow.state.in_(_MAY_FALL_SILENT)).values(state=WorkerState.UNKNOWN))
            for worker_id in ids:
                # By this process's clock the time of the silence is not known, only that it is noted now.
                note(session, worker_id, [Happening(OUT_OF_REACH)], now=silences[worker_id].until)
            return ids

        return self._transactions.write(mark) if self._transactions.read(lambda session: find(session, query)) else []

    @reading
    def changed_since(self, session: Session, since: datetime) -> dict[UUID, datetime]:
        """Give the workers that an admin, or another link, has changed since then, and when.

        The times are those of the processes that made the changes: ask with an overlap.
        """
        query = select(WorkerRow.id, WorkerRow.changed_at).where(WorkerRow.changed_at >= since)
        return dict(session.execute(query).all())

    @writing
    def change_queues(
        self,
        session: Session,
        worker_id: UUID,
        *,
        add: Collection[str] = (),
        remove: Collection[str] = (),
        now: datetime,
    ) -> Worker | None:
        """Let a worker serve more queues, or not serve some any more; None if there is no such worker.

        It keeps at least one: if none would be left, nothing is changed, and the worker given has no queues.
        """
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None:
            return None
        queues = _changed(row.queues, add, remove)
        changed = replace(to_worker(row), queues=tuple(queues))
        if queues:
            row.queues = queues
            row.added_queues = _changed(row.added_queues or [], add, remove)
            row.changed_at = now
            changed = to_worker(row)
            note(session, row.id, [Happening(QUEUES, f"it serves {', '.join(changed.served_queues)}")], now=now)
        return changed

    @writing
    def revoke(self, session: Session, name: str, *, now: datetime) -> bool:
        """Revoke a worker's key at once; False if there is no worker of that name.

        Its jobs are not waited for: those it has not accepted go back into the queue, the others are lost. What people
        wanted of it is refused: it is not for the machine that may enrol under its name next.
        """
        row = session.scalar(select(WorkerRow).where(WorkerRow.name == name).with_for_update())
        if row is None:
            return False
        if row.revoked_at is None:
            row.revoked_at = row.changed_at = now
            row.state, row.asked_state, row.silent = WorkerState.OFFLINE, None, False
            row.forget_maintenance()
            _refuse_orders(session, row.id, now)
            note(session, row.id, [Happening(REVOKED)], now=now)
        _take_jobs_back(session, row.id, now)
        return True

    @writing
    def remove(self, session: Session, worker_id: UUID, *, now: datetime) -> str:
        """Forget a worker that is offline or revoked and has no job; give the reason why not, if there is one."""
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None:
            return ""
        held = select(func.count()).where(JobRow.worker_id == worker_id, JobRow.state.in_(JOB_HELD))
        jobs = session.scalar(held) or 0
        if why_not := why_not_removed(row.name, row.state, revoked=row.revoked_at is not None, jobs=jobs):
            return why_not
        session.execute(delete(WorkerOrderRow).where(WorkerOrderRow.worker_id == worker_id))
        session.execute(delete(WorkerMetricRow).where(WorkerMetricRow.worker_id == worker_id))
        session.execute(delete(WorkerEventRow).where(WorkerEventRow.worker_id == worker_id))
        session.delete(row)
        return ""

    @reading
    def _workers(self, session: Session, query: Select[WorkerRow]) -> list[Worker]:
        return [to_worker(row) for row in session.scalars(query)]


def _changed(queues: Iterable[str], add: Iterable[str], remove: Collection[str]) -> list[str]:
    # One that no door would let in today goes with the next change.
    return [queue for queue in dict.fromkeys([*queues, *add]) if queue not in remove and is_queue_name(queue)]


def to_worker(row: WorkerRow) -> Worker:
    """Give the worker that the row holds."""
    return to_value(
        Worker,
        row,
        queues=tuple(row.queues),
        asked_queues=None if row.asked_queues is None else tuple(row.asked_queues),
        added_queues=tuple(row.added_queues or ()),
        disconnect_grace=to_duration(row.disconnect_grace),
        log_request=None if row.log_request is None else to_request(row.log_request),
        other_instances=read_others(row.other_instances),
    )


def _unlink(session: Session, row: WorkerRow, state: WorkerState, now: datetime) -> None:
    row.link_id = None
    row.changed_at = now
    if state is WorkerState.UNKNOWN:
        row.state = row.asked_state or state
        return
    row.silent = False
    if row.asked_state is WorkerState.SHUTDOWN_REQUEST:
        _note_shutdown(session, row, now)
    row.state = OFFLINE_AS[row.asked_state or state]
    if row.state is WorkerState.OFFLINE:
        row.forget_maintenance()


def _note_shutdown(session: Session, row: WorkerRow, now: datetime) -> None:
    """Count an order to shut down as done; what was asked before it goes on waiting."""
    waiting = (WorkerOrderRow.worker_id == row.id, WorkerOrderRow.state == OrderState.WAITING)
    session.execute(
        update(WorkerOrderRow)
        .where(*waiting, WorkerOrderRow.kind == "shutdown")
        .values(state=OrderState.DONE, finished_at=now)
    )
    left = session.scalar(select(WorkerOrderRow.kind).where(*waiting, WorkerOrderRow.kind.in_(ASKED_STATES)))
    row.asked_state = ASKED_STATES[left] if left else None


def _refuse_orders(session: Session, worker_id: UUID, now: datetime) -> None:
    session.execute(
        update(WorkerOrderRow)
        .where(WorkerOrderRow.worker_id == worker_id, WorkerOrderRow.state == OrderState.WAITING)
        .values(state=OrderState.REFUSED, detail="the worker was revoked", finished_at=now)
    )


def _take_jobs_back(session: Session, worker_id: UUID, now: datetime) -> None:
    this_workers = update(JobRow).where(JobRow.worker_id == worker_id)
    leased = select(JobRow).where(JobRow.worker_id == worker_id, JobRow.state == JobState.LEASED)
    for job in session.scalars(leased.options(undefer(JobRow.past)).order_by(JobRow.id).with_for_update()):
        put_back(session, job, "taken back", "its worker was revoked", now=now)
    session.execute(
        this_workers.where(JobRow.state == JobState.RUNNING).values(
            state=next_job_state(JobState.RUNNING, JobEvent.LOSE), reason="its worker was revoked", ended_at=now
        )
    )


def _storable(system: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is not JSON: a site may say anything."""
    return {
        name: value for name, value in system.items() if not (isinstance(value, float) and not math.isfinite(value))
    }
