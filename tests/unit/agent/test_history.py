"""What a person can read of what has happened."""

from __future__ import annotations

from airflow_edge.agent.core.events import (
    Announce,
    ConditionsFound,
    Exited,
    JobRecord,
    RuntimeReady,
    Save,
    Seen,
    StoreJob,
)
from airflow_edge.agent.history import LONGEST_TEXT, History
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Offer

JOB, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
KEY = AssignmentKey(JOB, 1)
RECORD = JobRecord(key=KEY, kind="task", slots=1)


def offer(job_id: str = JOB) -> Offer:
    return Offer(job_id=job_id, assignment=1, kind="task", queue="q", slots=1, lease=10.0, workload=b"secret")


def test_an_event_is_told_with_what_it_led_to_and_without_the_workload() -> None:
    history = History()
    history.note(offer(), [StoreJob(RECORD, offer()), Announce()])
    (happened,) = history.last()
    assert happened["event"] == (
        f"Offer(job_id='{JOB}', assignment=1, kind='task', queue='q', slots=1, lease=10.0, workload=6 bytes)"
    )
    assert happened["commands"][0].startswith(f"StoreJob(record=JobRecord(key={KEY}, kind='task', slots=1")
    assert happened["commands"][1] == "Announce()"
    assert happened["error"] == ""
    assert "secret" not in str(happened)


def test_keys_outcomes_and_long_texts_are_short() -> None:
    history = History()
    outcome = Outcome(job_id=JOB, assignment=1, exit_code=1, reason="x" * 1000)
    history.note(RuntimeReady(frozenset({KEY}), {KEY: outcome}), [])
    (happened,) = history.last()
    text = f"{'x' * LONGEST_TEXT}…"
    assert happened["event"] == (
        f"RuntimeReady(alive={{{KEY}}}, outcomes={{{KEY}: Outcome(job_id='{JOB}', assignment=1, exit_code=1, "
        f"reason='{text}')}})"
    )


def test_an_exit_status_of_0_is_something() -> None:
    history = History()
    history.note(Exited(KEY, 0, None, None), [])
    assert history.last()[0]["event"] == f"Exited(key={KEY}, exit_code=0)"


def test_only_the_last_are_kept_and_signs_of_life_that_led_to_nothing_are_not() -> None:
    history = History(kept=2)
    history.note(ConditionsFound(()), [])
    history.note(Seen(KEY), [])
    history.note(offer(), [])
    history.note(Seen(KEY), [Save(RECORD)])
    assert [happened["event"].partition("(")[0] for happened in history.last()] == ["Offer", "Seen"]


def test_what_happened_to_one_job_can_be_told() -> None:
    history = History()
    assert history.about(KEY) == "nothing"
    history.note(offer(), [])
    history.note(offer(OTHER), [Save(RECORD)])
    history.note(offer(OTHER), [])
    assert len(history.about(KEY).splitlines()) == 2
    assert len(history.about(None).splitlines()) == 3
    assert len(history.about(None, most=1).splitlines()) == 1
