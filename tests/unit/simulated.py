"""A centre's database, its gateways' links and a site, as far as they need no I/O: the rules are the real ones."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from msgspec.structs import replace

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    Event,
    Exited,
    JobRecord,
    LogDone,
    OfferedAgain,
    RuntimeReady,
    Save,
    StoreJob,
)
from airflow_edge.gateway.links.link import Progress
from airflow_edge.gateway.links.slots import Slots
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, decode_centre_frame, decode_site_frame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST, take_answer
from airflow_edge.protocol.local import JobStarted, Outcome, StartJob, StopJob
from airflow_edge.protocol.messages import (
    Accepted,
    Ended,
    Hello,
    Obeyed,
    Offer,
    Ping,
    Refused,
    Released,
    SiteMessage,
    Void,
)
from airflow_edge.protocol.session import Session, site_session
from airflow_edge.protocol.states import JOB_HELD, JobEvent, JobState, WorkerState, next_job_state
from airflow_edge.rules.orders import WorkerOrder
from airflow_edge.rules.reports import Reading, Report, event_of, read
from airflow_edge.rules.worker import Admission, Holder, judge_instance
from airflow_edge.store.jobs.jobs import AssignedJob
from airflow_edge.store.workers.instances import Claim, Claimed
from airflow_edge.store.workers.workers import LinkFacts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONCURRENCY = 2
LEASE = 10.0
JOBS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]
WORKERS = [UUID(int=1), UUID(int=2)]


@dataclass
class Row:
    """A job in the database."""

    state: JobState = JobState.QUEUED
    assignment: int = 0
    worker: UUID | None = None
    instance: UUID | None = None
    """The instance that has it, where another one has the worker's key."""


class Database:
    """The store, as far as linking and reports need it."""

    def __init__(self) -> None:
        self.rows = {job_id: Row() for job_id in JOBS}
        self.holders: dict[UUID, Holder] = {}
        self.jobs = self.workers = self.orders = self

    def link(
        self, links: Mapping[UUID, LinkFacts], claims: Mapping[UUID, Claim], *, now: datetime
    ) -> dict[UUID, Claimed]:
        ((worker_id, facts),) = links.items()
        holder, claim = self.holders.get(worker_id, Holder(link_id=None)), claims[worker_id]
        verdict = judge_instance(
            holder,
            instance=facts.instance,
            life=facts.life,
            last_link=claim.last_link,
            dead_link=holder.link_id if holder.gateway_id == facts.gateway_id else claim.dead_link,
        )
        if verdict is Admission.ENTER:
            self.holders[worker_id] = Holder(
                link_id=facts.link_id, instance=facts.instance, life=facts.life, gateway_id=facts.gateway_id
            )
            if holder.instance not in {None, facts.instance}:
                self.leave(worker_id, holder.instance, facts.instance)
        return {worker_id: Claimed(verdict, holder)}

    def leave(self, worker_id: UUID, before: UUID | None, comer: UUID | None) -> None:
        for row in self.rows.values():
            if row.worker == worker_id and row.state is JobState.RUNNING:
                row.instance = row.instance or before
                row.instance = None if row.instance == comer else row.instance

    def waiting(self, worker_ids: Collection[UUID]) -> list[WorkerOrder]:
        return []

    def held_by(self, worker_ids: Collection[UUID]) -> list[AssignedJob]:
        return [
            AssignedJob(
                id=UUID(job_id),
                assignment=row.assignment,
                worker_id=row.worker,
                kind="task",
                workload_id=UUID(job_id),
                slots=1,
                state=row.state,
                released=False,
            )
            for job_id, row in self.rows.items()
            if row.worker is not None and row.worker in worker_ids and row.state in JOB_HELD and row.instance is None
        ]

    def settle(self, worker_id: UUID, reports: Collection[Report], *, now: datetime) -> list[Reading]:
        readings = []
        for report in reports:
            row = self.rows[report.job_id]
            theirs = row.worker == worker_id and row.instance is None
            reading = read(report, state=row.state, assignment=row.assignment, same_worker=theirs)
            if reading is Reading.APPLY:
                row.state = next_job_state(row.state, event_of(report))
            readings.append(reading)
        return readings

    def lose(self, worker_id: UUID, job_ids: Collection[UUID], reason: str, *, now: datetime) -> None:
        raise AssertionError(f"{job_ids} were declared lost, though no journal was")

    def confirm(self, worker_id: UUID, key: AssignmentKey) -> bool:
        row = self.rows[key.job_id]
        if (row.worker, row.assignment) != (worker_id, key.assignment) or row.state not in JOB_HELD:
            return False
        row.state = next_job_state(row.state, JobEvent.ACCEPT)
        return True


@dataclass
class GatewayLink:
    """The centre's end of a connection."""

    id: UUID
    worker: UUID
    gateway: int
    session: Session[CentreFrame, SiteFrame]
    site: SiteEnd
    holder: Holder
    slots: Slots = field(default_factory=lambda: Slots(CONCURRENCY))
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    waiting: list[tuple[int, Report]] = field(default_factory=list)
    open: bool = True

    def __post_init__(self) -> None:
        self.progress = Progress(self.session.handled)

    def send(self, message: Offer | Void | Ping) -> None:
        if self.open:
            self.down.append(encode(self.session.send(message)))


