"""What the policy denies, noted in Airflow's audit log: once for each try of a task and what it asked for, in the
background, and so many a minute.

From there the task's log and its explanation have it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from airflow_edge.admin.audit import note_denial
from airflow_edge.gateway.access.policy import Denial
from airflow_edge.gateway.database.calls import StoreCalls, StoreRefusedError
from airflow_edge.rules.explanation.denied import MOST_OF_A_TRY, unnamed
from airflow_edge.rules.policy.suggesting import noted_name
from airflow_edge.store.jobs.jobs import AssignedJob

log = logging.getLogger(__name__)

INTERVAL: Final = 10.0
"""Seconds between two times of writing."""
AT_ONCE: Final = 50
"""Entries that are written then: 300 a minute of one gateway process."""
MOST_HELD: Final = 5_000
"""Entries that wait to be written."""
MOST_TRIES: Final = 5_000
"""Tries of tasks of which it is remembered what is noted; the database knows of older ones."""


class Note(Protocol):
    """Writes an entry, unless there is one."""

    def __call__(self, job: AssignedJob, worker: str, denial: Denial, more: int) -> None: ...


@dataclass(slots=True)
class _DeniedTry:
    job: AssignedJob
    worker: str
    named: set[tuple[str, str]] = field(default_factory=set)
    last: Denial | None = None
    """The last that is not named."""
    more: int = 0
    """Calls that were denied and are not named."""
    told: int = 0
    """So many of them were noted."""


class DenialNotes:
    """The denials of one gateway process."""

    def __init__(self, calls: StoreCalls, note: Note | None = None) -> None:
        self._calls = calls
        self._note = note or _note
        self._tries: OrderedDict[UUID, _DeniedTry] = OrderedDict()
        self._held: deque[tuple[AssignedJob, str, Denial, int]] = deque()
        self._grown: dict[UUID, _DeniedTry] = {}
        """Tries with more to tell than was told."""
        self._left_out = 0

    def note(self, job: AssignedJob, worker: str, denial: Denial) -> None:
        """Remember that a call of a job was denied; asks no database.

        :param worker: the name of that which made it
        """
        one = self._tries.get(job.workload_id)
        if one is None:
            one = self._tries[job.workload_id] = _DeniedTry(job, worker)
            if len(self._tries) > MOST_TRIES:
                self._tries.popitem(last=False)
        what = denial.kind, noted_name(denial.name)
        if what in one.named:
            return
        if len(one.named) >= MOST_OF_A_TRY:
            one.last, one.more = denial, one.more + 1
            if one.more >= 2 * one.told and len(self._grown) < MOST_HELD:
                self._grown[job.workload_id] = one
        elif len(self._held) >= MOST_HELD:
            self._left_out += 1
        else:
            one.named.add(what)
            self._held.append((job, worker, denial, 0))

    async def flush(self) -> None:
        """Write down as much as may be written at a time.

        :raises StoreUnavailableError: the database failed; what was not written is kept for the next time.
        """
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            log.warning("Of what the policy denied, %d calls are not in the audit log: there are too many", left_out)
        while self._grown and len(self._held) < MOST_HELD:
            _, one = self._grown.popitem()
            if one.last is not None:
                self._held.append((one.job, one.worker, one.last, one.more))
                one.told = one.more
        for _ in range(min(AT_ONCE, len(self._held))):
            # One that the database refuses was logged, and must not keep the others.
            with suppress(StoreRefusedError):
                await self._calls.run(self._note, *self._held[0])
            self._held.popleft()


def _note(job: AssignedJob, worker: str, denial: Denial, more: int) -> None:
    sentence = unnamed(more) if more else denial.sentence
    wish = {"grant": denial.kind, "name": noted_name(denial.name), "policy": denial.policy}
    note_denial(job, sentence, by=f"worker {worker}", wish={"more": more} if more else wish)
