"""Drives a link to its end: what comes in is worked on in lanes, so that reports, logs and answers do not wait for each
other, and what is to be said goes out."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AbstractAsyncContextManager, nullcontext

from airflow_edge.gateway.database.calls import StoreUnavailableError, persist
from airflow_edge.gateway.links.connection import Connection, ConnectionClosedError
from airflow_edge.gateway.links.lane import Lane, LinkTasks
from airflow_edge.gateway.links.link import LinkEnd, WorkerLink
from airflow_edge.gateway.links.records import Records
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.messages import (
    UNNUMBERED,
    Accepted,
    Ended,
    Goodbye,
    Hello,
    LogAck,
    LogChunk,
    LogEnd,
    Obeyed,
    Ping,
    Refused,
    Released,
    SiteMessage,
    Status,
    WorkerLog,
    one_line,
)
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.rules.reports import Reading, Report

log = logging.getLogger(__name__)

LOOKS = 8
"""How often it is looked, in the time after which a worker counts as silent, whether it was heard."""
MOST_REPORTS = 2_000
MOST_REPORTS_AT_ONCE = 500
"""Reports in one transaction: those that come during one share the next."""
MOST_LOG_PIECES = 32
"""Of at most `2 * MAX_LOG_CHUNK_BYTES` each."""
MOST_ANSWERS = 100
"""When more than these wait, the link is not read any further."""
MOST_WORKER_LOGS = 8
"""When more batches of a worker's own log than these wait, they are dropped."""

BYTES_PER_SECOND = 32 * 1024
BURST = 512 * 1024
"""Compressed bytes of its own log that a worker may send at once, and for how many more each second stands."""
STATUS_BYTES_PER_SECOND = 256 * 1024
STATUS_BURST = 1024 * 1024
"""The same of what it says of itself: three times what one with as many jobs as can be says every five seconds."""
COST = 1024
"""Bytes that a batch counts for beside its data: each costs a transaction."""


async def drive(link: WorkerLink, connection: Connection, records: Records, *, silence: float) -> LinkEnd:
    """Drive the link to its end and close the connection.

    :param records: where what the worker says is written down
    :param silence: seconds without a word after which the link is given up
    """
    driver = _Driver(link, records, silence)
    driver.tasks.start(driver.receive(connection), f"receiving of worker {link.worker.name}")
    driver.tasks.start(driver.send(connection), f"sending of worker {link.worker.name}")
    driver.watch()
    try:
        await asyncio.wait([link.ended])
    finally:
        driver.unwatch()
        link.close(CloseCode.UNREADY, "the gateway is shutting down")
        await driver.end()
    end = link.ended.result()
    await connection.close(end.code, end.reason)
    return end


