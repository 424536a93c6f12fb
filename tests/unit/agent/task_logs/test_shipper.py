from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import random
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_edge.agent.task_logs.file import LogFile
from airflow_edge.agent.task_logs.pace import LEAST, MOST_PIECES
from airflow_edge.agent.task_logs.shipper import GIVEN_UP_AFTER, MOST_ENDS, STALLED_AFTER, LogShipper
from airflow_edge.agent.task_logs.stream import Segment
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import SiteTerms
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.messages import MAX_LOG_CHUNK_BYTES, LogAck, LogChunk, LogEnd
from harness.processes import without_descriptors

JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
KEY = AssignmentKey(JOB, 1)
OTHER_KEY = AssignmentKey(OTHER, 1)


class Line:
    """The shipper, and what it says; time goes by only when told to."""

    def __init__(self, *, inotify: bool = True, bandwidth: float | None = None) -> None:
        self.now = 1000.0
        self.ends: list[LogEnd] = []
        self.done: list[AssignmentKey] = []
        self.changed = asyncio.Event()
        self.shipper = LogShipper(
            send=self._note(self.ends),
            more=self.changed.set,
            done=self._note(self.done),
            bandwidth=bandwidth,
            batching=0.0,
            inotify=inotify,
            now=lambda: self.now,
        )

    def _note(self, where: list) -> Callable[[object], None]:
        def note(what: object) -> None:
            where.append(what)
            self.changed.set()

        return note

    def chunks(self) -> list[LogChunk]:
        """All that may be sent now."""
        found = []
        while chunk := self.shipper.next_chunk():
            found.append(chunk)
        return found

    async def seen(self, probe: Callable[[], object]) -> None:
        """Wait until the shipper has noticed something."""
        async with asyncio.timeout(10):
            while not probe():
                self.changed.clear()
                await self.changed.wait()

    async def all_chunks(self) -> list[LogChunk]:
        """Wait until there is something to send; give all of it."""
        found: list[LogChunk] = []

        def look() -> bool:
            found.extend(self.chunks())
            return bool(found)

        await self.seen(look)
        return found

    async def take(self, centre: bytes, until: Callable[[bytes], object]) -> bytes:
        """Be a centre that has this, and takes everything until it has what is awaited; give what it has then."""
        async with asyncio.timeout(15):
            while True:
                for chunk in self.chunks():
                    if chunk.size:
                        assert chunk.offset == len(centre)
                        centre += text([chunk])
                    self.acknowledge(len(centre))
                if until(centre):
                    return centre
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.05)

    def acknowledge(self, offset: int, *, complete: bool = False) -> None:
        self.shipper.acknowledged(LogAck(job_id=JOB, assignment=1, offset=offset, complete=complete))


