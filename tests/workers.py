"""A worker as the centre knows it, for tests that need no store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.worker import Worker


def enrolled_worker(**changes: Any) -> Worker:
    """A worker that is enrolled and has never linked, but for what is given."""
    facts: dict[str, Any] = {
        "id": uuid4(),
        "name": "worker",
        "public_key": bytes(32),
        "queues": ("default",),
        "team_name": None,
        "state": WorkerState.IDLE,
        "concurrency": 4,
        "enrolled_at": datetime.now(UTC),
        "last_seen_at": None,
        "revoked_at": None,
        "boot_id": None,
        "link_id": None,
        "transport": None,
        "agent_version": None,
        "airflow_version": None,
    }
    return Worker(**facts | changes)
