"""What the link and the rest of the worker know of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
class LinkState:
    """How it stands with the link; `reason` says why it is not there."""

    state: Literal["connecting", "linked", "refused"] = "connecting"
    reason: str = "not tried yet"
    transport: str = ""
    """What carries it while it is there; if that is not a WebSocket, `reason` says why."""

    @property
    def condition(self) -> str:
        """Why the worker gets no jobs, if it is for the centre's refusal; it goes on trying."""
        return f"the centre does not link this worker: {self.reason}" if self.state == "refused" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The worker, as its link sees it: each of its parts that the link has to do with, given when the link is run."""

    hello: Callable[[str, int], Hello]
    """Says who this is, given the session's id and the number of the last message received in it."""
    status: Callable[[], Status]
    welcomed: Callable[[Welcome], None]
    serves: Callable[[tuple[str, ...]], None]
    """The queues of the worker have changed."""
    receive: Callable[[Offer | Stop | Void | Order, Callable[[], None]], None]
    """Takes a message; what it is given besides has to be called when the message is dealt with for good."""
    acknowledged: Callable[[AssignmentKey], None]
    """The centre has dealt with a job's `Ended`."""
    log_acknowledged: Callable[[LogAck], None]
    worker_log_wanted: Callable[[WantWorkerLog], None]
    next_chunk: Callable[[], LogChunk | WorkerLog | None]
    """Gives the next piece of a log; asked for when nothing more urgent is to be sent."""
    has_tasks: Callable[[], bool]
    """Whether a task's process is still there."""
    refused: Callable[[str], None] = lambda code: None
    """Is told with which `problems.Code` the centre has refused the worker."""
