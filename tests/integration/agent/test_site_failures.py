"""The machine fails the agent: its disk, its folder, its descriptors. Running jobs go on, and no new one is taken."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.messages import Accepted, Ended, LogEnd, Refused
from harness.disk import CAN_MOUNT, fill, small_disk
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime, state_body

needs_root = pytest.mark.skipif(not CAN_MOUNT, reason="only root may mount what this needs")

MINIMUM = "1"
"""MiB."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Have the worker's state folder on a disk of its own."""
    with small_disk(tmp_path / "state") as disk:
        yield disk


@pytest.fixture
async def agent_on_small_disk(
    disk: Path, make_agent: Callable[[], Agent], runtime: Runtime, centre: Centre
) -> AsyncIterator[Agent]:
    agent = make_agent()
    await agent.start(AIRFLOW__EDGE__MIN_FREE_DISK=MINIMUM)
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    yield agent
    await agent.kill()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def conditions(centre: Centre) -> tuple[str, ...]:
    return centre.statuses[-1].conditions


@needs_root
async def test_a_full_disk_costs_new_jobs_only(
    disk: Path, agent_on_small_disk: Agent, centre: Centre, runtime: Runtime
) -> None:
    runs = await centre.offer()
    job = await runtime.started(runs.job_id)
    filler = await asyncio.to_thread(fill, disk)
    await centre.until(lambda: conditions(centre))
    (condition,) = conditions(centre)
    assert "min_free_disk" in condition
    assert (await agent_on_small_disk.status())["conditions"] == [condition]

    refused_job = await centre.offer()
    refused = await centre.message(Refused)
    assert (refused.job_id, refused.reason) == (refused_job.job_id, condition)

    # What runs goes on to its end, and the centre has all of it.
    async with runtime.api(job) as api:
        assert (await api.patch("task-instances/ti-1/state", content=state_body("success"))).status_code == 200
    runtime.exit(runs.job_id)
    await centre.message(Ended)
    await centre.message(LogEnd)
    folder = runtime.folders[runs.job_id, 1]
    async with asyncio.timeout(15):
        while folder.exists():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(0.05)
    assert not Journal(disk / "journal.sqlite").unfinished

    filler.unlink()
    await centre.until(lambda: not conditions(centre))
    await centre.offer()
    await centre.message(Accepted, count=2)


@needs_root
async def test_an_agent_that_starts_on_a_full_disk_takes_its_jobs_over(
    disk: Path, agent_on_small_disk: Agent, make_agent: Callable[[], Agent], centre: Centre, runtime: Runtime
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    await centre.message(Accepted)
    await agent_on_small_disk.kill()
    await asyncio.to_thread(fill, disk)
    successor = make_agent()
    await successor.start(AIRFLOW__EDGE__MIN_FREE_DISK=MINIMUM)
    await centre.until(lambda: len(centre.hellos) == 2)
    assert [job.job_id for job in centre.hellos[1].jobs] == [offer.job_id]
    await centre.until(lambda: conditions(centre))
    assert "was moved to" not in successor.log.read_text()
    await successor.kill()


@needs_root
async def test_a_state_folder_that_becomes_read_only_is_told_and_recovers(
    disk: Path, agent_on_small_disk: Agent, centre: Centre, runtime: Runtime
) -> None:
    with read_only(disk):
        await centre.until(lambda: conditions(centre))
        assert "cannot be written to" in conditions(centre)[0]
        await centre.offer()
        assert "cannot be written to" in (await centre.message(Refused)).reason
    await centre.until(lambda: not conditions(centre))
    await centre.offer()
    await centre.message(Accepted)


async def test_after_a_reboot_the_jobs_of_before_are_over_at_once(
    agent: Agent, make_agent: Callable[[], Agent], centre: Centre, runtime: Runtime
) -> None:
    dies, ends = await centre.offer(), await centre.offer()
    for offer in (dies, ends):
        await runtime.started(offer.job_id)
    await centre.message(Accepted, count=2)
    runtime.exit(ends.job_id, code=3, reason="it failed", tell=False)
    await agent.kill()
    runtime.jobs.clear()
    with sqlite3.connect(agent.config.journal_file) as journal:
        journal.execute("UPDATE boot SET id = '00000000-0000-4000-8000-000000000000'")
    await make_agent().start()
    await centre.until(lambda: len(centre.hellos) == 2)
    # It does not wait for the runtime to find out.
    assert [job.phase for job in centre.hellos[1].jobs] == ["ended", "ended"]
    await centre.message(Ended, count=2)
    found = {message.job_id: message for message in centre.messages if isinstance(message, Ended)}
    assert "rebooted" in found[dies.job_id].reason
    assert found[dies.job_id].exit_code is None
    assert (found[ends.job_id].exit_code, found[ends.job_id].reason) == (3, "it failed")
    await centre.until(lambda: {(dies.job_id, 1), (ends.job_id, 1)} <= centre.ends.keys())


async def test_an_agent_without_descriptors_lives_on_and_says_why(
    agent: Agent, centre: Centre, runtime: Runtime
) -> None:
    offer = await centre.offer()
    await runtime.started(offer.job_id)
    boot_id = centre.hellos[0].boot_id
    lowest_free = _lowest_free_descriptor(agent.pid)
    soft, hard = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    await centre.until(lambda: conditions(centre))
    assert "LimitNOFILE" in conditions(centre)[0]
    await centre.offer()
    assert "LimitNOFILE" in (await centre.message(Refused)).reason

    # Now it has to connect anew, to the centre and to the runtime, with a descriptor for neither.
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (3, hard))
    await centre.cut()
    await runtime.stop()
    await runtime.start()
    async with asyncio.timeout(20):
        while "the runtime cannot be reached" not in agent.log.read_text():  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)
    began = _cpu_seconds(agent.pid)
    await asyncio.sleep(2)
    assert _cpu_seconds(agent.pid) - began < 1

    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (soft, hard))
    await centre.until(lambda: len(centre.hellos) == 2 and centre.linked, patience=30)
    assert centre.hellos[1].boot_id == boot_id
    await centre.until(lambda: runtime.connected and not conditions(centre), patience=30)
    runtime.exit(offer.job_id)
    ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code) == (offer.job_id, 0)
    await centre.offer()
    await centre.message(Accepted, count=2)


def _lowest_free_descriptor(pid: int) -> int:
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
