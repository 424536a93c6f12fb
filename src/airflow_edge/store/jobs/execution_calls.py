"""Calls of Airflow's Execution API that must not be carried out twice."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from airflow_edge.store.tables import CallRow, JobRow
from airflow_edge.store.transactions import StorePart, reading, writing

_LONGEST_ANSWER = 2**24 - 1
_LONGEST_TYPE = 100


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What Airflow's Execution API answered a call."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CallMemory:
    """What is known of a call that was made before."""

    answer: CallAnswer | None
    """None where nobody lived to note it."""


class ExecutionCalls(StorePart):
    """What was asked of Airflow that must not be asked again."""

    @reading
    def superseded(self, session: Session, job_id: UUID) -> bool:
        """Say whether a newer job was queued for its task instance: this one has deferred it, or had it rescheduled."""
        newer = aliased(JobRow)
        query = (
            select(newer.id)
            .join(JobRow, and_(JobRow.workload_id == newer.workload_id, JobRow.queued_at < newer.queued_at))
            .where(JobRow.id == job_id)
            .limit(1)
        )
        return session.scalar(query) is not None

    def begin(self, digest: str, job_id: UUID) -> CallMemory | None:
        """Note that a job's call is about to be made; give what is known of it if it was made before."""
        try:
            return self._begin(digest, job_id)
        except IntegrityError:
            # Another gateway noted the same call at the same moment.
            return self._begin(digest, job_id)

    @writing
    def _begin(self, session: Session, digest: str, job_id: UUID) -> CallMemory | None:
        row = session.get(CallRow, digest)
        if row is not None:
            return CallMemory(None if row.status is None else CallAnswer(row.status, row.content_type, row.body))
        session.add(CallRow(digest=digest, job_id=job_id, status=None, content_type="", body=b""))
        return None

    @writing
    def remember(self, session: Session, digest: str, answer: CallAnswer) -> None:
        """Keep the answer of a call, for whoever repeats it."""
        values = {
            "status": answer.status,
            "content_type": answer.content_type[:_LONGEST_TYPE],
            "body": answer.body[:_LONGEST_ANSWER],
        }
        session.execute(update(CallRow).where(CallRow.digest == digest).values(values))

    @writing
    def forget(self, session: Session, digest: str) -> None:
        """Forget a call that changed nothing."""
        session.execute(delete(CallRow).where(CallRow.digest == digest))
