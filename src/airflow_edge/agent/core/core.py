"""What the agent does with jobs, decided without I/O: an event comes in, commands go out, and the driver obeys them.

A job is `accepted` when it is in the journal, `running` when its supervisor is there, `released` when Airflow holds the
state of its task, and `ended` when its process is gone. After a crash the core is made anew from the journal's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_edge.agent.core.automatic import Automatic
from airflow_edge.agent.core.events import (
    Acknowledged,
    Announce,
    Close,
    Command,
    ConditionsFound,
    DrainAsked,
    Event,
    ExitAsked,
    Exited,
    Forget,
    Halt,
    JobRecord,
    LogDone,
    MaintenanceAsked,
    Named,
    NotStarted,
    NotStored,
    Offered,
    Ordered,
    Rename,
    Restart,
    RuntimeGone,
    RuntimeReady,
    Save,
    Seen,
    Send,
    Stand,
    Standing,
    Start,
    Started,
    StateCallBegan,
    StateCallEnded,
    StatusFound,
    StopAsked,
    Store,
    Stored,
    TerminateAsked,
    Voided,
)
from airflow_edge.agent.core.job import Job, accepted, story
from airflow_edge.agent.core.jobs import Jobs
from airflow_edge.agent.core.offers import WaitingOffers, key_of
from airflow_edge.agent.core.worker_state import SHUTTING_DOWN, Stance
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Ended, Obeyed, Offer, Order, Refused, Released, SiteMessage
from airflow_edge.protocol.states import WorkerState


class Core:
    """The jobs of one worker."""

    def __init__(
        self,
        concurrency: int,
        records: Iterable[JobRecord] = (),
        standing: Standing | None = None,
        automatic: Automatic | None = None,
    ) -> None:
        """Make it.

        :param concurrency: slots, unless the standing says otherwise
        :param records: the unfinished jobs of the journal
        :param standing: what people have made of the worker before
        :param automatic: when it goes into maintenance by itself; never by default
        """
        self.stance = Stance(standing or Standing(), automatic or Automatic())
        self._concurrency = concurrency
        self.conditions: tuple[str, ...] = ()
        """Why no new job is taken now, besides that slots are taken."""
        self._runtime_ready = False
        self._waiting = WaitingOffers()
        self.jobs = Jobs(records)
        self._commands: list[Command] = []

    # What others may ask

    @property
    def state(self) -> WorkerState:
        """The worker's state."""
        return self.stance.state

    @property
    def leaving(self) -> bool:
        """Whether the worker was told to go."""
        return self.stance.leaving

    @property
    def over(self) -> bool:
        """Whether the worker was told to go and no job's process is left."""
        return self.stance.over

    @property
    def concurrency(self) -> int:
        """Slots in all."""
        return self.stance.standing.concurrency or self._concurrency

    @property
    def free(self) -> int:
        """Free slots."""
        return self.concurrency - self.jobs.slots

    # What happens

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in and give what is to be done, in this order; `now` is monotonic, in seconds."""
        self._commands = []
        refused = ""
        match event:
            case Offered():
                self._offered(event, now)
            case Stored():
                self._stored(event.key)
            case NotStored():
                self._not_stored(event.key, event.reason, now)
            case StopAsked():
                self._stop_asked(event.key, event.reason)
            case Voided():
                self._voided(event.key, event.reason)
            case Acknowledged():
                self._acknowledged(event.key)
            case LogDone():
                self._log_done(event.key)
            case RuntimeReady():
                self._on_runtime_ready(event, now)
            case RuntimeGone():
                self._runtime_ready = False
            case Started():
                self._started(event.key)
            case NotStarted():
                self._ended(event.key, now, reason=event.reason)
            case Exited():
                self._exited(event, now)
            case Seen():
                if job := self.jobs.get(event.key):
                    job.last_seen = now
                    job.silent = False
                    self._pursue_stop(job)
            case StateCallBegan():
                if job := self.jobs.get(event.key):
                    job.state_calls += 1
                    job.last_seen = now
                    job.silent = False
            case StateCallEnded():
                self._state_call_ended(event)
            case ConditionsFound():
                self.conditions = event.conditions
                self._do(Announce())
            case StatusFound():
                self.stance.note_status(event.status, event.text)
            case Ordered():
                refused = self._obey(event.order)
            case Named():
                self._do(Rename(event.name))
            case MaintenanceAsked():
                self.stance.maintain(event.comment, "site")
            case ExitAsked():
                self.stance.exit_maintenance()
            case DrainAsked():
                self.stance.leave()
            case TerminateAsked():
                self._terminate(event.reason)
        self._follow()
        if isinstance(event, Ordered):
            self._say(Obeyed(order_id=event.order.order_id, done=not refused, detail=refused, state=self.state))
        return self._commands

    # Offers

    def _offered(self, event: Offered, now: float) -> None:
        offer = event.offer
        key = key_of(offer)
        if job := self.jobs.get(key):
            # One that is being stored is answered when it is.
            if job.stored and not job.void:
                self._say(*story(job.record()))
        elif event.known is not None:
            if not event.known.void:
                self._say(*story(event.known))
        elif self._is_stale(key):
            self._refuse(key, "a newer assignment of this job is here")
        elif reason := self._objection(offer):
            self._refuse(key, reason)
        else:
            for older in self.jobs.others(key):
                self._voided(older.key, "the centre has handed the job out anew")
            if self._must_wait(key):
                self._waiting.add(offer, now)
            else:
                self._take(offer)

    def _is_stale(self, key: AssignmentKey) -> bool:
        newest = max(self.jobs.newest_assignment(key.job_id), self._waiting.newest_assignment(key.job_id))
        return key.assignment < newest

    def _objection(self, offer: Offer) -> str:
        if self.stance.objection:
            return self.stance.objection
        if offer.slots > self.concurrency:
            return f"the job needs {offer.slots} slots, and this worker has {self.concurrency}"
        return "; ".join(self.conditions)

    def _must_wait(self, key: AssignmentKey) -> bool:
        """An offer is better answered late than refused: refused, it would come back at once."""
        return not self._runtime_ready or bool(self.jobs.others(key))

    def _take(self, offer: Offer) -> None:
        key = key_of(offer)
        self._waiting.drop(key.job_id)
        if offer.slots > self.free:
            self._refuse(key, f"{self.free} of {self.concurrency} slots are free")
            return
        job = Job(key=key, kind=offer.kind, slots=offer.slots, stored=False, start_sent=False)
        self.jobs[key] = job
        self._do(Store(job.record(), offer))

    def _take_waiting(self, now: float) -> None:
        for offer in self._waiting.take(lambda key: not self._must_wait(key), now):
            self._take(offer)

    def _stored(self, key: AssignmentKey) -> None:
        job = self.jobs[key]
        job.stored = True
        if not job.void:
            self._say(accepted(key))
        self._start_or_stop(job)

    def _not_stored(self, key: AssignmentKey, reason: str, now: float) -> None:
        if self.jobs.pop(key, None):
            self._refuse(key, reason)
            self._take_waiting(now)

    # Stopping

    def _stop_asked(self, key: AssignmentKey, reason: str) -> None:
        if self._waiting.withdraw(key):
            self._refuse(key, reason)
            return
        job = self.jobs.get(key)
        # A task whose state Airflow holds has been stopped by nobody: the centre saw that very state.
        if job is None or job.phase in {"released", "ended"} or job.stop_reason is not None:
            return
        job.stop_reason = reason
        self._save(job)
        self._pursue_stop(job)

    def _voided(self, key: AssignmentKey, reason: str) -> None:
        self._waiting.withdraw(key)
        job = self.jobs.get(key)
        if job is None or job.void:
            return
        job.void = job.urgent = True
        job.acknowledged = not job.live
        job.stop_reason = job.stop_reason or reason
        self._save(job)
        self._pursue_stop(job)
        self._forget_if_finished(job)

    def _pursue_stop(self, job: Job) -> None:
        if job.stop_reason is None or not job.live or not job.stored:
            return
        if not job.urgent and (job.phase == "released" or job.state_calls):
            return
        if not job.start_sent:
            self._end(job, Ended(job_id=job.key.job_id, assignment=job.key.assignment, reason=job.stop_reason))
        elif self._runtime_ready and not job.halt_sent and (job.urgent or not job.silent):
            job.halt_sent = True
            self._do(Halt(job.key, job.stop_reason))

    def _state_call_ended(self, event: StateCallEnded) -> None:
        job = self.jobs.get(event.key)
        if job is None or not job.live:
            return
        job.state_calls = max(0, job.state_calls - 1)
        if event.passed and job.phase != "released":
            job.phase = "released"
            if not job.urgent:
                job.stop_reason = None
            self._save(job)
            if not job.void:
                self._say(Released(job_id=job.key.job_id, assignment=job.key.assignment))
        self._pursue_stop(job)

    # The runtime

    def _on_runtime_ready(self, event: RuntimeReady, now: float) -> None:
        self._runtime_ready = True
        self.stance.initialise()
        for job in [job for job in self.jobs.live() if job.stored]:
            job.halt_sent = False
            if job.key in event.alive:
                job.phase = "running" if job.phase == "accepted" else job.phase
                self._pursue_stop(job)
            elif not job.start_sent or job.key in event.unstarted:
                job.start_sent = False
                self._start_or_stop(job)
            elif outcome := event.outcomes.get(job.key):
                self._ended(job.key, now, exit_code=outcome.exit_code, reason=outcome.reason)
            else:
                self._ended(job.key, now, reason="the runtime that ran it is gone, and it left no outcome")
        for key in event.alive:
            self._halt_if_unwanted(key)
        self._take_waiting(now)

    def _start_or_stop(self, job: Job) -> None:
        if job.stop_reason is not None:
            self._pursue_stop(job)
        elif self._runtime_ready:
            job.start_sent = True
            self._do(Start(job.key))

    def _started(self, key: AssignmentKey) -> None:
        job = self.jobs.get(key)
        if job and job.phase == "accepted":
            job.phase = "running"
        self._halt_if_unwanted(key)

    def _halt_if_unwanted(self, key: AssignmentKey) -> None:
        job = self.jobs.get(key)
        if job is None or not job.live:
            self._do(Halt(key, "it should not run any more"))

    def _exited(self, event: Exited, now: float) -> None:
        outcome: Outcome | None = event.outcome
        if outcome is not None:
            self._ended(event.key, now, exit_code=outcome.exit_code, reason=outcome.reason)
        else:
            self._ended(event.key, now, exit_code=event.exit_code, signal=event.signal)

    def _ended(
        self,
        key: AssignmentKey,
        now: float,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        reason: str = "",
    ) -> None:
        job = self.jobs.get(key)
        if job is None or not job.live:
            return
        if not reason and exit_code != 0:
            reason = job.stop_reason or ""
        ended = Ended(
            job_id=key.job_id, assignment=key.assignment, exit_code=exit_code, signal=signal, reason=reason[:4096]
        )
        self._end(job, ended)
        self._take_waiting(now)

    # Endings

    def _end(self, job: Job, ended: Ended) -> None:
        job.phase = "ended"
        job.ended = ended
        job.acknowledged = job.void
        self._save(job)
        self._do(Close(job.key))
        if not job.void:
            self._say(ended)
        self._forget_if_finished(job)

    def _acknowledged(self, key: AssignmentKey) -> None:
        job = self.jobs.get(key)
        if job and not job.live and not job.acknowledged:
            job.acknowledged = True
            self._save(job)
            self._forget_if_finished(job)

    def _log_done(self, key: AssignmentKey) -> None:
        job = self.jobs.get(key)
        if job and not job.live and not job.log_done:
            job.log_done = True
            self._save(job)
            self._forget_if_finished(job)

    def _forget_if_finished(self, job: Job) -> None:
        if not job.live and job.acknowledged and job.log_done:
            del self.jobs[job.key]
            self._do(Forget(job.record()))

    # What people want

    def _obey(self, order: Order) -> str:
        match order.kind:
            case "restart" if self.stance.standing.restarted != order.order_id:
                if self.leaving:
                    # The next agent would know nothing of that.
                    return SHUTTING_DOWN
                self._do(Restart())
            case "rename":
                self._do(Rename(order.text))
        return self.stance.obey(order)

    def _terminate(self, reason: str) -> None:
        self.stance.leave()
        for job in self.jobs.live():
            job.urgent = True
            if job.stop_reason is None:
                job.stop_reason = reason
            self._pursue_stop(job)

    def _follow(self) -> None:
        """Bring the worker's state up to the jobs, and say what has changed."""
        stance = self.stance
        stance.follow(bool(self.jobs.live()))
        if stance.objection:
            for key in self._waiting.withdraw_all():
                self._refuse(key, stance.objection)
        if stance.standing_changed:
            self._do(Stand(stance.standing))
        if stance.changed or stance.standing_changed:
            self._do(Announce())
        stance.changed = stance.standing_changed = False

    # Commands

    def _do(self, command: Command) -> None:
        self._commands.append(command)

    def _say(self, *messages: SiteMessage) -> None:
        self._commands += [Send(message) for message in messages]

    def _refuse(self, key: AssignmentKey, reason: str) -> None:
        self._say(Refused(job_id=key.job_id, assignment=key.assignment, reason=reason[:4096]))

    def _save(self, job: Job) -> None:
        # Before it is stored there is nothing to replace; `Stored` sees to the rest.
        if job.stored:
            self._do(Save(job.record()))
