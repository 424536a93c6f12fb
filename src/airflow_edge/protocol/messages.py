"""What centre and site say to each other.

Every message is a frozen struct. Job id and assignment number name a handing-out of a job; whoever gets a message about
an assignment that is not the current one ignores it or answers `Void`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from airflow_edge.protocol.assignment import Assigned
from airflow_edge.protocol.problems import WHOLE, KeyLink, QueueName
from airflow_edge.protocol.states import WorkerState
from airflow_edge.texts import MAX_TEXT as MAX_TEXT
from airflow_edge.texts import one_line as one_line

MOST_SLOTS = 10_000
"""The highest concurrency of a worker."""
MOST_JOBS = 12_000
"""Jobs that a site can answer for: those in its slots, and some whose processes are still ending."""

MAX_LOG_CHUNK_BYTES = 256 * 1024
"""Uncompressed bytes of a task's log in one message."""

MAX_WORKER_LOG_BYTES = 128 * 1024
"""Uncompressed bytes of a worker's own log in one message."""

JobId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" + WHOLE)]
Assignment: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
ProcessId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$" + WHOLE)]
"""A random UUID; empty where it is not known."""
RequestId: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
JobKind: TypeAlias = Literal["task", "callback", "test"]
"""A test is asked for by a person and has no workload of Airflow's."""
Phase: TypeAlias = Literal["accepted", "running", "released", "ended"]
OrderId: TypeAlias = JobId
MaintenanceCause: TypeAlias = Literal["admin", "site", "system"]
"""Who put a worker into maintenance: a person at the centre, one at the site, or the worker itself."""
OrderKind: TypeAlias = Literal[
    "maintenance", "maintenance comment", "exit maintenance", "shutdown", "restart", "rename", "concurrency"
]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; its class name is its tag on the wire."""


class JobMessage(Message, Assigned, frozen=True, kw_only=True):
    """Base of the messages about one assignment."""

    job_id: JobId
    assignment: Assignment


class HeldJob(msgspec.Struct, Assigned, frozen=True, kw_only=True):
    """A job that the site answers for when it links."""

    job_id: JobId
    assignment: Assignment
    phase: Phase


# From the site to the centre


class Hello(Message, frozen=True, kw_only=True):
    """The first message on every link: who this is and which jobs it answers for.

    `received` is the last sequence number received in `session_id`, so that the centre can go on from there.
    `boot_id` changes when the machine reboots. `jobs` is complete: a job that the centre thinks is here and that is
    not in it is not here.
    """

    oldest_protocol: Count
    newest_protocol: Count
    session_id: Name
    received: Count
    boot_id: Text
    agent_version: Text
    airflow_version: Text
    python_version: Text
    platform: Text
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
    queues: Annotated[tuple[QueueName, ...], msgspec.Meta(max_length=1000)] | None
    """The queues asked for; None for all that the worker was enrolled for."""
    state: WorkerState
    jobs: Annotated[tuple[HeldJob, ...], msgspec.Meta(max_length=MOST_JOBS)]
    instance: ProcessId = ""
    """Names the life of this worker on this machine: a copy of its state folder elsewhere gets another."""
    life: ProcessId = ""
    """Names the process."""
    last_link: RequestId = ""
    """The link that this worker had last, as far as its state folder knows, as `Welcome` called it."""
    host: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """The machine's name, for people."""
    nonce: RequestId = ""
    """New for each link: what the centre signs on it counts there only."""
    centre_key: RequestId = ""
    """The fingerprint of the centre's key that this worker has pinned."""


class Accepted(JobMessage, frozen=True, kw_only=True):
    """The job is in the journal; its process is being started."""


class Refused(JobMessage, frozen=True, kw_only=True):
    """The job was not and will not be started here; it may go elsewhere at once."""

    reason: Text
    denied: bool = False
    """The site's owner does not allow it, now or later: offered here again, it would be refused again."""


class Released(JobMessage, frozen=True, kw_only=True):
    """Airflow holds the task's state: its slots are free, though its process may still be ending."""


