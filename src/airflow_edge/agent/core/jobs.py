"""The jobs of a worker, and what others ask about them."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.core.job import Job, story
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import HeldJob, SiteMessage

ALIVE_FOR = 60.0
"""Seconds after its last sign of life for which a supervisor is reported as alive."""


class Jobs(dict[AssignmentKey, Job]):
    """The jobs of which the centre does not have everything yet. Only the core changes them."""

    def __init__(self, records: Iterable[JobRecord] = ()) -> None:
        """:param records: the unfinished jobs of the journal"""
        super().__init__((record.key, Job.of(record)) for record in records)

    @property
    def slots(self) -> int:
        """Slots that are taken."""
        return sum(job.slots for job in self.values() if job.phase in {"accepted", "running"})

    def live(self) -> list[Job]:
        """Give the jobs whose processes are not gone."""
        return [job for job in self.values() if job.live]

    def others(self, key: AssignmentKey) -> list[Job]:
        """Give the live jobs of other assignments of the same job."""
        return [job for job in self.live() if job.key.job_id == key.job_id and job.key != key]

    def newest_assignment(self, job_id: str) -> int:
        """Give the highest assignment of a job that is here, 0 if none is."""
        return max((key.assignment for key in self if key.job_id == job_id), default=0)

    def held(self) -> tuple[HeldJob, ...]:
        """Give the jobs that this worker answers for, for `Hello`."""
        return tuple(
            HeldJob(job_id=job.key.job_id, assignment=job.key.assignment, phase=job.phase)
            for job in self.values()
            if job.stored and not job.acknowledged and not job.void
        )

    def alive(self, now: float) -> tuple[str, ...]:
        """Give the ids of jobs whose supervisors are alive, for `Status`."""
        return tuple(
            job.key.job_id
            for job in self.live()
            if not job.void and job.last_seen is not None and now - job.last_seen <= ALIVE_FOR
        )

    def reports(self) -> list[SiteMessage]:
        """Give what is to be said about the jobs taken over from the journal: nobody knows how much of it was heard."""
        messages: list[SiteMessage] = []
        for job in self.values():
            if not job.acknowledged and not job.void:
                messages += story(job.record())
        return messages
