from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.acts.consequences import (
    NO_QUEUE_LEFT,
    NOTHING_THERE,
    JobsThere,
    foresee_grace,
    foresee_order,
    foresee_queues,
    foresee_removal,
    foresee_revocation,
)
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import Worker

NOW = datetime(2026, 3, 4, tzinfo=UTC)
ONE = JobsThere(running=1, names=("scan/read",))
MANY = JobsThere(running=4, offered=2, names=("scan/read", "scan/write", "etl/load"))


def worker(**fields) -> Worker:
    return Worker(
        **{
            "id": uuid4(),
            "name": "press-7",
            "public_key": b"k" * 32,
            "queues": ("default", "plc"),
            "team_name": None,
            "state": WorkerState.RUNNING,
            "concurrency": 8,
            "enrolled_at": NOW,
            "last_seen_at": NOW,
            "revoked_at": None,
            "boot_id": "b",
            "link_id": uuid4(),
            "transport": "WebSocket",
            "agent_version": "1",
            "airflow_version": "3",
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("wish", "there", "detail"),
    [
        (Wish("maintenance", "why"), NOTHING_THERE, "takes no new task; no task runs there"),
        (Wish("maintenance", "why"), ONE, "takes no new task; 1 task goes on (scan/read)"),
        (
            Wish("maintenance", "why"),
            MANY,
            "takes no new task; 4 tasks go on (scan/read, scan/write, etl/load, …)",
        ),
        (
            Wish("shutdown"),
            ONE,
            "takes no new task; 1 task goes on (scan/read); it ends with the last one, and nothing here starts it "
            "again",
        ),
        (
            Wish("shutdown"),
            NOTHING_THERE,
            "takes no new task; no task runs there; it ends, and nothing here starts it again",
        ),
        (
            Wish("maintenance", "why", until=NOW),
            ONE,
            "takes no new task; 1 task goes on (scan/read); it ends by itself at 2026-03-04 00:00 UTC",
        ),
        (Wish("restart"), ONE, "its agent is replaced; 1 task goes on (scan/read)"),
        (Wish("rename", "other"), NOTHING_THERE, "is called 'other'; no task runs there"),
        (Wish("concurrency", number=16), ONE, "8 slots become 16; 1 task goes on (scan/read)"),
        (
            Wish("concurrency", number=3),
            MANY,
            "8 slots become 3; 4 tasks go on (scan/read, scan/write, etl/load, …); it takes no new task while more are "
            "taken",
        ),
    ],
)
def test_an_order_and_what_happens_to_the_tasks_there(wish: Wish, there: JobsThere, detail: str) -> None:
    assert foresee_order(worker(), wish, there) == ("would", detail)


def test_what_is_so_already_or_makes_no_sense_is_said_as_when_it_is_done() -> None:
    assert foresee_order(worker(), Wish("exit maintenance"), ONE) == ("done", "it is not in maintenance")
    result, detail = foresee_order(worker(), Wish("maintenance comment", "x"), ONE)
    assert (result, detail.startswith("it is not in maintenance; ask for that first")) == ("refused", True)
    assert foresee_order(worker(), Wish("rename", "b"), ONE, taken=True).result == "refused"
    assert foresee_order(worker(revoked_at=NOW), Wish("restart"), ONE).result == "refused"


@pytest.mark.parametrize("fields", [{"link_id": None}, {"silent": True}, {"state": WorkerState.UNKNOWN}])
def test_one_that_does_not_hear_obeys_later(fields) -> None:
    found = foresee_order(worker(**fields), Wish("maintenance", "why"), NOTHING_THERE)
    assert found == ("would", "when it is linked again: takes no new task; no task runs there")


def test_a_revocation_says_what_is_lost() -> None:
    assert foresee_revocation(worker(), NOTHING_THERE) == ("would", "it is cut off at once; no task runs there")
    assert foresee_revocation(worker(), ONE) == ("would", "it is cut off at once; 1 task is lost (scan/read)")
    assert foresee_revocation(worker(), MANY).detail == (
        "it is cut off at once; 4 tasks are lost (scan/read, scan/write, etl/load, …); 2 offered go back into the queue"
    )
    assert foresee_revocation(worker(revoked_at=NOW), ONE).result == "done"


def test_one_that_is_there_or_has_jobs_is_not_forgotten() -> None:
    assert "revoke-worker press-7" in foresee_removal(worker(), NOTHING_THERE).detail
    offline = worker(state=WorkerState.OFFLINE)
    assert foresee_removal(offline, ONE).result == "refused"
    assert foresee_removal(offline, NOTHING_THERE).result == "would"
    assert foresee_removal(worker(revoked_at=NOW), NOTHING_THERE).result == "would"


def test_queues_are_those_that_it_would_be_given_jobs_of() -> None:
    asked = worker(asked_queues=("default",))
    assert foresee_queues(asked, ONE, add=["gpu"]) == ("would", "serves default, gpu")
    assert foresee_queues(worker(), ONE, remove=["plc"]) == ("would", "serves default; 1 task goes on")
    assert foresee_queues(worker(), ONE, remove=["plc", "default"]) == ("refused", NO_QUEUE_LEFT)


def test_a_grace_is_said_as_people_write_it() -> None:
    assert foresee_grace(worker(), MANY, grace=timedelta(hours=12)).detail == "its jobs are waited for 12h; 4 run there"
    assert foresee_grace(worker(), NOTHING_THERE, grace=None).detail == (
        "its jobs are waited for as long as the settings say"
    )
