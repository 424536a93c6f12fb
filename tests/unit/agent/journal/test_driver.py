"""The driver with a real core, a real journal and real folders: what happens when the disk does not do its part."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from uuid import uuid4

import pytest

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import Acknowledged, Exited, JobRecord, LogDone, Ordered, RuntimeReady, Standing
from airflow_edge.agent.journal import driver
from airflow_edge.agent.journal.driver import Driver, Hands
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile
from airflow_edge.protocol.messages import Accepted, Ended, Offer, Order, Refused
from airflow_edge.protocol.states import WorkerState

JOB = "00000000-0000-4000-8000-00000000000{}"


class Site:
    def __init__(self, folder: Path) -> None:
        self.did: list[object] = []
        self.jobs: list[JobFile] = []
        self.journal = Journal(folder / "journal.sqlite")
        self.folders = JobFolders(folder / "jobs")
        hands = Hands(
            send=lambda command: self.did.append(command.message),
            start=lambda key: self.did.append(("start", key)),
            halt=lambda key, reason: self.did.append(("halt", key, reason)),
            admit=self.jobs.append,
            close=lambda key: self.did.append(("close", key)),
            announce=lambda: None,
            rename=lambda name: self.did.append(("rename", name)),
            restart=lambda: self.did.append("restart"),
        )
        self.driver = Driver(
            Core(8), self.journal, self.folders, hands, worker_name="press-7", api_socket="/run/agent.sock"
        )

    async def let(self, *events: object) -> list[object]:
        """Let these happen at once; give what was done in the end."""
        self.did.clear()
        over = [asyncio.Event() for _ in events]
        for event, done in zip(events, over, strict=True):
            self.driver.post(event, done.set)  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            for done in over:
                await done.wait()
        return self.did


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    running = asyncio.create_task(site.driver.run())
    await site.let(RuntimeReady(frozenset(), {}))
    yield site
    running.cancel()


def offer(number: int) -> Offer:
    return Offer(
        job_id=JOB.format(number),
        assignment=1,
        kind="task",
        queue="q",
        slots=1,
        lease=10,
        workload='{"größe": 1}'.encode(),
    )


def key(number: int) -> AssignmentKey:
    return AssignmentKey(JOB.format(number), 1)


async def test_offers_that_come_together_are_stored_before_any_is_accepted(site: Site) -> None:
    did = await site.let(offer(1), offer(2))
    kinds = [type(what) if isinstance(what, Accepted) else what for what in did]
    assert kinds == [Accepted, ("start", key(1)), Accepted, ("start", key(2))]
    assert [job.job_id for job in site.jobs] == [JOB.format(1), JOB.format(2)]
    assert site.jobs[0].workload == '{"größe": 1}'
    assert len({job.secret for job in site.jobs}) == 2
    assert site.folders.read(key(1)) == site.jobs[0]
    assert site.journal.find(key(2)) is not None


async def test_one_job_that_cannot_be_stored_does_not_hinder_another(site: Site) -> None:
    # A file is where the folder should be.
    site.folders.folder(key(1)).write_text("in the way")
    refused, accepted, started = await site.let(offer(1), offer(2))
    assert isinstance(refused, Refused)
    assert "cannot write the job's folder" in refused.reason
    assert isinstance(accepted, Accepted)
    assert started == ("start", key(2))
    assert site.journal.find(key(1)) is None


async def test_without_a_journal_nothing_is_accepted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.journal.close()
    (refused,) = await site.let(offer(1))
    assert isinstance(refused, Refused)
    assert site.folders.present() == []
    assert "the journal cannot be read" in caplog.text


async def test_an_end_is_told_though_it_cannot_be_written(site: Site) -> None:
    await site.let(offer(1))
    site.journal.close()
    did = await site.let(Exited(key(1), 0, None, None))
    assert did == [("close", key(1)), Ended(job_id=JOB.format(1), assignment=1, exit_code=0)]


async def test_what_the_journal_could_not_take_is_written_when_it_can(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.let(offer(1))
    write = site.journal.write
    full = True

    def write_if_there_is_room(records: Iterable[JobRecord], standing: Standing | None = None) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        write(records, standing)

    monkeypatch.setattr(site.journal, "write", write_if_there_is_room)
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    await site.let(Exited(key(1), 3, None, None), LogDone(key(1)), Acknowledged(key(1)))
    assert "database or disk is full" in site.driver.fault
    assert site.folders.present() == [key(1)]
    # Offered again, the job is answered with what the journal does not know yet.
    await site.let(offer(1))
    assert [message.exit_code for message in site.did if isinstance(message, Ended)] == [3]
    full = False
    async with asyncio.timeout(10):
        while site.driver.fault:  # noqa: ASYNC110 - it tries every now and then
            await asyncio.sleep(0.01)
    kept = site.journal.find(key(1))
    assert kept is not None
    assert kept.finished
    assert site.folders.present() == []


async def test_a_condition_is_waited_for(site: Site) -> None:
    waiting = asyncio.create_task(site.driver.wait_until(lambda core: len(core.jobs) == 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    await site.let(offer(1))
    async with asyncio.timeout(10):
        await waiting


async def test_what_the_journal_does_not_take_is_refused(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(site.journal, "write", full)
    (refused,) = await site.let(offer(1))
    assert isinstance(refused, Refused)
    assert "disk is full" in refused.reason
    assert site.folders.present() == []
    assert "make room on the disk" in caplog.text


def order(kind, text="", number=None):
    return Ordered(Order(order_id=str(uuid4()), kind=kind, text=text, number=number))


async def test_what_a_person_wants_is_kept_before_it_is_answered(site, tmp_path):
    asked = order("maintenance", "new disk")
    [answer] = await site.let(asked)
    assert (answer.order_id, answer.done, answer.state) == (
        asked.order.order_id,
        True,
        WorkerState.MAINTENANCE_MODE,
    )
    assert Journal(tmp_path / "journal.sqlite").standing() == Standing(maintenance="new disk", cause="admin")
    await site.let(order("concurrency", number=3))
    assert site.driver.core.concurrency == 3
    assert Core(8, (), Journal(tmp_path / "journal.sqlite").standing()).concurrency == 3


async def test_an_order_that_comes_again_does_not_restart_the_agent_again(site):
    asked = order("restart")
    did = await site.let(asked)
    assert did[0] == "restart"
    assert did[1].done
    [answer] = await site.let(asked)
    assert answer.done
    assert ("rename", "press-8") in await site.let(order("rename", "press-8"))


async def test_one_that_shuts_down_does_not_begin_anew(site):
    await site.let(offer(1))
    await site.let(order("shutdown"))
    did = await site.let(order("restart"))
    assert "restart" not in did
    assert [(answer.done, answer.detail) for answer in did] == [(False, "the worker is shutting down")]


async def test_in_maintenance_no_job_is_taken(site):
    await site.let(order("maintenance", "x"))
    [refused] = await site.let(offer(1))
    assert refused.reason == "the worker is in maintenance"
    await site.let(order("exit maintenance"))
    did = await site.let(offer(2))
    assert ("start", AssignmentKey(JOB.format(2), 1)) in did
