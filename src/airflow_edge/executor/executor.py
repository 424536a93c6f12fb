"""Airflow's executor interface, on top of the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import UUID

from airflow import settings
from airflow.configuration import conf
from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.logging_config import get_remote_task_log
from airflow.utils.state import CallbackState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, object_session

from airflow_edge.admin.audit import denied_in_log
from airflow_edge.executor.edge3 import UNINSTALL_EDGE3, edge3_is_installed
from airflow_edge.executor.ledger import Entry, Ledger
from airflow_edge.executor.standing import Standing
from airflow_edge.executor.workloads import SUPPORTED, UnfitWorkloadError, is_of, key_of, key_of_owned, to_job
from airflow_edge.rules.liveness import read_patience
from airflow_edge.rules.logs.lines import lines
from airflow_edge.rules.logs.log_notices import missing, origin, refused_by
from airflow_edge.rules.reports import UNFINISHED, Verdict, callback_verdict, task_verdict
from airflow_edge.settings import BY_NAME, SECTION
from airflow_edge.store import queueing
from airflow_edge.store.airflow_tables import TaskInstanceState, states_of
from airflow_edge.store.jobs import outbox
from airflow_edge.store.jobs.jobs import Jobs
from airflow_edge.store.jobs.outbox import EndedJob, OwnedJob
from airflow_edge.store.jobs.refusals import JobRefusals
from airflow_edge.store.logs.logs import TaskLogs
from airflow_edge.store.schema import in_words
from airflow_edge.store.tables import JobRow
from airflow_edge.store.transactions import SessionFactory, Transactions

Job = TypeVar("Job", EndedJob, OwnedJob)

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey, WorkloadState
    from airflow.models.taskinstance import TaskInstance

OWNERSHIP_INTERVAL: Final = 5.0
"""Seconds between two looks at which jobs are this scheduler's.

