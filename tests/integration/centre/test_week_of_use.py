"""What was used in a week is what the suggested policy grants, when all of it is asked for again, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from airflow_edge.admin.policy import Policies
from airflow_edge.gateway.access.policy import PolicyGate
from airflow_edge.gateway.access.policy_in_force import DatabasePolicy, PolicyInForce
from airflow_edge.gateway.access.stored_names import StoredNames
from airflow_edge.gateway.access.upstream import UpstreamTasks
from airflow_edge.gateway.access.uses import UseCounter
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.policy.grants import Who
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base

DAGS = ("press", "pump", "line*")
TASKS = ("read", "check", "write")
"""Each is before all that follow."""
SEED = 7


class Week:
    """What tasks of three Dags have asked for, drawn by lot."""

    def __init__(self) -> None:
        lot = Random(SEED)
        self.calls: dict[tuple[Who, UUID], list[tuple[str, str, str]]] = {}
        for dag_id in DAGS:
            for number, task_id in enumerate(TASKS):
                who = Who(
                    team_name=lot.choice([None, "red"]),
                    queue=lot.choice(["plc", "lab"]),
                    worker="press-7",
                    dag_id=dag_id,
                    run_id="r1",
                    task_id=task_id,
                )
                self.calls[who, uuid4()] = [self._call(lot, who, number) for _ in range(30)]

    def _call(self, lot: Random, who: Who, number: int) -> tuple[str, str, str]:
        other = lot.choice(DAGS)
        calls = [
            ("GET", f"/connections/db_{lot.randrange(9)}", ""),
            ("GET", f"/variables/folder/{lot.choice('ab*?[]')}", ""),
            ("PUT", f"/variables/{who.dag_id}", ""),
            ("GET", f"/xcoms/{who.dag_id}/r1/{TASKS[max(0, number - 1)]}/return_value", ""),
            ("GET", f"/xcoms/{other}/r0/read/return_value", "include_prior_dates=true"),
            ("POST", f"/xcoms/{who.dag_id}/r1/{who.task_id}/return_value", ""),
            ("POST", f"/dag-runs/{other}/r9", ""),
            ("GET", "/dag-runs/count", f"dag_id={other}"),
            ("GET", "/assets/by-uri", "uri=s3%3A%2F%2F" + "x" * lot.choice([3, 400])),
            ("PUT", f"/task-instances/{uuid4()}/heartbeat", ""),
        ]
        return lot.choice(calls)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = create_engine(f"sqlite:///{tmp_path}/store.db")
    Base.metadata.create_all(engine)
    return Store(sessionmaker(engine, expire_on_commit=False))


@pytest.fixture
def week() -> Week:
    return Week()


@pytest.fixture
async def gate(store: Store, week: Week) -> AsyncIterator[PolicyGate]:
    calls = StoreCalls()
    tasks = {id_: who.task_id for who, id_ in week.calls}
    version = uuid4()
    sessions: Any = sessionmaker(create_engine("sqlite://"))
    upstream = UpstreamTasks(
        sessions,
        calls,
        lambda _, id_: (version, tasks[id_]),
        lambda _, __, task_id: TASKS[: TASKS.index(task_id)],
    )
    in_force = PolicyInForce(DatabasePolicy(store.policies, calls))
    uses, stored_names = UseCounter(store.policy_uses, calls), StoredNames(sessions, calls)
    yield PolicyGate(in_force, upstream, uses, stored_names)
    calls.close()


def put(store: Store, text: str) -> None:
    store.policies.add(text, "", by="ann", now=datetime.now(UTC))


async def test_all_that_was_used_is_granted_and_one_connection_more_is_not(store, week, gate, monkeypatch) -> None:
    monkeypatch.delenv("AIRFLOW__EDGE__POLICY_FILE", raising=False)
    put(store, "modes: {'*': report}")
    await gate.in_force.look()
    for (who, id_), calls in week.calls.items():
        for call in calls:
            assert await gate.check(who, id_, *call) is None
    await gate.uses.flush()
    seen = store.policy_uses.seen(since=datetime.now(UTC).date() - timedelta(days=1))
    assert len(seen) > 50
    suggested = Policies(store).suggest(2)
    assert suggested.unknown == []
    put(store, suggested.text.replace("report", "enforce"))
    await gate.in_force.look()
    assert gate.in_force.trouble() is None
    for (who, id_), calls in week.calls.items():
        for call in calls:
            assert await gate.check(who, id_, *call) is None, call
        found = await gate.check(who, id_, "GET", "/connections/one_more", "")
        assert found is not None
        assert "version 2" in found.sentence
    assert await gate.check(replace(who, task_id="another"), id_, "GET", "/connections/db_1", "")
