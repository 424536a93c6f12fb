"""Which of a link's numbered messages are dealt with, though they are dealt with out of order. No I/O."""

from __future__ import annotations


class Progress:
    """Numbers that are done, and up to which one all of them are."""

    def __init__(self, done: int) -> None:
        self.done = done
        """Every number up to this one is dealt with."""
        self._ahead: set[int] = set()

    def finish(self, seq: int) -> None:
        """Note that this number is dealt with."""
        self._ahead.add(seq)
        while self.done + 1 in self._ahead:
            self.done += 1
            self._ahead.remove(self.done)
