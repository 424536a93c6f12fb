from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_edge.dispatch.liveness import Patience, patience

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_silence_comes_before_loss() -> None:
    patience = Patience(silence=timedelta(seconds=15), grace=timedelta(minutes=15))
    assert NOW - patience.silent_before(NOW) == timedelta(seconds=15)
    assert NOW - patience.lost_before(NOW) == timedelta(minutes=15)


def test_a_grace_shorter_than_the_silence_does_not_lose_jobs_of_a_worker_still_thought_alive() -> None:
    patience = Patience(silence=timedelta(seconds=15), grace=timedelta(0))
    assert patience.lost_before(NOW) == patience.silent_before(NOW)


def test_a_worker_is_out_of_reach_after_three_heartbeats() -> None:
    assert patience(heartbeat_interval=5, disconnect_grace=900) == Patience(
        silence=timedelta(seconds=15), grace=timedelta(minutes=15)
    )
