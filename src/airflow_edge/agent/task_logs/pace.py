"""How much of the logs may be under way, so that what is urgent does not wait behind them. No I/O."""

from __future__ import annotations

LEAST = 16 * 1024
MOST = 1024 * 1024
MOST_PIECES = 16
"""Pieces that may be under way: the centre must never have so many before it that it stops reading the link."""
TOLERATED = 0.5
"""Seconds that an answer may take longer than the fastest: that long, something urgent may have to wait."""


class Window:
    """Bytes on the wire that the centre has not acknowledged: as many as the way to it carries without a queue.

    It grows with every answer, and is halved where answers are late compared with the fastest one. So a way that is
    long, but not narrow, does not count as slow.
    """

    def __init__(self) -> None:
        self.size = 2 * LEAST
        self._fastest = float("inf")
        self._halved_at = float("-inf")

    @property
    def piece(self) -> int:
        """How many bytes one piece may have."""
        return self.size // 2

    def room(self, under_way: int, pieces: int) -> bool:
        """Say whether another piece may be sent."""
        return pieces < MOST_PIECES and under_way < self.size

    def answered(self, size: int, sent: float, now: float) -> None:
        """A piece of so many bytes, sent then, was acknowledged."""
        took = now - sent
        self._fastest = min(self._fastest, took)
        if took - self._fastest <= TOLERATED:
            self.size = min(self.size + size, MOST)
        elif sent > self._halved_at:
            # Pieces that were already under way say nothing about the smaller window.
            self.size = max(self.size // 2, LEAST)
            self._halved_at = now


class Bucket:
    """A token bucket: on the average not more than `rate` bytes a second.

    A piece may be sent while there is anything in it, and may leave a debt: so a piece of any size gets through.
    """

    def __init__(self, rate: float | None) -> None:
        """:param rate: bytes a second; None for no limit"""
        self._rate = rate
        self._level = rate or 0.0
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Give the seconds until a piece may be sent; `now` is monotonic."""
        if self._rate is None:
            return 0.0
        self._level = min(self._level + (now - self._at) * self._rate, self._rate)
        self._at = now
        return 0.0 if self._level > 0 else (1 - self._level) / self._rate

    def take(self, size: int) -> None:
        """So many bytes were sent."""
        self._level -= size
