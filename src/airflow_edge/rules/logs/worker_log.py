"""A worker's own log as a person reads it, out of the batches in which it came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_edge.protocol.logs.worker_log import Record

MOST_REMEMBERED = 20_000
"""Records that are recognised when they come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLogBatch:
    """Records of a worker's own log that came together."""

    number: int
    """Rises with each batch of a worker."""
    run: str
    """Names the agent's process."""
    first: int
    """How many records that process had sent, or could have, before these."""
    answers: str
    """The request whose past records end here."""
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """So many records did not get through, or were deleted since."""

    count: int


class WorkerLogReader:
    """Takes batches in, by their numbers, and gives each record once.

    A site sends its last records at each request, whether or not it has sent them before.
    """

    def __init__(self, level: int = 0) -> None:
        """:param level: what is below it is left out"""
        self.after = 0
        """The number of the last batch taken in."""
        self._level = level
        self._run = ""
        self._next = 0
        self._seen: OrderedDict[Record, None] = OrderedDict()

    def read(self, batches: Iterable[WorkerLogBatch]) -> Iterator[Record | Lost]:
        """Give the new records, and where some are missing, how many."""
        for batch in batches:
            if batch.run == self._run and batch.first > self._next:
                yield Lost(batch.first - self._next)
            self._run, self._next = batch.run, batch.first + len(batch.records)
            self.after = batch.number
            for record in batch.records:
                if record.level >= self._level and record not in self._seen:
                    self._seen[record] = None
                    if len(self._seen) > MOST_REMEMBERED:
                        self._seen.popitem(last=False)
                    yield record
