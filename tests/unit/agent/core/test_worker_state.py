from __future__ import annotations

import logging
from uuid import uuid4

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_edge.agent.core.events import Deadline, DesiredState
from airflow_edge.agent.core.worker_state import (
    IN_MAINTENANCE,
    NOT_IN_MAINTENANCE,
    SHUTTING_DOWN,
    Automatic,
    WorkerStateMachine,
)
from airflow_edge.protocol.messages import MAX_TEXT, Order
from airflow_edge.protocol.states import MAINTENANCE, REQUESTS, WorkerState


def order(kind, text="", number=None):
    return Order(order_id=str(uuid4()), kind=kind, text=text, number=number)


def ready(*, live=False, automatic=None, **desired):
    worker = WorkerStateMachine(DesiredState(**desired), automatic)
    worker.initialise()
    worker.follow(live)
    return worker


@pytest.mark.parametrize(
    ("live", "there", "back"),
    [
        (False, WorkerState.MAINTENANCE_MODE, WorkerState.IDLE),
        (True, WorkerState.MAINTENANCE_PENDING, WorkerState.RUNNING),
    ],
)
def test_into_maintenance_and_out_of_it(live, there, back):
    worker = ready(live=live)
    assert worker.obey(order("maintenance", "new disk")) == ""
    worker.follow(live)
    assert (worker.state, worker.refusal, worker.desired.maintenance) == (there, IN_MAINTENANCE, "new disk")
    assert worker.obey(order("maintenance comment", "an old one")) == ""
    assert worker.desired.maintenance == "an old one"
    assert worker.obey(order("exit maintenance")) == ""
    worker.follow(live)
    assert (worker.state, worker.refusal, worker.desired.maintenance) == (back, "", None)


def test_a_comment_fits_into_a_message_whoever_wrote_it():
    worker = ready()
    worker.maintain("x" * 5000, "admin")
    assert worker.desired.maintenance == "x" * MAX_TEXT


def test_pending_becomes_maintenance_when_the_last_task_is_done():
    worker = ready(live=True)
    worker.maintain("", "site")
    worker.follow(live=True)
    worker.follow(live=False)
    assert worker.state is WorkerState.MAINTENANCE_MODE


def test_a_worker_that_was_in_maintenance_comes_back_in_it():
    assert ready(maintenance="moved").state is WorkerState.MAINTENANCE_MODE
    assert ready(live=True, maintenance="moved").state is WorkerState.MAINTENANCE_PENDING


def test_what_is_asked_before_the_runtime_is_ready_counts_when_it_is():
    worker = WorkerStateMachine(DesiredState())
    worker.maintain("early", "site")
    assert (worker.state, worker.refusal) == (WorkerState.STARTING, IN_MAINTENANCE)
    worker.initialise()
    worker.follow(live=False)
    assert worker.state is WorkerState.MAINTENANCE_MODE


@pytest.mark.parametrize(
    ("desired", "end"), [({}, WorkerState.OFFLINE), ({"maintenance": "x"}, WorkerState.OFFLINE_MAINTENANCE)]
)
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_shutting_down(desired, end, live, ordered):
    worker = ready(live=live, **desired)
    if ordered:
        assert worker.obey(order("shutdown")) == ""
    else:
        worker.leave()
    worker.follow(live)
    assert worker.state is (WorkerState.TERMINATING if live else end)
    worker.follow(live=False)
    assert worker.state is end
    assert worker.over


def test_one_that_shuts_down_does_nothing_else_any_more():
    worker = ready(live=True)
    worker.leave()
    worker.follow(live=True)
    assert worker.obey(order("maintenance")) == worker.obey(order("exit maintenance")) == SHUTTING_DOWN
    assert not worker.in_maintenance


def test_what_is_not_in_maintenance_has_no_comment_on_it_and_need_not_leave_it():
    worker = ready()
    assert worker.obey(order("exit maintenance")) == ""
    assert worker.obey(order("maintenance comment", "x")) == NOT_IN_MAINTENANCE
    assert worker.state is WorkerState.IDLE


def test_what_is_kept_is_said_once():
    worker = ready()
    worker.changed = worker.desired_changed = False
    worker.obey(order("concurrency", number=3))
    assert (worker.changed, worker.desired_changed, worker.desired.concurrency) == (False, True, 3)
    worker.desired_changed = False
    worker.obey(order("concurrency", number=3))
    assert not worker.desired_changed


BOTH_WAYS = Automatic(enter_at=logging.ERROR, leave_below=logging.WARNING)


def test_into_maintenance_by_itself_and_out_of_it():
    worker = ready(automatic=BOTH_WAYS)
    worker.note_status(logging.WARNING, "warm")
    assert not worker.in_maintenance
    worker.note_status(logging.ERROR, "the disk is hot")
    worker.follow(live=False)
    assert (worker.state, worker.desired.cause) == (WorkerState.MAINTENANCE_MODE, "system")
    assert worker.desired.maintenance == "the status is error: the disk is hot"
    worker.note_status(logging.WARNING, "warm")
    assert worker.in_maintenance
    worker.note_status(logging.INFO, "")
    worker.follow(live=False)
    assert (worker.state, worker.desired) == (WorkerState.IDLE, DesiredState())


def test_out_of_it_also_after_a_restart():
    before = ready(automatic=BOTH_WAYS)
    before.note_status(logging.ERROR, "")
    after = WorkerStateMachine(before.desired, BOTH_WAYS)
    after.note_status(logging.INFO, "")
    after.initialise()
    after.follow(live=False)
    assert after.state is WorkerState.IDLE