class Ended(JobMessage, frozen=True, kw_only=True):
    """The job's process is gone. Exactly one of exit status and signal is known, or neither if nobody saw it end."""

    exit_code: int | None = None
    signal: int | None = None
    reason: Text = ""


class Metrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the machine and the link are doing. None for what is not known."""

    cpu_percent: float | None = None
    """Of all processors together, since the message before."""
    load: float | None = None
    """Load average of the last minute."""
    memory_percent: float | None = None
    """Of the machine's memory, what is not available."""
    disk_free: float | None = None
    """Bytes, where tasks write."""
    bytes_received: float | None = None
    """A second, on all network interfaces, since the message before."""
    bytes_sent: float | None = None
    round_trip: float | None = None
    """Seconds, of the link."""
    reconnects: float | None = None
    """How often the link was made again since the message before."""


class Closed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Queues of which the site takes no job now, and why, in words for a person."""

    queues: Annotated[tuple[Name, ...], msgspec.Meta(max_length=1000)]
    reason: Text
    for_good: bool = False
    """Not only for a time."""


class Status(Message, frozen=True, kw_only=True):
    """The worker's heartbeat: what it does, and the jobs whose supervisors are alive. Not numbered, never repeated.

    `conditions` are why it takes no new job now though it has free slots, in words for a person; none if it does.
    """

    state: WorkerState
    alive: Annotated[tuple[JobId, ...], msgspec.Meta(max_length=MOST_JOBS)]
    system: dict[Name, str | int | float | bool] = {}
    conditions: Annotated[tuple[Text, ...], msgspec.Meta(max_length=20)] = ()
    comment: Text = ""
    """On the maintenance that it is in."""
    cause: MaintenanceCause | None = None
    """Of the maintenance that it is in."""
    metrics: Metrics | None = None
    closed: Annotated[tuple[Closed, ...], msgspec.Meta(max_length=10)] = ()
    """Those of its queues that its owner has closed."""


_SHORT = {"offset": "o", "size": "n", "crc32": "c", "data": "d", "dictionary": "z"}
"""Names on the wire where a message is often shorter than the usual ones."""


class LogChunk(JobMessage, frozen=True, kw_only=True, rename=_SHORT, omit_defaults=True):
    """Bytes of a job's log from `offset`, zstd-compressed as `logdata` says.

    `crc32` is of the plain bytes. Not numbered: `LogAck` answers it. One without bytes asks how far the centre is.
    """

    offset: Count
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_LOG_CHUNK_BYTES)]
    crc32: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    data: Annotated[bytes, msgspec.Meta(max_length=2 * MAX_LOG_CHUNK_BYTES)]
    dictionary: Count = 0
    """Number of the dictionary that it was compressed with; 0 for none."""


class LogEnd(JobMessage, frozen=True, kw_only=True):
    """The log is complete: its length in bytes and the SHA-256 (hex) of those from `start` on.

    `start` is more than 0 only where the task truncated or deleted its log: what had been acknowledged before stays,
    and cannot be checked any more.
    """

    size: Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)]
    start: Count = 0


class WorkerLog(Message, frozen=True, kw_only=True):
    """Records of the worker's own log, in the order of their times: `worker_log.pack`, zstd-compressed.

    Not numbered and not acknowledged: what is lost is lost. `first` counts the records that the agent process `run` has
    sent, or could have sent, before these, so that a gap is seen.
    """

    run: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    first: Count
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_WORKER_LOG_BYTES)]
    """Of the plain bytes."""
    data: Annotated[bytes, msgspec.Meta(max_length=2 * MAX_WORKER_LOG_BYTES)]
    answers: RequestId = ""
    """The request whose past records end with this batch."""


class Obeyed(Message, frozen=True, kw_only=True):
    """What became of an `Order`: done, or refused and why; `state` is the worker's from then on."""

    order_id: OrderId
    done: bool
    detail: Text = ""
    state: WorkerState


class Goodbye(Message, frozen=True, kw_only=True):
    """The worker shuts down in good order and holds no job."""

    reason: Text


# From the centre to the site


