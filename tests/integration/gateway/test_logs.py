"""A task's log from the site to Airflow's own log page."""

from __future__ import annotations

import hashlib
import json
import zlib
from types import SimpleNamespace

import msgspec
import pytest

from airflow_edge.logs.task_log import EdgeTaskLog
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.messages import Accepted, LogAck, LogChunk, LogEnd, Offer
from tests.integration.gateway.world import wait_until
from tests.stored_logs import read_log

PATH = "dag_id={dag}/run_id=run/task_id=task/attempt=1.log"


def chunk(offer, offset, plain):
    return LogChunk(
        job_id=offer.job_id,
        assignment=offer.assignment,
        offset=offset,
        size=len(plain),
        crc32=zlib.crc32(plain),
        data=zstd.compress(plain),
    )


def end_of(offer, plain):
    sha256 = hashlib.sha256(plain).hexdigest()
    return LogEnd(job_id=offer.job_id, assignment=offer.assignment, size=len(plain), sha256=sha256)


def line(event):
    return json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "info", "event": event}).encode() + b"\n"


@pytest.fixture
async def task(centre):
    """A linked site with an accepted task: site, link, offer, the task's id and its Dag's."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue, hostname=site.name)
    dag_id = centre.dag_of(task_id)
    async with site.link(centre.gateway) as link:
        centre.queue(queue, workload_id=task_id, log_path=PATH.format(dag=dag_id))
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        yield link, offer, task_id, dag_id


async def test_a_piece_sent_twice_is_kept_once(centre, task):
    link, offer, _, _ = task
    data = line("once")
    await link.say(chunk(offer, 0, data), chunk(offer, 0, data), end_of(offer, data))
    ack = await link.until(LogAck, lambda ack: ack.complete)
    assert ack.offset == len(data)


async def test_a_site_that_knows_nothing_of_it_any_more_is_told_that_a_log_is_complete(centre, task):
    """As one whose journal is an older copy: the job's folder, and the log in it, are gone."""
    link, offer, _, _ = task
    await link.say(chunk(offer, 0, line("all")), end_of(offer, line("all")))
    await link.until(LogAck, lambda ack: ack.complete)
    await link.say(chunk(offer, 0, b""))
    ack = await link.get(LogAck)
    assert (ack.offset, ack.complete) == (len(line("all")), True)


@pytest.mark.parametrize(
    "damage",
    [
        {"crc32": 1},
        {"data": b"no zstd"},
        {"data": zstd.compress(bytes(64 * 1024 * 1024))},
        {"offset": 4711},
        {"size": 3},
    ],
    ids=["checksum", "compression", "bomb", "gap", "size"],
)
async def test_a_damaged_piece_changes_nothing(centre, task, damage):
    link, offer, _, _ = task
    await link.say(msgspec.structs.replace(chunk(offer, 0, line("x")), **damage))
    assert (await link.get(LogAck)).offset == 0
    assert not read_log(centre.store, centre.job(offer.job_id).log_path)


async def test_a_log_that_differs_from_its_end_begins_anew(centre, task):
    link, offer, _, _ = task
    await link.say(chunk(offer, 0, line("wrong")), end_of(offer, line("right")))
    ack = await link.until(LogAck, lambda ack: ack.offset == 0)
    assert not ack.complete
    await link.say(chunk(offer, 0, line("right")), end_of(offer, line("right")))
    await link.until(LogAck, lambda ack: ack.complete)
    assert read_log(centre.store, centre.job(offer.job_id).log_path) == line("right")


async def test_a_log_that_nobody_knows_is_let_go(centre, task):
    link, *_ = task
    unknown = Offer(
        job_id="00000000-0000-4000-8000-000000000000",
        assignment=1,
        kind="task",
        queue="q",
        slots=1,
        lease=1,
        workload=b"",
    )
    await link.say(chunk(unknown, 0, line("x")), end_of(unknown, line("x")))
    ack = await link.until(LogAck, lambda ack: ack.complete)
    assert (ack.job_id, ack.offset) == (unknown.job_id, len(line("x")))


class FolderLog:
    """A remote log of the old kind, as a provider may bring it."""

    processors = (str.upper,)

    def __init__(self, folder):
        self.folder = folder

    def upload(self, path, ti=None):
        (self.folder / "uploaded").write_text(str(path))

    def read(self, relative_path, ti):
        return ["from the folder"], [(self.folder / "log").read_text()]


async def test_other_tasks_logs_come_from_where_they_came_before(centre, tmp_path):
    ti = SimpleNamespace(hostname="a-scheduler")
    (tmp_path / "log").write_text("one\ntwo\n")
    log = EdgeTaskLog(FolderLog(tmp_path))
    sources, (stream,) = log.stream("dag_id=other/attempt=1.log", ti)
    assert (sources, list(stream)) == (["from the folder"], ["one", "two"])
    assert log.read("dag_id=other/attempt=1.log", ti) == (["from the folder"], ["one\ntwo"])
    assert log.processors == (str.upper,)
    log.upload("here", ti)
    assert (tmp_path / "uploaded").read_text() == "here"
    assert EdgeTaskLog().stream("dag_id=other/attempt=1.log", ti) == ([], [])


async def test_the_gateway_compacts_a_log_that_is_complete(centre, task):
    link, offer, _, _ = task
    data = b"".join(line(f"line {number}") for number in range(40))
    third = len(data) // 3
    await link.say(*(chunk(offer, at, data[at : at + third]) for at in range(0, len(data), third)), end_of(offer, data))
    await link.until(LogAck, lambda ack: ack.complete)
    await wait_until(lambda: centre.log_rows(offer.job_id), lambda rows: rows == 1, patience=60)
    assert read_log(centre.store, centre.job(offer.job_id).log_path) == data
