"""What a task at the site must not notice: a link that breaks, a centre that is away, an agent that dies."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from airflow_edge.agent.task_logs import pace
from airflow_edge.protocol.local import StopJob
from airflow_edge.protocol.messages import Accepted, Ended, LogAck, LogEnd, Offer, Released, Stop, Void
from airflow_edge.protocol.urls import JOB_HEADER
from tests.integration.agent.centre import Answer, Call, Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime, state_body

STATE = "task-instances/ti-1/state"
HEARTBEAT = "task-instances/ti-1/heartbeat"


async def running(centre: Centre, runtime: Runtime) -> tuple[Offer, httpx.AsyncClient]:
    """Start a job; give it with its supervisor's way to the Execution API."""
    offer = await centre.offer()
    job = await runtime.started(offer.job_id)
    return offer, runtime.api(job)


def ends(centre: Centre) -> list[Ended]:
    return [message for message in centre.messages if isinstance(message, Ended)]


@pytest.mark.parametrize("forgotten", [False, True])
async def test_reports_made_without_a_link_arrive_once(
    centre: Centre, runtime: Runtime, agent: Agent, forgotten: bool
) -> None:
    offer, _ = await running(centre, runtime)
    await centre.message(Accepted)
    await centre.stop()
    runtime.exit(offer.job_id, code=3)
    centre.forget_sessions = forgotten
    await centre.start()
    await centre.until(lambda: len(centre.hellos) > 1 and centre.linked)
    ended = await centre.message(Ended)
    assert ended.exit_code == 3
    await centre.until(lambda: (offer.job_id, 1) in centre.ends)
    statuses = len(centre.statuses)
    await centre.until(lambda: len(centre.statuses) > statuses + 1)
    assert len(ends(centre)) == 1


async def test_offers_come_again_where_the_link_broke(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    await centre.cut()
    await centre.until(lambda: not centre.linked)
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    assert len(centre.hellos) == 2
    assert centre.resumed == [False, True]


async def test_a_call_is_held_while_the_centre_is_away_and_heartbeats_go_on(
    centre: Centre, runtime: Runtime, agent: Agent
) -> None:
    offer, api = await running(centre, runtime)
    await centre.message(Accepted)
    async with api:
        await centre.stop()
        held = asyncio.create_task(api.patch(STATE, content=state_body("success")))
        async with runtime.api(runtime.jobs[offer.job_id, 1]) as other:
            for _ in range(3):
                assert (await other.put(HEARTBEAT, content=b"{}")).status_code == 204
        assert not held.done()
        await centre.start()
        assert (await held).status_code == 200
    await centre.message(Released)
    await centre.until(lambda: centre.statuses[-1].alive == (offer.job_id,))


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [
        # The answer was lost, and the task has another state: somebody marked it.
        (None, (409, {"detail": {"reason": "invalid_state", "previous_state": "failed"}}), 409),
        # A proxy in between, or a gateway that is starting.
        ((502, {}), (200, {}), 200),
        ((503, {"status": 503, "code": "not_ready", "detail": "starting"}), (200, {}), 200),
        # Our own token, while somebody sets the clock right.
        ((401, {"status": 401, "code": "clock_skew", "detail": "80 s behind"}), (200, {}), 200),
        # What the centre says otherwise is the supervisor's business.
        ((409, {"detail": {"reason": "invalid_state", "previous_state": "success"}}), None, 409),
        ((422, {"detail": "no"}), None, 422),
        ((500, {"detail": "oops"}), None, 500),
    ],
)
async def test_what_the_supervisor_sees_of_an_answer(
    centre: Centre,
    runtime: Runtime,
    agent: Agent,
    first: tuple[int, object] | None,
    second: tuple[int, object] | None,
    seen: int,
) -> None:
    answers = [first, second]

    def answer(call: Call) -> Answer | None:
        now = answers.pop(0)
        return None if now is None else (now[0], json.dumps(now[1]).encode())

    centre.answer = answer
    _, api = await running(centre, runtime)
    async with api:
        response = await api.patch(STATE, content=state_body("success"))
    assert response.status_code == seen
    assert len(centre.calls) == (1 if second is None else 2)
    if seen == 200:
        await centre.message(Released)


