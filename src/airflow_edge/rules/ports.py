"""What the centre's rules need from a store.

`store.sql.SqlStore` has it for every database; all times are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from airflow_edge.protocol.messages import LogChunk, LogEnd, MaintenanceCause, WorkerLog
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.liveness import Patience
from airflow_edge.rules.metrics import Chunk
from airflow_edge.rules.model import (
    AwaitedJobs,
    CallAnswer,
    CallMemory,
    Capacity,
    ClaimedJob,
    EnrollToken,
    FinishedLog,
    HeldJob,
    LinkFacts,
    LogPart,
    LogProgress,
    LogRequest,
    Nonce,
    Order,
    Unwanted,
    Worker,
    WorkerLogBatch,
)
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import JobFilter, JobView, Page, QueueDemand, WorkerFilter, WorkerView
from airflow_edge.rules.reports import Reading, Report


class JobQueue(Protocol):
    """Jobs on their way."""

    def claim(self, capacities: Sequence[Capacity], *, now: datetime, lease_until: datetime) -> list[ClaimedJob]:
        """Hand queued jobs to these workers in one transaction: state leased, next assignment number, worker, lease."""

    def settle(self, worker_id: UUID, reports: Sequence[Report], *, now: datetime) -> list[Reading]:
        """Apply a worker's reports in one transaction, all or none; say how each was taken."""

    def confirm(self, worker_id: UUID, job_id: UUID, assignment: int, *, now: datetime) -> HeldJob | None:
        """Give the job if this worker holds it under this assignment, else None.

        A leased one counts as accepted from here on.
        """

    def held_by(self, worker_ids: Collection[UUID]) -> list[HeldJob]:
        """Give the jobs that the centre thinks are with these workers (leased or running)."""

    def expire_leases(self, *, now: datetime) -> int:
        """Put the jobs whose lease ran out back into the queue; say how many."""

    def lose(self, worker_id: UUID, job_ids: Collection[UUID], reason: str, *, now: datetime) -> list[UUID]:
        """Declare held jobs of a worker lost (once); give the ids of those that were."""

    def lose_silent(self, patience: Patience, *, now: datetime) -> int:
        """Declare the jobs of workers lost that were silent beyond the grace; say how many."""

    def purge(self, *, succeeded_before: datetime, failed_before: datetime, limit: int) -> int:
        """Delete booked jobs that ended before then, at most `limit`; say how many."""


class Tasks(Protocol):
    """Jobs seen together with Airflow's task instances."""

    def unwanted(self, worker_ids: Collection[UUID]) -> list[Unwanted]:
        """Give the jobs that these workers have to stop: cancelled, or running for a task that no longer wants them.

        A cancelled one is given until its worker has reported its end, a running one until it is released or has ended.
        """

    def keep_alive(self, job_ids: Collection[UUID], patience: Patience, *, now: datetime) -> int:
        """Keep Airflow's heartbeats fresh; say how many needed it.

        For these jobs, whose supervisors are alive, and for every running job of a worker that is out of reach for no
        longer than the grace.
        """

    def awaited(self, patience: Patience, *, now: datetime) -> dict[UUID, AwaitedJobs]:
        """Give the running jobs of the workers that are out of reach, by worker."""


class WorkerRegistry(Protocol):
    """Enrolled workers."""

    def worker(self, worker_id: UUID) -> Worker | None:
        """Give a worker by its id."""

    def workers_with(self, worker_ids: Collection[UUID]) -> list[Worker]:
        """Give the workers with these ids, those there are."""

    def worker_named(self, name: str) -> Worker | None:
        """Give a worker by its name."""

    def workers(self) -> list[Worker]:
        """Give all workers, by name."""

    def link(self, links: Mapping[UUID, LinkFacts], *, now: datetime) -> dict[UUID, UUID | None]:
        """Note new links by worker; each replaces any other of its worker. Gives those that were noted before them."""

    def unlink(self, worker_id: UUID, link_id: UUID, state: WorkerState, *, now: datetime) -> None:
        """Note that this link is over, unless a newer one has replaced it."""

    def seen(
        self,
        states: Mapping[UUID, WorkerState],
        systems: Mapping[UUID, Mapping[str, object]],
        comments: Mapping[UUID, str] | None = None,
        causes: Mapping[UUID, MaintenanceCause] | None = None,
        *,
        now: datetime,
    ) -> list[UUID]:
        """Note in one transaction that these workers are linked and what they do.

        Gives those that may not be: they were revoked, or removed.

        :param comments: on the maintenance of those that are in one; None leaves comments and causes as they are
        :param causes: of their maintenance
        """

    def set_disconnect_grace(self, names: Collection[str], grace: timedelta | None) -> list[str]:
        """Give workers a grace of their own, or none; if some do not exist, change nothing and give their names."""

    def mark_silent(self, patience: Patience, *, now: datetime) -> list[UUID]:
        """Set workers that should be linked and were not seen to unknown; give their ids."""

    def changed_since(self, since: datetime) -> list[Worker]:
        """Give the workers that an admin, or another link, has changed since then.

        The times are those of the processes that made the changes: ask with an overlap.
        """