class Welcome(Message, frozen=True, kw_only=True):
    """The answer to `Hello`.

    `resumed` says that the centre still knows the session; then `received` is the last number it has dealt with.
    Otherwise the site begins a new session, called `session_id`, and sends again what was not acknowledged. The centre
    names it, so that a site that never hears of it comes back with the old name, and is not taken to be in the new one.
    """

    protocol: Count
    resumed: bool
    received: Count
    session_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    name: Name
    queues: tuple[str, ...]
    heartbeat_interval: float
    """Seconds between two `Status` messages."""
    centre_version: Text
    log_dictionaries: tuple[Count, ...] = ()
    """Those that a `LogChunk` may have been compressed with."""
    version_refused: Text = ""
    """Why the worker's versions get no jobs, and what to install; empty if they do."""
    version_warning: Text = ""
    """What is odd about the worker's versions; empty for nothing."""
    centre_keys: tuple[KeyLink, ...] = ()
    """The centre's keys after the one that the worker has pinned, oldest first."""
    link: RequestId = ""
    """The name of this link, for the next `Hello`. No other process of this key knows it."""


class Rejected(Message, frozen=True, kw_only=True):
    """The answer to a `Hello` that cannot be served; the link is closed after it."""

    code: Text
    message: Text


class Offer(JobMessage, frozen=True, kw_only=True):
    """A job for this worker. Unanswered for `lease` seconds, it goes to somebody else.

    `workload` is Airflow's own JSON of the workload, its token left out; an empty object for a test.
    """

    kind: JobKind
    queue: str
    slots: Annotated[int, msgspec.Meta(ge=1)]
    lease: float
    workload: bytes


class Stop(JobMessage, frozen=True, kw_only=True):
    """End this job now (it was cleared, failed or marked at the centre) and report how it ended."""

    reason: Text


class Void(JobMessage, frozen=True, kw_only=True):
    """This assignment does not count any more: don't start it, end it if it runs, report nothing."""

    reason: Text


class Order(Message, frozen=True, kw_only=True):
    """A person wants something of the worker itself; `Obeyed` answers it.

    `text` is the comment of a maintenance, or the new name; `number` the new concurrency.
    """

    order_id: OrderId
    kind: OrderKind
    text: Text = ""
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)] | None = None


class Signed(Message, frozen=True, kw_only=True):
    """An `Offer`, `Stop`, `Void` or `Order`: no site takes one that the centre's key has not signed; `signatures`."""

    data: bytes
    """The message in MessagePack."""
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
    """Ed25519."""


class Serves(Message, frozen=True, kw_only=True):
    """The queues that the worker serves from now on."""

    queues: tuple[str, ...]


class LogAck(JobMessage, frozen=True, kw_only=True):
    """The centre has the log up to `offset`; send from there on. `complete` says that the whole of it was verified."""

    offset: Count
    complete: bool = False


class WantWorkerLog(Message, frozen=True, kw_only=True):
    """Send the worker's own log for so many seconds from now, beginning with the last `lines` records of its files.

    A `request` that was heard already is only prolonged. Not numbered: a newer one replaces it.
    """

    request: RequestId
    seconds: float
    level: Annotated[int, msgspec.Meta(ge=0, le=100)]
    """The least level; the numbers are those of `logging`."""
    lines: Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class Ping(Message, frozen=True, kw_only=True):
    """Carries an acknowledgement when there is nothing else to say, in both directions.

    The centre `asks` with one whether the worker lives, and its process `answers` with the same word.
    """

    asks: RequestId = ""
    answers: RequestId = ""


SiteMessage: TypeAlias = (
    Hello | Accepted | Refused | Released | Ended | Status | LogChunk | LogEnd | WorkerLog | Obeyed | Goodbye | Ping
)
CentreMessage: TypeAlias = (
    Welcome | Rejected | Signed | Offer | Stop | Void | Order | Serves | LogAck | WantWorkerLog | Ping
)
UNNUMBERED = (Hello, Welcome, Rejected, Status, Serves, LogChunk, LogAck, WorkerLog, WantWorkerLog, Ping)
"""Messages that are never sent again: they are answered otherwise, or a newer one replaces them."""
