"""Half a day without a link: a real gateway before Airflow's own API, and a real agent, on a clock that is moved on.

The clock is that of both: wall clock (tokens, database) and event loops (retries, sessions, heartbeats). It moves in
steps, each as soon as the centre has done what the last one asked of it, so that the outcome does not depend on the
machine's speed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import time_machine
from airflow.configuration import conf
from sqlalchemy import select

from airflow_edge.agent.agent import Agent
from airflow_edge.agent.config import Config
from airflow_edge.agent.net.identity import Clock as SigningClock
from airflow_edge.agent.net.identity import Identity
from airflow_edge.protocol import tokens
from harness.faults import FaultProxy
from tests.integration.agent.runtime import Runtime
from tests.integration.gateway.test_execution import RUN, SUCCESS
from tests.integration.gateway.world import Centre, GatewayServer, mounted, wait_until

pytestmark = pytest.mark.one_database

OUTAGE = timedelta(hours=12)
GRACE = timedelta(hours=13)
STEP = timedelta(seconds=200)
"""Less than Airflow waits for a heartbeat."""
BEAT = timedelta(seconds=5)
FRESH = timedelta(seconds=40)
MOST_NUDGES = 10
"""With as many heartbeats, a step is still shorter than Airflow waits."""
SOON = timedelta(seconds=10)


class Clock:
    """Wall clock and event loops of this process, moved on together."""

    def __init__(self, wall: time_machine.Traveller) -> None:
        self._wall = wall
        self._ahead = 0.0
        self._loops: list[asyncio.AbstractEventLoop] = []

    def steady(self) -> float:
        """Seconds that nobody sets."""
        return time.monotonic() + self._ahead

    def govern(self) -> None:
        """Be the clock of the running event loop."""
        loop = asyncio.get_running_loop()
        loop.time = self.steady  # type: ignore[method-assign]
        self._loops.append(loop)

    def advance(self, by: timedelta) -> None:
        self._wall.shift(by)
        self._ahead += by.total_seconds()
        for loop in self._loops:
            # Whoever sleeps has to look at the clock again.
            loop.call_soon_threadsafe(lambda: None)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(datetime.now(UTC), tick=True) as wall:
        yield Clock(wall)


@pytest.fixture
def far_centre(airflow_database, clock: Clock) -> Iterator[Centre]:
    """A centre whose only gateway runs on the clock."""
    app = mounted(heartbeat_interval=BEAT.total_seconds())
    running = app.router.lifespan_context

    @asynccontextmanager
    async def on_the_clock(app):
        clock.govern()
        async with running(app) as state:
            yield state

    app.router.lifespan_context = on_the_clock
    with GatewayServer(app, loop="asyncio") as server:
        yield Centre(airflow_database, server.url)


@contextmanager
def running_worker(config: Config, identity: Identity):
    identity.save(config.identity_file)
    worker = asyncio.create_task(Agent(config, identity).run())
    try:
        yield worker
    finally:
        worker.cancel()


class Supervisor:
    """What the Task SDK's supervisor does for one task."""

    def __init__(self, centre: Centre, runtime: Runtime, ti_id: UUID, job_id: str, api: httpx.AsyncClient) -> None:
        self.ti_id, self.job_id = ti_id, job_id
        self._dag_id = centre.dag_of(ti_id)
        self._runtime = runtime
        self._api = api
        api.timeout = httpx.Timeout(None)

    async def begin(self) -> None:
        answer = await self._api.patch(f"task-instances/{self.ti_id}/run", json=RUN)
        assert answer.status_code == 200, answer.text

    async def beat(self) -> int:
        answer = await self._api.put(f"task-instances/{self.ti_id}/heartbeat", json={"hostname": "site", "pid": 1})
        return answer.status_code

    async def end(self, *values: str) -> None:
        """Push these values under one key, set the state, and be gone."""
        for value in values:
            path = f"xcoms/{self._dag_id}/run/task/return_value"
            answer = await self._api.post(path, json=json.dumps(value))
            assert answer.status_code == 201, answer.text
        answer = await self._api.patch(f"task-instances/{self.ti_id}/state", json=SUCCESS)
        assert answer.status_code == 204, answer.text
        self._runtime.write_log(self.job_id, b"it has ended\n")
        self._runtime.exit(self.job_id)


