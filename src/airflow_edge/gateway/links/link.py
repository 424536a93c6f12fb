"""One worker's link, from its acceptance to its end: what comes in goes to the lanes, what the centre says goes out."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from airflow_edge.gateway.links.connection import Connection, ConnectionClosedError
from airflow_edge.gateway.links.orders import OrderLane
from airflow_edge.gateway.links.progress import Progress
from airflow_edge.gateway.links.reports import ReportLane
from airflow_edge.gateway.links.send_queue import Outbox
from airflow_edge.gateway.links.slots import Slots
from airflow_edge.gateway.links.task_logs import LogLane
from airflow_edge.gateway.links.worker_logs import WorkerLogLane
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.messages import (
    UNNUMBERED,
    Accepted,
    CentreFrame,
    CentreMessage,
    Ended,
    Goodbye,
    Hello,
    LogAck,
    LogChunk,
    LogEnd,
    MaintenanceCause,
    Obeyed,
    Offer,
    Order,
    Ping,
    Refused,
    Released,
    Serves,
    SiteFrame,
    SiteMessage,
    Status,
    Stop,
    Void,
    WantWorkerLog,
    WorkerLog,
    encode,
)
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.session import Session
from airflow_edge.protocol.states import OFFLINE_AS
from airflow_edge.protocol.version import WORKER_LOG
from airflow_edge.rules.metrics import RESOLUTION, Chunk, Recorder
from airflow_edge.rules.model import CONDITIONS, ClaimedJob, LogRequest, Worker, WorkerOrder
from airflow_edge.rules.overview import READY
from airflow_edge.rules.reports import Reading, Report

log = logging.getLogger(__name__)

MOST_UNACKNOWLEDGED = 10_000
"""Messages that a site may leave unacknowledged before its link is given up."""
MOST_SYSTEM_FACTS = 50
LONGEST_SYSTEM_TEXT = 500


@dataclass(frozen=True, slots=True)
class End:
    """How a link ended."""

    code: int
    reason: str


class Link:
    """A linked worker. `run` drives it; the other methods may be called from the same event loop at any time."""

    def __init__(
        self,
        link_id: UUID,
        worker: Worker,
        hello: Hello,
        session: Session[CentreFrame, SiteFrame],
        log_lane: LogLane,
        worker_log_lane: WorkerLogLane,
        order_lane: OrderLane,
        *,
        protocol: int,
        settle: Callable[[list[Report]], Awaitable[list[Reading]]],
        wake_dispatcher: Callable[[], None],
        requeued: Callable[[], None],
        silence: float,
        refused: bool = False,
    ) -> None:
        """Take over a connection whose `Hello` was answered.

        :param protocol: the version that both sides speak
        :param settle: applies reports of this worker in one transaction
        :param wake_dispatcher: is called when the worker could take more
        :param requeued: is called when a job of this worker is back in the queue
        :param silence: seconds without a word after which the link is given up
        :param refused: the worker is to get no jobs, because of its versions
        """
        self.id = link_id
        self.worker = worker
        self.queues = frozenset(worker.served_queues)
        """Those that it serves; each look for jobs asks for them."""
        self.state = hello.state
        self.alive: Collection[str] = ()
        self.conditions: Collection[str] = ()
        self.comment = ""
        self.cause: MaintenanceCause | None = None
        self.noted = (hello.state, "")
        """The state and comment that the store has."""
        self.system: Mapping[str, str | int | float | bool] = {}
        self.slots = Slots(hello.concurrency)
        self.session = session
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._outbox = Outbox()
        self._progress = Progress(session.handled)
        self._acknowledged = session.handled
        self._stopped: set[AssignmentKey] = set()
        self._wake_dispatcher = wake_dispatcher
        self._requeued = requeued
        self._silence = silence
        self._refused = refused
        self._recorder = Recorder(worker.id)
        self._reports = ReportLane(settle, self._settled)
        self._logs = log_lane
        self._worker_log = worker_log_lane
        self._protocol = protocol
        self._asked_for: LogRequest | None = None
        self._orders = order_lane
        self._goodbye: int | None = None

    @property
    def open(self) -> bool:
        """Whether it can still be used."""
        return not self.ended.done()

    @property
    def said_goodbye(self) -> bool:
        """Whether the worker has shut down in good order."""
        return self._goodbye is not None

    @property
    def resumable(self) -> bool:
        """Whether the conversation may go on over another connection. One that went wrong goes wrong again."""
        return not self.said_goodbye and not (
            self.ended.done() and self.ended.result().code == CloseCode.PROTOCOL_ERROR
        )

    def free_slots(self, now: float) -> int:
        """Give how many slots the worker can be offered jobs for."""
        return self.slots.available(now) if self.open and self._ready else 0

    @property
    def _ready(self) -> bool:
        return self.state in READY and not (self._refused or self.conditions or self._orders.pauses)

    def measured(self, now: float) -> Chunk | None:
        """Give the worker's measurements that have not been kept yet.

        :param now: seconds since 1970
        """
        return self._recorder.due(minute_of(now))

    # What the centre says

    def resend(self, frames: Collection[CentreFrame]) -> None:
        """Put frames of a resumed conversation into the queue."""
        for frame in frames:
            if self.open:
                self._put(frame)

    def offer(self, job: ClaimedJob, *, lease: float, now: float) -> None:
        """Offer a job that was claimed for this worker; `lease` in seconds, `now` monotonic."""
        key = job.key
        self.slots.offer(key, job.slots, deadline=now + lease)
        self.send(
            Offer(
                **key._asdict(),
                kind=job.kind,
                queue=job.queue,
                slots=job.slots,
                lease=lease,
                workload=job.workload.encode(),
            )
        )

    def stop_jobs(self, unwanted: Mapping[AssignmentKey, str]) -> None:
        """Tell the worker, once for each, to end jobs.

        :param unwanted: every job of this worker that is not wanted any more now, and why
        """
        for key in unwanted.keys() - self._stopped:
            self.send(Stop(**key._asdict(), reason=unwanted[key]))
        self._stopped = set(unwanted)

    def pass_orders(self, waiting: Collection[WorkerOrder]) -> None:
        """Tell the worker what people want of it, each of it once.

        :param waiting: everything that it has not answered
        """
        for order in self._orders.new(waiting, self.state):
            self.send(order)

    def follow(self, worker: Worker) -> None:
        """Go by what the centre says of the worker now; it is told if that changes its queues."""
        before, self.worker = self.worker.served_queues, worker
        if worker.served_queues != before:
            self.queues = frozenset(worker.served_queues)
            if self._orders.understood:
                self.send(Serves(queues=worker.served_queues))
            self._wake_dispatcher()

    def void_job(self, key: AssignmentKey, reason: str) -> None:
        """Tell the worker that an assignment does not count any more."""
        self.slots.free(key)
        self.send(Void(**key._asdict(), reason=reason))

    def ask_for_log(self, request: LogRequest | None, *, now: datetime) -> None:
        """Ask the worker, once, for its own log, if it knows such requests and this one is not over."""
        if request is None or request == self._asked_for or self._protocol < WORKER_LOG:
            return
        self._asked_for = request
        if (left := (request.until - now).total_seconds()) > 0:
            self.send(WantWorkerLog(request=request.id, seconds=left, level=request.level, lines=request.lines))

    def close(self, code: int, reason: str) -> None:
        """End the link; nothing is sent or acknowledged on it from here on."""
        if self.open:
            self.ended.set_result(End(code, reason))

    def send(self, message: CentreMessage) -> None:
        """Send a message; none after the end, when the conversation may belong to a newer link already."""
        if self.open:
            self._put(self.session.send(message))

    def _put(self, frame: CentreFrame) -> None:
        if not self._outbox.put(encode(frame)) or self.session.outstanding > MOST_UNACKNOWLEDGED:
            self.close(CloseCode.PROTOCOL_ERROR, "the worker does not read what it is sent")
            return
        self._acknowledged = max(self._acknowledged, frame.ack)

    # What the worker says

    async def run(self, connection: Connection) -> End:
        """Drive the link to its end and close the connection."""
        tasks = [
            asyncio.create_task(part, name=f"{name} of worker {self.worker.name}")
            for name, part in (
                ("receiving", self._receive(connection)),
                ("sending", self._send(connection)),
                ("reports", self._reports.run()),
                ("logs", self._logs.run(self._log_acknowledged, self._log_finished)),
                ("worker's log", self._worker_log.run()),
                ("orders", self._orders.run(self._obeyed)),
            )
        ]
        try:
            waited: list[asyncio.Future[Any]] = [*tasks, self.ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    self._note_end(task.exception())
        finally:
            self.close(CloseCode.UNREADY, "the gateway is shutting down")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        end = self.ended.result()
        await connection.close(end.code, end.reason)
        return end

    def _note_end(self, error: BaseException | None) -> None:
        match error:
            case ConnectionClosedError():
                self.close(error.code, "the worker closed the connection")
            case TimeoutError():
                self.close(CloseCode.SILENT, f"nothing was heard for {self._silence:.0f} s")
            case RemoteProtocolError():
                self.close(CloseCode.PROTOCOL_ERROR, str(error))
            case _:
                log.error("The link of worker '%s' failed", self.worker.name, exc_info=error)
                self.close(CloseCode.UNREADY, "the gateway failed; try again")

    async def _send(self, connection: Connection) -> None:
        while True:
            frame = await self._outbox.get()
            await connection.send(frame)
            if self._goodbye is not None and self._acknowledged >= self._goodbye and self._outbox.empty:
                self.close(CloseCode.NORMAL, "goodbye")

    async def _receive(self, connection: Connection) -> None:
        while True:
            frame = await connection.receive(self._silence)
            if self.open and self.session.receive(frame):
                await self._take(frame.seq, frame.body)

    async def _take(self, seq: int, message: SiteMessage) -> None:
        if (seq == 0) != isinstance(message, UNNUMBERED):
            raise RemoteProtocolError(f"a {type(message).__name__} with the number {seq}")
        match message:
            case Refused():
                # Before anybody hands the job out anew.
                self.slots.refuse(message.key, now=asyncio.get_running_loop().time())
                await self._reports.put(seq, message)
            case Accepted() | Released() | Ended():
                await self._reports.put(seq, message)
            case Status():
                self._note_status(message)
            case LogChunk():
                await self._logs.put_chunk(message)
            case LogEnd():
                await self._logs.put_end(seq, message)
            case WorkerLog():
                self._worker_log.put(message, now=asyncio.get_running_loop().time())
            case Obeyed():
                await self._orders.put(seq, message)
            case Goodbye():
                self.state = OFFLINE_AS[self.state]
                self._goodbye = seq
                self._finish(seq)
                self._acknowledge()
            case Ping():
                pass
            case Hello():
                raise RemoteProtocolError("a second Hello on one link")

    def _note_status(self, status: Status) -> None:
        was_ready = self._ready
        if self._goodbye is None:
            self.state = status.state
        self.alive = status.alive
        self.conditions = status.conditions
        self.comment, self.cause = status.comment, status.cause
        if status.metrics is not None:
            self._recorder.add(status.metrics, len(status.alive), minute_of(time.time()))
        facts = dict(list(status.system.items())[:MOST_SYSTEM_FACTS]) | {CONDITIONS: "; ".join(status.conditions)}
        self.system = _storable(facts)
        if not was_ready and self._ready:
            self._wake_dispatcher()

    def _settled(self, batch: list[tuple[int, Report, Reading]]) -> None:
        for seq, report, reading in batch:
            key = report.key
            if isinstance(report, Refused):
                log.info("Worker '%s' refused job %s: %s", self.worker.name, report.job_id, report.reason)
            elif reading is Reading.VOID:
                self.void_job(key, "the job was given to another worker, or has ended at the centre")
            elif isinstance(report, Accepted):
                self.slots.accept(key)
            else:
                self.slots.free(key)
            self._finish(seq)
        self._acknowledge()
        if any(isinstance(report, Refused) for _, report, _ in batch):
            self._requeued()
        elif not all(isinstance(report, Accepted) for _, report, _ in batch):
            self._wake_dispatcher()

    def _log_acknowledged(self, key: AssignmentKey, offset: int) -> None:
        self.send(LogAck(**key._asdict(), offset=offset))

    def _log_finished(self, seq: int, key: AssignmentKey, offset: int, complete: bool) -> None:
        self._finish(seq)
        self.send(LogAck(**key._asdict(), offset=offset, complete=complete))

    def _obeyed(self, seq: int, order: Order | None) -> None:
        if order is not None and order.kind == "concurrency" and order.number:
            self.slots.concurrency = order.number
            self._wake_dispatcher()
        if seq:
            self._finish(seq)
            self._acknowledge()

    def _finish(self, seq: int) -> None:
        if self.open:
            self._progress.finish(seq)
            self.session.handle(self._progress.done)

    def _acknowledge(self) -> None:
        if self.open and self.session.handled > self._acknowledged:
            self.send(Ping())


def minute_of(now: float) -> int:
    """Give the minute since 1970 in which this second is."""
    return int(now // RESOLUTION)


def _storable(system: Mapping[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    """Leave out what no database keeps as JSON, and shorten the rest."""
    return {
        name.replace("\0", ""): value.replace("\0", "")[:LONGEST_SYSTEM_TEXT] if isinstance(value, str) else value
        for name, value in system.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
