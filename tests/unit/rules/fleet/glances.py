"""Workers at a glance, as the tests of the fleet's rules need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

from hypothesis import strategies as st

from airflow_edge.protocol.messages import MaintenanceCause
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.closing import Closure
from airflow_edge.rules.fleet.queues import QueueDemand
from airflow_edge.rules.fleet.standing import Glance
from airflow_edge.rules.worker import OtherInstance

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def glance(**fields: Any) -> Glance:
    """A worker that is well, but for what is given."""
    return Glance(
        **{
            "key": str(uuid4()),
            "name": "w",
            "team_name": None,
            "state": WorkerState.IDLE,
            "silent": False,
            "revoked_at": None,
            "enrolled_at": NOW,
            "last_seen_at": NOW,
            "has_link": True,
            "concurrency": 4,
            "queues": ("default",),
            "conditions": "",
            "warnings": "",
            "version_refused": "",
            "version_warning": "",
            "maintenance_cause": None,
            "others": (),
            "host_name": "host",
            "address": "192.0.2.7",
            "agent_version": "1",
            "airflow_version": "3.3.2",
            "jobs": 0,
            "taken_slots": 0,
            **fields,
        }
    )


def other(seconds: int = 5) -> OtherInstance:
    return OtherInstance(
        instance="x", host_name="copy", address="192.0.2.8", last_tried_at=NOW - timedelta(seconds=seconds)
    )


def demand(**fields: Any) -> QueueDemand:
    """Three jobs that wait in the default queue, but for what is given."""
    return QueueDemand(
        **{"team_name": None, "queue": "default", "queued": 3, "running": 0, "oldest_queued_at": NOW - MINUTE, **fields}
    )


_words = st.sampled_from(["", "the disk is full", "it warns."])
_times = st.one_of(st.none(), st.integers(0, 600).map(lambda seconds: NOW - timedelta(seconds=seconds)))
_teams = st.sampled_from([None, "red", "gone"])
_closures = st.builds(Closure, st.sampled_from(["by its owner.", "until Mon"]), for_good=st.booleans())

glances = st.builds(
    glance,
    name=st.sampled_from(["a", "b", "c-1", "c-2"]),
    team_name=_teams,
    state=st.sampled_from(WorkerState),
    silent=st.booleans(),
    revoked_at=st.sampled_from([None, None, None, NOW]),
    last_seen_at=_times,
    has_link=st.booleans(),
    concurrency=st.integers(0, 4),
    queues=st.lists(st.sampled_from(["default", "plc", "gpu"]), unique=True).map(tuple),
    conditions=_words,
    warnings=_words,
    version_refused=_words,
    version_warning=_words,
    maintenance_cause=st.sampled_from([None, *get_args(MaintenanceCause)]),
    others=st.lists(st.integers(0, 300).map(other), max_size=2).map(tuple),
    jobs=st.integers(0, 3),
    taken_slots=st.integers(0, 5),
    waiting_order_at=_times,
    closed=st.dictionaries(st.sampled_from(["default", "gpu"]), _closures, max_size=2),
)
demands = st.builds(
    demand,
    team_name=_teams,
    queue=st.sampled_from(["default", "plc", "gpu", "nobodys"]),
    queued=st.integers(0, 20),
    running=st.integers(0, 3),
    oldest_queued_at=_times,
)
