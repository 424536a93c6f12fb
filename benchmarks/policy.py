"""`python -m benchmarks.policy`: what a decision on a task's call costs, with a policy of a thousand rules.

Calls of every kind are decided on again and again, for tasks that were seen before: no database is asked. The figure
is processor time, as what else the machine does says nothing about the code.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection
from statistics import median
from typing import Final
from uuid import UUID, uuid4

from airflow_edge.gateway.access.policy import PolicyGate
from airflow_edge.gateway.access.policy_in_force import PolicyInForce
from airflow_edge.gateway.access.stored_names import StoredNames
from airflow_edge.gateway.access.upstream import UpstreamTasks
from airflow_edge.gateway.access.uses import UseCounter
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.policy.document import read_document
from airflow_edge.rules.policy.grants import Who
from airflow_edge.rules.policy.policy import Policy
from airflow_edge.store.policy.uses import PolicyUses
from airflow_edge.store.transactions import Transactions

LIMIT: Final = 50.0
"""Microseconds, the most that a decision may take."""
RULES: Final = 1_000
TASKS: Final = 500
ROUNDS: Final = 40

CALLS: Final = (
    ("PUT", "/task-instances/018f2c6e-0000-7000-8000-000000000000/heartbeat", ""),
    ("GET", "/connections/db_7", ""),
    ("GET", "/connections/of_somebody_else", ""),
    ("GET", "/variables/a/long/key", ""),
    ("GET", "/xcoms/dag_1/run/before/return_value", "include_prior_dates=false"),
    ("GET", "/xcoms/dag_1/run/before/return_value/slice", "start=1&stop=9"),
    ("GET", "/task-instances/states", "dag_id=dag_1&run_ids=a&run_ids=b"),
    ("GET", "/asset-events/by-asset", "name=a&uri=s3%3A%2F%2Fbucket%2Fkey"),
)


class _Written:
    """A policy in which each Dag has a rule of its own."""

    async def look(self) -> Policy:
        rules = [
            {
                "who": {"dags": [f"dag_{number}"]},
                "may": {"connections": [f"db_{number}", "db_7"], "xcoms": ["@upstream"]},
            }
            for number in range(RULES)
        ]
        return Policy(read_document({"modes": {"*": "enforce"}, "rules": rules}), "version 1")


def _no_database() -> None:
    raise AssertionError("a decision has asked the database")


async def _measure() -> list[float]:
    calls = StoreCalls()
    upstream = UpstreamTasks(_no_database, calls)  # type: ignore[arg-type]
    uses = UseCounter(PolicyUses(Transactions(_no_database)), calls)  # type: ignore[arg-type]
    stored_names = StoredNames(_no_database, calls, differ=False)  # type: ignore[arg-type]
    gate = PolicyGate(PolicyInForce(_Written()), upstream, uses, stored_names)
    task_instance = uuid4()
    _know(upstream, task_instance, {"before"})
    tasks = [
        Who(team_name=None, queue="plc", worker="w", dag_id=f"dag_{number}", run_id="run", task_id="task")
        for number in range(TASKS)
    ]
    found = []
    for number in range(ROUNDS + 1):
        began = time.process_time()
        for who in tasks:
            for call in CALLS:
                await gate.check(who, task_instance, *call)
        # The first one is the first time for each task: all rules are looked at.
        if number:
            found.append((time.process_time() - began) / (len(tasks) * len(CALLS)) * 1e6)
    calls.close()
    return found


def _know(upstream: UpstreamTasks, task_instance: UUID, tasks: Collection[str]) -> None:
    upstream._of_tasks[task_instance] = tasks


def main() -> None:
    figures = asyncio.run(_measure())
    middle = median(figures)
    print(f"a decision: {middle:.1f} µs (median of {len(figures)} rounds, {min(figures):.1f} to {max(figures):.1f})")
    if middle > LIMIT:
        sys.exit(f"that is more than {LIMIT:g} µs")


if __name__ == "__main__":
    main()
