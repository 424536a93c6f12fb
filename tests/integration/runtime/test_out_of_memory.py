"""A task that the kernel kills, because its memory is limited and it takes more."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_edge.protocol.local import JobExited
from harness.waiting import wait_for

LIMIT = 256 * 1024 * 1024
GROUPS = Path("/sys/fs/cgroup")


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """Make a control group with little memory; a process is put into it by its `cgroup.procs`."""
    version_1 = (GROUPS / "memory").is_dir()
    group = (GROUPS / "memory" if version_1 else GROUPS) / f"airflow-edge-{uuid.uuid4()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(LIMIT))
        if not version_1:
            (group / "memory.swap.max").write_text("0")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty", timeout=20)
    group.rmdir()


def test_a_task_without_memory_is_reported_as_such(agent, api, small_memory):
    api.should_retry = True
    job = agent.task("eat", api.path)
    agent.connection.send(job.start)
    (pid,) = agent.read("eat.pid")
    (small_memory / "cgroup.procs").write_text(str(pid))
    (agent.folder / "go on").touch()

    assert agent.connection.expect(JobExited, job=job).exit_code == 137
    assert "signal 9 (SIGKILL)" in job.outcome.reason
    assert "the kernel has killed for want of memory" in job.outcome.reason
    assert "worker_concurrency" in job.outcome.reason
    assert "out of memory" in (job.folder / "task.log").read_text()
