"""How much of calls' bodies is in memory at once, whatever is sent and however it arrives."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from airflow_edge.gateway.endpoints import execution
from airflow_edge.gateway.endpoints.execution import ExecutionEndpoint
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.protocol.states import JobState
from airflow_edge.protocol.urls import EXECUTION, JOB_HEADER
from airflow_edge.rules.worker import Worker
from airflow_edge.store.jobs.jobs import AssignedJob
from tests.workers import enrolled_worker

MOST = 1_000_000
TASK = uuid4()
PIECE = 50_000


class Centre:
    """A gateway whose Execution API takes a body and holds it."""

    def __init__(self) -> None:
        self.workers = [enrolled_worker() for _ in range(2)]
        self.in_memory = dict.fromkeys((worker.id for worker in self.workers), 0)
        self.most = 0
        self.held = 0
        self.go_on = asyncio.Event()
        self.endpoint = ExecutionEndpoint(cast("Gateway", self))
        self.authenticator = self.calls = self.task_api = self
        self.store = SimpleNamespace(jobs=SimpleNamespace(confirm=None))

    async def worker(self, headers: Any, **_: str) -> Worker:
        return self.workers[int(headers["x-worker"])]

    async def run(self, _method: object, worker_id: UUID, *_: object, **__: object) -> AssignedJob:
        return AssignedJob(
            id=uuid4(),
            assignment=1,
            worker_id=worker_id,
            kind="task",
            workload_id=TASK,
            slots=1,
            state=JobState.RUNNING,
            released=False,
        )

    def token(self, *_: object) -> str:
        return "token"

    async def call(self, scope: Any, receive: Any, send: Any) -> None:
        worker_id = self.workers[int(dict(scope["headers"])[b"correlation-id"])].id
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            self.in_memory[worker_id] += len(message["body"])
            self.most = max(self.most, *self.in_memory.values())
            if not message["more_body"]:
                break
        self.held += 1
        await self.go_on.wait()
        self.in_memory[worker_id] -= size
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, worker: int, size: int, *, is_known: bool) -> int:
        length = (b"content-length", b"%d" % size) if is_known else (b"transfer-encoding", b"chunked")
        headers = [
            (b"x-worker", b"%d" % worker),
            (b"correlation-id", b"%d" % worker),
            (JOB_HEADER.lower().encode(), f"{uuid4()}:1".encode()),
            length,
        ]
        left = size
        status = 0

        async def receive() -> dict[str, object]:
            nonlocal left
            await asyncio.sleep(0)
            piece = min(PIECE, left)
            left -= piece
            return {"type": "http.request", "body": bytes(piece), "more_body": left > 0}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        path = f"{EXECUTION}/task-instances/{TASK}/run"
        scope = {"type": "http", "method": "PATCH", "path": path, "query_string": b"", "headers": headers}
        await self.endpoint(scope, receive, send)
        return status


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_worker_takes_up_no_more_memory_with_all_its_calls_than_with_the_longest_one(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(execution, "MAX_BODY_BYTES", MOST)
    centre = Centre()
    fit = 3 if is_known else 1
    async with asyncio.timeout(10):
        calls = [asyncio.create_task(centre.ask(0, 300_000, is_known=is_known)) for _ in range(64)]
        while centre.held < fit:  # noqa: ASYNC110
            await asyncio.sleep(0)
        # Neither what is short nor another worker waits for them.
        others = [centre.ask(0, 1000, is_known=True), centre.ask(1, 300_000, is_known=is_known)]
        calls += map(asyncio.create_task, others)
        while centre.held < fit + 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        # One whose worker went away meanwhile makes room.
        calls[40].cancel()
        centre.go_on.set()
        statuses = await asyncio.gather(*calls, return_exceptions=True)
    assert statuses.count(204) == 65
    assert centre.most <= fit * 300_000 + 1000
    assert not centre.endpoint._rooms