class SiteEnd:
    """A machine: the agent, which may crash, and what outlives it."""

    def __init__(self, worker_id: UUID) -> None:
        self.id = worker_id
        self.instance = uuid4()
        self.last_link = ""
        self.journal: dict[AssignmentKey, JobRecord] = {}
        self.orders: Counter[AssignmentKey] = Counter()
        self.alive: set[AssignmentKey] = set()
        self.outcomes: dict[AssignmentKey, Outcome] = {}
        self.lives = 0
        self.boot()

    def boot(self) -> None:
        """Start the agent, anew after a crash."""
        self.lives += 1
        self.life = uuid4()
        self.times_linked = 0
        self.sessions = 0
        self.link: GatewayLink | None = None
        self.greeting: Hello | None = None
        """What of the link is not over yet."""
        self.session = site_session(self.new_id())
        self.core = Core(CONCURRENCY, [record for record in self.journal.values() if not record.finished])
        for message in self.core.jobs.reports():
            self.say(message)
        live = {job.key for job in self.core.jobs.live()}
        self.let(RuntimeReady(frozenset(self.alive), {key: end for key, end in self.outcomes.items() if key in live}))

    def new_id(self) -> str:
        self.sessions += 1
        return f"{self.id}-{self.instance}-{self.lives}-{self.sessions}"

    def copy(self, *, is_told: bool) -> SiteEnd:
        """Start a copy of the state folder on another machine.

        :param is_told: the machine can be told from this one
        """
        copy = SiteEnd(self.id)
        copy.journal, copy.outcomes = dict(self.journal), dict(self.outcomes)
        if is_told:
            copy.begin_instance()
        else:
            copy.instance, copy.last_link = self.instance, self.last_link
            copy.boot()
        return copy

    def begin_instance(self) -> None:
        """Leave the jobs of the journal to the machine that has them."""
        self.instance, self.last_link = uuid4(), ""
        self.journal = {
            key: record if record.finished else replace(record, void=True, acknowledged=True, log_done=True)
            for key, record in self.journal.items()
        }
        self.boot()

    def refused(self, *, as_copy: bool) -> None:
        self.link = self.greeting = None
        if as_copy and not self.times_linked and not self.core.jobs.live():
            self.begin_instance()

    # What the agent's driver does

    def let(self, event: Event) -> None:
        events: list[Event] = [event]
        while events:
            commands = self.core.handle(events.pop(0), 0.0)
            for command in commands:
                if isinstance(command, StoreJob | Save):
                    self.journal[command.record.key] = command.record
                if isinstance(command, StoreJob):
                    events.append(command)
            for command in commands:
                match command:
                    case Accepted() | Refused() | Released() | Ended() | Obeyed():
                        self.say(command)
                    case StartJob(job_id=job_id, assignment=assignment):
                        self.orders[command.key] += 1
                        self.alive.add(command.key)
                        events.append(JobStarted(job_id=job_id, assignment=assignment, pid=4711))
                    case StopJob() if command.key in self.alive:
                        self.alive.discard(command.key)
                        events.append(Exited(command.key, None, 9, None))

    # What the agent's link does

    def say(self, message: SiteMessage) -> None:
        frame = self.session.send(message)
        if self.link is not None and self.greeting is None:
            self.link.up.append(encode(frame))

    def greet(self) -> SiteFrame:
        """Begin a link; the centre answers with a `Welcome` down the link that it gives the site then."""
        self.link = None
        self.greeting = Hello(
            oldest_protocol=OLDEST,
            newest_protocol=NEWEST,
            session_id=self.session.session_id,
            received=self.session.handled,
            boot_id="boot",
            agent_version="1",
            airflow_version="3",
            python_version="3",
            platform="linux",
            concurrency=CONCURRENCY,
            queues=None,
            state=WorkerState.IDLE,
            jobs=self.core.jobs.held(),
            instance=str(self.instance),
            life=str(self.life),
            last_link=self.last_link,
        )
        return decode_site_frame(encode(self.session.send(self.greeting)))

    def hear(self, data: bytes) -> None:
        frame = decode_centre_frame(data)
        if self.greeting is not None:
            assert self.link is not None
            linked = take_answer(self.session, self.greeting, frame)
            acknowledged, again = linked.acknowledged, linked.again
            self.greeting = None
            self.last_link = linked.welcome.link
            self.times_linked += 1
            self.end(acknowledged)
            self.link.up.extend(encode(frame) for frame in again)
            return
        try:
            acknowledged = [done.body for done in self.session.acknowledge(frame.ack)]
            is_new = self.session.receive(frame)
        except RemoteProtocolError:
            self.link = None
            self.session.restart(self.new_id())
            return
        self.end(acknowledged)
        if is_new and frame.seq:
            match frame.body:
                case Offer() as offer:
                    known = None if offer.key in self.core.jobs else self.journal.get(offer.key)
                    self.let(offer if known is None else OfferedAgain(known))
                case Void() as void:
                    self.let(void)
            self.session.handle(frame.seq)

    def end(self, acknowledged: Iterable[SiteMessage]) -> None:
        for message in acknowledged:
            if isinstance(message, Ended):
                self.let(Acknowledged(message.key))
                self.let(LogDone(message.key))
