"""Tokens that this process has accepted, so that none is accepted twice."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

MOST_PER_WORKER = 50_000
"""A worker that signs more requests than this in the life of a token can only weaken its own protection."""


class SeenTokens:
    """The ids of accepted tokens until they expire, for each worker by itself."""

    def __init__(self, most_per_worker: int = MOST_PER_WORKER) -> None:
        self._most = most_per_worker
        self._expiry: dict[UUID, OrderedDict[str, float]] = {}

    def first_time(self, worker_id: UUID, token_id: str, *, expires_at: float, now: float) -> bool:
        """Note a token; False if it was noted before. Times in seconds of one clock."""
        seen = self._expiry.setdefault(worker_id, OrderedDict())
        if token_id in seen:
            return False
        # Tokens come in roughly the order in which they expire, so the oldest are in front.
        while seen and (next(iter(seen.values())) < now or len(seen) >= self._most):
            seen.popitem(last=False)
        seen[token_id] = expires_at
        return True

    def forget_expired(self, now: float) -> None:
        """Drop the workers of which no token is alive."""
        for worker_id in [worker_id for worker_id, seen in self._expiry.items() if max(seen.values(), default=0) < now]:
            del self._expiry[worker_id]
