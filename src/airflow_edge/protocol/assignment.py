"""What names one handing-out of a job."""

from __future__ import annotations

from typing import NamedTuple


class AssignmentKey(NamedTuple):
    """Names one assignment: a job, and which handing-out of it. An old one is recognised by its lower number."""

    job_id: str
    assignment: int

    def __str__(self) -> str:
        return f"{self.job_id}.{self.assignment}"


class Assigned:
    """Whatever is about one assignment."""

    __slots__ = ()

    job_id: str
    assignment: int

    @property
    def key(self) -> AssignmentKey:
        """The assignment's name."""
        return AssignmentKey(self.job_id, self.assignment)