@contextlib.asynccontextmanager
async def shipping(**options: Any) -> AsyncIterator[Line]:
    line = Line(**options)
    running = asyncio.create_task(line.shipper.run())
    line.shipper.linked(())
    yield line
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(params=[True, False], ids=["inotify", "polling"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    async with shipping(inotify=request.param) as line:
        yield line


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "task.log"


def write(log: Path, content: bytes) -> None:
    log.write_bytes(content)


def text(chunks: list[LogChunk]) -> bytes:
    parts = [zstd.decompress(chunk.data) for chunk in chunks]
    for chunk, part in zip(chunks, parts, strict=True):
        assert (chunk.size, chunk.crc32) == (len(part), zlib.crc32(part))
    return b"".join(parts)


async def test_a_log_is_sent_while_it_grows_and_ended_with_its_digest(line: Line, log: Path) -> None:
    line.shipper.follow(KEY, log, fresh=True)
    write(log, b"one\n")
    (first,) = await line.all_chunks()
    line.acknowledge(4)
    with log.open("ab") as task:
        task.write(b"two\n")
    (second,) = await line.all_chunks()
    assert (first.offset, second.offset) == (0, 4)
    assert text([first, second]) == b"one\ntwo\n"
    line.shipper.close(KEY)
    await asyncio.sleep(0)
    assert line.ends == []
    line.acknowledge(8)
    await line.seen(lambda: line.ends)
    assert (line.ends[0].size, line.ends[0].sha256) == (8, hashlib.sha256(b"one\ntwo\n").hexdigest())
    line.acknowledge(8, complete=True)
    assert line.done == [KEY]


async def test_of_a_log_that_the_centre_wants_no_more_of_nothing_is_sent_and_it_is_done_with_its_job(
    line: Line, log: Path
) -> None:
    line.shipper.follow(KEY, log, fresh=True)
    write(log, b"one\n")
    await line.all_chunks()
    line.acknowledge(99, complete=True)
    with log.open("ab") as task:
        task.write(b"two\n")
    # The other log is looked at after it.
    other = log.parent / "other" / "log"
    other.parent.mkdir()
    write(other, b"other\n")
    line.shipper.follow(OTHER_KEY, other, fresh=True)
    assert text(await line.all_chunks()) == b"other\n"
    assert line.done == []
    line.shipper.close(KEY)
    assert line.done == [KEY]


async def test_a_job_that_wrote_no_log_has_an_empty_one(line: Line, log: Path) -> None:
    line.shipper.follow(KEY, log, fresh=True)
    line.shipper.close(KEY)
    await line.seen(lambda: line.ends)
    assert line.ends[0].size == 0


async def test_only_a_window_is_on_the_way(line: Line, log: Path) -> None:
    content = random.Random(1).randbytes(3_000_000)
    write(log, content)
    line.shipper.follow(KEY, log, fresh=True)
    found = await line.all_chunks()
    assert sum(len(chunk.data) for chunk in found) <= 3 * LEAST
    while (end := found[-1].offset + found[-1].size) < len(content):
        line.acknowledge(end)
        found += line.chunks()
    assert max(chunk.size for chunk in found) == MAX_LOG_CHUNK_BYTES
    assert text(found) == content


async def test_only_so_many_pieces_are_on_the_way(line: Line, tmp_path: Path) -> None:
    for number in range(2 * MOST_PIECES):
        path = tmp_path / str(number) / "task.log"
        path.parent.mkdir()
        write(path, b"a line\n")
        line.shipper.follow(AssignmentKey(f"{JOB[:-2]}{number:02}", 1), path, fresh=True)
    found: list[LogChunk] = []
    while len(found) < MOST_PIECES:
        found += await line.all_chunks()
    assert len(found) == MOST_PIECES


async def test_jobs_take_turns(line: Line, tmp_path: Path) -> None:
    for job_id in (JOB, OTHER):
        path = tmp_path / job_id
        write(path, b"x" * 3 * MAX_LOG_CHUNK_BYTES)
        line.shipper.follow(AssignmentKey(job_id, 1), path, fresh=True)
    found: list[LogChunk] = []
    while len(found) < 6:
        found += await line.all_chunks()
    assert len({chunk.job_id for chunk in found[-2:]}) == 2


async def test_after_a_link_broke_the_centre_is_asked_how_far_it_is(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log, fresh=True)
    await line.all_chunks()
    line.shipper.linked(())
    (question,) = await line.all_chunks()
    assert (question.offset, question.size) == (0, 0)
    line.acknowledge(4)
    (again,) = await line.all_chunks()
    assert (again.offset, text([again])) == (4, b"two\n")


async def test_a_new_agent_asks_first_too(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log, fresh=False)
    (question,) = await line.all_chunks()
    assert question.size == 0
    line.acknowledge(8)
    line.shipper.close(KEY)
    await line.seen(lambda: line.ends)
    assert line.chunks() == []


async def test_the_centre_may_have_lost_some(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log, fresh=True)
    line.shipper.close(KEY)
    await line.all_chunks()
    line.acknowledge(8)
    await line.seen(lambda: line.ends)
    line.acknowledge(0)
    (again,) = await line.all_chunks()
    assert again.offset == 0
    line.acknowledge(8)
    await line.seen(lambda: len(line.ends) == 2)


async def test_what_was_not_acknowledged_for_long_is_asked_for(line: Line, log: Path) -> None:
    write(log, b"one\n")
    line.shipper.follow(KEY, log, fresh=True)
    await line.all_chunks()
    line.now += STALLED_AFTER + 1
    line.shipper.follow(KEY, log, fresh=True)
    (question,) = await line.all_chunks()
    assert question.size == 0


async def test_a_log_that_nobody_takes_is_given_up_but_not_without_a_link(line: Line, log: Path) -> None:
    write(log, b"one\n")
    line.shipper.follow(KEY, log, fresh=True)
    line.shipper.close(KEY)
    await line.all_chunks()
    line.now += GIVEN_UP_AFTER + 1
    line.shipper.linked(())
    await line.all_chunks()
    assert line.done == []
    line.now += GIVEN_UP_AFTER + 1
    line.shipper.close(OTHER_KEY)
    await line.seen(lambda: line.done)


async def test_a_log_that_differs_again_and_again_is_given_up(line: Line, log: Path) -> None:
    write(log, b"one\n")
    line.shipper.follow(KEY, log, fresh=True)
    line.shipper.close(KEY)
    for number in range(MOST_ENDS + 1):
        await line.all_chunks()
        line.acknowledge(4)
        await line.seen(partial(lambda count: len(line.ends) == count, number + 1))
        line.acknowledge(0)
    await line.seen(lambda: line.done)


def marker(data: bytes) -> str:
    """The event of the only marker line in it."""
    (found,) = [parsed for text in data.splitlines() if b"airflow_edge" in text if (parsed := json.loads(text))]
    return str(found["event"])


def end_matches(line: Line, centre: bytes) -> bool:
    end = line.ends[-1]
    return (end.size, end.sha256) == (len(centre), hashlib.sha256(centre[end.start :]).hexdigest())


async def test_a_truncated_log_goes_on_after_a_line_that_says_so(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log, fresh=True)
    centre = await line.take(b"", lambda centre: centre == b"one\ntwo\n")
    write(log, b"new\n")
    centre = await line.take(centre, lambda centre: centre.endswith(b"}\nnew\n"))
    line.shipper.close(KEY)
    centre = await line.take(centre, lambda _: line.ends)
    assert centre.startswith(b"one\ntwo\n\n{")
    assert "truncated" in marker(centre)
    assert line.ends[-1].start == 8
    assert end_matches(line, centre)


async def test_what_is_written_to_a_deleted_log_is_shipped_and_then_what_took_its_place(line: Line, log: Path) -> None:
    with log.open("wb", buffering=0) as supervisor:
        supervisor.write(b"before\n")
        line.shipper.follow(KEY, log, fresh=True)
        (first,) = await line.all_chunks()
        line.acknowledge(7)
        centre = text([first])
        log.unlink()  # noqa: ASYNC240
        supervisor.write(b"after\n")
        write(log, b"something else\n")
        centre = await line.take(centre, lambda centre: centre.endswith(b"}\nafter\n"))
    line.shipper.close(KEY)
    centre = await line.take(centre, lambda _: line.ends)
    assert centre.endswith(b"}\nsomething else\n")
    assert [json.loads(text)["logger"] for text in centre.splitlines() if text.startswith(b"{")] == ["airflow_edge"] * 2
    assert end_matches(line, centre)


async def test_no_more_of_a_log_leaves_than_the_machines_owner_lets(log: Path) -> None:
    terms = SiteTerms(policy="/etc/policy.toml", max_log=10)
    async with shipping() as first_agent:
        first_agent.shipper.follow(KEY, log, terms, fresh=True)
        write(log, b"0123456789")
        centre = await first_agent.take(b"", lambda centre: centre == b"0123456789")
        with log.open("ab") as task:
            task.write(b"and more")
        centre = await first_agent.take(centre, lambda centre: centre.endswith(b"}\n"))
        assert centre.startswith(b"0123456789\n{")
        cut = json.loads(centre[11:])
        assert cut["event"].startswith("The log is cut here by its owner's site policy (/etc/policy.toml on that")
        assert "no more than 10 bytes" in cut["event"]
    # The next agent says the same, of a centre that has lost what the last one had told it.
    async with shipping() as next_agent:
        next_agent.shipper.follow(KEY, log, terms, fresh=False)
        next_agent.shipper.close(KEY)
        assert await next_agent.take(b"0123", lambda _: next_agent.ends) == centre
        [end] = next_agent.ends
        assert (end.start, end.size, end.sha256) == (0, len(centre), hashlib.sha256(centre).hexdigest())
        next_agent.acknowledge(len(centre), complete=True)
        assert next_agent.done == [KEY]
    assert log.stat().st_size == 18  # noqa: ASYNC240


async def test_a_task_that_damages_its_log_gets_no_more_of_it_out(log: Path) -> None:
    async with shipping() as line:
        line.shipper.follow(KEY, log, SiteTerms(policy="/etc/policy.toml", max_log=10), fresh=True)
        write(log, b"0123456789 and more")
        centre = await line.take(b"", lambda centre: centre.endswith(b"}\n"))
        write(log, b"what is new")
        log.unlink()  # noqa: ASYNC240
        write(log, b"newer still")
        line.shipper.close(KEY)
        assert await line.take(centre, lambda _: line.ends) == centre
        assert end_matches(line, centre)


async def test_a_log_that_was_replaced_while_nobody_looked(log: Path) -> None:
    write(log, b"one\n")
    other = log.with_name("other")
    write(other, b"two, and longer\n")
    async with shipping() as first_agent:
        first_agent.shipper.follow(KEY, log, fresh=True)
        centre = await first_agent.take(b"", lambda centre: centre == b"one\n")
    other.rename(log)
    async with shipping() as next_agent:
        next_agent.shipper.follow(KEY, log, fresh=False)
        next_agent.shipper.close(KEY)
        centre = await next_agent.take(centre, lambda _: next_agent.ends)
        assert "replaced" in marker(centre)
        assert centre.endswith(b"}\ntwo, and longer\n")
        assert end_matches(next_agent, centre)
    # One more agent finds the same segment in the job's folder.
    async with shipping() as last_agent:
        last_agent.shipper.follow(KEY, log, fresh=False)
        last_agent.shipper.close(KEY)
        assert await last_agent.take(centre, lambda _: last_agent.ends) == centre
        assert last_agent.ends == next_agent.ends


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(__file__)], ids=["pipe", "folder", "link"]
)
async def test_what_is_no_file_is_no_log(line: Line, log: Path, make: Callable[[Path], None]) -> None:
    make(log)
    line.shipper.follow(KEY, log, fresh=True)
    line.shipper.close(KEY)
    await line.seen(lambda: line.ends)
    assert line.ends[0].size == 0