async def test_no_token_of_airflow_reaches_the_supervisor(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    centre.answer = lambda call: (200, b'{"some": "answer"}')
    offer, api = await running(centre, runtime)
    async with api:
        response = await api.get(
            "xcoms/dag/run%2B1/a%20b/key?map_index=1",
            headers={"Airflow-API-Version": "2026-01-01", "X-Other": "stays here"},
        )
    assert response.json() == {"some": "answer"}
    assert "refreshed-api-token" not in response.headers
    (call,) = centre.calls
    assert (call.path, call.query) == ("/xcoms/dag/run%2B1/a%20b/key", "map_index=1")
    assert call.headers["airflow-api-version"] == "2026-01-01"
    assert call.headers[JOB_HEADER.lower()] == f"{offer.job_id}:1"
    assert "x-other" not in call.headers


async def test_a_secret_opens_its_own_living_job_only(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    centre.take_logs = False
    offer, api = await running(centre, runtime)
    async with api:
        assert (await api.put(HEARTBEAT, headers={"Authorization": "Bearer guessed"})).status_code == 410
        assert (await api.get("variables/v", headers={"Authorization": "Bearer guessed"})).status_code == 401
        assert (await api.get("variables/v", headers={"Authorization": ""})).status_code == 401
        runtime.exit(offer.job_id)
        await centre.message(Ended)
        assert (await api.put(HEARTBEAT)).status_code == 410
    assert centre.calls == []


async def test_a_job_outlives_its_agent_and_ends_without_one(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    first = make_agent()
    await first.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    ends_alone, _ = await running(centre, runtime)
    lives_on, api = await running(centre, runtime)
    await centre.message(Accepted, count=2)
    runtime.write_log(ends_alone.job_id, b"half of it\n")
    await first.kill()
    runtime.write_log(ends_alone.job_id, b"the other half\n")
    runtime.exit(ends_alone.job_id, code=5, reason="it failed", tell=False)

    await make_agent().start()
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code, ended.reason) == (ends_alone.job_id, 5, "it failed")
    async with api:
        assert (await api.patch(STATE, content=state_body("success"))).status_code == 200
    runtime.exit(lives_on.job_id)
    await centre.until(lambda: len(centre.ends) == 2)
    assert centre.logs[ends_alone.job_id, 1] == b"half of it\nthe other half\n"
    assert {job.job_id for job in centre.hellos[1].jobs} == {ends_alone.job_id, lives_on.job_id}
    assert sum(order.__class__.__name__ == "StartJob" for order in runtime.orders) == 2


async def test_a_runtime_that_died_took_its_jobs_along(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    offer, _ = await running(centre, runtime)
    await centre.message(Accepted)
    await runtime.stop()
    runtime.jobs.clear()
    await runtime.start()
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code, ended.signal) == (offer.job_id, None, None)
    assert "runtime" in ended.reason


def _damage(journal: Path) -> None:
    journal.write_bytes(b"no journal at all")
    # SQLite could make the journal anew from this one.
    _lose_the_log(journal)


def _empty(journal: Path) -> None:
    journal.write_bytes(b"")
    _lose_the_log(journal)


def _remove(journal: Path) -> None:
    journal.unlink()
    _lose_the_log(journal)


def _lose_the_log(journal: Path) -> None:
    journal.with_name(f"{journal.name}-wal").unlink(missing_ok=True)


def _damage_job_file(journal: Path) -> None:
    """Both at once: nothing but the folder's name says what it is."""
    _damage(journal)
    for file in journal.parent.glob("jobs/*/job.json"):
        file.write_bytes(b"\xff" * file.stat().st_size)


@pytest.mark.parametrize("harm", [_damage, _empty, _remove, _lose_the_log, _damage_job_file])
async def test_jobs_are_recovered_from_their_folders_when_the_journal_is_damaged_or_lost(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent], harm: Callable[[Path], None]
) -> None:
    first = make_agent()
    await first.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    offer, api = await running(centre, runtime)
    over, _ = await running(centre, runtime)
    await centre.message(Accepted, count=2)
    runtime.write_log(over.job_id, b"its log\n")
    await first.kill()
    # This one ended while nobody was there, and has left its outcome.
    runtime.exit(over.job_id, code=3, reason="it failed", tell=False)
    journal = first.config.journal_file
    harm(journal)
    second = make_agent()
    await second.start()
    await centre.until(lambda: len(centre.hellos) == 2)
    assert {job.job_id for job in centre.hellos[1].jobs} == {offer.job_id, over.job_id}
    async with api:
        assert (await api.patch(STATE, content=state_body("success"))).status_code == 200
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code, ended.reason) == (over.job_id, 3, "it failed")
    runtime.exit(offer.job_id)
    await centre.until(lambda: {(offer.job_id, 1), (over.job_id, 1)} <= centre.ends.keys())
    assert centre.logs[over.job_id, 1] == b"its log\n"
    assert not [order for order in runtime.orders if isinstance(order, StopJob)]
    assert "recovered from" in second.log.read_text()


async def test_a_stopped_job_is_ended_and_reported(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    offer, _ = await running(centre, runtime)
    await centre.say(Stop(job_id=offer.job_id, assignment=1, reason="the task was cleared"))
    assert (await runtime.stopped(offer.job_id)).grace == 1.0
    runtime.exit(offer.job_id, code=143)
    ended = await centre.message(Ended)
    assert (ended.exit_code, ended.reason) == (143, "the task was cleared")


async def test_a_void_job_is_ended_and_forgotten(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    offer, _ = await running(centre, runtime)
    await centre.say(Void(job_id=offer.job_id, assignment=1, reason="given to another worker"))
    await runtime.stopped(offer.job_id)
    runtime.exit(offer.job_id, code=143)
    await centre.until(lambda: (offer.job_id, 1) in centre.ends)
    assert ends(centre) == []
    status = await agent.status()
    assert (status["jobs"], status["free_slots"]) == ([], 4)


async def test_a_log_goes_on_from_wherever_the_centre_is(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    text = b"".join(b"line %d of what the task has to say\n" % number for number in range(60_000))
    offer, _ = await running(centre, runtime)
    centre.take_logs = False
    runtime.write_log(offer.job_id, text)
    await centre.until(lambda: len(centre.chunks) >= 2)
    # No more than the window is on its way, though there is more.
    assert sum(len(chunk.data) for chunk in centre.chunks) <= 3 * pace.LEAST
    assert sum(chunk.size for chunk in centre.chunks) < len(text)
    centre.take_logs = True
    await centre.cut()
    await centre.until(lambda: len(centre.hellos) == 2)
    await centre.until(lambda: len(centre.logs.get((offer.job_id, 1), b"")) == len(text))
    # It has lost some of it again, and says so.
    centre.logs[offer.job_id, 1] = bytearray(text[:1000])
    await centre.say(LogAck(job_id=offer.job_id, assignment=1, offset=1000))
    runtime.exit(offer.job_id)
    await centre.until(lambda: (await_end := centre.ends.get((offer.job_id, 1))) and await_end.size == len(text))
    assert centre.logs[offer.job_id, 1] == text
    end = await centre.message(LogEnd)
    assert end.sha256 == hashlib.sha256(text).hexdigest()
