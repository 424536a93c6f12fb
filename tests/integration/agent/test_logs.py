"""Logs beside everything else that the agent does: they take neither its memory nor the place of what is urgent."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.task_logs.shipper import BATCHING
from airflow_edge.protocol.messages import Ended, LogEnd
from harness.faults import Direction, FaultProxy
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime

JOBS = 4
NARROW = 60_000
"""Bytes a second."""


@pytest.fixture
async def network(centre: Centre, identity: Identity) -> AsyncIterator[FaultProxy]:
    """What is between the agent and the centre."""
    with FaultProxy([centre.url]) as network:
        yield network


@pytest.fixture
async def far_agent(
    make_agent: Callable[[], Agent], runtime: Runtime, centre: Centre, network: FaultProxy
) -> AsyncIterator[Agent]:
    """An agent that is linked over that network, by the address that it is told."""
    agent = make_agent()
    await agent.start(AIRFLOW__EDGE__API_URL=network.url)
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    yield agent
    network.throttle(float("inf"))


async def test_what_is_urgent_does_not_wait_behind_logs_on_a_narrow_link(
    centre: Centre, runtime: Runtime, network: FaultProxy, far_agent: Agent
) -> None:
    offers = [await centre.offer() for _ in range(JOBS)]
    for offer in offers:
        await runtime.started(offer.job_id)
    network.throttle(NARROW, Direction.UP)
    for number, offer in enumerate(offers):
        runtime.write_log(offer.job_id, random.Random(number).randbytes(1_000_000))
    statuses = len(centre.statuses)
    await centre.until(lambda: sum(len(chunk.data) for chunk in centre.chunks) > 5 * NARROW, patience=60)
    began = time.monotonic()
    runtime.exit(offers[0].job_id, code=3)
    assert (await centre.message(Ended)).exit_code == 3
    # All of it would have taken a minute.
    assert time.monotonic() - began < 10
    assert len(centre.statuses) - statuses >= 5
    assert len(centre.hellos) == 1


async def test_a_bandwidth_cap_holds_for_logs_and_not_for_outcomes(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    await make_agent().start(AIRFLOW__EDGE__LOG_BANDWIDTH="32k")
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    began = time.monotonic()
    runtime.write_log(offer.job_id, random.Random(1).randbytes(130_000))
    runtime.exit(offer.job_id)
    await centre.message(Ended)
    assert not centre.ends
    await centre.message(LogEnd, count=1)
    assert time.monotonic() - began >= (130_000 - 2 * 32 * 1024) / (32 * 1024)


@pytest.mark.skipif(sys.platform != "linux", reason="measured from /proc")
async def test_large_logs_take_no_memory(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    idle = _peak(agent.pid)
    offers = [await centre.offer() for _ in range(JOBS)]
    line = b'{"timestamp":"2026-01-01T00:00:00Z","level":"info","event":"%d"}\n'
    text = b"".join(line % random.getrandbits(200) for _ in range(80_000))
    for offer in offers:
        await runtime.started(offer.job_id)
        runtime.write_log(offer.job_id, text)
        runtime.exit(offer.job_id)
    await centre.until(lambda: len(centre.ends) == JOBS, patience=120)
    assert [log == text for log in centre.logs.values()] == [True] * JOBS
    assert JOBS * len(text) > 30e6
    assert _peak(agent.pid) - idle < 12e6


async def test_a_line_is_sent_within_a_second_and_many_lines_are_sent_together(
    centre: Centre, runtime: Runtime, agent: Agent
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    delays = []
    for number in range(5):
        began = time.monotonic()
        runtime.write_log(offer.job_id, b"a line\n")
        size = 7 * (number + 1)
        await centre.until(lambda size=size: len(centre.logs.get((offer.job_id, 1), b"")) == size)  # type: ignore[misc]
        delays.append(time.monotonic() - began)
    assert sorted(delays)[2] <= 1.0
    sent = len(centre.chunks)
    began = time.monotonic()
    for _ in range(200):
        runtime.write_log(offer.job_id, b"a line\n")
        await asyncio.sleep(0.01)
    await centre.until(lambda: len(centre.logs[offer.job_id, 1]) == 7 * 205)
    assert len(centre.chunks) - sent <= 2 + (time.monotonic() - began) / BATCHING


def _peak(pid: int) -> int:
    """The most memory that it has had, in bytes."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