@pytest.mark.parametrize("kind", ["maintenance", "maintenance comment"])
def test_a_maintenance_that_a_person_has_taken_over_is_the_persons(kind):
    worker = ready(automatic=BOTH_WAYS)
    worker.note_status(logging.ERROR, "hot")
    assert worker.obey(order(kind, "I will look at it")) == ""
    assert (worker.desired.cause, worker.desired.maintenance) == ("admin", "I will look at it")
    worker.note_status(logging.INFO, "")
    assert worker.in_maintenance


@pytest.mark.parametrize("comment", ["new disk", "the status is error: hot"])
def test_a_persons_maintenance_never_ends_by_itself_whatever_its_comment_says(comment):
    worker = ready(automatic=BOTH_WAYS)
    worker.maintain(comment, "site")
    for status in (logging.ERROR, logging.INFO):
        worker.note_status(status, "")
    assert (worker.in_maintenance, worker.desired.cause) == (True, "site")


def test_a_person_who_ends_it_has_the_last_word_until_the_status_was_good():
    worker = ready(automatic=BOTH_WAYS)
    worker.note_status(logging.ERROR, "hot")
    assert worker.exit_maintenance() == ""
    assert worker.desired == DesiredState(overruled=True)
    again = WorkerStateMachine(worker.desired, BOTH_WAYS)
    again.note_status(logging.ERROR, "hotter")
    assert not again.in_maintenance
    again.note_status(logging.WARNING, "")
    again.note_status(logging.ERROR, "hot")
    assert (again.in_maintenance, again.desired.cause) == (True, "system")


def test_one_that_shuts_down_does_not_go_anywhere_by_itself():
    worker = ready(automatic=BOTH_WAYS, maintenance="hot", cause="system")
    worker.leave()
    worker.note_status(logging.INFO, "")
    assert worker.desired.maintenance == "hot"


def test_who_was_told_to_go_goes_though_its_agent_was_replaced_meanwhile():
    before, asked = ready(live=True), order("shutdown")
    assert before.obey(asked) == ""
    before.follow(live=True)
    after = ready(live=True, **msgspec.structs.asdict(before.desired))
    assert (after.state, after.refusal) == (WorkerState.TERMINATING, SHUTTING_DOWN)
    after.follow(live=False)
    assert after.over
    back = ready(**msgspec.structs.asdict(after.desired))
    assert back.obey(asked) == ""
    back.follow(live=False)
    assert (back.state, back.refusal) == (WorkerState.IDLE, "")
    back.obey(order("shutdown"))
    back.follow(live=False)
    assert back.over


def test_who_was_stopped_at_the_site_goes_too_and_in_the_same_time():
    before = ready(live=True)
    before.stop(Deadline(1000.0, 600.0))
    before.stop()
    before.follow(live=True)
    after = ready(live=True, **msgspec.structs.asdict(before.desired))
    assert (after.state, after.desired.deadline) == (WorkerState.TERMINATING, Deadline(1000.0, 600.0))
    after.stop(Deadline(2000.0, 900.0))
    assert after.desired.deadline == Deadline(2000.0, 900.0)
    after.follow(live=False)
    assert (after.over, after.desired) == (True, DesiredState())


def test_a_signal_is_for_the_agent_that_got_it():
    before = ready(live=True)
    before.leave()
    before.follow(live=True)
    assert not WorkerStateMachine(before.desired).leaving


class Anything(RuleBasedStateMachine):
    """Whatever is asked in whatever order: no step is refused, and the state says whether jobs are taken."""

    def __init__(self):
        super().__init__()
        self.live = False
        self.worker = WorkerStateMachine(DesiredState(), BOTH_WAYS)

    @rule(status=st.sampled_from([logging.INFO, logging.WARNING, logging.ERROR]))
    def note_status(self, status):
        before = self.worker.desired
        self.worker.note_status(status, "")
        self.worker.follow(self.live)
        if before.maintenance is not None and before.cause != "system":
            assert self.worker.desired == msgspec.structs.replace(before, overruled=self.worker.desired.overruled)

    @rule(kind=st.sampled_from(["maintenance", "maintenance comment", "exit maintenance", "shutdown", "concurrency"]))
    def obey(self, kind):
        self.worker.obey(order(kind, "text", 2))
        self.worker.follow(self.live)

    @rule()
    def initialise(self):
        self.worker.initialise()
        self.worker.follow(self.live)

    @rule()
    def leave(self):
        self.worker.leave()
        self.worker.follow(self.live)

    @rule()
    def stop(self):
        self.worker.stop()
        self.worker.follow(self.live)

    @precondition(lambda self: not self.worker.refusal and self.worker.state is not WorkerState.STARTING)
    @rule()
    def take(self):
        self.live = True
        self.worker.follow(live=True)

    @rule()
    def done(self):
        self.live = False
        self.worker.follow(live=False)

    @rule()
    def restart(self):
        if not self.worker.over:
            self.worker = WorkerStateMachine(self.worker.desired, BOTH_WAYS)
            self.worker.follow(self.live)

    @invariant()
    def the_state_tells_the_truth(self):
        state, worker = self.worker.state, self.worker
        assert state not in REQUESTS
        assert state is not WorkerState.UNKNOWN
        if state in {WorkerState.IDLE, WorkerState.RUNNING}:
            assert not worker.refusal
            assert (state is WorkerState.RUNNING) == self.live
        if state in MAINTENANCE:
            assert worker.in_maintenance
        assert worker.in_maintenance == (worker.desired.cause is not None)
        # Else whoever starts it again would have it go at once.
        assert not (worker.over and worker.desired.leaving)
        if worker.leaving and state is not WorkerState.STARTING:
            assert worker.over == (not self.live)


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
