"""Enrolment tokens, and what they open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from uuid import UUID, uuid4

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_edge.protocol.problems import QUEUE_NAME_RULE, Code, is_queue_name
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.events import ENROLLED, Happening
from airflow_edge.rules.worker import Worker
from airflow_edge.store.columns import to_duration, to_seconds, to_value
from airflow_edge.store.tables import EnrollTokenRow, WorkerRow
from airflow_edge.store.transactions import StorePart, lock, reading, writing
from airflow_edge.store.workers.events import note
from airflow_edge.store.workers.workers import to_worker

_ASK_FOR_A_NEW_ONE = "ask for a new one: airflow edge enroll-token create"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollToken:
    """An enrolment token without its secret."""

    id: UUID
    queues: tuple[str, ...]
    team_name: str | None
    name_pattern: str | None
    """A glob that the worker's name has to match."""
    disconnect_grace: timedelta | None = None
    """Its workers' own grace."""
    max_slots: int | None = None
    """How many slots each of its workers may have; None for `rules.worker.DEFAULT_MAX_SLOTS`."""
    uses: int | None
    """For how many workers it was made; None for one of which that was not noted yet."""
    uses_left: int
    created_at: datetime
    expires_at: datetime
    created_by: str
    revoked_at: datetime | None


class EnrollmentRefusedError(Exception):
    """Why nobody was enrolled: a code of `protocol.problems.Code`, and a sentence that says what to do."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.token_id: UUID | None = None
        """The token that was shown, if it is one."""


class EnrollTokens(StorePart):
    """Enrolment tokens, and what they open. Who may not enrol is told by an `EnrollmentRefusedError`."""

    @writing
    def create(self, session: Session, token: EnrollToken, verify_key: str) -> None:
        """Keep a new token by the public half of its key pair, hex."""
        row = asdict(token) | {
            "verify_key": verify_key,
            "queues": list(token.queues),
            "disconnect_grace": to_seconds(token.disconnect_grace),
        }
        session.add(EnrollTokenRow(**row))

    @reading
    def all(self, session: Session) -> list[EnrollToken]:
        """Give all tokens, newest first."""
        query = select(EnrollTokenRow).order_by(EnrollTokenRow.created_at.desc(), EnrollTokenRow.id)
        return [
            to_value(EnrollToken, row, queues=tuple(row.queues), disconnect_grace=to_duration(row.disconnect_grace))
            for row in session.scalars(query)
        ]

    @writing
    def revoke(self, session: Session, token_id: UUID, *, now: datetime) -> bool:
        """Revoke a token; False if there is none."""
        row = session.get(EnrollTokenRow, token_id, with_for_update=True)
        if row is not None and row.revoked_at is None:
            row.revoked_at = now
        return row is not None

    @writing
    def purge(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete tokens that expired or were revoked before then, at most `limit`; say how many."""
        over = or_(EnrollTokenRow.expires_at < before, EnrollTokenRow.revoked_at < before)
        ids = lock(session, select(EnrollTokenRow.id).where(over).limit(limit))
        session.execute(delete(EnrollTokenRow).where(EnrollTokenRow.id.in_(ids)))
        return len(ids)

    def enroll(self, verify_key: str, name: str, public_key: bytes, *, now: datetime) -> Worker:
        """Use a token up by one and register the worker, in one transaction.

        The same key and name again is the same worker.
        """

        def work(session: Session) -> WorkerRow:
            token = session.scalar(
                select(EnrollTokenRow).where(EnrollTokenRow.verify_key == verify_key).with_for_update()
            )
            if token is None:
                raise EnrollmentRefusedError(
                    Code.ENROLLMENT_REFUSED,
                    f"this enrolment token is unknown here; {_ASK_FOR_A_NEW_ONE}, or look whether another Airflow has "
                    "made it",
                )
            try:
                known = _known(session, name, public_key)
                if known is not None and known.enroll_token_id == token.id and known.public_key == public_key:
                    return known
                _check(token, name, now)
                _check_way_back(token, known)
            except EnrollmentRefusedError as refusal:
                refusal.token_id = token.id
                raise
            token.uses_left -= 1
            by = token.created_by
            row = _register(session, known, name, public_key, token.queues, token.team_name, token.id, by, now)
            if token.disconnect_grace is not None:
                row.disconnect_grace = token.disconnect_grace
            row.max_slots = token.max_slots
            return row

        return self._enroll(work)

    def enroll_trusted(self, name: str, public_key: bytes, queues: Sequence[str], *, now: datetime) -> Worker:
        """Register a worker that proved to know the shared secret."""

        def work(session: Session) -> WorkerRow:
            if not queues:
                raise EnrollmentRefusedError(Code.NO_QUEUES, "say which queues the worker is to serve, with -q")
            if not all(map(is_queue_name, queues)):
                raise EnrollmentRefusedError(Code.NO_QUEUES, QUEUE_NAME_RULE)
            known = _known(session, name, public_key)
            return _register(session, known, name, public_key, queues, None, None, None, now)

        return self._enroll(work)

    def _enroll(self, work: Callable[[Session], WorkerRow]) -> Worker:
        def enroll(session: Session) -> Worker:
            row = work(session)
            session.flush()
            return to_worker(row)

        try:
            return self._transactions.write(enroll)
        except IntegrityError:
            # Somebody registered the same name at the same moment; now the row is there to be seen.
            return self._transactions.write(enroll)


