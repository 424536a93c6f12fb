"""Six fleets, each with one thing wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.versions import Rules, judge
from airflow_edge.rules.worker import OtherInstance, with_other
from harness.written import WrittenFleet


def queue_that_nobody_serves(fleet: WrittenFleet) -> None:
    fleet.worker("press-7")
    fleet.worker("press-8")
    for minutes in (41, 17, 3):
        fleet.job("ovens", queued=timedelta(minutes=minutes), task="heat")


def full_site(fleet: WrittenFleet) -> None:
    for name in ("press-7", "press-8"):
        worker = fleet.worker(name, state=WorkerState.RUNNING, concurrency=2)
        for place in range(2):
            fleet.job(state=JobState.RUNNING, worker=worker, queued=timedelta(minutes=25 - 9 * place), map_index=place)
    for minutes in range(2, 14):
        fleet.job(queued=timedelta(minutes=minutes))


def worker_out_of_reach(fleet: WrittenFleet) -> None:
    fleet.worker("press-7")
    away = timedelta(hours=16)
    worker = fleet.worker("press-8", state=WorkerState.UNKNOWN, seen=away, silent=True, link_id=None)
    for _ in range(2):
        fleet.job(state=JobState.RUNNING, worker=worker, queued=away + timedelta(minutes=6))


def refused_version(fleet: WrittenFleet) -> None:
    fleet.worker("press-7")
    rules = Rules(worker="0.1.0", airflow="3.3.2", minimum_worker="0.1.0")
    refused = judge("0.0.9", "3.3.2", rules).refused
    fleet.worker("press-8", agent_version="0.0.9", version_refused=refused)


def maintenance_with_tasks_waiting(fleet: WrittenFleet) -> None:
    maintenance: dict[str, Any] = {
        "maintenance_comment": "the hydraulics are being changed",
        "maintenance_cause": "admin",
        "maintenance_by": "kim",
        "maintenance_until": datetime.now(UTC) + timedelta(hours=2, minutes=10),
    }
    for name in ("press-7", "press-8"):
        fleet.worker(name, state=WorkerState.MAINTENANCE_MODE, **maintenance)
    fleet.worker("oven-1", "ovens")
    for minutes in (32, 12, 4):
        fleet.job(queued=timedelta(minutes=minutes))


def copied_key(fleet: WrittenFleet) -> None:
    other = OtherInstance(
        instance=str(uuid4()), host_name="press-8.example.org", address="10.20.0.8", last_tried_at=datetime.now(UTC)
    )
    fleet.worker("press-7", other_instances=with_other([], other))
    fleet.worker("oven-1", "ovens")
