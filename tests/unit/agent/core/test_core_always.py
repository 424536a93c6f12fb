"""What holds in every order of events: duplicates, delays, crashes at any point, and runtimes that die."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    Command,
    DrainAsked,
    Event,
    Exited,
    Forget,
    Halt,
    JobRecord,
    LogDone,
    NotStored,
    Offered,
    RuntimeGone,
    RuntimeReady,
    Save,
    Send,
    Start,
    Started,
    StateCallBegan,
    StateCallEnded,
    StopAsked,
    Store,
    Stored,
    TerminateAsked,
    Voided,
)
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Accepted, Ended, Offer, SiteMessage

CONCURRENCY = 3
JOBS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(2)]
keys = st.builds(AssignmentKey, st.sampled_from(JOBS), st.integers(1, 2))


class World(RuleBasedStateMachine):
    """A core with a journal, a runtime, and a machine that may crash between any two commands."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.journal: dict[AssignmentKey, JobRecord] = {}
        self.orders: Counter[AssignmentKey] = Counter()
        self.offered: set[AssignmentKey] = set()
        self.ordered: set[AssignmentKey] = set()
        """Orders to start that the runtime has not read yet."""
        self.alive: set[AssignmentKey] = set()
        self.outcomes: dict[AssignmentKey, Outcome] = {}
        self.halted: set[AssignmentKey] = set()
        self.void: set[AssignmentKey] = set()
        self.acknowledged: set[AssignmentKey] = set()
        self.in_state_call: set[AssignmentKey] = set()
        self.disk_full = False
        self.crash_after: int | None = None
        self.start_agent()

    def start_agent(self) -> None:
        self.connected = False
        self.in_state_call.clear()
        self.halted.clear()
        self.core = Core(CONCURRENCY, [record for record in self.journal.values() if not record.finished])
        self.said: list[SiteMessage] = list(self.core.jobs.reports())

    def let(self, event: Event) -> None:
        waiting = [event]
        while waiting:
            commands = self.core.handle(waiting.pop(0), self.now)
            # The journal is written before anything else of a round.
            for command in commands:
                if isinstance(command, Store | Save | Forget):
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

    def write(self, command: Store | Save | Forget) -> list[Event]:
        record = command.record
        if isinstance(command, Store):
            if self.disk_full:
                return [NotStored(record.key, "disk full")]
            assert record.key not in self.journal, "an assignment was taken twice"
            self.journal[record.key] = record
            return [Stored(record.key)]
        assert record.key in self.journal, "what was never stored was saved"
        self.journal[record.key] = record
        return []

    def obey(self, command: Command) -> None:
        match command:
            case Send(message):
                self.said.append(message)
                if isinstance(message, Accepted):
                    assert message.key in self.journal
                if isinstance(message, Ended):
                    assert message.key not in self.void
            case Start(key):
                self.orders[key] += 1
                self.ordered.add(key)
            case Halt(key, _):
                self.halted.add(key)

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
        self.let(Offered(offer, known))
        self.crash_after = None

    @rule(key=keys, crash=st.none() | st.integers(0, 3))
    def stop(self, key: AssignmentKey, crash: int | None) -> None:
        self.crash_after = crash
        self.let(StopAsked(key, "cleared"))
        self.crash_after = None

    @rule(key=keys)
    def make_void(self, key: AssignmentKey) -> None:
        self.let(Voided(key, "given to another"))
        if key in self.journal and self.journal[key].void:
            self.void.add(key)

    @precondition(lambda self: not self.connected)
    @rule(crash=st.none() | st.integers(0, 5))
    def connect(self, crash: int | None) -> None:
        self.crash_after = crash
        self.connected = True
        self.halted.clear()
        live = {job.key for job in self.core.jobs.live()}
        self.let(RuntimeReady(frozenset(self.alive), {key: o for key, o in self.outcomes.items() if key in live}))
        self.crash_after = None

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
            self.alive.add(key)
            if self.connected:
                self.let(Started(key))
        self.ordered.clear()

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
        self.let(StateCallBegan(key))

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

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds

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
        assert all(count == 1 for count in self.orders.values())
        assert set(self.orders) <= self.offered

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
            assert unwanted <= self.halted

    @invariant()
    def a_worker_that_is_over_has_no_job(self) -> None:
        assert not self.core.over or not self.core.jobs.live()

    def teardown(self) -> None:
        """Whatever has happened, once everything works again everything comes to its end."""
        if not hasattr(self, "core"):
            return
        self.disk_full = False
        if not self.connected:
            self.connected = True
            self.let(RuntimeReady(frozenset(self.alive), dict(self.outcomes)))
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
