"""Logs at rest: small rows merged, whole logs moved to the log store, old ones deleted.

Every step is a small transaction, holds nothing while it reads, packs or uploads, and may be cut off anywhere: a log
that is being looked after is put off for a while, and whoever finds it then goes on. Two who are at the same log
notice by its revision, or by the name of its upload.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from airflow_edge.protocol.states import JOB_OPEN
from airflow_edge.store.logs.logs import RECHECK, LogUnreadableError, TaskLogs
from airflow_edge.store.logs.objects import LogStoreError, ObjectStore, object_key
from airflow_edge.store.logs.rows import (
    LARGEST_ROW,
    ROWS_AT_ONCE,
    add_row,
    delete_rows,
    first_offsets,
    read_rows,
    unpack,
)
from airflow_edge.store.tables import JobRow, LogRow, WorkerRow
from airflow_edge.store.transactions import StorePart, Transactions, change, lock, writing

log = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=10)
"""For how long a log is left to whoever looks after it."""
RETRY: Final = timedelta(minutes=5)
"""When a log store that failed is tried again with the same log."""
GIVEN_UP_AFTER: Final = timedelta(days=7)
"""How long the rest of a log is expected after its job has ended. Should it come later, it is taken all the same."""
REMEMBERED: Final = timedelta(days=365)
"""How long it is known of a deleted log that there was one."""
AT_ONCE: Final = 20
ROWS_DELETED_AT_ONCE: Final = 64

_OPEN_JOB: Final = exists().where(
    JobRow.id == LogRow.job_id, JobRow.assignment == LogRow.assignment, JobRow.state.in_(JOB_OPEN)
)


class StoppedError(Exception):
    """The process ends: what was begun is left to others."""


class LogUpkeep(StorePart):
    """Logs at rest."""

    def tidy(
        self,
        store_url: str | None,
        *,
        clock: Callable[[], datetime],
        stopping: Callable[[], bool] = lambda: False,
    ) -> int:
        """Do what is due for some logs; say for how many. May take minutes, each transaction of it a moment.

        The rows of a log are merged into few; one that is complete or given up is moved to the log store, if there is
        one; one that was marked as deleted loses its bytes.

        :param store_url: where whole logs belong (`[edge] log_store`); None for the database
        :param clock: gives the time, aware
        :param stopping: is asked now and then, and ends the work
        :raises LogStoreError: the log store failed; that log is tried again later.
        :raises LogUnreadableError: the bytes of a log are not those that were verified once; it stays where it is.
        """
        if not self._transactions.finds(_due(clock())):
            return 0
        lease = clock() + LEASE
        claimed = self._claim(clock(), lease)
        for done, log_id in enumerate(claimed):
            try:
                _Chore(self._transactions, log_id, store_url, lease, clock, stopping).do()
            except StoppedError:
                self._put_off(claimed[done:], clock())
                return 0
            except (LogStoreError, LogUnreadableError):
                self._put_off([log_id], clock() + RETRY)
                self._put_off(claimed[done + 1 :], clock())
                raise
        return len(claimed)

    def expire(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Mark logs that did not change since then as deleted, at most `limit`; say how many. `tidy` deletes them.

        The log of a job that is not over stays, however old.
        """
        logs = select(LogRow.id).limit(limit)
        old = logs.where(LogRow.purged_at.is_(None), LogRow.changed_at < before, ~_OPEN_JOB)
        forgotten = logs.where(LogRow.purged_at < now - REMEMBERED, LogRow.tidy_at.is_(None))
        if not any(self._transactions.finds(query) for query in (old, forgotten)):
            return 0

        def work(session: Session) -> int:
            ids = lock(session, old)
            session.execute(
                update(LogRow)
                .where(LogRow.id.in_(ids))
                .values(purged_at=now, tidy_at=now, revision=LogRow.revision + 1)
            )
            session.execute(delete(LogRow).where(LogRow.id.in_(lock(session, forgotten))))
            return len(ids)

        return self._transactions.write(work)

    @writing
    def _claim(self, session: Session, now: datetime, lease: datetime) -> list[UUID]:
        ids = lock(session, _due(now))
        session.execute(update(LogRow).where(LogRow.id.in_(ids)).values(tidy_at=lease))
        return ids

    @writing
    def _put_off(self, session: Session, log_ids: list[UUID], until: datetime) -> None:
        session.execute(update(LogRow).where(LogRow.id.in_(log_ids)).values(tidy_at=until))


