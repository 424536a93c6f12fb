from __future__ import annotations

from airflow_edge.agent.core.offers import WaitingOffers, key_of
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import Offer

JOB, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))


def offer(job_id: str = JOB, assignment: int = 1) -> Offer:
    return Offer(job_id=job_id, assignment=assignment, kind="task", queue="q", slots=1, lease=10.0, workload=b"{}")


def test_one_is_taken_when_it_may_go_and_only_once() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=0.0)
    assert waiting.take(lambda key: key.job_id == OTHER, now=5.0) == [offer(OTHER)]
    assert waiting.take(lambda _: True, now=5.0) == [offer()]
    assert waiting.take(lambda _: True, now=5.0) == []


def test_one_whose_lease_is_over_is_forgotten() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=1.0)
    assert waiting.take(lambda _: True, now=10.0) == [offer(OTHER)]
    assert waiting.newest_assignment(JOB) == 0


def test_a_newer_assignment_takes_the_place_of_the_older() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(assignment=1), now=0.0)
    waiting.add(offer(assignment=3), now=0.0)
    assert waiting.newest_assignment(JOB) == 3
    assert not waiting.withdraw(AssignmentKey(JOB, 1))
    assert waiting.withdraw(key_of(offer(assignment=3)))
    assert waiting.withdraw_all() == []


def test_all_are_withdrawn_at_once() -> None:
    waiting = WaitingOffers()
    waiting.add(offer(), now=0.0)
    waiting.add(offer(OTHER), now=0.0)
    waiting.drop("00000000-0000-4000-8000-000000000003")
    assert waiting.withdraw_all() == [AssignmentKey(JOB, 1), AssignmentKey(OTHER, 1)]
    assert waiting.take(lambda _: True, now=0.0) == []
