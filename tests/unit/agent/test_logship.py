from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from backports import zstd

from airflow_edge.agent.events import Key
from airflow_edge.agent.logship import GIVEN_UP_AFTER, STALLED_AFTER, WINDOW, LogShipper
from airflow_edge.protocol.messages import MAX_LOG_CHUNK_BYTES, LogAck, LogChunk, LogEnd

JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
KEY = Key(JOB, 1)


class Line:
    """The shipper, and what it says; time goes by only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends: list[LogEnd] = []
        self.done: list[Key] = []
        self.changed = asyncio.Event()
        self.shipper = LogShipper(
            send=self._note(self.ends), more=self.changed.set, done=self._note(self.done), now=lambda: self.now
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

    def acknowledge(self, offset: int, *, complete: bool = False) -> None:
        self.shipper.acknowledged(LogAck(job_id=JOB, assignment=1, offset=offset, complete=complete))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    running = asyncio.create_task(line.shipper.run())
    line.shipper.linked(True)
    yield line
    running.cancel()


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
    line.shipper.follow(KEY, log)
    write(log, b"one\n")
    (first,) = await line.all_chunks()
    line.acknowledge(4)
    write(log, b"one\ntwo\n")
    (second,) = await line.all_chunks()
    assert (first.offset, second.offset) == (0, 4)
    assert text([first, second]) == b"one\ntwo\n"
    assert line.ends == []
    line.shipper.close(KEY)
    await line.seen(lambda: line.ends)
    assert (line.ends[0].size, line.ends[0].sha256) == (8, hashlib.sha256(b"one\ntwo\n").hexdigest())
    line.acknowledge(8, complete=True)
    assert line.done == [KEY]


async def test_a_job_that_wrote_no_log_has_an_empty_one(line: Line, log: Path) -> None:
    line.shipper.follow(KEY, log)
    line.shipper.close(KEY)
    await line.seen(lambda: line.ends)
    assert line.ends[0].size == 0


async def test_only_a_window_is_on_the_way(line: Line, log: Path) -> None:
    content = bytes(range(256)) * 8192
    write(log, content)
    line.shipper.follow(KEY, log)
    first = await line.all_chunks()
    assert max(chunk.size for chunk in first) == MAX_LOG_CHUNK_BYTES
    assert sum(chunk.size for chunk in first) == WINDOW
    line.acknowledge(WINDOW)
    assert text([*first, *await line.all_chunks()]) == content


async def test_jobs_take_turns(line: Line, tmp_path: Path) -> None:
    for job_id in (JOB, OTHER):
        path = tmp_path / job_id
        write(path, b"x" * 3 * MAX_LOG_CHUNK_BYTES)
        line.shipper.follow(Key(job_id, 1), path)
    found: list[LogChunk] = []
    while len(found) < 6:
        found += await line.all_chunks()
    assert len({chunk.job_id for chunk in found[-2:]}) == 2


async def test_after_a_link_broke_it_goes_on_from_what_was_acknowledged(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log)
    await line.all_chunks()
    line.acknowledge(4)
    line.shipper.linked(False)
    line.shipper.linked(True)
    (again,) = await line.all_chunks()
    assert (again.offset, text([again])) == (4, b"two\n")


async def test_the_centre_may_be_further_than_a_new_agent_knows(line: Line, log: Path) -> None:
    write(log, b"x" * MAX_LOG_CHUNK_BYTES + b"rest")
    line.shipper.follow(KEY, log)
    await line.seen(lambda: line.shipper.next_chunk())
    line.acknowledge(MAX_LOG_CHUNK_BYTES + 2)
    (rest,) = await line.all_chunks()
    assert (rest.offset, text([rest])) == (MAX_LOG_CHUNK_BYTES + 2, b"st")


async def test_the_centre_may_have_lost_some(line: Line, log: Path) -> None:
    write(log, b"one\ntwo\n")
    line.shipper.follow(KEY, log)
    line.shipper.close(KEY)
    await line.all_chunks()
    line.acknowledge(8)
    await line.seen(lambda: line.ends)
    line.acknowledge(4)
    (again,) = await line.all_chunks()
    assert again.offset == 4
    line.acknowledge(8)
    await line.seen(lambda: len(line.ends) == 2)


async def test_what_was_not_acknowledged_for_long_is_sent_again(line: Line, log: Path) -> None:
    write(log, b"one\n")
    line.shipper.follow(KEY, log)
    (first,) = await line.all_chunks()
    line.now += STALLED_AFTER + 1
    assert await line.all_chunks() == [first]


async def test_a_log_that_nobody_takes_is_given_up_but_not_without_a_link(line: Line, log: Path) -> None:
    write(log, b"one\n")
    line.shipper.follow(KEY, log)
    line.shipper.close(KEY)
    await line.all_chunks()
    line.shipper.linked(False)
    line.now += GIVEN_UP_AFTER + 1
    line.shipper.linked(True)
    await line.all_chunks()
    assert line.done == []
    line.now += GIVEN_UP_AFTER + 1
    await line.seen(lambda: line.done)


async def test_an_acknowledgement_of_an_unknown_log_is_ignored(line: Line) -> None:
    line.acknowledge(4)
    line.acknowledge(4, complete=True)
    assert line.done == []