@dataclass(slots=True)
class _Chore:
    """What is due for one log."""

    _transactions: Transactions
    _id: UUID
    _store_url: str | None
    _lease: datetime
    _clock: Callable[[], datetime]
    _stopping: Callable[[], bool]

    def do(self) -> None:
        this = self._read()
        if this.upload_url is not None and this.upload_key is not None:
            self._delete_upload(this.upload_url, this.upload_key)
        if this.purged_at is not None:
            self._erase(this)
            return
        final = this.complete or self._give_up(this)
        if final and self._store_url is not None:
            self._move(self._store_url)
        else:
            while self._merge():
                self._still_ours()
        self._delete_rows_below(self._read().object_size)
        # Unless something has happened to it meanwhile: then it is due again already.
        self._change(LogRow.tidy_at == self._lease, tidy_at=None if final else self._clock() + RECHECK)

    def _read(self) -> LogRow:
        return self._transactions.read(
            lambda session: session.scalars(select(LogRow).where(LogRow.id == self._id)).one()
        )

    def _change(self, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """Change the log's row if it fulfils the conditions; say whether it did."""
        statement = update(LogRow).where(LogRow.id == self._id, *conditions).values(**values)
        return self._transactions.write(lambda session: change(session, statement) == 1)

    def _still_ours(self) -> None:
        """Keep others away while the work goes on.

        :raises StoppedError: this process ends.
        """
        if self._stopping():
            raise StoppedError
        if self._lease - self._clock() < LEASE / 2:
            renewed = self._clock() + LEASE
            self._change(LogRow.tidy_at == self._lease, tidy_at=renewed)
            self._lease = renewed

    def _give_up(self, this: LogRow) -> bool:
        """Say whether the rest of a log is not expected any more."""
        if this.given_up_at is not None:
            return True
        now = self._clock()
        revoked = exists().where(WorkerRow.id == LogRow.worker_id, WorkerRow.revoked_at.is_not(None))
        return self._change(
            LogRow.complete.is_(False),
            or_(LogRow.changed_at < now - GIVEN_UP_AFTER, revoked),
            ~_OPEN_JOB,
            given_up_at=now,
        )

    def _merge(self) -> bool:
        """Make one row of many; say whether there may be more to do."""
        this = self._read()
        rows = self._transactions.read(lambda session: read_rows(session, this.id, this.merged))
        if not rows or rows[0].offset != this.merged:
            return False
        chosen, end = [], this.merged
        for row in rows:
            if row.end - this.merged > LARGEST_ROW:
                break
            chosen.append(row)
            end = row.end
        full = end - this.merged == LARGEST_ROW or len(chosen) < len(rows)
        if len(chosen) == 1:
            return full and self._change(
                LogRow.revision == this.revision, merged=end, loose=LogRow.loose - 1, revision=this.revision + 1
            )
        plain = b"".join(unpack(chosen, this.merged))

        def replace(session: Session) -> bool:
            changed = change(
                session,
                update(LogRow)
                .where(LogRow.id == this.id, LogRow.revision == this.revision)
                .values(
                    revision=this.revision + 1,
                    merged=end if full else this.merged,
                    loose=LogRow.loose - len(chosen) + (0 if full else 1),
                ),
            )
            if changed != 1:
                return False
            delete_rows(session, this.id, this.merged, end)
            add_row(session, this.id, this.merged, plain)
            return True

        return self._transactions.write(replace) and (full or len(rows) == ROWS_AT_ONCE)

    def _move(self, store_url: str) -> None:
        """Write the whole log to the log store, then let it be read from there."""
        this = self._read()
        if this.object_size == this.size:
            return
        key = object_key(this.path, this.job_id, this.assignment)
        same = LogRow.revision == this.revision
        if not self._change(same, upload_url=store_url, upload_key=key):
            return
        try:
            ObjectStore(store_url).write(key, self._checked(this))
            moved = self._change(
                same,
                LogRow.upload_key == key,
                LogRow.size == this.size,
                store_url=store_url,
                object_key=key,
                object_size=this.size,
                # The object that it had before, if any, is nobody's now.
                upload_url=this.store_url,
                upload_key=this.object_key,
                merged=this.size,
                loose=0,
                revision=this.revision + 1,
            )
        except BaseException as error:
            now = self._read()
            taken_over = (now.upload_key, now.revision) != (key, this.revision)
            self._delete_upload(store_url, key)
            if taken_over and isinstance(error, LogStoreError):
                # Somebody else took it for left behind, deleted it, and does it all again.
                return
            raise
        if not moved:
            self._delete_upload(store_url, key)
        elif this.object_key is not None and this.store_url is not None:
            self._delete_upload(this.store_url, this.object_key)

    def _delete_upload(self, store_url: str, key: str) -> None:
        """Delete an object, unless it holds the log: whether a transaction was committed is not always known."""
        # With another revision nobody who still writes it can let it be read any more.
        self._change(LogRow.upload_key == key, revision=LogRow.revision + 1)
        if self._read().object_key == key:
            return
        try:
            ObjectStore(store_url).delete(key)
        except LogStoreError as error:
            if store_url == self._store_url:
                raise
            # That store is not in use any more, perhaps because it never worked.
            log.warning("What was written to a former log store may still be there: %s", error)
        self._change(LogRow.upload_key == key, upload_url=None, upload_key=None)

    def _checked(self, this: LogRow) -> Iterator[bytes]:
        """Give the log's bytes.

        :raises LogUnreadableError: they are not those that were verified once.
        """
        digest, position = hashlib.sha256(), 0
        for piece in TaskLogs(self._transactions).read(this.id):
            digest.update(piece[max(0, this.sha256_from - position) :])
            position += len(piece)
            yield piece
            self._still_ours()
        if position != this.size or (this.complete and digest.hexdigest() != this.sha256):
            raise LogUnreadableError(f"the log {this.path} ({this.id}) is not what was verified: it stays where it is")

    def _erase(self, this: LogRow) -> None:
        if this.store_url is not None and this.object_key is not None:
            ObjectStore(this.store_url).delete(this.object_key)
        self._delete_rows_below(this.size)
        self._change(store_url=None, object_key=None, object_size=0, merged=0, loose=0, tidy_at=None, given_up_at=None)

    def _delete_rows_below(self, size: int) -> None:
        """Delete the rows that begin below this offset, a few at a time."""

        def some(session: Session) -> bool:
            offsets = first_offsets(session, self._id, size, ROWS_DELETED_AT_ONCE)
            if offsets:
                delete_rows(session, self._id, offsets[0], offsets[-1] + 1)
            return bool(offsets)

        while self._transactions.read(lambda session: first_offsets(session, self._id, size, 1)):
            self._transactions.write(some)
            self._still_ours()


def _due(now: datetime) -> Select[UUID]:
    return select(LogRow.id).where(LogRow.tidy_at <= now).order_by(LogRow.tidy_at).limit(AT_ONCE)
