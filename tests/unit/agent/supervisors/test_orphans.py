"""With real processes: a leader of a session plays the supervisor, its child the task."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import msgspec
import psutil
import pytest

from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.supervisors.orphans import Orphans
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.site import stop
from harness.processes import without_descriptors
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
        self.first = asyncio.Event()
        self.unreadable = 0
        """How often to be told in vain."""

    def __call__(self, key: AssignmentKey) -> None:
        if self.unreadable:
            self.unreadable -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        self.keys.append(key)
        self.first.set()

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            await self.first.wait()


@pytest.fixture
def folders(tmp_path: Path) -> JobFolders:
    folders = JobFolders(tmp_path / "jobs")
    folders.folder(KEY).mkdir()
    folders.supervisor_log(KEY).touch()
    folders.log_file(KEY).touch()
    return folders


@pytest.fixture
async def exits() -> Exits:
    return Exits()


@pytest.fixture
async def orphans(exits: Exits, folders: JobFolders) -> AsyncIterator[Orphans]:
    orphans = Orphans(folders, exits)
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
async def test_an_orphan_is_ended_and_its_end_noticed(
    orphans: Orphans, exits: Exits, folders: JobFolders, code: str
) -> None:
    with supervisor(code) as process:
        orphans.remember(KEY, process.pid)
        assert orphans.adopt([KEY]) == {KEY}
        assert orphans.stop(KEY, 0.2, "cleared")
        # Nobody reaps it before its end is noticed: a zombie counts as gone.
        await exits.wait()
        assert process.wait(10) == 1
    assert exits.keys == [KEY]
    notes = [msgspec.json.decode(line)["event"] for line in folders.log_file(KEY).read_bytes().splitlines()]
    assert notes == [stop.terminated("cleared", 0.2), stop.killed(0.2)][: 2 if code == STUBBORN else 1]
    assert not orphans.stop(KEY, 0.2, "")


async def test_what_is_gone_or_unknown_is_no_orphan(orphans: Orphans) -> None:
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
    assert orphans.adopt([KEY, AssignmentKey(KEY.job_id, 2)]) == frozenset()


async def test_a_job_of_a_living_runtime_is_not_ours_to_end(orphans: Orphans) -> None:
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
        assert not orphans.stop(KEY, 0, "")
        assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may choose the number of the next process")
async def test_another_process_of_the_same_number_is_no_orphan(orphans: Orphans, exits: Exits) -> None:
    with of_number() as process:
        orphan = psutil.Process(process.pid)
        orphans.remember(KEY, process.pid)
        assert orphans.adopt([KEY]) == {KEY}
    # It leads a session, too: what is in that must not be taken for what the orphan has left behind.
    with of_number(orphan) as another:
        await exits.wait()
        assert orphans.adopt([KEY]) == frozenset()
        assert another.poll() is None
    assert exits.keys == [KEY]


async def test_a_supervisor_that_nobody_remembers_is_found_by_its_output(
    orphans: Orphans, exits: Exits, folders: JobFolders
) -> None:
    with recorded(folders) as process:
        assert orphans.adopt([KEY, AssignmentKey(KEY.job_id, 2)]) == {KEY}
        assert orphans.stop(KEY, 10, "")
        await exits.wait()
        assert process.wait(10) == 1


HOLDER = f"""
import sys
from pathlib import Path
from airflow_edge.site.processes import hold_pid_file
hold_pid_file(Path({{path!r}}))
{OBEDIENT}"""


async def test_a_supervisor_that_does_not_let_itself_be_looked_into_is_found_by_the_file_that_it_holds(
    orphans: Orphans, exits: Exits, folders: JobFolders
) -> None:
    """As Airflow's does, for whoever is not root: what it has open is nobody's business (PR_SET_DUMPABLE)."""
    with supervisor(HOLDER.format(path=str(folders.supervisor_pid(KEY)))) as process:
        assert orphans.adopt([KEY]) == {KEY}
        with without_descriptors():
            assert orphans.adopt([KEY]) == {KEY}
        assert exits.keys == []
        assert orphans.stop(KEY, 10, "")
        await exits.wait()
        assert process.wait(10) == 1
    assert orphans.adopt([KEY]) == frozenset()


async def test_an_orphan_whose_end_cannot_be_dealt_with_holds_up_no_other(
    orphans: Orphans, exits: Exits, folders: JobFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = AssignmentKey(KEY.job_id, 2)

    def tell(key: AssignmentKey) -> None:
        if key == KEY:
            raise KeyError("a fault of ours")
        exits(key)

    monkeypatch.setattr(orphans, "_exited", tell)
    with supervisor(OBEDIENT) as first, supervisor(OBEDIENT) as second:
        orphans.remember(KEY, first.pid)
        orphans.remember(other, second.pid)
        assert orphans.adopt([KEY, other]) == {KEY, other}
    await exits.wait()
    assert exits.keys == [other]


async def test_the_task_of_a_killed_supervisor_is_ended(orphans: Orphans, exits: Exits) -> None:
    with supervisor(STUBBORN) as process:
        (task,) = psutil.Process(process.pid).children()
        orphans.remember(KEY, process.pid)
        orphans.adopt([KEY])
        process.kill()
        await exits.wait()
        psutil.wait_procs([task], timeout=10)
        assert not task.is_running()


async def test_who_cannot_be_looked_at_is_not_dead_and_an_order_to_end_it_is_carried_out_later(
    orphans: Orphans, exits: Exits, caplog: pytest.LogCaptureFixture
) -> None:
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
        orphans.adopt([KEY])
        with without_descriptors():
            assert orphans.adopt([KEY]) == {KEY}
            assert orphans.stop(KEY, 0.2, "cleared")
            async with asyncio.timeout(10):
                while "cannot be ended now" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                    await asyncio.sleep(0.01)
            # It was looked at meanwhile.
            assert process.poll() is None
            assert exits.keys == []
        await exits.wait()
    assert exits.keys == [KEY]


async def test_a_supervisor_that_started_while_nothing_could_be_looked_at_is_adopted_all_the_same(
    orphans: Orphans, folders: JobFolders
) -> None:
    with recorded(folders) as process:
        with without_descriptors():
            orphans.remember(KEY, process.pid)
        assert orphans.adopt([KEY]) == {KEY}


async def test_who_cannot_be_looked_for_may_live_until_that_is_known(
    orphans: Orphans, exits: Exits, folders: JobFolders
) -> None:
    dead = AssignmentKey(KEY.job_id, 2)
    folders.folder(dead).mkdir()
    folders.supervisor_log(dead).touch()
    with recorded(folders) as process:
        with without_descriptors():
            assert orphans.adopt([KEY, dead, AssignmentKey(KEY.job_id, 3)]) == {KEY, dead}
            assert orphans.stop(KEY, 10, "cleared")
        await exits.wait()
        assert exits.keys == [dead]
        exits.first.clear()
        await exits.wait()
        assert process.wait(10) == 1
    assert exits.keys == [dead, KEY]


async def test_an_end_is_told_again_where_it_could_not_be_dealt_with(orphans: Orphans, exits: Exits) -> None:
    exits.unreadable = 2
    with supervisor(OBEDIENT) as process:
        orphans.remember(KEY, process.pid)
        orphans.adopt([KEY])
    await exits.wait()
    assert (exits.keys, exits.unreadable) == ([KEY], 0)


@contextlib.contextmanager
def recorded(folders: JobFolders) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor that is known by its output only."""
    output = folders.supervisor_log(KEY)
    with output.open("wb") as file, supervisor(OBEDIENT, stdout=file) as process:
        wait_for(output.read_bytes, "the task to be there", timeout=10)
        yield process


@contextlib.contextmanager
def of_number(gone: psutil.Process | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process, with the number of this one that is gone."""
    for _ in range(100):
        if gone is not None:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(gone.pid - 1))
        process = subprocess.Popen(["sleep", "100"], start_new_session=True)
        try:
            # Two that begin within the same hundredth of a second are one for whoever asks the kernel.
            if gone is None or (process.pid == gone.pid and psutil.Process(process.pid) != gone):
                yield process
                return
        finally:
            process.kill()
            process.wait()
    pytest.skip("others are always faster")