class WorkerOrders(Protocol):
    """What people want of workers."""

    def give_order(self, worker_id: UUID, wish: Wish, *, by: str, now: datetime) -> Order | None:
        """Write an order down, and what it makes of the worker's state; None if there is no such worker.

        :raises IllegalTransitionError: it is not possible in the worker's state; nothing is changed.
        """

    def waiting_orders(self, worker_ids: Collection[UUID]) -> list[Order]:
        """Give the orders that these workers have not answered, in the order in which they were given."""

    def obeyed(
        self, worker_id: UUID, order_id: UUID, state: WorkerState, *, done: bool, detail: str, now: datetime
    ) -> bool:
        """Note a worker's answer and its state from then on; False if nobody waits for it any more."""

    def order(self, order_id: UUID) -> Order | None:
        """Give an order by its id."""

    def orders(self, worker_id: UUID, *, limit: int) -> list[Order]:
        """Give the orders to a worker, newest first, at most `limit`."""

    def purge_orders(self, *, before: datetime, limit: int) -> int:
        """Delete answered orders that were given before then, at most `limit`; say how many."""


class WorkerMetrics(Protocol):
    """Measurements of workers over time."""

    def write_metrics(self, chunks: Sequence[Chunk]) -> None:
        """Keep chunks, each in the place of one of the same worker that began in the same minute."""

    def metrics(self, worker_id: UUID, *, since: int, until: int) -> list[Chunk]:
        """Give the chunks of a worker that know something of this time, in minutes since 1970, oldest first."""

    def purge_metrics(self, *, before: int) -> int:
        """Delete, in several transactions, the chunks that begin before this minute; say how many."""


class WorkerAdministration(Protocol):
    """What the centre decides about workers by itself."""

    def change_queues(
        self, worker_id: UUID, *, add: Collection[str] = (), remove: Collection[str] = (), now: datetime
    ) -> Worker | None:
        """Let a worker serve more queues, or not serve some any more; None if there is no such worker.

        It keeps at least one: if none would be left, nothing is changed, and the worker given has no queues.
        """

    def remove_worker(self, worker_id: UUID, *, now: datetime) -> str:
        """Forget a worker that is offline or revoked and has no job; give the reason why not, if there is one."""


