"""How a worker ends: asked to by a person, by the centre, or because it cannot begin."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.process.control import ask
from airflow_edge.protocol.errors import RejectedError
from airflow_edge.protocol.messages import Accepted, Ended, Goodbye, Refused
from airflow_edge.protocol.problems import Code
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime


@pytest.mark.parametrize("asked_by", ["signal", "command"])
async def test_a_draining_worker_ends_with_its_last_job(
    centre: Centre, runtime: Runtime, agent: Agent, asked_by: str
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    if asked_by == "signal":
        agent.signal(signal.SIGINT)
    else:
        await asyncio.to_thread(ask, agent.config.control_socket, "drain")
    await centre.until(lambda: centre.statuses[-1].state == "terminating")
    late = await centre.offer()
    refused = await centre.message(Refused)
    assert (refused.job_id, refused.reason) == (late.job_id, "the worker is shutting down")
    runtime.exit(offer.job_id)
    await centre.message(Ended)
    await centre.message(Goodbye)
    await centre.cut(1000)
    assert await agent.ended() == 0
    assert runtime.retired
    assert len(centre.hellos) == 1


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
async def test_a_terminated_worker_ends_its_jobs_first(
    centre: Centre, runtime: Runtime, agent: Agent, signals: list[signal.Signals]
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    agent.signal(signals[0])
    if len(signals) > 1:
        await centre.until(lambda: centre.statuses[-1].state == "terminating")
        agent.signal(signals[1])
    await runtime.stopped(offer.job_id)
    runtime.exit(offer.job_id, code=143)
    ended = await centre.message(Ended)
    assert ended.reason == "the worker was terminated"
    await centre.message(Goodbye)
    assert await agent.ended() == 0


async def test_a_worker_without_a_centre_ends_too(
    centre: Centre, runtime: Runtime, agent: Agent, make_agent: Callable[[], Agent]
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    await centre.message(Accepted)
    await centre.stop()
    agent.signal(signal.SIGTERM)
    await runtime.stopped(offer.job_id)
    runtime.exit(offer.job_id, code=143)
    assert await agent.ended() == 0
    # What could not be delivered is, by the next agent.
    await centre.start()
    await runtime.start()
    await make_agent().start()
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code) == (offer.job_id, 143)


async def test_a_worker_whose_link_is_just_being_made_again_says_goodbye(
    centre: Centre, runtime: Runtime, agent: Agent
) -> None:
    await centre.until(lambda: centre.statuses)
    centre.refusal = (503, b"restarting")
    await centre.cut()
    while (await agent.status())["link"]["state"] != "connecting":  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    centre.refusal = None
    agent.signal(signal.SIGTERM)
    await centre.message(Goodbye)
    assert await agent.ended() == 0


REVOKED = json.dumps({"status": 403, "code": Code.REVOKED, "detail": "this worker was revoked"}).encode()


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ((403, REVOKED), 8),
        ((401, json.dumps({"status": 401, "code": Code.UNKNOWN_WORKER, "detail": "enrol it"}).encode()), 8),
        ((503, json.dumps({"status": 503, "code": Code.API_NOT_ENABLED, "detail": "set api_enabled"}).encode()), 7),
        ((401, json.dumps({"status": 401, "code": Code.CLOCK_SKEW, "detail": "80 s behind"}).encode()), 9),
    ],
)
async def test_a_worker_that_is_turned_away_at_its_start_says_why(
    centre: Centre,
    runtime: Runtime,
    make_agent: Callable[[], Agent],
    refusal: tuple[int, bytes],
    status: int,
) -> None:
    centre.refusal = refusal
    agent = make_agent()
    await agent.start()
    assert await agent.ended() == status
    assert agent.log.read_text().splitlines()[-1].startswith("airflow-edge: ")
    assert runtime.retired


async def test_a_rejected_greeting_ends_the_worker(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    centre.rejection = RejectedError(Code.PROTOCOL_VERSION, "install matching versions")
    agent = make_agent()
    await agent.start()
    assert await agent.ended() == 8
    assert "install matching versions" in agent.log.read_text()


async def test_a_revoked_worker_keeps_its_tasks_and_ends_with_them(
    centre: Centre, runtime: Runtime, agent: Agent
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    await centre.message(Accepted)
    centre.refusal = (403, REVOKED)
    await centre.cut(4403)
    await centre.until(lambda: not centre.linked)
    status = await agent.status()
    while status["link"]["state"] == "linked":
        status = await agent.status()
    assert [job["job_id"] for job in status["jobs"]] == [offer.job_id]
    runtime.exit(offer.job_id)
    assert await agent.ended() == 8


async def test_a_starting_worker_waits_for_a_centre_that_is_away(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    await centre.stop()
    agent = make_agent()
    await agent.start()
    await runtime.until(lambda: runtime.connected)
    status = await agent.status()
    assert status["link"]["state"] == "connecting"
    await centre.start()
    await centre.until(lambda: centre.statuses)
    link = {"state": "linked", "reason": "", "transport": "WebSocket", "url": f"{centre.url}/edge_worker"}
    assert (await agent.status())["link"] == link


async def test_two_workers_in_one_folder_are_one_too_many(
    centre: Centre, runtime: Runtime, agent: Agent, config: Config, make_agent: Callable[[], Agent]
) -> None:
    second = make_agent()
    await second.start()
    assert await second.ended() == 4
    assert "already running" in second.log.read_text()
    assert (await agent.status())["pid"] == agent.pid
