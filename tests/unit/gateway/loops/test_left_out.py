from __future__ import annotations

from uuid import uuid4

from airflow_edge.gateway.loops.left_out import EVERYTHING, REMEMBERED, TRIED_AGAIN, LeftOut
from airflow_edge.rules.matching import Capacity


def capacity(*queues: str) -> Capacity:
    return Capacity(worker_id=uuid4(), queues=frozenset(queues), team_name=None, free_slots=4)


def test_a_queue_is_left_out_until_it_is_tried_again_alone() -> None:
    left_out, one, other = LeftOut(), capacity("good", "bad"), capacity("bad")
    assert left_out.add(one.worker_id, "bad", "why", 100.0)
    assert not left_out.add(one.worker_id, "bad", "why", 100.0)
    assert (left_out.without(other), left_out.words(other.worker_id)) == (other, "")
    shared = left_out.without(one)
    assert shared is not None
    assert shared.queues == {"good"}
    assert left_out.due([one, other], 100.0 + TRIED_AGAIN - 1) == []
    [(again, queue)] = left_out.due([one, other], 100.0 + TRIED_AGAIN)
    assert (again.worker_id, again.queues, queue) == (one.worker_id, frozenset({"bad"}), "bad")
    left_out.heal(one.worker_id, "bad")
    assert (left_out.without(one), left_out.words(one.worker_id)) == (one, "")


def test_what_is_not_known_to_be_a_queue_is_the_whole_worker() -> None:
    left_out, one = LeftOut(), capacity("a", "b")
    left_out.add(one.worker_id, EVERYTHING, "why", 0.0)
    assert left_out.without(one) is None
    assert left_out.due([one], TRIED_AGAIN) == [(one, EVERYTHING)]
    assert "no job of its queues" in left_out.words(one.worker_id)


def test_a_queue_that_is_not_served_any_more_is_no_reason_any_more() -> None:
    left_out, one = LeftOut(), capacity("good")
    left_out.add(one.worker_id, "b\0d", "why", 0.0)
    assert "'b\\x00d'" in left_out.words(one.worker_id)
    assert left_out.due([one], 0.0) == []
    assert left_out.words(one.worker_id) == ""


def test_who_does_not_come_back_is_forgotten() -> None:
    left_out, one = LeftOut(), capacity("bad")
    left_out.add(one.worker_id, "bad", "why", 0.0)
    left_out.forget(TRIED_AGAIN + REMEMBERED)
    assert left_out.words(one.worker_id)
    left_out.forget(TRIED_AGAIN + REMEMBERED + 1)
    assert left_out.words(one.worker_id) == ""
