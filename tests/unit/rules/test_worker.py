from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.worker import Worker


@pytest.mark.parametrize(
    ("asked", "added", "served"),
    [
        (None, (), ("a", "b", "c")),
        (("b", "x"), (), ("b",)),
        ((), (), ()),
        (("b",), ("c",), ("b", "c")),
        (("x",), ("c", "removed"), ("c",)),
        (None, ("c",), ("a", "b", "c")),
    ],
)
def test_a_worker_serves_what_it_may_and_was_started_for_or_was_added(asked, added, served) -> None:
    worker = Worker(
        id=uuid4(),
        name="worker",
        public_key=bytes(32),
        queues=("a", "b", "c"),
        asked_queues=asked,
        added_queues=added,
        team_name=None,
        state=WorkerState.IDLE,
        concurrency=4,
        enrolled_at=datetime.now(UTC),
        last_seen_at=None,
        revoked_at=None,
        boot_id=None,
        link_id=None,
        transport=None,
        agent_version=None,
        airflow_version=None,
    )
    assert worker.served_queues == served
