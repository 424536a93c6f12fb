from __future__ import annotations

import logging
from uuid import uuid4

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_edge.agent.core.automatic import Automatic
from airflow_edge.agent.core.events import Standing
from airflow_edge.agent.core.worker_state import IN_MAINTENANCE, NOT_IN_MAINTENANCE, SHUTTING_DOWN, Stance
from airflow_edge.protocol.messages import MAX_TEXT, Order
from airflow_edge.protocol.states import MAINTENANCE, REQUESTS, WorkerState


def order(kind, text="", number=None):
    return Order(order_id=str(uuid4()), kind=kind, text=text, number=number)


def ready(*, live=False, automatic=None, **standing):
    stance = Stance(Standing(**standing), automatic)
    stance.initialise()
    stance.follow(live)
    return stance


@pytest.mark.parametrize(
    ("live", "there", "back"),
    [
        (False, WorkerState.MAINTENANCE_MODE, WorkerState.IDLE),
        (True, WorkerState.MAINTENANCE_PENDING, WorkerState.RUNNING),
    ],
)
def test_into_maintenance_and_out_of_it(live, there, back):
    stance = ready(live=live)
    assert stance.obey(order("maintenance", "new disk")) == ""
    stance.follow(live)
    assert (stance.state, stance.objection, stance.standing.maintenance) == (there, IN_MAINTENANCE, "new disk")
    assert stance.obey(order("maintenance comment", "an old one")) == ""
    assert stance.standing.maintenance == "an old one"
    assert stance.obey(order("exit maintenance")) == ""
    stance.follow(live)
    assert (stance.state, stance.objection, stance.standing.maintenance) == (back, "", None)


def test_a_comment_fits_into_a_message_whoever_wrote_it():
    stance = ready()
    stance.maintain("x" * 5000, "admin")
    assert stance.standing.maintenance == "x" * MAX_TEXT


def test_pending_becomes_maintenance_when_the_last_task_is_done():
    stance = ready(live=True)
    stance.maintain("", "site")
    stance.follow(live=True)
    stance.follow(live=False)
    assert stance.state is WorkerState.MAINTENANCE_MODE


def test_a_worker_that_was_in_maintenance_comes_back_in_it():
    assert ready(maintenance="moved").state is WorkerState.MAINTENANCE_MODE
    assert ready(live=True, maintenance="moved").state is WorkerState.MAINTENANCE_PENDING


def test_what_is_asked_before_the_runtime_is_ready_counts_when_it_is():
    stance = Stance(Standing())
    stance.maintain("early", "site")
    assert (stance.state, stance.objection) == (WorkerState.STARTING, IN_MAINTENANCE)
    stance.initialise()
    stance.follow(live=False)
    assert stance.state is WorkerState.MAINTENANCE_MODE


@pytest.mark.parametrize(
    ("standing", "end"), [({}, WorkerState.OFFLINE), ({"maintenance": "x"}, WorkerState.OFFLINE_MAINTENANCE)]
)
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_shutting_down(standing, end, live, ordered):
    stance = ready(live=live, **standing)
    if ordered:
        assert stance.obey(order("shutdown")) == ""
    else:
        stance.leave()
    stance.follow(live)
    assert stance.state is (WorkerState.TERMINATING if live else end)
    stance.follow(live=False)
    assert stance.state is end
    assert stance.over


def test_one_that_shuts_down_does_nothing_else_any_more():
    stance = ready(live=True)
    stance.leave()
    stance.follow(live=True)
    assert stance.obey(order("maintenance")) == stance.obey(order("exit maintenance")) == SHUTTING_DOWN
    assert not stance.in_maintenance


def test_what_is_not_in_maintenance_has_no_comment_on_it_and_need_not_leave_it():
    stance = ready()
    assert stance.obey(order("exit maintenance")) == ""
    assert stance.obey(order("maintenance comment", "x")) == NOT_IN_MAINTENANCE
    assert stance.state is WorkerState.IDLE


def test_what_is_kept_is_said_once():
    stance = ready()
    stance.changed = stance.standing_changed = False
    stance.obey(order("concurrency", number=3))
    assert (stance.changed, stance.standing_changed, stance.standing.concurrency) == (False, True, 3)
    stance.standing_changed = False
    stance.obey(order("concurrency", number=3))
    assert not stance.standing_changed


BOTH_WAYS = Automatic(enter_at=logging.ERROR, leave_below=logging.WARNING)


def test_into_maintenance_by_itself_and_out_of_it():
    stance = ready(automatic=BOTH_WAYS)
    stance.note_status(logging.WARNING, "warm")
    assert not stance.in_maintenance
    stance.note_status(logging.ERROR, "the disk is hot")
    stance.follow(live=False)
    assert (stance.state, stance.standing.cause) == (WorkerState.MAINTENANCE_MODE, "system")
    assert stance.standing.maintenance == "the status is error: the disk is hot"
    stance.note_status(logging.WARNING, "warm")
    assert stance.in_maintenance
    stance.note_status(logging.INFO, "")
    stance.follow(live=False)
    assert (stance.state, stance.standing) == (WorkerState.IDLE, Standing())


