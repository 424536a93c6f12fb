"""The driver with a real core, a real journal and real folders: what happens when the disk does not do its part."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from msgspec import structs

from airflow_edge.agent import driver
from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    ConditionsFound,
    DesiredState,
    Exited,
    JobRecord,
    LogDone,
    MaintenanceAsked,
    RuntimeReady,
    Seen,
    StopAsked,
    StoreJob,
)
from airflow_edge.agent.core.jobs import Stage
from airflow_edge.agent.driver import Driver
from airflow_edge.agent.effects import Effects
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.history import KEPT
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, JobStarted, SiteTerms, StartJob, StopJob
from airflow_edge.protocol.messages import Accepted, Ended, Obeyed, Offer, Order, Refused, Stop
from airflow_edge.protocol.states import WorkerState

JOB = "00000000-0000-4000-8000-00000000000{}"


class Site:
    running: asyncio.Task[None]

    def __init__(self, folder: Path, site_policy: SitePolicyFile | None = None) -> None:
        self.did: list[object] = []
        self.jobs: list[JobFile] = []
        self.followed: list[Path] = []
        self.announced: list[str] = []
        self.journal = Journal(folder / "journal.sqlite")
        self.folders = JobFolders(folder / "jobs")
        self.driver = Driver(
            Core(8),
            self.journal,
            self.folders,
            worker_name="press-7",
            api_socket="/run/agent.sock",
            site_policy=site_policy,
        )
        self.effects = Effects(
            send=self.did.append,
            start=self.did.append,
            stop=self.did.append,
            admit=self.jobs.append,
            follow=lambda key, log, terms: self.followed.append(log),
            close=lambda key: self.did.append(("close", key)),
            announce=lambda: self.announced.append("announce"),
            rename=lambda name: self.did.append(("rename", name)),
            restart=lambda: self.did.append("restart"),
        )

    async def use(self, effects: Effects) -> None:
        """Run the driver with these effects from now on."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.running = asyncio.create_task(self.driver.run(effects))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - it tries every now and then
                await asyncio.sleep(0.01)

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
    site.running = asyncio.create_task(site.driver.run(site.effects))
    await site.let(RuntimeReady(frozenset(), {}))
    yield site
    site.running.cancel()


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


def start(key: AssignmentKey) -> StartJob:
    return StartJob(job_id=key.job_id, assignment=key.assignment, folder=f"jobs/{key}")


async def test_offers_that_come_together_are_stored_before_any_is_accepted(site: Site) -> None:
    did = await site.let(offer(1), offer(2))
    kinds = [type(what) if isinstance(what, Accepted) else what for what in did]
    assert kinds == [Accepted, start(key(1)), Accepted, start(key(2))]
    assert [job.job_id for job in site.jobs] == [JOB.format(1), JOB.format(2)]
    assert site.jobs[0].workload == '{"größe": 1}'
    assert {job.secret for job in site.jobs} == {""}
    assert site.folders.read(key(1)) == site.jobs[0]
    assert site.followed == [site.folders.log_file(key(1)), site.folders.log_file(key(2))]
    assert site.journal.find(key(2)) is not None


