"""Signed requests that were accepted, so that none is twice, at whichever API server: `dispatch.ports.Nonces`."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_edge.store.tables import NonceRow
from airflow_edge.store.transactions import Transactions, changed_rows


class NonceBook:
    """Ids of signed requests, kept until they expire."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def use_nonce(self, subject: str, jti: str, *, expires_at: datetime) -> bool:
        """Note that this id of this subject was used; False if it had been used before."""
        digest = hashlib.sha256(f"{subject}\n{jti}".encode()).hexdigest()
        statement = insert(NonceRow).values(digest=digest, expires_at=expires_at)
        try:
            self._transactions.write(lambda session: session.execute(statement))
        except IntegrityError:
            return False
        return True

    def forget_nonces(self, *, now: datetime) -> int:
        """Forget the ids that are too old to be accepted anyway; say how many."""

        def work(session: Session) -> int:
            return changed_rows(session.execute(delete(NonceRow).where(NonceRow.expires_at < now)))

        return self._transactions.write(work)
