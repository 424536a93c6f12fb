"""Which variable or connection Airflow's database gives for a name, where it gives one of another name for it.

MySQL compares these without regard to case and accents: who asks for `DB_PASSWORD` gets `db_password`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import attrs
from airflow.models import Connection, Variable
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.policy.grants import Grant, Need
from airflow_edge.store.transactions import SessionFactory

_NAMES: Final = {
    Grant.CONNECTIONS: Connection.conn_id,
    Grant.VARIABLES: Variable.key,
    Grant.SET_VARIABLES: Variable.key,
}


@attrs.define
class StoredNames:
    """What one gateway process knows of it."""

    _sessions: SessionFactory
    """Give Airflow's database."""
    _calls: StoreCalls
    _differ: bool | None = None
    """Whether a name may be another's there; None while that is not known."""

    async def others(self, needs: Collection[Need]) -> list[Need]:
        """Give what a call needs to be granted besides: the same of the names under which it is stored.

        :raises StoreUnavailableError: the database does not answer.
        """
        named = [need for need in needs if need.grant in _NAMES]
        if not named or self._differ is False:
            return []
        return await self._calls.run(self._look, named)

    def _look(self, needs: Collection[Need]) -> list[Need]:
        with self._sessions() as session:
            self._differ = session.get_bind().dialect.name == "mysql"
            return [replace(need, name=name) for need in needs for name in self._stored(session, need)]

    def _stored(self, session: Session, need: Need) -> list[str]:
        if not self._differ:
            return []
        column = _NAMES[need.grant]
        names = session.scalars(select(column).where(column == need.name))
        return [name for name in names if name != need.name]
