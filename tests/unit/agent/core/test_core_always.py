"""What holds in every order of events: duplicates, delays, crashes at any point, and runtimes that die."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_edge.agent.core.core import LONGEST_SILENCE, Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    Command,
    DrainAsked,
    Event,
    Exited,
    JobRecord,
    LogDone,
    NotStored,
    OfferedAgain,
    ProcessesBack,
    RuntimeGone,
    RuntimeReady,
    Save,
    Seen,
    StateCallBegan,
    StateCallEnded,
    StoreJob,
    TerminateAsked,
    TimePassed,
)
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobNotStarted, JobStarted, Outcome, StartJob, StopJob
from airflow_edge.protocol.messages import Accepted, Ended, Obeyed, Offer, Refused, Released, SiteMessage, Stop, Void

CONCURRENCY = 3
JOBS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(2)]
keys = st.builds(AssignmentKey, st.sampled_from(JOBS), st.integers(1, 2))


class World(RuleBasedStateMachine):
    """A core with a journal, a runtime, and a machine that may crash between any two commands."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.journal: dict[AssignmentKey, JobRecord] = {}
        self.starts: Counter[AssignmentKey] = Counter()
        self.offered: set[AssignmentKey] = set()
        self.ordered: set[AssignmentKey] = set()
        """Orders to start that the runtime has not read yet."""
        self.begun: set[AssignmentKey] = set()
        """Jobs whose folder tells that a runtime has begun them: no runtime begins them again."""
        self.alive: set[AssignmentKey] = set()
        self.outcomes: dict[AssignmentKey, Outcome] = {}
        self.stopped: set[AssignmentKey] = set()
        self.void: set[AssignmentKey] = set()
        self.acknowledged: set[AssignmentKey] = set()
        self.in_state_call: set[AssignmentKey] = set()
        self.disk_full = False
        self.no_process = False
        self.crash_after: int | None = None
        self.start_agent()

    def start_agent(self) -> None:
        self.connected = False
        self.in_state_call.clear()
        self.stopped.clear()
        self.heard: set[AssignmentKey] = set()
        self.first_ready: float | None = None
        self.core = Core(CONCURRENCY, [record for record in self.journal.values() if not record.finished])
        self.taken_over = set(self.core.jobs)
        self.said: list[SiteMessage] = list(self.core.jobs.reports())

    def let(self, event: Event) -> None:
        waiting = [event]
        while waiting:
            commands = self.core.handle(waiting.pop(0), self.now)
            # The journal is written before anything else of a round.
            for command in commands:
                if isinstance(command, StoreJob | Save):
                    if self.crashes():
                        return
                    waiting += self.write(command)
            for command in commands:
                if self.crashes():
                    return
                self.obey(command)

    def crashes(self) -> bool:
        if self.crash_after is None:
            return False
        self.crash_after -= 1
        if self.crash_after >= 0:
            return False
        self.crash_after = None
        self.start_agent()
        return True

    def write(self, command: StoreJob | Save) -> list[Event]:
        record = command.record
        if isinstance(command, StoreJob):
            if self.disk_full:
                return [NotStored(record.key, "disk full")]
            assert record.key not in self.journal, "an assignment was taken twice"
            self.journal[record.key] = record
            return [command]
        assert record.key in self.journal, "what was never stored was saved"
        self.journal[record.key] = record
        return []

    def obey(self, command: Command) -> None:
        match command:
            case Accepted() | Refused() | Released() | Ended() | Obeyed():
                self.said.append(command)
                if isinstance(command, Accepted):
                    assert command.key in self.journal
                if isinstance(command, Ended):
                    assert command.key not in self.void
            case StartJob():
                assert command.key not in self.begun, "what runs, or has run, is ordered again"
                assert command.key in self.journal
                self.ordered.add(command.key)
            case StopJob():
                self.stopped.add(command.key)

    # What may happen

    @precondition(lambda self: self.journal)
    @rule(data=st.data())
    def offer_again(self, data: st.DataObject) -> None:
        self.offer(data.draw(st.sampled_from(sorted(self.journal))), 1, None)

    @rule(key=keys, slots=st.integers(1, CONCURRENCY), crash=st.none() | st.integers(0, 4))
    def offer_something(self, key: AssignmentKey, slots: int, crash: int | None) -> None:
        self.offer(key, slots, crash)

    def offer(self, key: AssignmentKey, slots: int, crash: int | None) -> None:
        self.crash_after = crash
        self.offered.add(key)
        known = None if key in self.core.jobs else self.journal.get(key)
        offer = Offer(
            job_id=key.job_id,
            assignment=key.assignment,
            kind="task",
            queue="q",
            slots=slots,
            lease=10,
            workload=b"",
        )
        self.let(offer if known is None else OfferedAgain(known))
        self.crash_after = None

    @rule(key=keys, crash=st.none() | st.integers(0, 3))
    def stop(self, key: AssignmentKey, crash: int | None) -> None:
        self.crash_after = crash
        self.let(Stop(job_id=key.job_id, assignment=key.assignment, reason="cleared"))
        self.crash_after = None

    @rule(key=keys)
    def make_void(self, key: AssignmentKey) -> None:
        self.let(Void(job_id=key.job_id, assignment=key.assignment, reason="given to another"))
        if key in self.journal and self.journal[key].void:
            self.void.add(key)

    @precondition(lambda self: not self.connected)
    @rule(crash=st.none() | st.integers(0, 5))
    def connect(self, crash: int | None) -> None:
        self.crash_after = crash
        self.greet()
        self.crash_after = None

    def greet(self) -> None:
        self.connected = True
        self.stopped.clear()
        if self.first_ready is None:
            self.first_ready = self.now
        live = {job.key for job in self.core.jobs.live()}
        outcomes = {key: outcome for key, outcome in self.outcomes.items() if key in live}
        self.let(RuntimeReady(frozenset(self.alive), outcomes, frozenset(live - self.begun)))

    @precondition(lambda self: self.connected)
    @rule(dies=st.booleans())
    def disconnect(self, dies: bool) -> None:
        self.connected = False
        if dies:
            self.alive.clear()
            self.ordered.clear()
        self.let(RuntimeGone())

    @precondition(lambda self: self.ordered)
    @rule()
    def start_what_was_ordered(self) -> None:
        """The runtime may read an order late, even after the next connection was greeted."""
        for key in sorted(self.ordered):
            if key not in self.begun and self.no_process:
                if self.connected:
                    self.let(
                        JobNotStarted(job_id=key.job_id, assignment=key.assignment, reason="no process", passing=True)
                    )
                continue
            if key not in self.begun:
                self.begun.add(key)
                self.alive.add(key)
                self.starts[key] += 1
            if not self.connected:
                continue
            if key in self.alive:
                self.let(JobStarted(job_id=key.job_id, assignment=key.assignment, pid=4711))
            else:
                self.let(JobNotStarted(job_id=key.job_id, assignment=key.assignment, reason="it was started before"))
        self.ordered.clear()

    @rule(lacking=st.booleans(), crash=st.none() | st.integers(0, 3))
    def have_processes(self, lacking: bool, crash: int | None) -> None:
        self.no_process = lacking
        if not lacking and self.connected:
            self.crash_after = crash
            self.let(ProcessesBack())
            self.crash_after = None

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), code=st.integers(0, 1), crash=st.none() | st.integers(0, 3))
    def exit(self, data: st.DataObject, code: int, crash: int | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(key)
        self.outcomes[key] = Outcome(job_id=key.job_id, assignment=key.assignment, exit_code=code)
        if self.connected:
            self.crash_after = crash
            self.let(Exited(key, code, None, self.outcomes[key]))
            self.crash_after = None

    @precondition(lambda self: self.alive - self.in_state_call)
    @rule(data=st.data())
    def begin_state_call(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.alive - self.in_state_call)))
        self.in_state_call.add(key)
        self.heard.add(key)
        self.let(StateCallBegan(key))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.alive)))
        self.heard.add(key)
        self.let(Seen(key))

    @precondition(lambda self: self.in_state_call)
    @rule(data=st.data(), passed=st.booleans())
    def end_state_call(self, data: st.DataObject, passed: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_state_call)))
        self.in_state_call.discard(key)
        self.let(StateCallEnded(key, passed))

    @property
    def reported(self) -> set[AssignmentKey]:
        """The jobs whose end was told since the agent's start."""
        return {m.key for m in self.said if isinstance(m, Ended)}

    @precondition(lambda self: self.reported)
    @rule(data=st.data(), with_log=st.booleans())
    def acknowledge(self, data: st.DataObject, with_log: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.reported)))
        self.acknowledged.add(key)
        self.let(Acknowledged(key))
        if with_log:
            self.let(LogDone(key))

    @rule(key=keys)
    def log_done(self, key: AssignmentKey) -> None:
        self.let(LogDone(key))

    @rule(free=st.integers(0, 3))
    def fill_disk(self, free: int) -> None:
        self.disk_full = not free

    @rule(seconds=st.floats(0, 12) | st.just(LONGEST_SILENCE))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.is_overdue():
            self.let(TimePassed())
            assert not self.is_overdue(), "it would be asked again at once, for ever"

    def is_overdue(self) -> bool:
        return self.core.due is not None and self.now >= self.core.due

    @rule()
    def crash(self) -> None:
        self.start_agent()

    @rule(command=st.integers(0, 9))
    def leave(self, command: int) -> None:
        # Rarely: a worker that leaves has little to do any more.
        if command < 2:
            self.let(TerminateAsked() if command else DrainAsked())

    # What must hold

    @invariant()
    def each_assignment_is_started_at_most_once(self) -> None:
        assert all(count == 1 for count in self.starts.values())
        assert set(self.starts) | self.ordered <= self.offered

    @invariant()
    def every_end_is_reported_until_it_is_acknowledged(self) -> None:
        ended = {record.key for record in self.journal.values() if record.ended is not None and not record.void}
        assert ended - self.acknowledged <= self.reported

    @invariant()
    def slots_are_never_overbooked(self) -> None:
        assert 0 <= self.core.free <= CONCURRENCY

    @invariant()
    def what_should_not_run_is_being_stopped(self) -> None:
        if self.connected:
            unwanted = self.alive - {job.key for job in self.core.jobs.live()}
            unwanted |= {key for key in self.alive if self.journal[key].stop_reason is not None} - self.in_state_call
            if self.first_ready is not None and self.now < self.first_ready + LONGEST_SILENCE:
                # Its supervisor may be about to ask for an answer that the last agent did not live to give.
                may_wait = (self.taken_over & set(self.core.jobs)) - self.heard
                unwanted -= {key for key in may_wait if not self.journal[key].void}
            assert unwanted <= self.stopped

    @invariant()
    def a_worker_that_is_over_has_no_job(self) -> None:
        assert not self.core.worker.over or not self.core.jobs.live()

    def teardown(self) -> None:
        """Whatever has happened, once everything works again everything comes to its end."""
        if not hasattr(self, "core"):
            return
        self.disk_full = False
        if not self.connected:
            self.greet()
        self.have_processes(lacking=False, crash=None)
        self.wait(LONGEST_SILENCE)
        self.what_should_not_run_is_being_stopped()
        for key in sorted(self.in_state_call):
            self.let(StateCallEnded(key, passed=True))
        for _ in range(4):
            self.start_what_was_ordered()
            for key in sorted(self.alive):
                self.alive.discard(key)
                self.let(Exited(key, 0, None, None))
        self.every_end_is_reported_until_it_is_acknowledged()
        self.each_assignment_is_started_at_most_once()
        for key in list(self.journal):
            self.let(Acknowledged(key))
            self.let(LogDone(key))
        assert not self.core.jobs
        assert all(record.finished for record in self.journal.values())


World.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestWorld = World.TestCase


def test_a_task_that_was_taken_over_and_is_to_stop_is_stopped_when_nothing_is_heard_of_it() -> None:
    """Found by the machine above: without an end to the waiting, a supervisor that hangs was never stopped."""
    world = World()
    world.begin()
    key = AssignmentKey(JOBS[0], 1)
    world.offer_something(key, 1, None)
    world.connect(None)
    world.crash()
    world.start_what_was_ordered()
    world.connect(None)
    world.stop(key, None)
    assert not world.stopped
    world.wait(LONGEST_SILENCE)
    assert world.stopped == {key}


def test_that_a_task_is_stopped_is_over_with_its_state_though_everything_was_to_end() -> None:
    """Found by the machine above: the next agent found a reason in the journal that nobody had any more."""
    world = World()
    world.begin()
    key = AssignmentKey(JOBS[0], 1)
    world.connect(None)
    world.offer_something(key, 1, None)
    world.start_what_was_ordered()
    world.let(StateCallBegan(key))
    world.leave(1)
    world.stop(key, None)
    world.let(StateCallEnded(key, passed=True))
    assert world.journal[key].stop_reason is None
    assert world.stopped == {key}
