from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import JobState
from airflow_edge.rules.explanation.journey import MOST_REMEMBERED, Undone, journey, with_undone, workers_of
from airflow_edge.rules.overview import JobView

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
FIRST, SECOND = uuid4(), uuid4()
UNDONE: tuple[Undone, ...] = ("refused", "expired", "taken back")


def later(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def job(**fields: Any) -> JobView:
    return JobView(
        **{
            "id": uuid4(),
            "kind": "task",
            "dag_id": "d",
            "run_id": "r",
            "task_id": "t",
            "map_index": -1,
            "try_number": 1,
            "state": JobState.QUEUED,
            "queue": "plc",
            "team_name": None,
            "slots": 1,
            "priority_weight": 1,
            "assignment": 0,
            "worker": "",
            "queued_at": NOW,
            "lease_until": None,
            "started_at": None,
            "ended_at": None,
            "exit_code": None,
            "signal": None,
            "reason": "",
            **fields,
        }
    )


def undone(past: Any, number: int, event: Undone = "refused") -> list[dict[str, Any]]:
    return with_undone(
        past,
        assignment=number,
        worker_id=FIRST,
        offered_at=later(number),
        event=event,
        text="no slot",
        at=later(number + 1),
    )


def steps(view: JobView, past: Any = None, booked_at: datetime | None = None) -> list[tuple[Any, ...]]:
    found = journey(view, past, {FIRST: "w1"}, booked_at)
    return [(one.event, one.worker, one.assignment, one.text, one.at) for one in found]


def test_a_job_from_the_queue_to_its_booked_end() -> None:
    past = undone(None, 1)
    view = job(
        state=JobState.FAILED,
        worker="w2",
        assignment=2,
        offered_at=later(5),
        started_at=later(6),
        ended_at=later(7),
        reason="its process ended with exit status 1",
    )
    assert steps(view, past, later(8)) == [
        ("queued", None, None, "for queue 'plc'", NOW),
        ("offered", "w1", 1, "", later(1)),
        ("refused", "w1", 1, "no slot", later(2)),
        ("offered", "w2", 2, "", later(5)),
        ("accepted", "w2", 2, "", later(6)),
        ("ended", "w2", 2, "failed: its process ended with exit status 1", later(7)),
        ("booked", None, None, "the scheduler knows of the end", later(8)),
    ]


def test_one_that_came_back_waits_under_no_offer() -> None:
    view = job(assignment=1, worker="w1")
    assert [event for event, *_ in steps(view, undone(None, 1, "expired"))] == ["queued", "offered", "expired"]


def test_one_that_was_taken_back_before_anybody_had_it() -> None:
    view = job(state=JobState.CANCELLED, ended_at=later(3), reason="the task was cleared")
    assert steps(view)[1:] == [("ended", None, None, "cancelled: the task was cleared", later(3))]


def test_a_worker_that_was_removed_since_is_told_by_its_id() -> None:
    past = with_undone(None, assignment=1, worker_id=SECOND, offered_at=None, event="expired", text="", at=NOW)
    assert steps(job(), past)[1] == ("expired", str(SECOND), 1, "", NOW)
    assert workers_of(past) == {SECOND}


@given(st.lists(st.sampled_from(UNDONE), max_size=3 * MOST_REMEMBERED))
def test_the_last_ones_are_remembered(events: list[Undone]) -> None:
    past: list[dict[str, Any]] | None = None
    for number, event in enumerate(events, 1):
        past = undone(past, number, event)
    found = steps(job(), past)
    remembered = events[-MOST_REMEMBERED:]
    assert [event for event, *_ in found if event != "offered"] == ["queued", *remembered]
    numbers = range(1, len(events) + 1)
    assert [number for event, _, number, *_ in found if event in UNDONE] == list(numbers)[-MOST_REMEMBERED:]
