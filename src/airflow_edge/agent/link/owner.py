"""What a link asks of the worker it belongs to, and tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import (
    Hello,
    LogAck,
    LogChunk,
    Offer,
    Order,
    Status,
    Stop,
    Void,
    WantWorkerLog,
    Welcome,
    WorkerLog,
)


class Receive(Protocol):
    """Takes a message of the centre; `done` has to be called when it is dealt with for good."""

    def __call__(self, message: Offer | Stop | Void | Order, done: Callable[[], None], /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The worker, as its link sees it: each of its parts that the link has to do with, given when the link is run."""

    hello: Callable[[str, int], Hello]
    """Says who this is, given the session's id and the number of the last message received in it."""
    status: Callable[[], Status]
    welcomed: Callable[[Welcome], None]
    serves: Callable[[tuple[str, ...]], None]
    """The queues of the worker have changed."""
    receive: Receive
    acknowledged: Callable[[AssignmentKey], None]
    """The centre has dealt with a job's `Ended`."""
    log_acknowledged: Callable[[LogAck], None]
    worker_log_wanted: Callable[[WantWorkerLog], None]
    next_chunk: Callable[[], LogChunk | WorkerLog | None]
    """Gives the next piece of a log; asked for when nothing more urgent is to be sent."""
    has_tasks: Callable[[], bool]
    """Whether a task's process is still there."""
