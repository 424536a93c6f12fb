"""How much of a worker's own log is taken: what is too much is dropped, for nothing may wait because of it."""

from __future__ import annotations

BYTES_PER_SECOND = 32 * 1024
BURST = 512 * 1024
"""Compressed bytes that a worker may send at once, and for how many more each second stands."""
COST = 1024
"""Bytes that a batch counts for beside its data: each costs a transaction."""


class Allowance:
    """What one worker may still send; times monotonic, in seconds."""

    def __init__(self) -> None:
        self._credit = float(BURST)
        self._credited_at: float | None = None

    def take(self, size: int, *, now: float) -> bool:
        """Count a batch of this many bytes; False, and nothing is counted, if it is too much."""
        since = now if self._credited_at is None else self._credited_at
        self._credit = min(self._credit + (now - since) * BYTES_PER_SECOND, BURST)
        self._credited_at = now
        if size + COST > self._credit:
            return False
        self._credit -= size + COST
        return True
