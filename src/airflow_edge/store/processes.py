"""The marks of the centre's processes: what runs, whatever the settings of whoever looks may say."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from airflow_edge.rules.processes import FORGOTTEN_AFTER, CentreProcess
from airflow_edge.store.columns import to_value
from airflow_edge.store.tables import ProcessRow
from airflow_edge.store.transactions import StorePart, change, reading, writing


class Processes(StorePart):
    """Schedulers and gateways that have left a mark."""

    @writing
    def mark(self, session: Session, process: CentreProcess) -> None:
        """Note that a process is there; with its first mark those are forgotten that are long gone."""
        here = update(ProcessRow).where(ProcessRow.id == process.id)
        if change(session, here.values(seen_at=process.seen_at, ended_at=None)):
            return
        session.execute(delete(ProcessRow).where(ProcessRow.seen_at < process.seen_at - FORGOTTEN_AFTER))
        columns = ProcessRow.__table__.columns.keys()
        session.execute(insert(ProcessRow).values({name: getattr(process, name) for name in columns}))

    @writing
    def ended(self, session: Session, process_id: UUID, *, now: datetime) -> None:
        """Note that a process ends."""
        change(session, update(ProcessRow).where(ProcessRow.id == process_id).values(seen_at=now, ended_at=now))

    @reading
    def all(self, session: Session) -> list[CentreProcess]:
        """Give those that are remembered, alive or not."""
        return [to_value(CentreProcess, row) for row in session.scalars(select(ProcessRow))]
