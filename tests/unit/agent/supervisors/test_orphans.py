"""With real processes: a leader of a session plays the supervisor, its child the task."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from airflow_edge.agent.supervisors.orphans import Orphans
from airflow_edge.protocol import stopping
from airflow_edge.protocol.assignment import AssignmentKey
from harness.waiting import wait_for

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 1)

# The supervisor waits for its task and ends; the task says when it is there, and takes SIGTERM as it is told to.
SUPERVISOR = """
import subprocess, sys
task = "import signal, time; {}; print('there', flush=True); time.sleep(100)"
sys.exit(subprocess.run([sys.executable, "-c", task]).returncode != 0)
"""
OBEDIENT = SUPERVISOR.format("pass")
STUBBORN = SUPERVISOR.format("signal.signal(signal.SIGTERM, signal.SIG_IGN)")


class Exits:
    def __init__(self) -> None:
        self.keys: list[AssignmentKey] = []
        self.notes: list[str] = []
        self.first = asyncio.Event()

    def __call__(self, key: AssignmentKey) -> None:
        self.keys.append(key)
        self.first.set()


@pytest.fixture
async def exits() -> Exits:
    return Exits()


@pytest.fixture
async def orphans(exits: Exits) -> AsyncIterator[Orphans]:
    orphans = Orphans(exits, note=lambda key, event: exits.notes.append(event))
    running = asyncio.create_task(orphans.run())
    yield orphans
    running.cancel()


@contextlib.contextmanager
def supervisor(code: str, stdout: IO[bytes] | int = subprocess.PIPE):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=stdout, start_new_session=True)
    try:
        if process.stdout is not None:
            assert process.stdout.readline() == b"there\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("code", [OBEDIENT, STUBBORN])
async def test_an_orphan_is_ended_and_its_end_noticed(orphans: Orphans, exits: Exits, code: str) -> None:
    with supervisor(code) as process:
        orphans.remember(KEY, process.pid)
        assert orphans.adopt([KEY]) == {KEY}
        assert orphans.halt(KEY, 0.2, "cleared")
        # Nobody reaps it before its end is noticed: a zombie counts as gone.
        async with asyncio.timeout(10):
            await exits.first.wait()
        assert process.wait(10) == 1
    assert exits.keys == [KEY]
    assert exits.notes == [stopping.terminated("cleared", 0.2), stopping.killed(0.2)][: len(exits.notes)]
    assert len(exits.notes) == (2 if code == STUBBORN else 1)
    assert not orphans.halt(KEY, 0.2, "")


async def test_what_is_gone_or_unknown_is_no_orphan(orphans: Orphans) -> None:
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
    assert orphans.adopt([KEY, AssignmentKey(KEY.job_id, 2)]) == frozenset()


async def test_a_job_of_a_living_runtime_is_not_ours_to_end(orphans: Orphans) -> None:
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
        assert not orphans.halt(KEY, 0, "")
        assert process.poll() is None


async def test_another_process_of_the_same_number_is_no_orphan(orphans: Orphans, monkeypatch) -> None:
    with supervisor(OBEDIENT) as process:
        monkeypatch.setattr("airflow_edge.agent.supervisors.orphans._began", lambda pid: "1")
        orphans.remember(KEY, process.pid)
        monkeypatch.setattr("airflow_edge.agent.supervisors.orphans._began", lambda pid: "2")
        assert orphans.adopt([KEY]) == frozenset()


async def test_a_supervisor_that_nobody_remembers_is_found_by_its_output(
    orphans: Orphans, exits: Exits, tmp_path: Path
) -> None:
    output = tmp_path / "supervisor.log"
    with output.open("wb") as file, supervisor(OBEDIENT, stdout=file) as process:
        wait_for(output.read_bytes, "the task to be there", timeout=10)
        orphans.discover({output: KEY, tmp_path / "none": AssignmentKey(KEY.job_id, 2)})
        assert orphans.adopt([KEY, AssignmentKey(KEY.job_id, 2)]) == {KEY}
        assert orphans.halt(KEY, 10, "")
        async with asyncio.timeout(10):
            await exits.first.wait()
        assert process.wait(10) == 1


async def test_the_task_of_a_killed_supervisor_is_ended(orphans: Orphans, exits: Exits) -> None:
    with supervisor(STUBBORN) as process:
        (task,) = psutil.Process(process.pid).children()
        orphans.remember(KEY, process.pid)
        orphans.adopt([KEY])
        process.kill()
        async with asyncio.timeout(10):
            await exits.first.wait()
        psutil.wait_procs([task], timeout=10)
        assert not task.is_running()
