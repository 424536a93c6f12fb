from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.matching import Capacity, match, order

START = datetime(2030, 1, 1, tzinfo=UTC)
TEAMS = st.sampled_from([None, "a", "b"])
QUEUES = st.sampled_from(["plc", "lab", "gpu"])


@dataclass(frozen=True)
class Job:
    """What decides who gets it, and when."""

    id: UUID
    queue: str
    team_name: str | None
    slots: int
    priority_weight: int
    queued_at: datetime
    size: int = 2
    only_for: UUID | None = None


def job(
    number: int,
    *,
    queue: str = "plc",
    team: str | None = None,
    slots: int = 1,
    weight: int = 1,
    age: int = 0,
    size: int = 2,
    only_for: int | None = None,
) -> Job:
    return Job(
        id=UUID(int=number),
        queue=queue,
        team_name=team,
        slots=slots,
        priority_weight=weight,
        queued_at=START - timedelta(seconds=age),
        size=size,
        only_for=None if only_for is None else UUID(int=only_for),
    )


def worker(number: int, free: int, *queues: str, team: str | None = None) -> Capacity:
    return Capacity(worker_id=UUID(int=number), queues=frozenset(queues or ("plc",)), team_name=team, free_slots=free)


def pairs(jobs: list[Job], workers: list[Capacity]) -> list[tuple[int, int]]:
    return [(matched.id.int, worker_id.int) for matched, worker_id in match(jobs, workers)]


def test_a_test_job_goes_to_its_worker_only() -> None:
    asked, other = worker(1, 1), worker(2, 9)
    test = job(1, queue="", weight=9, only_for=1)
    assert pairs([test], [other, asked]) == [(1, 1)]
    assert pairs([test], [other]) == []
    # It takes the slot that it gets.
    assert pairs([job(2), test], [asked]) == [(1, 1)]
    # One that could have a task of its queue is not taken for one that could have its test.
    assert pairs([job(3, only_for=2)], [asked]) == []


def test_the_highest_weight_goes_first_then_the_longest_wait() -> None:
    jobs = [job(1, weight=1, age=9), job(2, weight=5), job(3, weight=5, age=3)]
    assert [each.id.int for each in order(jobs)] == [3, 2, 1]
    assert pairs(jobs, [worker(1, 2)]) == [(3, 1), (2, 1)]


def test_a_worker_is_sent_no_more_jobs_at_a_time_than_that() -> None:
    jobs = [job(number, age=9 - number) for number in range(4)]
    few = replace(worker(1, 9), offers=2)
    assert pairs(jobs, [few]) == [(0, 1), (1, 1)]
    assert pairs(jobs, [few, worker(2, 1)]) == [(0, 1), (1, 1), (2, 2)]
    assert pairs(jobs, [replace(few, offers=0)]) == []


def test_a_worker_that_has_no_room_for_more_leaves_jobs_to_others_and_to_later() -> None:
    jobs = [job(n, size=100) for n in range(9)]
    small, large = replace(worker(1, 9), room=101), replace(worker(2, 8), room=300)
    assert Counter(who for _, who in pairs(jobs, [small, large])) == {1: 2, 2: 3}
    assert pairs(jobs, [replace(small, room=1)]) == [(0, 1)]
    assert pairs(jobs, [replace(small, room=0)]) == []


def test_jobs_are_spread_over_the_emptiest_workers() -> None:
    assert Counter(who for _, who in pairs([job(n) for n in range(6)], [worker(1, 4), worker(2, 2)])) == {1: 4, 2: 2}


def test_a_job_that_fits_nowhere_does_not_hold_up_the_next() -> None:
    assert pairs([job(1, slots=3, weight=9), job(2)], [worker(1, 2)]) == [(2, 1)]


def test_a_worker_gets_only_its_queues_and_its_team() -> None:
    jobs = [job(1, queue="gpu"), job(2, team="a"), job(3)]
    assert pairs(jobs, [worker(1, 9, "plc", "lab")]) == [(3, 1)]


@given(
    st.lists(st.tuples(QUEUES, TEAMS, st.integers(1, 4), st.integers(0, 3)), max_size=30),
    st.lists(st.tuples(st.integers(-1, 6), st.sets(QUEUES, min_size=1), TEAMS), max_size=8),
)
def test_no_rule_is_ever_broken(
    jobs_drawn: list[tuple[str, str | None, int, int]], workers_drawn: list[tuple[int, set[str], str | None]]
) -> None:
    jobs = [job(n, queue=q, team=t, slots=s, weight=w) for n, (q, t, s, w) in enumerate(jobs_drawn)]
    workers = {UUID(int=n): worker(n, free, *queues, team=team) for n, (free, queues, team) in enumerate(workers_drawn)}
    matches = match(jobs, workers.values())
    assert len({matched.id for matched, _ in matches}) == len(matches)
    used: Counter[UUID] = Counter()
    for matched, worker_id in matches:
        assert matched.queue in workers[worker_id].queues
        assert matched.team_name == workers[worker_id].team_name
        used[worker_id] += matched.slots
    assert all(used[worker_id] <= workers[worker_id].free_slots for worker_id in used)
    taken = {matched.id for matched, _ in matches}
    for left in jobs:
        if left.id not in taken:
            fits = [
                each
                for each in workers.values()
                if left.queue in each.queues
                and left.team_name == each.team_name
                and each.free_slots - used[each.worker_id] >= left.slots
            ]
            assert not fits, "a job was left behind although it fitted"


def test_a_job_goes_to_nobody_who_has_refused_it_for_good() -> None:
    jobs, workers = [job(1), job(2)], [worker(1, 9), worker(2, 1)]
    refusals = {UUID(int=1): {UUID(int=1)}, UUID(int=2): {UUID(int=1), UUID(int=2)}}
    assert [(matched.id.int, who.int) for matched, who in match(jobs, workers, refusals)] == [(1, 2)]