class _Driver:
    def __init__(self, link: WorkerLink, records: Records, silence: float) -> None:
        self._link = link
        self._worker = link.worker.id
        self._records = records
        self._silence = silence
        self._silent = 0.0
        """Seconds for which nothing was heard, though it was listened."""
        self._listening_since: float | None = None
        """Since when that was looked at last; None while it is not listened."""
        self._next_look: asyncio.TimerHandle | None = None
        self.tasks = tasks = LinkTasks(self._fail)
        self._reports = Lane(
            "reports",
            tasks,
            self._settle,
            most_waiting=MOST_REPORTS,
            most_at_once=MOST_REPORTS_AT_ONCE,
            taken=lambda numbered: self._room(numbered[1]),
        )
        self._logs = Lane(
            "logs",
            tasks,
            self._keep_log,
            most_waiting=MOST_LOG_PIECES,
            taken=lambda numbered: self._room(numbered[1]),
        )
        self._log_ends = Lane(
            "ends of logs", tasks, self._check_log, most_waiting=MOST_LOG_PIECES, taken=lambda _: nullcontext()
        )
        self._worker_logs = Lane(
            "worker's own log", tasks, self._keep_worker_log, most_waiting=MOST_WORKER_LOGS, taken=self._room
        )
        self._answers = Lane(
            "answers to orders",
            tasks,
            self._note_answer,
            most_waiting=MOST_ANSWERS,
            taken=lambda numbered: self._room(numbered[1]),
        )
        self._worker_log_allowance = Allowance()
        self._status_allowance = Allowance(rate=STATUS_BYTES_PER_SECOND, burst=STATUS_BURST)

    def _room(self, message: Report | LogChunk | LogEnd | WorkerLog | Obeyed) -> AbstractAsyncContextManager[None]:
        return self._records.room.taken(_weight(message), who=self._worker)

    async def end(self) -> None:
        """End what is under way, and forget what waits."""
        await self.tasks.cancel()
        for lane in (self._reports, self._logs, self._log_ends, self._worker_logs, self._answers):
            await lane.clear()

    def _fail(self, error: BaseException) -> None:
        match error:
            case ConnectionClosedError():
                self._link.close(error.code, "the worker closed the connection")
            case TimeoutError():
                self._link.close(CloseCode.SILENT, f"nothing was heard for {self._silence:.0f} s")
            case RemoteProtocolError():
                self._link.close(CloseCode.PROTOCOL_ERROR, str(error))
            case _:
                log.error("The link of worker '%s' failed", self._link.worker.name, exc_info=error)
                self._link.close(CloseCode.UNREADY, "the gateway failed; try again")

    async def send(self, connection: Connection) -> None:
        """Send what there is to say."""
        while True:
            await connection.send(await self._link.outbox.get())
            self._link.sent()

    async def receive(self, connection: Connection) -> None:
        """Take in what the worker says."""
        clock = asyncio.get_running_loop().time
        while True:
            self._listening_since = clock()
            frame = await connection.receive(None)
            self._listening_since, self._silent = None, 0.0
            if not self._link.open:
                continue
            is_new = self._link.session.receive(frame)
            if self._link.has_room_again():
                self._records.gained(self._link)
            if is_new:
                await self._take(frame.seq, frame.body)

    def watch(self) -> None:
        """End the link when nothing was heard for too long, of the time in which it was listened.

        While this process stands still, since something else in the API server blocks its loop, it hears nothing: that
        is no silence of the worker's. What has come meanwhile is heard next.
        """
        loop = asyncio.get_running_loop()
        pause = self._silence / LOOKS
        if self._listening_since is not None:
            self._silent += min(loop.time() - self._listening_since, 2 * pause)
            self._listening_since = loop.time()
        if self._silent > self._silence:
            self._fail(TimeoutError())
            return
        self._next_look = loop.call_later(pause, self.watch)

    def unwatch(self) -> None:
        """Look no more."""
        if self._next_look is not None:
            self._next_look.cancel()

    async def _take(self, seq: int, message: SiteMessage) -> None:
        if (seq == 0) != isinstance(message, UNNUMBERED):
            raise RemoteProtocolError(f"a {type(message).__name__} with the number {seq}")
        now = asyncio.get_running_loop().time()
        match message:
            case Refused():
                # Before anybody hands the job out anew.
                if message.denied:
                    # What is left undone for good says nothing about the next one.
                    self._link.slots.free(message.key)
                else:
                    self._link.slots.refuse(message.key, now=now)
                await self._reports.put((seq, message))
            case Accepted() | Released() | Ended():
                await self._reports.put((seq, message))
            case Status():
                # It is read no faster: each costs this process's time, and the ones before it are worth nothing.
                await asyncio.sleep(self._status_allowance.owe(_status_weight(message), now=now))
                if self._link.note_status(message, now=time.time()):
                    self._records.gained(self._link)
            case LogChunk() | LogEnd():
                await self._logs.put((seq, message))
            case WorkerLog():
                if not self._worker_logs.full and self._worker_log_allowance.take(len(message.data), now=now):
                    await self._worker_logs.put(message)
            case Obeyed():
                await self._answers.put((seq, message))
            case Goodbye():
                self._link.note_goodbye(seq)
            case Ping():
                self._link.note_answer(message.answers)
            case Hello():
                raise RemoteProtocolError("a second Hello on one link")

    # The lanes

    async def _settle(self, batch: list[tuple[int, Report]]) -> None:
        reports = [report for _, report in batch]
        readings = await persist(self._records.settle, self._worker, reports)
        for (seq, report), reading in zip(batch, readings, strict=True):
            self._note_reading(report, reading)
            self._link.finish(seq)
        self._link.acknowledge()
        if any(isinstance(report, Refused) for report in reports):
            self._records.put_back()
        if not all(isinstance(report, Accepted) for report in reports):
            self._records.gained(self._link)

    def _note_reading(self, report: Report, reading: Reading) -> None:
        if isinstance(report, Refused):
            log.info("Worker '%s' refused job %s: %s", self._link.worker.name, report.job_id, one_line(report.reason))
        elif reading is Reading.VOID:
            self._link.void_job(report.key, "the job was given to another worker, or has ended at the centre")
        elif isinstance(report, Accepted):
            self._link.slots.accept(report.key)
        else:
            self._link.slots.free(report.key)

    async def _keep_log(self, waiting: list[tuple[int, LogChunk | LogEnd]]) -> None:
        ((seq, message),) = waiting
        if isinstance(message, LogEnd):
            # All of its pieces are stored; to check a long log takes seconds, which other logs need not wait for.
            await self._log_ends.put((seq, message))
            return
        progress = await persist(self._records.append_log, self._worker, message)
        # Nobody wants the log of a job that is not known: it is acknowledged, so that the site can delete it.
        offset, complete = (
            (message.offset + message.size, False) if progress is None else (progress.offset, progress.complete)
        )
        # A site that has lost what it knew asks once more about one that is complete.
        self._link.send(LogAck(**message.key._asdict(), offset=offset, complete=complete))

    async def _check_log(self, waiting: list[tuple[int, LogEnd]]) -> None:
        ((seq, end),) = waiting
        progress = await persist(self._records.finish_log, self._worker, end)
        offset, complete = (end.size, True) if progress is None else (progress.offset, progress.complete)
        self._link.finish(seq)
        self._link.send(LogAck(**end.key._asdict(), offset=offset, complete=complete))

    async def _keep_worker_log(self, waiting: list[WorkerLog]) -> None:
        try:
            await self._records.append_worker_log(self._worker, *waiting)
        except StoreUnavailableError:
            # It was logged; a worker's own log is not worth waiting for.
            return

    async def _note_answer(self, waiting: list[tuple[int, Obeyed]]) -> None:
        ((seq, answer),) = waiting
        await persist(self._records.note_answer, self._worker, answer)
        order = self._link.orders.answered(answer)
        if order is not None and order.kind == "concurrency" and order.number:
            self._link.slots.concurrency = order.number
            self._records.gained(self._link)
        self._link.finish(seq)
        self._link.acknowledge()


