"""What the agent does with jobs, decided without I/O: an event comes in, commands go out, and the driver obeys them.

A job is `accepted` when it is in the journal, `running` when its supervisor is there, `released` when Airflow holds the
state of its task, and `ended` when its process is gone. After a crash the core is made anew from the journal's records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from airflow_edge.agent.core import events
from airflow_edge.agent.core.events import Command, DesiredState, Event, JobRecord
from airflow_edge.agent.core.jobs import MAX_REASON, HeldJobs, Job, Stage, Step, WaitingOffers, ending, story
from airflow_edge.agent.core.worker_state import SHUTTING_DOWN, Automatic, WorkerStateMachine
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobNotStarted, JobStarted, StartJob, StopJob
from airflow_edge.protocol.messages import Ended, Obeyed, Offer, Order, Refused, Released, Stop, Void, Welcome

LONGEST_SILENCE = 60.0
"""Seconds after which a task of the last agent's is stopped though its supervisor was not heard of: it hangs."""


class Core:
    """The jobs of one worker."""

    def __init__(
        self,
        concurrency: int,
        records: Iterable[JobRecord] = (),
        desired: DesiredState | None = None,
        automatic: Automatic | None = None,
        *,
        jobs_dir: Path = Path("jobs"),
        stop_grace: float = 5.0,
    ) -> None:
        """:param concurrency: slots, unless the desired state says otherwise
        :param records: the unfinished jobs of the journal
        :param desired: what people have made of the worker before
        :param automatic: when it goes into maintenance by itself; never by default
        :param jobs_dir: where the jobs' folders are, for the runtime
        :param stop_grace: seconds that a task has to end by itself
        """
        self.jobs = HeldJobs(records)
        self.worker = WorkerStateMachine(desired or DesiredState(), automatic, live=bool(self.jobs.live()))
        self.conditions: tuple[str, ...] = ()
        """Why no new job is taken now, besides that slots are taken."""
        self.commands: list[Command] = []
        """What the event that is being handled, or was handled last, leads to."""
        self._concurrency = concurrency
        self._jobs_dir = jobs_dir
        self._stop_grace = stop_grace
        self._waiting = WaitingOffers()
        self._connections = 0  # to runtimes, made so far
        self._runtime = 0  # the number of the connection that stands; 0 if none does
        self._now = 0.0
        self._silence_ends: float | None = None
        """When the supervisors of jobs that were taken over have had time to be heard of."""
        self._restarting = ""  # the order that a new agent is to begin for, and to answer
        self._terminating: str | None = None  # why all jobs are to end, if they are

    @property
    def concurrency(self) -> int:
        """Slots in all."""
        return self.worker.desired.concurrency or self._concurrency

    @property
    def free(self) -> int:
        """Free slots."""
        return self.concurrency - self.jobs.slots

    @property
    def due(self) -> float | None:
        """When time alone brings something to do, so that a `TimePassed` is wanted then; None for never."""
        waits = any(self._may_be_asked_again(job) and self._stop_reason(job) is not None for job in self.jobs.live())
        return self._silence_ends if waits else None

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in and give what is to be done, in this order; `now` is monotonic, in seconds.

        :raises IllegalTransitionError: this must not happen; `commands` has what it has led to all the same.
        """
        self.commands = []
        self._now = now
        refused = ""
        match event:
            case Offer():
                self._offered(event)
            case events.OfferedAgain():
                if not event.record.void:
                    self.commands += story(event.record)
            case events.StoreJob():
                self._stored(event.record.key)
            case events.NotStored():
                del self.jobs[event.key]
                self._refuse(event.key, event.reason)
                self._take_waiting()
            case Stop():
                self._stop_asked(event.key, event.reason)
            case Void():
                self._voided(event.key, event.reason)
            case events.Acknowledged():
                self._note_end(event.key, acknowledged=True)
            case events.LogDone():
                self._note_end(event.key, log_done=True)
            case events.RuntimeReady():
                self._on_runtime_ready(event)
            case events.RuntimeGone():
                self._runtime = 0
            case JobStarted():
                self._started(event.key)
            case JobNotStarted() if event.passing:
                self._wait_for_processes(event.key, Stage.ORDERED)
            case JobNotStarted():
                self._ended(event.key, ending(event.key, reason=event.reason))
            case events.Unbegun():
                self._wait_for_processes(event.key, Stage.RUNNING)
            case events.ProcessesBack():
                self._start_or_stop(*self.jobs.unbegun())
            case events.Exited():
                ended = ending(event.key, event.outcome, exit_code=event.exit_code, signal=event.signal)
                self._ended(event.key, ended)
            case events.Seen():
                if job := self._seen(event.key):
                    self._pursue_stop(job)
            case events.StateCallBegan():
                if job := self._seen(event.key):
                    job.state_calls += 1
            case events.StateCallEnded():
                self._state_call_ended(event)
            case events.ConditionsFound():
                self.conditions = event.conditions
                self.commands.append(events.Announce())
            case Order():
                refused = self._obey(event)
            case Welcome():
                self.commands.append(events.Rename(event.name))
            case events.TimePassed():
                for job in self.jobs.live():
                    self._pursue_stop(job)
            case events.TerminateAsked():
                self._terminate(event.reason)
            case events.WorkerEventAtSite():
                self.worker.note(event)
        self._follow()
        if isinstance(event, Order) and event.order_id != self._restarting:
            self._answer(event.order_id, refused)
        return self.commands

    # Offers

    def _offered(self, offer: Offer) -> None:
        key = offer.key
        if job := self.jobs.get(key):
            # One that is being stored is answered when it is.
            if job.stage is not Stage.STORING and not job.record.void:
                self.commands += story(job.record)
        elif key.assignment < max(self.jobs.newest_assignment(key.job_id), self._waiting.newest_assignment(key.job_id)):
            self._refuse(key, "a newer assignment of this job is here")
        elif reason := self._refusal(offer):
            self._refuse(key, reason)
        else:
            for older in self.jobs.others(key):
                self._voided(older.key, "the centre has handed the job out anew")
            if self._must_wait(key):
                self._waiting.add(offer, self._now)
            else:
                self._take(offer)

    @property
    def _takes_none(self) -> str:
        return self.worker.refusal or "; ".join(self.conditions)

    def _refusal(self, offer: Offer) -> str:
        if offer.slots > self.concurrency:
            return f"the job needs {offer.slots} slots, and this worker has {self.concurrency}"
        return self._takes_none

    def _must_wait(self, key: AssignmentKey) -> bool:
        """An offer is better answered late than refused: refused, it would come back at once."""
        return not self._runtime or bool(self.jobs.others(key))

    def _take(self, offer: Offer) -> None:
        key = offer.key
        self._waiting.drop(key.job_id)
        if offer.slots > self.free:
            self._refuse(key, f"{self.free} of {self.concurrency} slots are free")
            return
        record = JobRecord(key=key, kind=offer.kind, slots=offer.slots)
        self.jobs[key] = Job(record=record)
        self.commands.append(events.StoreJob(record, offer))

    def _take_waiting(self) -> None:
        for offer in self._waiting.take(lambda key: not self._must_wait(key), self._now):
            self._take(offer)

    def _stored(self, key: AssignmentKey) -> None:
        job = self.jobs[key]
        job.step(Step.STORED)
        if not job.record.void:
            self.commands += story(job.record)
        self._start_or_stop(job)

    # Stopping

    def _stop_asked(self, key: AssignmentKey, reason: str) -> None:
        if self._waiting.withdraw(key):
            self._refuse(key, reason)
            return
        job = self.jobs.get(key)
        # A task whose state Airflow holds has been stopped by nobody: the centre saw that very state.
        if job and job.stage not in {Stage.RELEASED, Stage.ENDED} and job.record.stop_reason is None:
            job.change(stop_reason=reason)
            self._save(job)
            self._pursue_stop(job)

    def _voided(self, key: AssignmentKey, reason: str) -> None:
        self._waiting.withdraw(key)
        job = self.jobs.get(key)
        if job is None or job.record.void:
            return
        job.change(void=True, acknowledged=not job.live, stop_reason=job.record.stop_reason or reason)
        self._save(job)
        self._pursue_stop(job)

    def _stop_reason(self, job: Job) -> str | None:
        """Why a job is to end; None if it is not."""
        return self._terminating if job.record.stop_reason is None else job.record.stop_reason

    def _may_be_asked_again(self, job: Job) -> bool:
        """Whether a job's supervisor may be about to ask again for an answer that the last agent did not live to give.

        That its task's state is taken, for example: then it is not the stop that ends it.
        """
        silent = job.taken_over and job.record.kind == "task" and job.last_seen is None
        return silent and (self._silence_ends is None or self._now < self._silence_ends)

    def _pursue_stop(self, job: Job) -> None:
        reason, urgent = self._stop_reason(job), job.record.void or self._terminating is not None
        if reason is None or job.stage in {Stage.STORING, Stage.ENDED}:
            return
        if not urgent and (job.stage is Stage.RELEASED or job.state_calls):
            return
        if job.stage is Stage.STORED:
            self._end(job, ending(job.key, reason=reason))
        elif self._runtime and job.stop_sent_to != self._runtime and (urgent or not self._may_be_asked_again(job)):
            job.stop_sent_to = self._runtime
            self._stop(job.key, reason)

    def _stop_if_unwanted(self, key: AssignmentKey) -> None:
        """Stop what is alive though nobody counts with it, however that has come about."""
        if not any(job.key == key for job in self.jobs.live()):
            self._stop(key, "it should not run any more")

    def _stop(self, key: AssignmentKey, reason: str) -> None:
        self.commands.append(StopJob(**key._asdict(), grace=self._stop_grace, reason=reason))

    def _state_call_ended(self, event: events.StateCallEnded) -> None:
        job = self.jobs.get(event.key)
        if job is None or not job.live:
            return
        job.state_calls = max(0, job.state_calls - 1)
        if event.passed and job.stage is not Stage.RELEASED:
            job.step(Step.STATE_TAKEN)
            # That all jobs are to end is no part of the record, and what else it says is over with the state.
            if not job.record.void:
                job.change(stop_reason=None)
            self._save(job)
            if not job.record.void:
                self.commands.append(Released(**job.key._asdict()))
        self._pursue_stop(job)

    # The runtime

    def _on_runtime_ready(self, event: events.RuntimeReady) -> None:
        self._connections += 1
        self._runtime = self._connections
        if self._silence_ends is None:
            self._silence_ends = self._now + LONGEST_SILENCE
        self.worker.initialise()
        for job in [job for job in self.jobs.live() if job.stage is not Stage.STORING]:
            if job.key in event.alive:
                job.step(Step.ALIVE)
                self._pursue_stop(job)
            elif job.stage is Stage.STORED or (job.stage is Stage.ORDERED and job.key in event.unstarted):
                job.step(Step.UNSTARTED)
                self._start_or_stop(job)
            else:
                gone = "the runtime that ran it is gone, and it left no outcome"
                self._ended(job.key, ending(job.key, event.outcomes.get(job.key), reason=gone))
        for key in event.alive:
            self._stop_if_unwanted(key)
        self._take_waiting()

    def _start_or_stop(self, *jobs: Job) -> None:
        for job in jobs:
            if self._stop_reason(job) is not None:
                self._pursue_stop(job)
            elif self._runtime:
                job.step(Step.ORDERED)
                self.commands.append(StartJob(**job.key._asdict(), folder=str(self._jobs_dir / str(job.key))))

    def _wait_for_processes(self, key: AssignmentKey, stage: Stage) -> None:
        """Have a job of this stage wait for `ProcessesBack`, or the next runtime. One that has gone on goes on."""
        job = self.jobs.begun(key)
        if job and job.stage is stage:
            job.step(Step.UNSTARTED)
            if stage is Stage.RUNNING:
                self._save(job)
            self._pursue_stop(job)

    def _started(self, key: AssignmentKey) -> None:
        if job := self.jobs.begun(key):
            job.step(Step.ALIVE)
            self._pursue_stop(job)
        self._stop_if_unwanted(key)

    def _seen(self, key: AssignmentKey) -> Job | None:
        """Note that a job's supervisor is alive: whatever a crash has forgotten, it was started."""
        if job := self.jobs.begun(key):
            job.last_seen = self._now
            job.step(Step.ALIVE)
        return job

    # Endings

    def _ended(self, key: AssignmentKey, ended: Ended) -> None:
        if job := self.jobs.begun(key):
            if not ended.reason and ended.exit_code != 0:
                ended = replace(ended, reason=self._stop_reason(job) or "")
            self._end(job, ended)
            self._take_waiting()

    def _end(self, job: Job, ended: Ended) -> None:
        job.step(Step.ENDED)
        job.change(ended=ended, acknowledged=job.record.void)
        self._save(job)
        self.commands.append(events.Close(job.key))
        if not job.record.void:
            self.commands.append(ended)

    def _note_end(self, key: AssignmentKey, **facts: bool) -> None:
        """Note what the centre has of a job that has ended."""
        job = self.jobs.get(key)
        if job and not job.live:
            before = job.record
            job.change(**facts)
            if job.record != before:
                self._save(job)

    # What people want

    def _obey(self, order: Order) -> str:
        match order.kind:
            case "restart" if self.worker.desired.restarted != order.order_id:
                if self.worker.leaving:
                    # By a signal, perhaps, of which the next agent would know nothing.
                    return SHUTTING_DOWN
                self._restarting = order.order_id
                self.commands.append(events.Restart())
            case "rename":
                self.commands.append(events.Rename(order.text))
        return self.worker.obey(order)

    def _answer(self, order: str, refused: str) -> None:
        self.commands.append(Obeyed(order_id=order, done=not refused, detail=refused, state=self.worker.state))

    def _terminate(self, reason: str) -> None:
        self.worker.leave()
        self._terminating = self._terminating or reason
        for job in self.jobs.live():
            self._pursue_stop(job)

    def _follow(self) -> None:
        """Bring the worker's state up to the jobs, and say what has changed."""
        worker = self.worker
        worker.follow(bool(self.jobs.live()))
        if reason := self._takes_none:
            for key in self._waiting.withdraw_all():
                self._refuse(key, reason)
        if worker.desired_changed:
            self.commands.append(events.KeepDesired(worker.desired))
        if worker.changed or worker.desired_changed:
            self.commands.append(events.Announce())
        worker.changed = worker.desired_changed = False

    def _refuse(self, key: AssignmentKey, reason: str) -> None:
        self.commands.append(Refused(**key._asdict(), reason=reason[:MAX_REASON]))

    def _save(self, job: Job) -> None:
        """Keep a job's record, and nothing else of one that is finished."""
        # Before it is stored there is nothing to replace; `Stored` sees to the rest.
        if job.stage is not Stage.STORING:
            self.commands.append(events.Save(job.record))
        if job.record.finished:
            del self.jobs[job.key]
