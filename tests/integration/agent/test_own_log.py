"""What the agent's process writes down about itself and keeps of its jobs, and what of it goes to the centre."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from airflow_edge.agent.task_logs.kept import about
from airflow_edge.protocol.local import LOG_FILE
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import Record, unpack
from airflow_edge.protocol.messages import Accepted, Goodbye, WantWorkerLog, WorkerLog
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime

WORKLOAD = {"ti": {"dag_id": "../dag", "run_id": "/run", "task_id": "task", "map_index": -1, "try_number": 2}}


def records(centre: Centre) -> list[Record]:
    batches = [message for message in centre.messages if isinstance(message, WorkerLog)]
    return [record for batch in batches for record in unpack(zstd.decompress(batch.data))]


async def run_job(centre: Centre, runtime: Runtime, log: bytes) -> str:
    """Let a job run to its end; give the name of its folder."""
    offer = await centre.offer(workload=WORKLOAD)
    await runtime.started(offer.job_id)
    await centre.message(Accepted)
    runtime.write_log(offer.job_id, log)
    runtime.exit(offer.job_id)
    key = (offer.job_id, offer.assignment)
    await centre.until(lambda: key in centre.ends)
    return f"{offer.job_id}.{offer.assignment}"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - made true by another process
            await asyncio.sleep(0.02)


async def test_the_log_of_a_finished_job_is_kept(centre: Centre, runtime: Runtime, agent: Agent) -> None:
    name = await run_job(centre, runtime, b"said\n")
    kept = agent.config.kept_logs_dir / name
    await until((kept / LOG_FILE).exists)
    assert (kept / LOG_FILE).read_bytes() == b"said\n"
    assert (about(kept).dag_id, about(kept).run_id, about(kept).try_number) == ("../dag", "/run", 2)
    assert list(agent.config.jobs_dir.iterdir()) == []
    assert [path.name for path in agent.config.kept_logs_dir.iterdir()] == [name]


async def test_what_a_killed_agent_left_is_kept_by_the_next(
    centre: Centre, runtime: Runtime, agent: Agent, make_agent: Callable[[], Agent]
) -> None:
    name = await run_job(centre, runtime, b"said\n")
    kept = agent.config.kept_logs_dir / name
    await until((kept / LOG_FILE).exists)
    await agent.kill()
    # As if it had been killed just before it put the folder away.
    left = agent.config.jobs_dir / name
    kept.rename(left)
    await make_agent().start()
    await until((kept / LOG_FILE).exists)
    assert not left.exists()


async def test_a_site_that_wants_no_copies_keeps_none(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    agent = make_agent()
    await agent.start(AIRFLOW__EDGE__LOCAL_LOG_MAX_AGE="0")
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    name = await run_job(centre, runtime, b"said\n")
    await until(lambda: not (agent.config.jobs_dir / name).exists())
    assert not list(agent.config.kept_logs_dir.iterdir())


async def test_the_agents_log_goes_to_a_centre_that_asks(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    agent = make_agent()
    await agent.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    agent.config.runtime_log.write_text("2026-03-04T05:06:07.890Z WARNING  the runtime's word\n")
    await centre.say(WantWorkerLog(request="r1", seconds=60, level=20, lines=50))
    answer = await centre.until(
        lambda: next((m for m in centre.messages if isinstance(m, WorkerLog) and m.answers == "r1"), None)
    )
    assert answer.run
    texts = [record.text for record in records(centre)]
    assert texts[0] == "the runtime's word"
    assert any(text.startswith("linked to") for text in texts)
    offer = await centre.offer(workload=WORKLOAD)
    await runtime.started(offer.job_id)
    await centre.until(lambda: any(offer.job_id in record.text for record in records(centre)))
    await centre.cut()
    await centre.until(lambda: any("not linked" in record.text for record in records(centre)))
    numbers = [(m.first, len(unpack(zstd.decompress(m.data)))) for m in centre.messages if isinstance(m, WorkerLog)]
    assert len(numbers) > 1
    assert all(first + count == following for (first, count), (following, _) in pairwise(numbers))


async def test_what_is_always_sent_needs_nobody_who_asks(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent]
) -> None:
    agent = make_agent()
    await agent.start(AIRFLOW__EDGE__WORKER_LOG_LEVEL="warning")
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    await centre.cut()
    await centre.until(lambda: any("not linked" in record.text for record in records(centre)))
    assert all(record.level >= 30 for record in records(centre))


SIGNED = re.compile(rb"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,}")


async def test_no_secret_is_in_what_an_agent_leaves(
    centre: Centre, runtime: Runtime, make_agent: Callable[[], Agent], key: str
) -> None:
    agent = make_agent()
    await agent.start(VERBOSE="1")
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    offer = await centre.offer(workload=WORKLOAD)
    job = await runtime.started(offer.job_id)
    async with runtime.api(job) as api:
        assert (await api.patch("task-instances/ti-1/run", content=b"{}")).status_code == 200
        assert (await api.patch("task-instances/ti-2/run", headers={"Authorization": "Bearer x"})).status_code == 401
    runtime.write_log(offer.job_id, b"x\n")
    runtime.exit(offer.job_id)
    await until(lambda: list(agent.config.kept_logs_dir.glob("*/task.log")))
    await centre.cut()
    await centre.until(lambda: len(centre.hellos) > 1 and centre.linked)
    agent.signal(signal.SIGTERM)
    await centre.message(Goodbye)
    assert await agent.ended() == 0
    read = dict(_files(agent.config.state_dir))
    assert json.loads(read.pop("worker.json"))["private_key"] == key
    assert b"DEBUG" in read["agent.log"] or b"INFO" in read["agent.log"]
    for name, content in read.items():
        for secret in (key.encode(), job.secret.encode(), *(token.encode() for token in centre.tokens)):
            assert secret not in content, name
        assert not SIGNED.search(content), name


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