class Allowance:
    """What a worker may still send of its own log, or of itself. Times monotonic, in seconds."""

    def __init__(self, *, rate: int = BYTES_PER_SECOND, burst: int = BURST) -> None:
        """:param rate: bytes a second
        :param burst: bytes at once
        """
        self._rate = rate
        self._burst = burst
        self._credit = float(burst)
        self._credited_at: float | None = None

    def take(self, size: int, *, now: float) -> bool:
        """Count a batch of this many bytes; False, and nothing is counted, if it is too much."""
        self._add(now)
        if size + COST > self._credit:
            return False
        self._credit -= size + COST
        return True

    def owe(self, size: int, *, now: float) -> float:
        """Count so many bytes; give for how many seconds nothing more is to be taken."""
        self._add(now)
        self._credit -= size
        return max(0.0, -self._credit / self._rate)

    def _add(self, now: float) -> None:
        since = now if self._credited_at is None else self._credited_at
        self._credit = min(self._credit + (now - since) * self._rate, self._burst)
        self._credited_at = now


def _weight(message: Report | LogChunk | LogEnd | WorkerLog | Obeyed) -> int:
    """Give about how many bytes of memory a message takes up."""
    match message:
        case LogChunk() | WorkerLog():
            return COST + len(message.data)
        case Refused() | Ended():
            return COST + len(message.reason)
        case Obeyed():
            return COST + len(message.detail)
        case _:
            return COST


def _status_weight(status: Status) -> int:
    texts = sum(len(name) + (len(value) if isinstance(value, str) else 8) for name, value in status.system.items())
    closed = sum(len(one.reason) + sum(map(len, one.queues)) for one in status.closed)
    return 100 + 40 * len(status.alive) + texts + closed + sum(len(text) for text in status.conditions)
