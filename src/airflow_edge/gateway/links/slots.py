"""How many slots a linked worker has free, as the dispatcher counts them. No I/O; times are monotonic, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_edge.backoff import Backoff
from airflow_edge.protocol.assignment import AssignmentKey

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds without offers after refused or unanswered ones, until the worker accepts one."""
UNANSWERED_PAUSE = 5.0
"""At least so many after an unanswered one: its job is back in the queue by then, and has gone to somebody else."""


@dataclass(slots=True)
class _Holding:
    slots: int
    deadline: float | None
    """When the offer runs out; None once it is accepted."""


class Slots:
    """The jobs of one worker that take slots: offered, accepted or running there."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._holdings: dict[AssignmentKey, _Holding] = {}
        self._expired: dict[AssignmentKey, int] = {}
        self._pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._paused_until = float("-inf")

    def hold(self, key: AssignmentKey, slots: int) -> None:
        """Count a job that was there already when the worker linked."""
        self._holdings[key] = _Holding(slots, None)

    def offer(self, key: AssignmentKey, slots: int, *, deadline: float) -> None:
        """Count a job that is being offered, until it is answered or the deadline has passed."""
        self._holdings[key] = _Holding(slots, deadline)

    def accept(self, key: AssignmentKey) -> None:
        """Count an offered job until it is released or has ended; also one whose offer seemed to have run out."""
        if (slots := self._expired.pop(key, None)) is not None:
            self._holdings[key] = _Holding(slots, None)
        elif holding := self._holdings.get(key):
            holding.deadline = None
        self._pauses.reset()
        self._paused_until = float("-inf")

    def free(self, key: AssignmentKey) -> None:
        """Stop counting a job."""
        self._holdings.pop(key, None)
        self._expired.pop(key, None)

    def refuse(self, key: AssignmentKey, *, now: float) -> None:
        """Stop counting a job that the worker would not take, and leave the worker alone for a while."""
        self.free(key)
        self._hold_off(now)

    def job_ids(self) -> set[str]:
        """Give the jobs that are counted."""
        return {key.job_id for key in self._holdings}

    def accepted(self) -> list[AssignmentKey]:
        """Give the jobs that are counted and are no offers."""
        return [key for key, holding in self._holdings.items() if holding.deadline is None]

    def available(self, now: float) -> int:
        """Give how many slots may be offered to now."""
        overdue = [
            key for key, holding in self._holdings.items() if holding.deadline is not None and holding.deadline < now
        ]
        for key in overdue:
            self._expired[key] = self._holdings.pop(key).slots
        if overdue:
            self._hold_off(now, at_least=UNANSWERED_PAUSE)
        if now < self._paused_until:
            return 0
        return max(0, self.concurrency - sum(holding.slots for holding in self._holdings.values()))

    def changes_at(self, now: float) -> float | None:
        """Give when more may be available though nothing happens; None for never."""
        if now < self._paused_until:
            return self._paused_until
        return min((one.deadline for one in self._holdings.values() if one.deadline is not None), default=None)

    def _hold_off(self, now: float, *, at_least: float = 0.0) -> None:
        self._paused_until = now + max(self._pauses.next(), at_least)
