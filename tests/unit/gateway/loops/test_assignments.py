"""What a worker is told of jobs that the centre does not count with any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.slots import Slots
from airflow_edge.gateway.loops.assignments import Assignments
from airflow_edge.protocol.assignment import AssignmentKey


class Link:
    """A worker that has accepted some jobs."""

    def __init__(self, *keys: AssignmentKey) -> None:
        self.open, self.worker, self.slots = True, SimpleNamespace(id=uuid4()), Slots(8)
        self.voided: list[AssignmentKey] = []
        for key in keys:
            self.slots.hold(key, 1)

    def void_job(self, key: AssignmentKey, reason: str) -> None:
        self.voided.append(key)
        self.slots.free(key)


class Jobs:
    """The database; what it says of the end of a job is there before the job's link knows."""

    def __init__(self, *kept: AssignmentKey) -> None:
        self.kept = set(kept)

    def not_held(self, there: dict[UUID, list[AssignmentKey]]) -> list[tuple[UUID, AssignmentKey]]:
        return [(worker, key) for worker, keys in there.items() for key in keys if key not in self.kept]


async def test_a_worker_is_told_of_a_stray_and_of_no_job_whose_end_its_link_has_yet_to_hear():
    kept, lost, ending = (AssignmentKey(str(uuid4()), 1) for _ in range(3))
    link, calls = Link(kept, lost, ending), StoreCalls()
    store = SimpleNamespace(jobs=Jobs(kept))
    watch = Assignments(
        cast("Any", store), calls, cast("Any", [link]), QueueSignal(cast("Any", None), Demand()), cast("Any", None)
    )
    await watch.void_strays()
    assert link.voided == []
    link.slots.free(ending)
    await watch.void_strays()
    assert link.voided == [lost]
    await watch.void_strays()
    assert link.voided == [lost]
    calls.close()