def test_out_of_it_also_after_a_restart():
    before = ready(automatic=BOTH_WAYS)
    before.note_status(logging.ERROR, "")
    after = Stance(before.standing, BOTH_WAYS)
    after.note_status(logging.INFO, "")
    after.initialise()
    after.follow(live=False)
    assert after.state is WorkerState.IDLE


@pytest.mark.parametrize("kind", ["maintenance", "maintenance comment"])
def test_a_maintenance_that_a_person_has_taken_over_is_the_persons(kind):
    stance = ready(automatic=BOTH_WAYS)
    stance.note_status(logging.ERROR, "hot")
    assert stance.obey(order(kind, "I will look at it")) == ""
    assert (stance.standing.cause, stance.standing.maintenance) == ("admin", "I will look at it")
    stance.note_status(logging.INFO, "")
    assert stance.in_maintenance


@pytest.mark.parametrize("comment", ["new disk", "the status is error: hot"])
def test_a_persons_maintenance_never_ends_by_itself_whatever_its_comment_says(comment):
    stance = ready(automatic=BOTH_WAYS)
    stance.maintain(comment, "site")
    for status in (logging.ERROR, logging.INFO):
        stance.note_status(status, "")
    assert (stance.in_maintenance, stance.standing.cause) == (True, "site")


def test_a_person_who_ends_it_has_the_last_word_until_the_status_was_good():
    stance = ready(automatic=BOTH_WAYS)
    stance.note_status(logging.ERROR, "hot")
    assert stance.exit_maintenance() == ""
    assert stance.standing == Standing(overruled=True)
    again = Stance(stance.standing, BOTH_WAYS)
    again.note_status(logging.ERROR, "hotter")
    assert not again.in_maintenance
    again.note_status(logging.WARNING, "")
    again.note_status(logging.ERROR, "hot")
    assert (again.in_maintenance, again.standing.cause) == (True, "system")


def test_one_that_shuts_down_does_not_go_anywhere_by_itself():
    stance = ready(automatic=BOTH_WAYS, maintenance="hot", cause="system")
    stance.leave()
    stance.note_status(logging.INFO, "")
    assert stance.standing.maintenance == "hot"


def test_who_was_told_to_go_goes_though_its_agent_was_replaced_meanwhile():
    before, asked = ready(live=True), order("shutdown")
    assert before.obey(asked) == ""
    before.follow(live=True)
    after = ready(live=True, **msgspec.structs.asdict(before.standing))
    assert (after.state, after.objection) == (WorkerState.TERMINATING, SHUTTING_DOWN)
    after.follow(live=False)
    assert after.over
    back = ready(**msgspec.structs.asdict(after.standing))
    assert back.obey(asked) == ""
    back.follow(live=False)
    assert (back.state, back.objection) == (WorkerState.IDLE, "")
    back.obey(order("shutdown"))
    back.follow(live=False)
    assert back.over


def test_who_was_stopped_at_the_site_is_back_when_it_is_started_again():
    before = ready(live=True)
    before.leave()
    before.follow(live=True)
    assert not Stance(before.standing).leaving


class Anything(RuleBasedStateMachine):
    """Whatever is asked in whatever order: no step is refused, and the state says whether jobs are taken."""

    def __init__(self):
        super().__init__()
        self.live = False
        self.stance = Stance(Standing(), BOTH_WAYS)

    @rule(status=st.sampled_from([logging.INFO, logging.WARNING, logging.ERROR]))
    def note_status(self, status):
        before = self.stance.standing
        self.stance.note_status(status, "")
        self.stance.follow(self.live)
        if before.maintenance is not None and before.cause != "system":
            assert self.stance.standing == msgspec.structs.replace(before, overruled=self.stance.standing.overruled)

    @rule(kind=st.sampled_from(["maintenance", "maintenance comment", "exit maintenance", "shutdown", "concurrency"]))
    def obey(self, kind):
        self.stance.obey(order(kind, "text", 2))
        self.stance.follow(self.live)

    @rule()
    def initialise(self):
        self.stance.initialise()
        self.stance.follow(self.live)

    @rule()
    def leave(self):
        self.stance.leave()
        self.stance.follow(self.live)

    @precondition(lambda self: not self.stance.objection and self.stance.state is not WorkerState.STARTING)
    @rule()
    def take(self):
        self.live = True
        self.stance.follow(live=True)

    @rule()
    def done(self):
        self.live = False
        self.stance.follow(live=False)

    @rule()
    def restart(self):
        if not self.stance.over:
            self.stance = Stance(self.stance.standing, BOTH_WAYS)
            self.stance.follow(self.live)

    @invariant()
    def the_state_tells_the_truth(self):
        state, stance = self.stance.state, self.stance
        assert state not in REQUESTS
        assert state is not WorkerState.UNKNOWN
        if state in {WorkerState.IDLE, WorkerState.RUNNING}:
            assert not stance.objection
            assert (state is WorkerState.RUNNING) == self.live
        if state in MAINTENANCE:
            assert stance.in_maintenance
        assert stance.in_maintenance == (stance.standing.cause is not None)
        if stance.leaving and state is not WorkerState.STARTING:
            assert stance.over == (not self.live)


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
