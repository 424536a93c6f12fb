"""Somebody on the way answers in the centre's place: no task notices, no agent ends, and it is said who it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Iterator

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import NotRunningError
from airflow_edge.agent.net.identity import Identity
from airflow_edge.protocol import urls
from airflow_edge.protocol.messages import Accepted, Released
from harness.middlebox import GARBAGE, LOCATIONS, Interference, Message, Middlebox, Moment, answer, page, said_by_chance
from tests.integration.agent.centre import CENTRE_KEY, WORKER_ID, Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime, state_body
from tests.integration.agent.test_faults import STATE, running

LIKE_AIRFLOW = json.dumps({"message": "no Route matched with those values"}).encode()
LIKE_THE_GATEWAY = json.dumps({"status": 403, "code": "revoked", "detail": "go away"}).encode()
SAID = {
    **{str(status): page(status) for status in (200, 302, 401, 403, 404, 407, 408, 413, 429, 500, 502, 503, 511, 520)},
    "204": answer(204),
    "JSON 404": answer(404, LIKE_AIRFLOW, Content_Type="application/json"),
    "a problem": answer(403, LIKE_THE_GATEWAY, Content_Type="application/problem+json"),
    "redirect": answer(302, Location="https://portal.example.org/login"),
    "garbage": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "nothing": b"",
    "cut": answer(200, b"<html>", Content_Length="900"),
}


@pytest.fixture
def box(centre: Centre) -> Iterator[Middlebox]:
    with Middlebox(centre.url) as box:
        yield box


@pytest.fixture
def identity(key: str, config: Config, box: Middlebox) -> Identity:
    identity = Identity(
        worker_id=WORKER_ID,
        name="site-1",
        api_url=box.url,
        queues=("default",),
        private_key=key,
        centre_key=CENTRE_KEY,
    )
    identity.save(config.identity_file)
    return identity


def to(path: str, *said: Interference) -> Callable[[Message], Interference | None]:
    """Answer requests to such a path so, one after the other, and pass on those after them."""
    left = list(said)
    return lambda request: left.pop(0) if path in request.path and left else None


async def reason(agent: Agent, words: str) -> str:
    """Why the worker is not linked, or not by WebSocket, when that has these words."""
    async with asyncio.timeout(60):
        while True:
            # It may not have begun yet.
            with contextlib.suppress(NotRunningError):
                if words in (said := (await agent.status())["link"]["reason"]):
                    return str(said)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("moment", Moment)
async def test_a_tasks_end_is_delivered_whatever_is_said_in_the_centres_place(
    centre: Centre, box: Middlebox, runtime: Runtime, agent: Agent, moment: Moment
) -> None:
    for what, said in SAID.items():
        offer, api = await running(centre, runtime)
        await centre.until(lambda: [m for m in centre.messages if isinstance(m, Accepted)])
        centre.calls.clear()
        box.interfere(to(urls.EXECUTION, *[Interference(moment, said)] * 2))
        async with api:
            response = await asyncio.wait_for(api.patch(STATE, content=state_body("success")), 60)
        assert (response.status_code, response.json()) == (200, {}), what
        assert len(centre.calls) == (1 if moment is Moment.BEFORE else 3), what
        job_id = offer.job_id
        await centre.until(lambda: job_id in [m.job_id for m in centre.messages if isinstance(m, Released)])  # noqa: B023
        runtime.exit(offer.job_id)


async def test_what_strangers_say_for_a_while_is_seen_at_both_ends_until_the_centre_answers(
    centre: Centre, box: Middlebox, runtime: Runtime, agent: Agent
) -> None:
    _, api = await running(centre, runtime)
    said = Interference(Moment.BEFORE, page(404, "404 Not Found", Server="nginx/1.22.1"))
    box.interfere(lambda request: said if urls.EXECUTION in request.path else None)
    async with api:
        held = asyncio.create_task(api.patch(STATE, content=state_body("success")))
        status = await centre.until(lambda: next((s for s in centre.statuses if s.conditions), None))
        (condition,) = status.conditions
        assert "before the centre" in condition
        assert "answers 404 (server: nginx/1.22.1, '404 Not Found')" in condition
        assert (await agent.status())["conditions"] == [condition]
        box.restore()
        assert (await held).status_code == 200
    await centre.until(lambda: not centre.statuses[-1].conditions)


@pytest.mark.parametrize("location", LOCATIONS)
async def test_a_redirect_ends_no_agent_and_is_not_followed(
    centre: Centre, box: Middlebox, runtime: Runtime, make_agent: Callable[[], Agent], location: str
) -> None:
    said = Interference(Moment.BEFORE, answer(301, Location=location))
    box.interfere(lambda request: said)
    agent = make_agent()
    await agent.start()
    await runtime.until(lambda: runtime.connected)
    await reason(agent, "redirects to" if location else "answers 301")
    assert not centre.hellos
    box.restore()
    await centre.until(lambda: centre.statuses)


async def test_a_redirect_from_http_to_https_names_the_url_to_use(
    centre: Centre, box: Middlebox, runtime: Runtime, agent: Agent
) -> None:
    def to_https(request: Message) -> Interference:
        return Interference(Moment.BEFORE, answer(301, Location=f"https://{request.headers['host']}{request.path}"))

    box.interfere(to_https)
    box.cut()
    said = await reason(agent, "redirects to https://")
    assert f"enrol again with https://127.0.0.1:{box.port}" in said
    box.restore()
    await centre.until(lambda: len(centre.hellos) > 1 and centre.linked)


async def test_nothing_that_is_sent_ends_the_agent_or_leaves_it_without_words(
    centre: Centre, box: Middlebox, runtime: Runtime, agent: Agent
) -> None:
    """Also in the middle of its life, with a task's call under way."""
    _, api = await running(centre, runtime)
    dice = random.Random(10)
    left = [
        Interference(moment, said)
        for moment in Moment
        for said in (*GARBAGE, *(said_by_chance(dice) for _ in range(40)))
    ]
    dice.shuffle(left)
    seen: set[str] = set()
    box.interfere(lambda request: left.pop() if left else None)
    box.cut()
    async with api:
        calls = [asyncio.create_task(api.get(f"variables/{number}")) for number in range(20)]
        async with asyncio.timeout(120):
            while left:
                link = (await agent.status())["link"]
                assert link["state"] == "linked" or link["reason"]
                seen.add(link["reason"])
                # Nobody waits for the agent's own pauses here: a link that is cut is tried at once.
                if not any(not call.done() for call in calls):
                    calls = [asyncio.create_task(api.get(f"variables/{number}")) for number in range(20)]
                await asyncio.sleep(0.05)
        answers = await asyncio.gather(*calls)
    assert {response.status_code for response in answers} == {200}
    await centre.until(lambda: centre.linked)
    assert all(said.isprintable() for said in seen)


async def test_a_worker_that_was_never_linked_waits_for_a_stranger_to_go(
    centre: Centre, box: Middlebox, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    """As after a power cut, where the load balancer or portal is there before the centre."""
    agent = make_agent()
    box.interfere(lambda request: Interference(Moment.BEFORE, page(404, "default backend")))
    await agent.start()
    await runtime.until(lambda: runtime.connected)
    assert "default backend" in await reason(agent, "before the centre")
    box.restore()
    await centre.until(lambda: centre.statuses)


async def test_a_worker_that_was_linked_in_an_earlier_life_waits_for_the_centre_to_serve_workers_again(
    centre: Centre, box: Middlebox, runtime: Runtime, agent: Agent, make_agent: Callable[[], Agent]
) -> None:
    await agent.kill()
    problem = {"status": 503, "code": "api_not_enabled", "detail": "set [edge] api_enabled"}
    centre.refusal = (503, json.dumps(problem).encode())
    again = make_agent()
    await again.start()
    await runtime.until(lambda: runtime.connected)
    await reason(again, "api_enabled")
    before = len(centre.hellos)
    centre.refusal = None
    await centre.until(lambda: len(centre.hellos) > before)