async def test_the_bandwidth_is_kept_to_and_nothing_is_lost(log: Path) -> None:
    content = random.Random(2).randbytes(200_000)
    write(log, content)
    async with shipping(bandwidth=20_000.0) as line:
        line.shipper.follow(KEY, log, fresh=True)
        found = await line.all_chunks()
        began = line.now
        while (end := found[-1].offset + found[-1].size) < len(content):
            line.acknowledge(end)
            if not (more := line.chunks()):
                line.now += 0.1
            found += more
        assert text(found) == content
        assert line.now - began > (len(content) - 20_000 - MAX_LOG_CHUNK_BYTES // 8) / 20_000 - 1


async def test_an_acknowledgement_of_an_unknown_log_is_ignored(line: Line) -> None:
    line.acknowledge(4)
    line.acknowledge(4, complete=True)
    assert line.done == []


async def test_a_log_that_cannot_be_looked_at_stops_no_other_and_goes_on_itself(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = LogFile.look
    failures = 3
    failed = asyncio.Event()

    def look_at_times(file: LogFile, segment: Segment, seen: int) -> object:
        nonlocal failures
        if file.path == log and failures:
            failures -= 1
            failed.set()
            raise OSError(errno.ESTALE, "Stale file handle")
        return look(file, segment, seen)

    monkeypatch.setattr(LogFile, "look", look_at_times)
    other = tmp_path / "other" / "task.log"
    other.parent.mkdir()
    async with shipping() as line:
        for key, path in ((KEY, log), (OTHER_KEY, other)):
            path.write_bytes(b"first\n")
            line.shipper.follow(key, path, fresh=True)
        assert [chunk.job_id for chunk in await line.all_chunks()] == [OTHER]
        while failures:
            line.shipper.follow(KEY, log, fresh=True)
            failed.clear()
            await failed.wait()
        assert text(await line.all_chunks()) == b"first\n"
        # inotify has not been given up, so that this comes at once and not after a while.
        assert "anon_inode:inotify" in open_files()
        write(log, b"first\nsecond\n")
        assert text(await line.all_chunks()) == b"second\n"


async def test_a_shipper_that_was_ended_can_be_run_again(log: Path) -> None:
    line = Line()
    for content in (b"first\n", b"second\n"):
        running = asyncio.create_task(line.shipper.run())
        line.shipper.linked(())
        with log.open("ab") as file:
            file.write(content)
        line.shipper.follow(KEY, log, fresh=True)
        assert await line.take(b"", partial(ends_with, content))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_that_no_descriptor_is_to_be_had_is_no_damage(log: Path) -> None:
    write(log, b"first\n")
    file = LogFile(log)
    _, identity, _ = file.look(Segment(), 0)
    file.close()
    with without_descriptors(), pytest.raises(OSError):
        file.look(Segment(file=identity), 0)
    assert file.look(Segment(file=identity), 0) == (6, identity, None)


async def test_a_long_log_that_has_ended_does_not_hold_up_the_others(line: Line, log: Path, tmp_path: Path) -> None:
    size = 2**28
    write(log, b"")
    os.truncate(log, size)
    line.shipper.follow(KEY, log, fresh=False)
    line.shipper.close(KEY)
    (question,) = await line.all_chunks()
    assert question.size == 0
    line.acknowledge(size)
    other = tmp_path / "other" / "task.log"
    other.parent.mkdir()
    other.write_bytes(b"news\n")
    line.shipper.follow(OTHER_KEY, other, fresh=True)
    assert text(await line.all_chunks()) == b"news\n"
    assert not line.ends
    await line.seen(lambda: line.ends)
    assert line.ends[0].size == size


def ends_with(ending: bytes, content: bytes) -> bool:
    return content.endswith(ending)


def open_files() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return found