class Overview(Protocol):
    """Workers, jobs and queues as people look at them."""

    def find_workers(
        self, wanted: WorkerFilter, *, order: str = "name", limit: int, offset: int = 0
    ) -> Page[WorkerView]:
        """Give a page of the workers that fit, and how many fit in all.

        :param order: what to sort by, with `-` before it for the reverse
        """

    def find_jobs(self, wanted: JobFilter, *, order: str = "-queued_at", limit: int, offset: int = 0) -> Page[JobView]:
        """Give a page of the jobs that fit, and how many fit in all.

        :param order: what to sort by, with `-` before it for the reverse
        """

    def queue_demands(self) -> list[QueueDemand]:
        """Give, per team and queue, what waits and what runs."""

    def all_workers(self) -> list[WorkerView]:
        """Give every worker that is not revoked, with what it has taken."""

    def newest_job(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> JobView | None:
        """Give the job of a task instance that was queued last."""

    def ahead_of(self, job: JobView) -> tuple[int, int]:
        """Give how many queued jobs of its queue and team are due before a job, and how many of them weigh more."""

    def oldest_start(self, worker_ids: Collection[UUID]) -> dict[UUID, datetime]:
        """Give, for each of these workers that has a job, when the one that runs longest began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """What came of an attempt to enrol: a worker, or the reason why not (`code` of `protocol.problems.Code`)."""

    worker: Worker | None
    code: str = ""
    detail: str = ""


class Enrollments(Protocol):
    """Enrolment tokens, and what they open."""

    def create_token(self, token: EnrollToken, secret_hash: str) -> None:
        """Keep a new token by the hash of its secret."""

    def tokens(self) -> list[EnrollToken]:
        """Give all tokens, newest first."""

    def revoke_token(self, token_id: UUID, *, now: datetime) -> bool:
        """Revoke a token; False if there is none."""

    def enroll(self, secret_hash: str, name: str, public_key: bytes, *, now: datetime) -> Enrollment:
        """Use a token up by one and register the worker, in one transaction.

        The same key and name again is the same worker.
        """

    def enroll_trusted(self, name: str, public_key: bytes, queues: Sequence[str], *, now: datetime) -> Enrollment:
        """Register a worker that proved to know the shared secret."""

    def revoke_worker(self, name: str, *, now: datetime) -> bool:
        """Revoke a worker's key at once; False if there is no worker of that name."""


class Nonces(Protocol):
    """Ids of signed requests, each of which is accepted once."""

    def use_nonces(self, nonces: Sequence[Nonce]) -> list[bool]:
        """Note that these ids were used; False for each that had been used before."""

    def forget_nonces(self, *, now: datetime) -> int:
        """Forget the ids that are too old to be accepted anyway; say how many."""


class LogUnreadableError(Exception):
    """Bytes of a log are not where they should be, or cannot be read there; says where, and what to do."""


class TaskCalls(Protocol):
    """Calls of Airflow's Execution API that must not be carried out twice."""

    def superseded(self, job_id: UUID) -> bool:
        """Say whether a newer job was queued for its task instance: this one has deferred it, or had it rescheduled."""

    def begin_call(self, digest: str, job_id: UUID) -> CallMemory | None:
        """Note that a job's call is about to be made; give what is known of it if it was made before."""

    def remember_call(self, digest: str, answer: CallAnswer) -> None:
        """Keep the answer of a call, for whoever repeats it."""

    def forget_call(self, digest: str) -> None:
        """Forget a call that changed nothing."""

    def forget_calls(self) -> int:
        """Forget the calls of jobs that are deleted; say how many."""


class LogStoreError(Exception):
    """A log store cannot be used, or did not do what it was asked; names the setting, and says what to do."""


class Logs(Protocol):
    """Task logs."""

    def append_log(self, worker_id: UUID, chunk: LogChunk, *, now: datetime) -> LogProgress | None:
        """Keep what is new of a piece of a log that leaves no gap; any other is ignored. Say how far the log is.

        None if this worker never had the job under this assignment, or if the log is forgotten or was deleted.
        """

    def finish_log(self, worker_id: UUID, end: LogEnd, *, now: datetime) -> LogProgress | None:
        """Check a log against its length and SHA-256, and note that it is complete. Say how far the log is.

        One that is too short goes on from there. One that differs begins anew, where the checked part begins. None as
        in `append_log`. May take seconds for a long log.
        """

    def log_parts(self, path: str) -> list[LogPart]:
        """Say what there is of the log with this relative path, oldest first."""

    def read_log(self, path: str) -> Iterator[bytes]:
        """Give all bytes of the log with this relative path, piece by piece; nothing if there is none."""

    def read_log_part(self, part_id: UUID, offset: int = 0) -> Iterator[bytes]:
        """Give the bytes of one part from this offset on, piece by piece.

        :raises LogUnreadableError: some of them are not where they should be.
        """


class LogUpkeep(Protocol):
    """Task logs at rest."""

    def tidy_logs(
        self, store_url: str | None, *, clock: Callable[[], datetime], stopping: Callable[[], bool] = ...
    ) -> int:
        """Do what is due for some logs; say for how many. May take minutes, each transaction of it a moment.

        The rows of a log are merged into few; one that is complete or given up is moved to the log store, if there is
        one; one that was marked as deleted loses its bytes.

        :param store_url: the log store (`[edge] log_store`); None for the database
        :param clock: gives the time, aware
        :param stopping: is asked now and then, and ends the work
        :raises LogStoreError: the log store failed; that log is tried again later.
        :raises LogUnreadableError: the bytes of a log are not those that were verified once; it stays where it is.
        """

    def expire_logs(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Mark logs that did not change since then as deleted, at most `limit`; say how many. `tidy_logs` deletes them.

        The log of a job that is not over stays, however old.
        """

    def check_log_store(self, store_url: str) -> None:
        """Write, read and delete something in a log store.

        :raises LogStoreError: it cannot be used; says why, and what to do.
        """


class WorkerLogs(Protocol):
    """The workers' own logs. `dispatch.worker_log` makes of the batches what a person reads."""

    def append_worker_log(self, worker_id: UUID, batch: WorkerLog, *, quota: int, now: datetime) -> bool:
        """Keep a batch, and delete the worker's oldest ones where that is more than `quota` bytes.

        False if it is none, is more than the quota by itself, or if this worker is not known.
        """

    def read_worker_log(self, worker_id: UUID, *, after: int = 0) -> list[WorkerLogBatch]:
        """Give the batches with higher numbers than `after`, oldest first, at most some at once."""

    def last_worker_log(self, worker_id: UUID) -> int:
        """Give the number of the newest batch, 0 if there is none."""

    def want_worker_log(self, worker_id: UUID, request: LogRequest, *, now: datetime) -> LogRequest:
        """Ask a worker for its own log; give what it is asked for with the requests of others that last."""

    def purge_worker_logs(self, *, before: datetime, limit: int) -> int:
        """Delete batches that came before then, at most `limit`; say how many."""


class LogHandovers(Protocol):
    """Finished logs, complete or given up, on their way to a remote log."""

    def claim_finished_log(self, *, now: datetime, until: datetime) -> FinishedLog | None:
        """Give the oldest log that is due to be handed over, and leave it to the caller until then."""

    def note_handed_over(self, log_id: UUID, *, now: datetime) -> None:
        """Note that the remote log has it."""

    def put_off_handover(self, log_id: UUID, *, until: datetime) -> None:
        """Have it handed over later."""
