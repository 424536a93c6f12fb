"""How long to wait before the next attempt: the same on both sides. No I/O, no clock."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits with jitter, so that a thousand who failed together do not come back in the same moment."""

    def __init__(self, first: float, longest: float) -> None:
        """:param first: seconds; :param longest: seconds, never exceeded"""
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._next = self._first

    def next(self) -> float:
        """Give the seconds to wait this time: between half and all of what is due."""
        due = self._next
        self._next = min(self._longest, due * 2)
        return due * random.uniform(0.5, 1.0)
