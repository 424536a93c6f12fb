from __future__ import annotations

import pytest

from airflow_edge.gateway.links.slots import FIRST_PAUSE, LONGEST_PAUSE, UNANSWERED_PAUSE, Slots
from airflow_edge.protocol.assignment import AssignmentKey

ONE, TWO = AssignmentKey("one", 1), AssignmentKey("two", 1)


@pytest.fixture
def slots():
    return Slots(4)


def test_a_job_takes_its_slots_from_its_offer_to_its_end(slots):
    slots.offer(ONE, 3, deadline=10)
    assert slots.available(0) == 1
    slots.accept(ONE)
    assert slots.available(100) == 1
    slots.free(ONE)
    assert slots.available(100) == 4


def test_a_job_that_was_there_already_counts(slots):
    slots.hold(ONE, 2)
    assert slots.available(1000) == 2
    assert slots.job_ids() == {"one"}


def test_there_are_never_less_than_none(slots):
    slots.hold(ONE, 9)
    assert slots.available(0) == 0


def test_an_unanswered_offer_gives_its_slots_back_and_the_worker_a_rest(slots):
    slots.offer(ONE, 1, deadline=10)
    assert slots.available(10) == 3
    assert slots.available(10.5) == 0
    assert slots.available(10.4 + UNANSWERED_PAUSE) == 0
    assert slots.available(10.5 + UNANSWERED_PAUSE) == 4


def test_a_late_acceptance_counts_again_and_ends_the_rest(slots):
    slots.offer(ONE, 1, deadline=10)
    assert slots.available(11) == 0
    slots.accept(ONE)
    assert slots.available(11) == 3


def test_each_refusal_makes_the_rest_longer_up_to_a_limit(slots):
    now, rests = 0.0, []
    for _ in range(8):
        slots.offer(ONE, 1, deadline=now + 10)
        slots.refuse(ONE, now=now)
        began = now
        while not slots.available(now):
            now += 0.5
        rests.append(now - began)
    for number, rest in enumerate(rests):
        due = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)
        assert due / 2 <= rest <= due
    slots.offer(TWO, 1, deadline=now + 10)
    slots.accept(TWO)
    slots.refuse(ONE, now=now)
    assert slots.available(now + FIRST_PAUSE) == 3


def test_what_is_not_known_is_ignored(slots):
    slots.accept(ONE)
    slots.free(TWO)
    assert slots.available(0) == 4
