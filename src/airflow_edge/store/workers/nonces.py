"""Signed requests that were accepted, so that none is twice, at whichever API server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_edge.store.tables import NonceRow
from airflow_edge.store.transactions import StorePart, lock, writing


@dataclass(frozen=True, slots=True)
class Nonce:
    """The id of a signed request, which is good once."""

    subject: str
    """Whose it is."""
    jti: str
    expires_at: datetime


class Nonces(StorePart):
    """Ids of signed requests, kept until they expire."""

    def use(self, nonces: Sequence[Nonce]) -> list[bool]:
        """Note that these ids were used; False for each that had been used before."""
        rows = [{"digest": _digest(nonce), "expires_at": nonce.expires_at} for nonce in nonces]
        try:
            self._transactions.write(lambda session: session.execute(insert(NonceRow), rows))
        except IntegrityError:
            # Hardly ever: somebody sends again what was said before.
            return [False] if len(nonces) == 1 else [self.use([nonce])[0] for nonce in nonces]
        return [True] * len(nonces)

    @writing
    def forget_expired(self, session: Session, *, now: datetime, limit: int) -> int:
        """Forget ids that are too old to be accepted anyway, at most `limit`; say how many."""
        digests = lock(session, select(NonceRow.digest).where(NonceRow.expires_at < now).limit(limit))
        session.execute(delete(NonceRow).where(NonceRow.digest.in_(digests)))
        return len(digests)


def _digest(nonce: Nonce) -> str:
    return hashlib.sha256(f"{nonce.subject}\n{nonce.jti}".encode()).hexdigest()
