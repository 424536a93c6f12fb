"""Which jobs this executor answers for, and under which keys Airflow knows them. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from airflow_edge.protocol.messages import JobKind

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Entry(Generic[Key]):
    """A job that was queued, or adopted, and whose end is still to be told."""

    job_id: UUID
    key: Key
    kind: JobKind


class Ledger(Generic[Key]):
    """The jobs of an executor.

    A key can have several: a task that was deferred, or rescheduled, may be queued again before its first job has been
    seen to end. Only the newest one of a key counts.
    """

    def __init__(self) -> None:
        self._entries: dict[UUID, Entry[Key]] = {}
        self._by_key: defaultdict[Key, list[UUID]] = defaultdict(list)
        self._unconfirmed: set[UUID] = set()
        self._announced: set[UUID] = set()

    def __contains__(self, job_id: UUID) -> bool:
        return job_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry[Key]) -> None:
        """Take up a job as the newest of its key, unconfirmed: the transaction that makes it ours is still open."""
        self._entries[entry.job_id] = entry
        if entry.job_id not in self._by_key[entry.key]:
            self._by_key[entry.key].append(entry.job_id)
        self._unconfirmed.add(entry.job_id)

    @property
    def unconfirmed(self) -> Collection[UUID]:
        """The jobs whose transaction has not been seen to be committed."""
        return frozenset(self._unconfirmed)

    def confirm(self, checked: Collection[UUID], existing: Collection[UUID]) -> list[Key]:
        """Note which of the checked jobs are ours, and drop the others; give the keys that have no job any more."""
        self._unconfirmed.difference_update(checked)
        dropped = [entry for job_id in set(checked) - set(existing) if (entry := self.drop(job_id))]
        return [entry.key for entry in dropped if entry.key not in self._by_key]

    def mirror(self, entries: Collection[Entry[Key]]) -> tuple[set[Key], set[Key]]:
        """Hold these jobs, oldest first, and no others; give the keys that have come with it, and those that are gone.

        What is known of a job stays as it is.
        """
        before, known = self._by_key.keys() | set(), self._entries
        self._entries = {entry.job_id: known.get(entry.job_id, entry) for entry in entries}
        self._by_key = defaultdict(list)
        for entry in self._entries.values():
            self._by_key[entry.key].append(entry.job_id)
        self._unconfirmed.clear()
        self._announced &= self._entries.keys()
        return self._by_key.keys() - before, before - self._by_key.keys()

    def drop(self, job_id: UUID) -> Entry[Key] | None:
        """Forget a job; give what was known of it."""
        entry = self._entries.pop(job_id, None)
        if entry is not None:
            self._unconfirmed.discard(job_id)
            self._announced.discard(job_id)
            self._by_key[entry.key].remove(job_id)
            if not self._by_key[entry.key]:
                del self._by_key[entry.key]
        return entry

    def drop_key(self, key: Key) -> list[UUID]:
        """Forget all jobs of a key; give their ids."""
        job_ids = list(self._by_key.get(key, ()))
        for job_id in job_ids:
            self.drop(job_id)
        return job_ids

    def is_newest(self, job_id: UUID) -> bool:
        """Say whether the job is known, and the newest of its key."""
        entry = self._entries.get(job_id)
        return entry is not None and self._by_key[entry.key][-1] == job_id

    def unannounced_callbacks(self) -> list[UUID]:
        """Give the callbacks of which Airflow was not told yet that they run."""
        return [
            entry.job_id
            for entry in self._entries.values()
            if entry.kind == "callback" and entry.job_id not in self._announced
        ]

    def announce(self, job_ids: Collection[UUID]) -> list[Key]:
        """Note that Airflow is told now that these run; give their keys."""
        known = [self._entries[job_id] for job_id in job_ids if job_id in self._entries]
        self._announced.update(entry.job_id for entry in known)
        return [entry.key for entry in known]
