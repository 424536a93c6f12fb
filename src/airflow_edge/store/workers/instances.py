"""Which instance of a worker has its key: noted when it links, asked across gateways, refused to others."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.fleet.events import COPIED_KEY, Happening
from airflow_edge.rules.worker import Admission, Holder, OtherInstance, judge_instance, with_other
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import JobRow, WorkerRow
from airflow_edge.store.transactions import StorePart, reading, writing
from airflow_edge.store.workers.events import note

_GONE: Final = frozenset({WorkerState.UNKNOWN, WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE})


class Claim(NamedTuple):
    """What a process with a worker's key brings forward to be that worker, besides what its `Hello` says of it."""

    last_link: str = ""
    """The link that it says it had last."""
    dead_link: UUID | None = None
    """One that was asked whether it lives, and did not answer."""


NO_CLAIM: Final = Claim()


class Claimed(NamedTuple):
    """What came of it."""

    verdict: Admission
    before: Holder
    """Who had the key before, and has it still where the verdict is not that this one enters."""


class Comer(NamedTuple):
    """Whoever makes the claim; None for what one that is too old does not say."""

    instance: UUID | None
    life: UUID | None
    gateway_id: str


class Instances(StorePart):
    """Instances of workers."""

    @writing
    def note_other(self, session: Session, worker_id: UUID, other: OtherInstance) -> bool:
        """Note that somebody else has tried to link with the key of a worker that is alive; say whether he is new."""
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None:
            return False
        before = row.other_instances or []
        row.other_instances = with_other(before, other)
        new = all(one["instance"] != other.instance for one in before)
        if new:
            note(session, row.id, [Happening(COPIED_KEY, f"{other} tries to use it")], now=other.last_tried_at)
        return new

    @writing
    def ask(self, session: Session, worker_id: UUID, link_id: UUID, *, now: datetime) -> int | None:
        """Ask the gateway that has this link whether the worker answers there; None where that is its link no more.

        Gives the number of the question, for `answer_to`.
        """
        row = session.get(WorkerRow, worker_id, with_for_update=True)
        if row is None or row.link_id != link_id:
            return None
        row.question += 1
        row.changed_at = now
        return row.question

    @reading
    def answer_to(self, session: Session, worker_id: UUID, question: int) -> bool | None:
        """Give the answer to a question, or to one that was put after it; None as long as there is none."""
        query = select(WorkerRow.answered, WorkerRow.answers_there).where(WorkerRow.id == worker_id)
        answered = session.execute(query).one_or_none()
        return None if answered is None or answered.answered < question else answered.answers_there

    @writing
    def answer(self, session: Session, worker_id: UUID, link_id: UUID, question: int, *, there: bool) -> None:
        """Answer what was asked of a link up to this question."""
        this = WorkerRow.id == worker_id, WorkerRow.link_id == link_id, WorkerRow.answered < question
        session.execute(update(WorkerRow).where(*this).values(answered=question, answers_there=there))


def claim_key(session: Session, row: WorkerRow, comer: Comer, claim: Claim, *, now: datetime) -> Claimed:
    """Say whether this one may have the key of a worker, whose row is locked.

    Where it is another instance and may, the running jobs of the one before stay that one's, and its own are its own
    again.
    """
    holder = _holder(row)
    # Who links at a gateway has seen to it that no other link of this worker is open there.
    dead_link = holder.link_id if row.gateway_id == comer.gateway_id else claim.dead_link
    verdict = judge_instance(
        holder, instance=comer.instance, life=comer.life, last_link=claim.last_link, dead_link=dead_link
    )
    other = comer.instance is not None and holder.instance not in {None, comer.instance}
    if verdict is Admission.ENTER and comer.instance is not None and other:
        _leave_jobs(session, row, comer.instance, now)
    return Claimed(verdict, holder)


def _holder(row: WorkerRow) -> Holder:
    """Give who has the worker's key."""
    return to_value(
        Holder,
        row,
        gone=row.silent or row.state in _GONE,
        host_name=row.host_name or "",
        address=row.address or "",
        since=row.linked_at,
    )


def _leave_jobs(session: Session, row: WorkerRow, comer: UUID, now: datetime) -> None:
    """Leave the jobs to the instance that has them, and give another one those that it left."""
    at_site = (
        JobRow.worker_id == row.id,
        or_(JobRow.state == JobState.RUNNING, and_(JobRow.state == JobState.CANCELLED, JobRow.to_stop.is_(True))),
    )
    session.execute(
        update(JobRow)
        .where(*at_site, JobRow.instance.is_(None))
        .values(instance=row.instance, left_at=row.last_seen_at or now)
    )
    session.execute(update(JobRow).where(*at_site, JobRow.instance == comer).values(instance=None, left_at=None))