def oldest_heartbeat(centre: Centre, *tis: UUID) -> datetime:
    beats = [beat for ti_id in tis if (beat := centre.last_heartbeat(ti_id))]
    assert len(beats) == len(tis)
    return min(beat if beat.tzinfo else beat.replace(tzinfo=UTC) for beat in beats)


def xcom(centre: Centre, ti_id: UUID) -> str:
    from airflow.models.xcom import XComModel

    with centre.engine.connect() as connection:
        value: str = connection.scalars(select(XComModel.value).where(XComModel.dag_id == centre.dag_of(ti_id))).one()
    return str(json.loads(value))


async def kept_alive(centre: Centre, clock: Clock, *tis: UUID) -> None:
    """Wait until the centre has kept these tasks alive, helping it a little out of its sleep."""
    looks = 0

    def is_fresh(beat: datetime) -> bool:
        nonlocal looks
        looks += 1
        if datetime.now(UTC) - beat < FRESH:
            return True
        if looks <= MOST_NUDGES:
            clock.advance(BEAT)
        return False

    # The nudges count as time that has passed.
    patience = 60 + MOST_NUDGES * BEAT.total_seconds()
    await wait_until(lambda: oldest_heartbeat(centre, *tis), is_fresh, patience=patience)


async def test_tasks_outlive_half_a_day_and_report_on_return(far_centre: Centre, clock: Clock, tmp_path: Path):
    clock.govern()
    centre, queue = far_centre, far_centre.queue_name()
    for lifetime in (conf.getint("execution_api", "jwt_expiration_time"), tokens.LIFETIME + tokens.MAX_SKEW):
        assert timedelta(seconds=lifetime) < OUTAGE / 50
    timeout = timedelta(seconds=conf.getint("scheduler", "task_instance_heartbeat_timeout"))
    site = centre.trusted_site(queue)
    assert centre.store.workers.set_disconnect_grace([site.name], GRACE) == []
    config = Config(state_dir=tmp_path / "state", concurrency=4)
    config.state_dir.mkdir(mode=0o700)
    runtime = Runtime(config.runtime_socket)
    await runtime.start()
    with FaultProxy([centre.gateway]) as proxy:
        key = site.key.private_bytes_raw().hex()
        identity = Identity(
            worker_id=site.worker_id,
            name=site.name,
            api_url=proxy.url,
            queues=(queue,),
            private_key=key,
            centre_key=centre.centre_key(),
        )
        identity.clock = SigningClock(steady=clock.steady)
        with running_worker(config, identity) as worker:
            supervisors: list[Supervisor] = []
            for _ in range(2):
                ti_id = centre.task_instance(queue)
                job = centre.queue(queue, workload_id=ti_id)
                files = await runtime.started(str(job.id))
                supervisors.append(Supervisor(centre, runtime, ti_id, str(job.id), runtime.api(files)))
                await supervisors[-1].begin()
            goes_on, ends = supervisors
            tis = [supervisor.ti_id for supervisor in supervisors]

            proxy.refuse()
            proxy.reset()
            began = datetime.now(UTC)
            ending = asyncio.create_task(ends.end("first", "last"))
            while datetime.now(UTC) - began < OUTAGE:
                clock.advance(STEP)
                # What a scheduler would see at its worst moment: nothing that it would fail for want of a heartbeat.
                assert datetime.now(UTC) - await asyncio.to_thread(oldest_heartbeat, centre, *tis) < timeout
                assert await goes_on.beat() == 204
                await kept_alive(centre, clock, *tis)
            assert not ending.done()
            assert not worker.done()
            assert [centre.task_state(ti_id) for ti_id in tis] == ["running", "running"]
            (row,) = [row for row in centre.store.workers.all() if row.name == site.name]
            assert row.state == "unknown"

            proxy.restore()
            clock.advance(SOON)
            await asyncio.wait_for(ending, 60)
            await goes_on.end("only")
            for supervisor, value in ((ends, "last"), (goes_on, "only")):
                await centre.wait_for_state(UUID(supervisor.job_id), "succeeded", patience=60)
                await wait_until(partial(centre.job, supervisor.job_id), lambda job: job.log_complete, patience=60)
                assert centre.task_state(supervisor.ti_id) == "success"
                assert xcom(centre, supervisor.ti_id) == value
    with suppress(asyncio.CancelledError):
        await worker
    await runtime.stop()