One that stood still is not told that another has adopted its jobs: thinking they were its own, it would keep their
slots occupied for ever."""

UNWANTED_INTERVAL: Final = 5.0
"""Seconds between two looks for jobs that wait for a worker while their task was cleared, failed or deleted."""

KEEP_ALIVE_INTERVAL: Final = 30.0
"""Seconds between two looks for tasks of workers out of reach. Gateways do the same, unless all of them are down."""

ORPHAN_INTERVAL: Final = 300.0
"""Seconds between two looks for callbacks whose scheduler is gone, as often as Airflow looks for such tasks."""


class EdgeExecutor(BaseExecutor):
    """Runs tasks and callbacks on edge workers.

    A workload becomes a row of the outbox in the scheduler's own transaction; workers are served by the API servers.
    Constructing one does nothing: API servers do that too, to read logs.
    """

    if hasattr(BaseExecutor, "supported_workload_types"):
        supported_workload_types = SUPPORTED
    else:
        supports_callbacks = True
    supports_task_instance_uuid = True
    supports_multi_team = True
    sentry_integration = ""
    is_local = True
    """So that `airflow standalone` keeps it: others need more than what that starts, and this one does not."""
    is_production = True
    serve_logs = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transactions = Transactions(lambda: cast("SessionFactory", settings.NonScopedSession)())
        self._standing = Standing(self._transactions, _now)
        self._ledger: Ledger[WorkloadKey] = Ledger()
        self._held: dict[WorkloadKey, JobRow] = {}
        """Jobs that came while the database did not let them be queued."""
        self._to_adopt: set[UUID] = set()
        """Workloads of a scheduler that is gone, which came in such a time, too."""
        self._reported: dict[UUID, WorkloadKey] = {}
        """Jobs whose end the scheduler was told, and which it will have dealt with by the next `sync`."""
        self._unfit: dict[WorkloadKey, str] = {}
        self._to_cancel: set[UUID] = set()
        self._next_look_at_ownership = 0.0
        self._next_look_for_unwanted = 0.0
        self._next_keep_alive = 0.0
        self._next_look_for_orphans = 0.0

    def start(self) -> None:
        """Refuse to start where the settings and commands of `[edge]` are another provider's.

        Missing tables end no scheduler: tasks wait for them.

        :raises RuntimeError: they are.
        :raises ValueError: a setting makes no sense; the message names it.
        """
        if edge3_is_installed():
            raise RuntimeError(UNINSTALL_EDGE3)
        read_patience(_setting)
        if self._standing.look():
            try:
                self._leave_mark()
            except SQLAlchemyError as error:
                self._standing.failed(error)

    @property
    def slots_available(self) -> int:
        """Give how many more workloads may be queued: none while the database does not let them be."""
        return int(super().slots_available) if self._standing.usable else 0

    def queue_workload(self, workload: ExecutorWorkload, session: Session) -> None:
        """Put a workload into the outbox, within the scheduler's transaction."""
        if not isinstance(workload, workloads.ExecuteTask | workloads.ExecuteCallback):
            super().queue_workload(workload, session)
            return
        key = key_of(workload)
        try:
            job = to_job(
                workload,
                owner=self._owner,
                team_name=self.team_name,
                default_queue=conf.get_mandatory_value("operators", "default_queue"),
            )
        except UnfitWorkloadError as problem:
            self._unfit[key] = str(problem)
            return
        self.running.add(key)
        if not self._standing.usable:
            # A statement that fails would take the scheduler's whole transaction, and the scheduler, with it.
            self._held[key] = job
            return
        queueing.add_job(session, job, now=_now())
        self._ledger.add(Entry(job.id, key, job.kind))

    def sync(self) -> None:
        """Tell the scheduler what has become of its jobs, and the database what the scheduler knows by now."""
        while self._unfit:
            self.fail(*self._unfit.popitem())
        if self._standing.look():
            try:
                self._sync()
            except SQLAlchemyError as error:
                self._standing.failed(error)

    def _sync(self) -> None:
        self._leave_mark()
        self._make_up_for()
        self._adopt_orphaned_callbacks()
        self._keep_alive()
        idle = not self._ledger and not self._reported and not self._to_cancel
        if idle and (self._owner is None or time.monotonic() < self._next_look_at_ownership):
            return
        ended, tasks = self._transactions.read(self._read_news)
        self._write([job.id for job in ended if self._tell(job, tasks.get(job.workload_id))])

    def change_state(
        self, key: WorkloadKey, state: WorkloadState, info: Any = None, remove_running: bool = True
    ) -> None:
        """Note an end for the scheduler. Where the scheduler itself says so (no heartbeat), the job is taken back."""
        if remove_running:
            self._held.pop(key, None)
            self._to_cancel.update(self._ledger.drop_key(key))
        super().change_state(key, state, info, remove_running)

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Take back a task's jobs, wherever they are; the worker is told to stop one that runs."""
        reason = "the scheduler revoked the task"
        try:
            for key in [key for key in self.running if is_of(key, ti)]:
                self._ledger.drop_key(key)
                self._held.pop(key, None)
                self.running.discard(key)
            if not self._standing.usable:
                return
            session = object_session(ti)
            if session is not None:
                outbox.cancel_task(session, ti.id, reason, now=_now())
            else:
                self._transactions.write(lambda own: outbox.cancel_task(own, ti.id, reason, now=_now()))
        except Exception:
            self.log.exception("Could not revoke %s; its job will end as the task is no longer wanted.", ti)

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Take over the jobs of a scheduler that is gone, ended ones too; give the tasks that have none."""
        session = object_session(tis[0]) if tis else None
        if session is None:
            return tis
        if not self._standing.usable:
            # What cannot be looked up is not taken for lost: Airflow would run it again.
            self._to_adopt.update(ti.id for ti in tis)
            return []
        adopted = outbox.adopt(session, [ti.id for ti in tis], self._owner)
        for job in adopted:
            self._take_up(job)
        known = {job.workload_id for job in adopted}
        return [ti for ti in tis if ti.id not in known]

    def get_task_log(self, ti: TaskInstance, try_number: int) -> tuple[list[str], list[str]]:
        """Give what has arrived so far of the log of a running task, unless Airflow has it from our remote log anyway.

        Airflow counts lines, to know where to go on: one that is not ended yet is held back, and what is missing, was
        refused or denied is said above them.
        """
        try:
            path = self._transactions.read(lambda session: outbox.log_path(session, ti.id, try_number))
        except SQLAlchemyError as error:
            return [f"The log of a task at the edge cannot be read: {in_words(error, details=False)}"], []
        if path is None:
            return [], []
        if getattr(get_remote_task_log(), "serves_edge_logs", False):
            # Without a word from here, Airflow would try to reach the worker's machine.
            return ["Runs at the edge"], []
        logs = TaskLogs(self._transactions)
        parts = logs.parts(path)
        sources = [text for part in parts for text in (origin(part), missing(part)) if text is not None]
        arrived = sources or ["Nothing has arrived from the edge worker yet"]
        refused = map(refused_by, JobRefusals(self._transactions).of_log(path))
        texts = ["\n".join(lines(logs.read(part.id), complete=part.complete)) for part in parts]
        return [*arrived, *refused, *denied_in_log(ti, try_number)], [text for text in texts if text]

    def end(self) -> None:
        """Wait for nothing: the next scheduler adopts what runs."""
        self._standing.end()

    def terminate(self) -> None:
        """End nothing: a task outlives its scheduler."""
        self._standing.end()

    @property
    def _owner(self) -> int | None:
        return None if self.job_id is None else int(self.job_id)

    def _leave_mark(self) -> None:
        # Who has no job in Airflow is no scheduler: `airflow dags test`, say.
        if self.job_id is not None:
            self._standing.mark(str(conf.get("core", "executor")))

    def _make_up_for(self) -> None:
        """Do what could not be done while the database did not let it be done."""
        while self._held:
            key, job = next(iter(self._held.items()))
            self._transactions.write(partial(queueing.add_job, job=job, now=_now()))
            self._held.pop(key)
            self._ledger.add(Entry(job.id, key, job.kind))
        if self._to_adopt:
            adopted = self._transactions.write(lambda session: outbox.adopt(session, self._to_adopt, self._owner))
            self._to_adopt.clear()
            for each in adopted:
                self._take_up(each)

    def _read_news(self, session: Session) -> tuple[list[EndedJob], dict[UUID, TaskInstanceState]]:
        """Take in which jobs are ours and run; give those that have ended, and how Airflow holds their tasks."""
        ended = self._ours(outbox.ended(session, self._owner))
        unknown = any(job.id not in self._ledger and job.id not in self._reported for job in ended)
        if unknown or time.monotonic() >= self._next_look_at_ownership:
            self._mirror(session)
        elif checked := self._ledger.unconfirmed:
            ours = outbox.owned_of(session, checked, self._owner)
            self.running.difference_update(self._ledger.confirm(checked, ours))
        if callbacks := self._ledger.unannounced_callbacks():
            for key in self._ledger.announce(outbox.running(session, callbacks, self._owner)):
                self.change_state(key, CallbackState.RUNNING, remove_running=False)
        ended_tasks = [job for job in ended if job.kind == "task"]
        tasks = states_of(session, [job.workload_id for job in ended_tasks])
        if gone := [job.id for job in ended_tasks if job.workload_id not in tasks]:
            tasks |= outbox.restarting(session, gone)
        return ended, tasks

    def _mirror(self, session: Session) -> None:
        """Take the database's word for which jobs are ours; what is another one's by now, nobody is told of."""
        owned = {job.id: job for job in self._ours(outbox.owned(session, self._owner))}
        self._reported = {job_id: key for job_id, key in self._reported.items() if job_id in owned}
        to_tell = [job for job in owned.values() if job.id not in self._reported and job.id not in self._to_cancel]
        come, gone = self._ledger.mirror([Entry(job.id, key_of_owned(job), job.kind) for job in to_tell])
        self.running.difference_update(gone)
        self.running.update(come)
        self._next_look_at_ownership = time.monotonic() + OWNERSHIP_INTERVAL

    def _ours(self, jobs: list[Job]) -> list[Job]:
        """Leave out what others have queued who are no schedulers either, as in `dag.test`: such jobs have no owner."""
        if self._owner is not None:
            return jobs
        return [job for job in jobs if job.id in self._ledger or job.id in self._reported]

    def _tell(self, job: EndedJob, task: TaskInstanceState | None) -> bool:
        """Tell the scheduler of an end if there is something to tell; say whether it knows all there is to know."""
        verdict = self._verdict(job, task)
        if job.id in self._reported:
            key = self._reported[job.id]
            # The scheduler drops an event about a task instance whose row another one has locked at that moment.
            dropped = verdict is Verdict.FAILED and task is not None and task.state in UNFINISHED
            if not dropped:
                return True
        else:
            newest = self._ledger.is_newest(job.id)
            entry = self._ledger.drop(job.id)
            if entry is None or not newest:
                return True
            key = entry.key
            if verdict is Verdict.SILENCE:
                self.running.discard(key)
                return True
        self._reported[job.id] = key
        if verdict is Verdict.SUCCESS:
            self.success(key)
        else:
            self.fail(key, job.reason or None)
        return False

    def _verdict(self, job: EndedJob, task: TaskInstanceState | None) -> Verdict:
        if job.kind == "callback":
            return callback_verdict(job.state)
        if job.superseded or task is None or task.queued_by != self._owner:
            return Verdict.SILENCE
        return task_verdict(job.state, task.state)

    def _write(self, known: Sequence[UUID]) -> None:
        now = time.monotonic()
        looks = now >= self._next_look_for_unwanted and len(self._ledger) > 0
        if not known and not self._to_cancel and not looks:
            return

        def work(session: Session) -> None:
            outbox.book(session, known, self._owner, now=_now())
            if self._to_cancel:
                outbox.cancel(session, self._to_cancel, self._owner, "the scheduler gave the task up", now=_now())
            if looks:
                outbox.drop_unwanted(session, self._owner, now=_now())

        self._transactions.write(work)
        self._to_cancel.clear()
        for job_id in known:
            self._reported.pop(job_id, None)
        if looks:
            self._next_look_for_unwanted = now + UNWANTED_INTERVAL

    def _keep_alive(self) -> None:
        """Have Airflow wait for tasks whose workers are out of reach, as when no API server runs."""
        now = time.monotonic()
        if now < self._next_keep_alive or not self._ledger:
            return
        Jobs(self._transactions).keep_alive((), read_patience(_setting), now=_now())
        self._next_keep_alive = now + KEEP_ALIVE_INTERVAL

    def _adopt_orphaned_callbacks(self) -> None:
        now = time.monotonic()
        if now < self._next_look_for_orphans or self.job_id is None:
            return
        for job in self._transactions.write(lambda session: outbox.adopt_callbacks(session, self._owner)):
            self._take_up(job)
        self._next_look_for_orphans = now + ORPHAN_INTERVAL

    def _take_up(self, job: OwnedJob) -> None:
        key = key_of_owned(job)
        self._ledger.add(Entry(job.id, key, job.kind))
        self.running.add(key)


def _setting(name: str) -> str:
    return BY_NAME[name].check(str(conf.get(SECTION, name, fallback=BY_NAME[name].default_text)))


def _now() -> datetime:
    return datetime.now(UTC)
