"""One worker's link as it stands: what the worker has said of itself, and what the centre says to it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from airflow_edge.gateway.links.slots import Slots
from airflow_edge.gateway.links.told_orders import ToldOrders
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.frames import CentreFrame, SiteFrame
from airflow_edge.protocol.messages import (
    CentreMessage,
    Hello,
    MaintenanceCause,
    Offer,
    Ping,
    Serves,
    Status,
    Stop,
    Void,
    WantWorkerLog,
    one_line,
)
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.session import Session
from airflow_edge.protocol.signatures import LinkContext, Sign, seal
from airflow_edge.protocol.states import OFFLINE_AS
from airflow_edge.rules.fleet.closing import CLOSED, Closure, closures, write_closures
from airflow_edge.rules.matching import Capacity, QueueKey
from airflow_edge.rules.metrics import Chunk, Recorder, minute_of
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.rules.overview import READY
from airflow_edge.rules.worker import CONDITIONS, PYTHON, Holder, LogRequest, Worker
from airflow_edge.store.jobs.claims import ClaimedJob

log = logging.getLogger(__name__)

MOST_FRAMES = 5_000
MOST_BYTES = 32 * 1024 * 1024
"""What waits to be sent to a worker; one that does not read it is given up."""
MOST_OFFERED_BYTES = 16 * 1024 * 1024
"""Of workloads on their way to a worker. Further jobs wait in the database, however many slots are free: with one more
of the longest there is still room for everything else, also where all of it is sent again over a new connection."""
MOST_OFFERS = 32
"""The same of offers: few enough that others are not kept waiting while so many are claimed and sent, and more than one
worker begins in the time that it takes to say that it has them."""
MOST_UNACKNOWLEDGED = 10_000
"""Messages that a site may leave unacknowledged before its link is given up."""
MOST_SYSTEM_FACTS = 50
LONGEST_SYSTEM_TEXT = 500
_LONGEST_READ = 4 * LONGEST_SYSTEM_TEXT
WORDLESS = "it does not say why"


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """How a link ended."""

    code: int
    reason: str


class WorkerLink:
    """A linked worker, as the rest of the gateway sees it. All methods are called in the event loop, at any time."""

    def __init__(
        self,
        link_id: UUID,
        worker: Worker,
        hello: Hello,
        session: Session[CentreFrame, SiteFrame],
        *,
        refused: bool = False,
        holder: Holder | None = None,
        sign: Sign,
    ) -> None:
        """Take over a conversation in which a `Hello` has come.

        :param refused: the worker is to get no jobs, because of its versions
        :param holder: the process that has linked
        :param sign: signs with the centre's key
        """
        self.id = link_id
        self.holder = holder or Holder(link_id=link_id)
        """Who has the worker's key, as long as this is its link."""
        self.worker = worker
        self.queues = frozenset(worker.served_queues)
        """Those that it serves."""
        self.state = hello.state
        self.alive: Collection[str] = ()
        self.conditions: Collection[str] = ()
        self.closed: Mapping[str, Closure] = {}
        """Those of its queues that its owner has closed."""
        self.comment = ""
        self.cause: MaintenanceCause | None = None
        self.noted = (hello.state, "")
        """The state and comment that the store has."""
        self.left_out = ""
        """What it is not handed out, and why, as the dispatcher has found; empty for nothing."""
        self._said: Mapping[str, str | int | float | bool] = {}
        self.slots = Slots(worker.slots_of(hello.concurrency))
        self.session = session
        self._sign = sign
        self._conversation = LinkContext(str(worker.id), hello.nonce, session.session_id)
        self.orders = ToldOrders(session.pending())
        self.ended: asyncio.Future[LinkEnd] = asyncio.get_running_loop().create_future()
        self.outbox = SendQueue()
        self._progress = Progress(session.handled)
        self._acknowledged = session.handled
        self._stopped: set[AssignmentKey] = set()
        self._refused = refused
        self._python = hello.python_version
        self._recorder = Recorder(worker.id)
        self._asked_for: LogRequest | None = None
        self._goodbye: int | None = None
        self._questions: dict[str, asyncio.Future[None]] = {}
        self._lacks_room = False

    @property
    def open(self) -> bool:
        """Whether it can still be used."""
        return not self.ended.done()

    @property
    def system(self) -> Mapping[str, str | int | float | bool]:
        """What is known of the worker for people: what it has said of itself, and what is wrong with it here."""
        if not self.left_out:
            return self._said
        conditions = (str(self._said.get(CONDITIONS, "")), self.left_out)
        return {**self._said, CONDITIONS: one_line("; ".join(filter(None, conditions)), LONGEST_SYSTEM_TEXT)}

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

    @property
    def keys(self) -> frozenset[QueueKey]:
        """Those that it serves, among all teams'."""
        return frozenset(QueueKey(self.worker.team_name, queue) for queue in self.queues)

    def capacity(self, now: float) -> Capacity | None:
        """Give what it could take now; None for nothing."""
        if not (free := self.free_slots(now)) or (room := self.room()) <= (0, 0):
            return None
        who, queues = self.worker, self.queues.difference(self.closed) if self.closed else self.queues
        given = {"free_slots": free, "room": room[0], "offers": room[1]}
        return Capacity(worker_id=who.id, queues=queues, team_name=who.team_name, **given)

    def free_slots(self, now: float) -> int:
        """Give how many slots the worker can be offered jobs for."""
        return self.slots.available(now) if self.open and self._ready else 0

    def room(self) -> tuple[int, int]:
        """Give how many bytes of workloads can be sent, and how many offers.

        None while the worker has not taken in what is on its way.
        """
        offers = [frame.body for frame in self.session.pending() if isinstance(frame.body, Offer)]
        room = MOST_OFFERED_BYTES - sum(len(offer.workload) for offer in offers)
        self._lacks_room = room <= 0 or len(offers) >= MOST_OFFERS
        return (0, 0) if self._lacks_room else (room, MOST_OFFERS - len(offers))

    def has_room_again(self) -> bool:
        """Say, once, that there is room after there was none."""
        return self._lacks_room and self.room() > (0, 0)

    @property
    def _ready(self) -> bool:
        return self.state in READY and not (self._refused or self.conditions or self.orders.pauses)

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
        # Whoever acknowledges the last that there was room for is a reason to look for more.
        self.room()

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
        for order in self.orders.new(waiting):
            self.send(order)

    def follow(self, worker: Worker) -> bool:
        """Go by what the centre says of the worker now; say whether that changes its queues, which it is told."""
        before, self.worker = self.worker.served_queues, worker
        if worker.served_queues == before:
            return False
        self.queues = frozenset(worker.served_queues)
        self.send(Serves(queues=worker.served_queues))
        return True

    def void_job(self, key: AssignmentKey, reason: str) -> None:
        """Tell the worker that an assignment does not count any more."""
        self.slots.free(key)
        self.send(Void(**key._asdict(), reason=reason))

    def ask_for_log(self, request: LogRequest | None, *, now: datetime) -> None:
        """Ask the worker, once, for its own log, if this request is not over."""
        if request is None or request == self._asked_for:
            return
        self._asked_for = request
        if (left := (request.until - now).total_seconds()) > 0:
            self.send(WantWorkerLog(request=request.id, seconds=left, level=request.level, lines=request.lines))

    async def answers(self, patience: float) -> bool:
        """Ask whether the worker's process is at the other end, and say whether it has answered.

        Only one that lives when it is asked can answer.

        :param patience: seconds
        """
        if not self.open or self.holder.life is None:
            return False
        question = uuid4().hex
        answer = self._questions[question] = asyncio.get_running_loop().create_future()
        self.send(Ping(asks=question))
        try:
            await asyncio.wait([answer, self.ended], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._questions[question]
        return answer.done()

    def note_answer(self, question: str) -> None:
        """Note that the worker's process has answered."""
        answer = self._questions.get(question)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def close(self, code: int, reason: str) -> None:
        """End the link; nothing is sent or acknowledged on it from here on."""
        if self.open:
            self.ended.set_result(LinkEnd(code, reason))

    def send(self, message: CentreMessage) -> None:
        """Send a message; none after the end, when the conversation may belong to a newer link already."""
        if self.open:
            self._put(self.session.send(message))

    def _put(self, frame: CentreFrame) -> None:
        if (
            not self.outbox.put(seal(frame, self._conversation, self._sign))
            or self.session.outstanding > MOST_UNACKNOWLEDGED
        ):
            self.close(CloseCode.PROTOCOL_ERROR, "the worker does not read what it is sent")
            return
        self._acknowledged = max(self._acknowledged, frame.ack)

    # What the worker has said

    def note_status(self, status: Status, *, now: float) -> bool:
        """Note how the worker is; say whether it is ready for jobs, and was not before.

        :param now: seconds since 1970
        """
        was_ready, was_closed = self._ready, self.closed.keys()
        if self._goodbye is None:
            self.state = status.state
        self.alive = status.alive
        # Whatever a worker says of itself is shown to people, beside what others say.
        self.conditions = tuple(one_line(text, LONGEST_SYSTEM_TEXT) or WORDLESS for text in status.conditions)
        self.comment, self.cause = status.comment.replace("\0", " "), status.cause
        if status.metrics is not None:
            self._recorder.add(status.metrics, len(status.alive), minute_of(now))
        self.closed = closures(status.closed)
        own = {CONDITIONS: "; ".join(self.conditions), PYTHON: self._python}
        said = dict(list(status.system.items())[:MOST_SYSTEM_FACTS])
        self._said = {**_storable(said | own), CLOSED: write_closures(self.closed)}
        return self._ready and not (was_ready and was_closed <= self.closed.keys())

    def note_goodbye(self, seq: int) -> None:
        """Note that the worker shuts down; the link ends when that is acknowledged."""
        self.state = OFFLINE_AS[self.state]
        self._goodbye = seq
        self.finish(seq)
        self.acknowledge()

    def finish(self, seq: int) -> None:
        """Note that a numbered message is dealt with for good, though perhaps not those before it."""
        if self.open:
            self._progress.finish(seq)
            self.session.handle(self._progress.done)

    def acknowledge(self) -> None:
        """Let the worker know what is dealt with, unless that was said already."""
        if self.open and self.session.handled > self._acknowledged:
            self.send(Ping())

    def sent(self) -> None:
        """Note that what was to be sent is on its way."""
        if self._goodbye is not None and self._acknowledged >= self._goodbye and self.outbox.empty:
            self.close(CloseCode.NORMAL, "goodbye")


class SendQueue:
    """What waits to be sent down a link, bounded so that a worker that does not read costs no more than that."""

    def __init__(self, most_frames: int = MOST_FRAMES, most_bytes: int = MOST_BYTES) -> None:
        self._most_frames = most_frames
        self._most_bytes = most_bytes
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()

    def put(self, frame: bytes) -> bool:
        """Add a frame; False if there is no room for it."""
        if len(self._frames) >= self._most_frames or self._bytes + len(frame) > self._most_bytes:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        self._filled.set()
        return True

    async def get(self) -> bytes:
        """Take the oldest frame, as soon as there is one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    @property
    def empty(self) -> bool:
        """Whether everything was taken."""
        return not self._frames


class Progress:
    """Which numbered messages are dealt with, though they are dealt with out of order."""

    def __init__(self, done: int) -> None:
        self.done = done
        """Every number up to this one is dealt with."""
        self._ahead: set[int] = set()

    def finish(self, seq: int) -> None:
        """Note that this number is dealt with."""
        self._ahead.add(seq)
        while self.done + 1 in self._ahead:
            self.done += 1
            self._ahead.remove(self.done)


def _storable(system: Mapping[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    """Shorten texts, and leave out of them what no database keeps and what a terminal obeys."""
    return {
        one_line(name): one_line(value[:_LONGEST_READ], LONGEST_SYSTEM_TEXT) if isinstance(value, str) else value
        for name, value in system.items()
    }
