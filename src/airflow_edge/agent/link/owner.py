"""What a link asks of the worker it belongs to, and tells it."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Receipt:
    """Names a message of the centre; `epoch` counts the times that the conversation began anew."""

    epoch: int
    seq: int


class Owner(Protocol):
    """The worker, as its link sees it."""

    def hello(self, session_id: str, received: int) -> Hello: ...

    def status(self) -> Status: ...

    def welcomed(self, welcome: Welcome) -> None: ...

    def serves(self, queues: tuple[str, ...]) -> None:
        """The queues of the worker have changed."""

    def received(self, receipt: Receipt, message: Offer | Stop | Void | Order) -> None:
        """Take a message. `Link.handled` has to be called with its receipt when it is dealt with for good."""

    def acknowledged(self, key: AssignmentKey) -> None:
        """The centre has dealt with a job's `Ended`."""

    def log_acknowledged(self, ack: LogAck) -> None: ...

    def worker_log_wanted(self, message: WantWorkerLog) -> None: ...

    def next_chunk(self) -> LogChunk | WorkerLog | None:
        """Give the next piece of a log; asked for when nothing more urgent is to be sent."""

    def has_tasks(self) -> bool:
        """Whether a task's process is still there."""