def _known(session: Session, name: str, public_key: bytes) -> WorkerRow | None:
    """Give the worker of that name, if this key may go on under it.

    :raises EnrollmentRefusedError: the name is another's, or the key was revoked.
    """
    revoked = select(WorkerRow.name).where(WorkerRow.public_key == public_key, WorkerRow.revoked_at.is_not(None))
    if (former := session.scalar(revoked.limit(1))) is not None:
        raise EnrollmentRefusedError(
            Code.REVOKED,
            f"the key of worker '{former}' was revoked; enrol once more, which is with another key",
        )
    row = session.scalar(select(WorkerRow).where(WorkerRow.name == name).with_for_update())
    if row is None:
        return None
    if row.public_key != public_key and row.revoked_at is None:
        raise EnrollmentRefusedError(
            Code.NAME_TAKEN,
            f"there is a worker '{name}' with another key; choose another name with --name, or revoke the old worker "
            f"first: airflow edge revoke-worker {name}",
        )
    return row


def _former_name(row: WorkerRow) -> str:
    """Give the name under which a revoked worker is kept when a new one gets its own: nobody may enrol as it."""
    return f"{row.name[:150]} (revoked, {row.id.hex[:8]})"


def _check(token: EnrollTokenRow, name: str, now: datetime) -> None:
    if token.revoked_at is not None:
        problem = f"was revoked at {token.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
    elif token.expires_at <= now:
        problem = f"expired at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    elif token.uses_left <= 0:
        problem = "has been used up"
    elif token.name_pattern is not None and not fnmatchcase(name, token.name_pattern):
        raise EnrollmentRefusedError(
            Code.ENROLLMENT_REFUSED,
            f"this enrolment token is for workers named like '{token.name_pattern}', not '{name}'; choose a name with "
            "--name",
        )
    else:
        return
    raise EnrollmentRefusedError(Code.ENROLLMENT_REFUSED, f"this enrolment token {problem}; {_ASK_FOR_A_NEW_ONE}")


def _check_way_back(token: EnrollTokenRow, former: WorkerRow | None) -> None:
    """Have nobody come back as who was revoked by what that one came with: it is where that one was."""
    if former is not None and former.revoked_at is not None and former.enroll_token_id == token.id:
        raise EnrollmentRefusedError(
            Code.ENROLLMENT_REFUSED,
            f"worker '{former.name}' was enrolled with this token and revoked since; {_ASK_FOR_A_NEW_ONE}",
        )


def _register(
    session: Session,
    row: WorkerRow | None,
    name: str,
    public_key: bytes,
    queues: Sequence[str],
    team_name: str | None,
    token_id: UUID | None,
    by: str | None,
    now: datetime,
) -> WorkerRow:
    if row is not None and row.public_key != public_key:
        if row.team_name != team_name:
            raise EnrollmentRefusedError(
                Code.NAME_TAKEN,
                f"'{name}' is the name of a revoked worker of another team; choose another name with --name, or have "
                "that one removed first: airflow edge remove-worker",
            )
        # A new key is a new worker: whatever the one before has left behind, jobs, logs and orders, stays its own.
        row.name = _former_name(row)
        session.flush()
        row = None
    is_new = row is None
    if row is None:
        row = WorkerRow(id=uuid4(), name=name, public_key=public_key, concurrency=0, system={})
        row.state, row.enrolled_at = WorkerState.OFFLINE, now
        session.add(row)
    row.queues = list(queues)
    row.added_queues = None
    row.team_name = team_name
    row.enroll_token_id = token_id
    row.changed_at = now
    if is_new:
        note(session, row.id, [Happening(ENROLLED, f"for {', '.join(queues)}")], by=by, now=now)
    return row