async def test_one_job_that_cannot_be_stored_does_not_hinder_another(site: Site) -> None:
    # A file is where the folder should be.
    site.folders.folder(key(1)).write_text("in the way")
    refused, accepted, started = await site.let(offer(1), offer(2))
    assert isinstance(refused, Refused)
    assert "cannot write the job's folder" in refused.reason
    assert isinstance(accepted, Accepted)
    assert started == start(key(2))
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

    def write_if_there_is_room(records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        write(records, desired)

    monkeypatch.setattr(site.journal, "write", write_if_there_is_room)
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    await site.let(Exited(key(1), 3, None, None), LogDone(key(1)), Acknowledged(key(1)))
    assert "database or disk is full" in site.driver.condition
    assert site.folders.present() == [key(1)]
    # Offered again, the job is answered with what the journal does not know yet.
    await site.let(offer(1))
    assert [message.exit_code for message in site.did if isinstance(message, Ended)] == [3]
    full = False
    await site.until(lambda: not site.driver.condition)
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
    return Order(order_id=str(uuid4()), kind=kind, text=text, number=number)


async def test_what_a_person_wants_is_kept_before_it_is_answered(site, tmp_path):
    asked = order("maintenance", "new disk")
    [answer] = await site.let(asked)
    assert (answer.order_id, answer.done, answer.state) == (
        asked.order_id,
        True,
        WorkerState.MAINTENANCE_MODE,
    )
    assert Journal(tmp_path / "journal.sqlite").desired() == DesiredState(maintenance="new disk", cause="admin")
    await site.let(order("concurrency", number=3))
    assert site.driver.core.concurrency == 3
    assert Core(8, (), Journal(tmp_path / "journal.sqlite").desired()).concurrency == 3


async def test_a_restart_is_answered_by_the_agent_that_has_begun_and_by_no_other(site, tmp_path):
    asked = order("restart")
    assert await site.let(asked) == ["restart"]
    assert await site.let(asked) == []
    assert ("rename", "press-8") in await site.let(order("rename", "press-8"))
    (answer,) = Core(8, (), Journal(tmp_path / "journal.sqlite").desired()).handle(asked, 0.0)
    assert answer == Obeyed(order_id=asked.order_id, done=True, state=WorkerState.STARTING)


async def test_no_agent_is_begun_that_would_begin_another_for_the_same_order(site, monkeypatch):
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    write = site.journal.write

    def write_nothing(records, desired=None):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(site.journal, "write", write_nothing)
    assert await site.let(order("restart")) == []
    assert "the restart has failed: the next agent would not know" in site.driver.condition
    monkeypatch.setattr(site.journal, "write", write)
    await site.until(lambda: not site.driver.condition)
    assert site.did == ["restart"]


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
    assert start(key(2)) in did


# What an effect fails at


class Broken:
    """An effect that raises until it is mended."""

    def __init__(self, effect: Callable[..., None]) -> None:
        self.effect = effect
        self.works = False
        self.tried = asyncio.Event()

    def __call__(self, *arguments: object) -> None:
        self.tried.set()
        if not self.works:
            raise OSError(errno.EMFILE, "Too many open files")
        self.effect(*arguments)


def stop(number: int) -> Stop:
    return Stop(job_id=JOB.format(number), assignment=1, reason="cleared")


COMMANDS = [
    ("start", offer(2), StartJob),
    ("stop", stop(1), StopJob),
    ("send", offer(2), Accepted),
    ("admit", offer(2), JobFile),
    ("follow", offer(2), Path),
    ("close", Exited(key(1), 0, None, None), ("close", key(1))),
    ("announce", ConditionsFound(()), "announce"),
    ("rename", order("rename", "press-8"), ("rename", "press-8")),
    ("restart", order("restart"), "restart"),
]


@pytest.mark.parametrize(("effect", "event", "wanted"), COMMANDS)
async def test_what_an_effect_fails_at_is_seen_and_done_in_the_end(
    effect: str, event: object, wanted: object, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    await site.let(offer(1), JobStarted(job_id=JOB.format(1), assignment=1, pid=1))
    broken = Broken(getattr(site.effects, effect))
    await site.use(replace(site.effects, **{effect: broken}))
    # The event is dealt with all the same, and so is what comes after it in the same round.
    await site.let(event, offer(3))
    assert "Too many open files" in site.driver.condition
    assert site.driver.core.jobs[key(3)].stage is Stage.ORDERED
    broken.tried.clear()
    await asyncio.wait_for(broken.tried.wait(), 10)
    broken.works = True
    await site.until(lambda: not site.driver.condition)
    done = [*site.did, *site.jobs, *site.followed, *site.announced]
    assert any((isinstance(wanted, type) and isinstance(one, wanted)) or one == wanted for one in done)
    assert {type(one) for one in done} >= {Accepted, StartJob, JobFile}


async def test_a_job_is_started_only_after_its_supervisor_may_come_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    order_of: list[str] = []
    admit = Broken(lambda job: order_of.append("admitted"))
    await site.use(replace(site.effects, admit=admit, start=lambda order: order_of.append(type(order).__name__)))
    await site.let(offer(1))
    assert order_of == []
    admit.works = True
    await site.until(lambda: not site.driver.condition)
    assert order_of == ["admitted", "StartJob"]


async def test_a_job_that_ended_meanwhile_is_not_started_any_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    told = Broken(site.effects.start)
    await site.use(replace(site.effects, start=told))
    await site.let(offer(1))
    did = await site.let(Exited(key(1), 0, None, None))
    assert ("close", key(1)) in did
    told.works = True
    await site.until(lambda: not site.driver.condition)
    assert StartJob not in map(type, site.did)


async def test_what_the_core_cannot_deal_with_is_said_with_what_came_before(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.let(offer(1))
    # It is stored already.
    did = await site.let(StoreJob(JobRecord(key=key(1), kind="task", slots=1), offer(1)), offer(2))
    assert Accepted(job_id=JOB.format(2), assignment=1) in did
    assert "'is stored' is not possible in state 'ordered'" in caplog.text
    assert "before that it took these steps: is stored, is ordered to start" in caplog.text
    assert f"Offer(job_id='{JOB.format(1)}', assignment=1" in caplog.text
    assert any("is not possible" in happened["error"] for happened in site.driver.history.last())


async def test_a_message_that_cannot_be_told_to_be_dealt_with_holds_up_no_other(site: Site) -> None:
    def raises() -> None:
        raise ValueError("no such message")

    site.driver.post(offer(1), raises)
    did = await site.let(offer(2))
    assert Accepted(job_id=JOB.format(2), assignment=1) in did


async def test_a_workload_that_is_no_text_is_refused_and_costs_nothing_else(site: Site) -> None:
    did = await site.let(structs.replace(offer(1), workload=b"\xff"), offer(2))
    assert [type(one) for one in did] == [Refused, Accepted, StartJob]


async def test_the_last_events_are_kept_with_what_they_led_to(site: Site) -> None:
    await site.let(offer(1), Seen(key(1)))
    await site.let(*[ConditionsFound((str(number),)) for number in range(KEPT)])
    happened = site.driver.history.last()
    assert len(happened) == KEPT
    assert happened[-1]["event"] == f"ConditionsFound(conditions=('{KEPT - 1}',))"
    assert happened[-1]["commands"] == ("Announce()",)


async def test_a_workload_is_not_in_the_history(site: Site) -> None:
    await site.let(offer(1), Seen(key(1)))
    first, *_ = [one for one in site.driver.history.last() if "Offer" in one["event"]]
    assert "workload=14 bytes" in first["event"]
    assert [command.partition("(")[0] for command in first["commands"]] == ["StoreJob", "Announce"]
    assert "Seen" not in str(site.driver.history.last())


async def test_at_the_limit_of_processes_jobs_are_taken_and_ended_as_ever(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    did = await site.let(offer(1), offer(2), order("maintenance", "new disk"))
    assert Accepted(job_id=JOB.format(2), assignment=1) in did
    await site.let(Exited(key(1), 0, None, None), LogDone(key(1)), Acknowledged(key(1)))
    other = Journal(tmp_path / "journal.sqlite")
    record = other.find(key(1))
    assert record is not None
    assert record.finished
    assert other.desired().maintenance == "new disk"
    assert not site.driver.condition


async def test_what_cannot_be_written_is_refused_if_it_is_new_and_else_written_later(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_INTERVAL", 0.01)
    await site.let(offer(1))

    def fails(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(site.driver, "_write", fails)
        patched.setattr(site.journal, "write", fails)
        did = await site.let(offer(2), Exited(key(1), 0, None, None), order("maintenance", "new disk"), LogDone(key(1)))
        (refused,) = [one for one in did if isinstance(one, Refused)]
        assert "cannot write anything" in refused.reason
        assert "cannot be written" in site.driver.condition
    await site.until(lambda: not site.driver.condition)
    other = Journal(tmp_path / "journal.sqlite")
    record = other.find(key(1))
    assert record is not None
    assert record.log_done
    assert other.desired().maintenance == "new disk"


async def test_a_record_that_is_not_understood_costs_the_offer_of_its_job_only(site: Site, tmp_path: Path) -> None:
    await site.let(offer(1))
    await site.let(Exited(key(1), 0, None, None), LogDone(key(1)), Acknowledged(key(1)))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE job SET record = CAST(x'ff7b' AS TEXT)")
    did = await site.let(offer(1), offer(2))
    assert [type(one) for one in did] == [Refused, Accepted, StartJob]


async def test_a_restart_with_nothing_to_begin_anew_with_waits_and_the_worker_goes_on(site: Site) -> None:
    there = False

    def restart() -> None:
        if not there:
            raise AgentError("/opt/python is not there")
        site.did.append("restart")

    await site.use(replace(site.effects, restart=restart))
    await site.let(order("restart"))
    await site.until(lambda: "/opt/python is not there" in site.driver.condition)
    assert site.did == []
    there = True
    await site.until(lambda: site.did == ["restart"])


async def test_the_log_names_the_task_and_what_was_ordered(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    workload = {"ti": {"dag_id": "press", "run_id": "monday", "task_id": "measure", "map_index": 3}}
    with caplog.at_level("INFO"):
        await site.let(structs.replace(offer(1), workload=msgspec.json.encode(workload)), offer(2))
        await site.let(*(order(kind) for kind in ("restart", "maintenance", "exit maintenance")))
    said = [record.getMessage() for record in caplog.records]
    assert f"starting job {key(1)}: press/monday/measure[3]" in said
    assert [line for line in said if line.startswith("the centre passes on: ")] == [
        "the centre passes on: restart",
        "the centre passes on: maintenance",
        "the centre passes on: exit maintenance",
    ]
    assert all(line == line.strip() for line in said)


@pytest.mark.parametrize("asked", [StopAsked(), MaintenanceAsked("new disk")])
async def test_what_was_asked_at_the_site_is_told_to_be_so_when_the_next_agent_would_know(
    site: Site, monkeypatch: pytest.MonkeyPatch, asked: StopAsked | MaintenanceAsked
) -> None:
    await site.let(offer(1))
    write = site.journal.write
    held, begun = threading.Event(), threading.Event()

    def slowly(records: Iterable[JobRecord], desired: DesiredState | None = None) -> None:
        begun.set()
        assert held.wait(10)
        write(records, desired)

    monkeypatch.setattr(site.journal, "write", slowly)
    told = asyncio.create_task(site.driver.written(asked))
    await asyncio.to_thread(begun.wait, 10)
    assert not told.done()
    held.set()
    await told
    kept = site.journal.desired()
    assert kept is not None
    assert kept.leaving or kept.maintenance == "new disk"


async def test_what_cannot_be_written_down_is_not_told_to_be(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(site.journal, "write", full)
    monkeypatch.setattr(site.journal, "write_with_reserve", full)
    with pytest.raises(AgentError, match=r"an agent that takes over would not know of it: .*disk is full"):
        await site.driver.written(MaintenanceAsked("new disk"))
    assert site.driver.core.worker.in_maintenance


async def test_what_the_machines_owner_does_not_allow_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text("dags = []")
    path.chmod(0o644)
    site = Site(tmp_path, SitePolicyFile(path, settled=0))
    site.running = asyncio.create_task(site.driver.run(site.effects))
    await site.let(RuntimeReady(frozenset(), {}))
    [refused] = await site.let(offer(1))
    assert isinstance(refused, Refused)
    assert (refused.key, refused.denied) == (key(1), True)
    assert "Dag (it names none) is none of its dags" in refused.reason
    assert site.journal.find(key(1)) is None
    # It is looked at before each offer, and what was accepted stays so.
    path.write_text("callbacks = false")
    assert Accepted(**key(2)._asdict()) in await site.let(offer(2))
    path.write_text("queues = []")
    [again, refused] = await site.let(offer(2), offer(3))
    assert again == Accepted(**key(2)._asdict())
    assert isinstance(refused, Refused)
    assert not refused.denied
    # What is said of jobs that are taken goes with each.
    path.write_text('users = ["report"]\nmax_log = 7')
    assert Accepted(**key(4)._asdict()) in await site.let(offer(4))
    terms = SiteTerms(policy=str(path), users=("report",), max_log=7)
    assert [job.terms for job in site.jobs] == [None, terms]
    assert site.folders.read(key(4)) == site.jobs[-1]
    site.running.cancel()
