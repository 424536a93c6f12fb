from __future__ import annotations

from airflow_edge.gateway.loops.left_out import REMEMBERED, TRIED_AGAIN, LeftOut
from airflow_edge.rules.matching import QueueKey

BAD, GOOD = QueueKey(None, "bad"), QueueKey(None, "good")


def test_a_queue_is_left_out_until_it_is_tried_again() -> None:
    left_out = LeftOut()
    assert left_out.add(BAD, "why", 100.0)
    assert not left_out.add(BAD, "why", 100.0)
    assert left_out.add(BAD, "something else", 100.0)
    assert (BAD in left_out, GOOD in left_out, QueueKey("team", "bad") in left_out) == (True, False, False)
    assert left_out.due(100.0 + TRIED_AGAIN - 1) == []
    assert left_out.due(100.0 + TRIED_AGAIN) == [BAD]
    left_out.heal(BAD)
    assert not left_out


def test_a_worker_is_told_of_its_own_queues_in_words_that_can_be_shown() -> None:
    left_out, nul = LeftOut(), QueueKey(None, "b\0d")
    left_out.add(nul, "why", 0.0)
    assert "'b\\x00d'" in left_out.words([GOOD, nul])
    assert left_out.words([GOOD]) == ""


def test_the_longest_due_is_tried_first() -> None:
    left_out = LeftOut()
    left_out.add(BAD, "why", 1.0)
    left_out.add(GOOD, "why", 0.0)
    assert left_out.due(1.0 + TRIED_AGAIN) == [GOOD, BAD]


def test_one_that_is_not_tried_any_more_is_forgotten() -> None:
    left_out = LeftOut()
    left_out.add(BAD, "why", 0.0)
    left_out.forget(TRIED_AGAIN + REMEMBERED)
    assert BAD in left_out
    left_out.forget(TRIED_AGAIN + REMEMBERED + 1)
    assert BAD not in left_out
