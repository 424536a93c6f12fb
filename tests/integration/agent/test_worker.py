"""The agent's process between a centre and a runtime: one job's way, and what must not stop it."""

from __future__ import annotations

import signal

from airflow_edge.protocol.messages import Accepted, Ended, Goodbye, Released
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime, state_body


async def test_a_job_goes_its_whole_way(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    offer = await centre.offer()
    job = await runtime.started(offer.job_id)
    await centre.message(Accepted)
    async with runtime.api(job) as api:
        assert (await api.patch("task-instances/ti-1/run", content=b"{}")).status_code == 200
        assert (await api.put("task-instances/ti-1/heartbeat", content=b"{}")).status_code == 204
        runtime.write_log(offer.job_id, b"hello\n" * 100_000)
        assert (await api.patch("task-instances/ti-1/state", content=state_body("success"))).status_code == 200
    await centre.message(Released)
    runtime.exit(offer.job_id)
    ended = await centre.message(Ended)
    assert (ended.exit_code, ended.signal, ended.reason) == (0, None, "")
    key = (offer.job_id, offer.assignment)
    await centre.until(lambda: key in centre.ends)
    assert centre.logs[key] == b"hello\n" * 100_000
    assert [(call.method, call.path) for call in centre.calls] == [
        ("PATCH", "/task-instances/ti-1/run"),
        ("PATCH", "/task-instances/ti-1/state"),
    ]
    assert all(call.headers["x-airflow-edge-job"] == f"{offer.job_id}:1" for call in centre.calls)
    agent.signal(signal.SIGTERM)
    await centre.message(Goodbye)
    assert await agent.ended() == 0
    assert runtime.retired
    assert list(agent.config.jobs_dir.iterdir()) == []
