from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st
from msgspec.structs import replace as replace_fields
from starlette.websockets import WebSocket

from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.links import link as link_module
from airflow_edge.gateway.links.connection import WebSocketConnection
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.driver import MOST_WORKER_LOGS, drive
from airflow_edge.gateway.links.link import LONGEST_SYSTEM_TEXT, WORDLESS, Progress, SendQueue, WorkerLink
from airflow_edge.gateway.links.records import Records
from airflow_edge.gateway.links.registry import Links
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.frames import CentreFrame, decode_centre_frame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST
from airflow_edge.protocol.messages import (
    Accepted,
    Closed,
    Ended,
    Hello,
    Obeyed,
    Offer,
    Order,
    Ping,
    Refused,
    Serves,
    Signed,
    Status,
    Stop,
    WantWorkerLog,
    WorkerLog,
)
from airflow_edge.protocol.session import centre_session, site_session
from airflow_edge.protocol.signatures import content
from airflow_edge.protocol.states import WorkerState
from airflow_edge.room import SharedRoom
from airflow_edge.rules.fleet.closing import CLOSED, Closure, read_closures
from airflow_edge.rules.orders import OrderState, WorkerOrder
from airflow_edge.rules.reports import Reading
from airflow_edge.rules.worker import CONDITIONS, LogRequest
from airflow_edge.store.jobs.claims import ClaimedJob
from tests.workers import enrolled_worker

JOB: dict[str, Any] = {"job_id": str(uuid4()), "assignment": 1}
KEY = AssignmentKey(JOB["job_id"], 1)


async def until(condition):
    """Let the loop turn until it is so."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


def tasks():
    """Give the tasks of links."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return sorted(name.partition(" of worker")[0] for name in names if not name.startswith(("Task-", "test_")))


class Wire:
    """The ASGI server's side of a WebSocket, in memory."""

    def __init__(self):
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.websocket = WebSocket({"type": "websocket", "headers": []}, self.incoming.get, self.outgoing.put)

    async def accepted(self):
        self.incoming.put_nowait({"type": "websocket.connect"})
        await self.websocket.accept()
        await self.outgoing.get()
        return WebSocketConnection(self.websocket)

    def say(self, frame):
        self.incoming.put_nowait({"type": "websocket.receive", "bytes": encode(frame)})

    async def hear(self):
        event = await asyncio.wait_for(self.outgoing.get(), 5)
        if event["type"] != "websocket.send":
            return event
        frame = decode_centre_frame(event["bytes"])
        return CentreFrame(frame.seq, frame.ack, content(frame.body)) if isinstance(frame.body, Signed) else frame


class Notebook(Records):
    """Records in memory, which answer when the test lets them."""

    def __init__(self):
        self.room = SharedRoom(2**24, 2**24)
        self.settled: list[list] = []
        self.may_settle = asyncio.Event()
        self.may_keep = asyncio.Event()
        self.may_keep.set()
        self.worker_log: list[WorkerLog] = []
        self.answers: list[Obeyed] = []
        self.woken = self.back = 0
        self.fails: list[Exception] = []

    async def settle(self, worker_id, reports):
        await self.may_settle.wait()
        self._fail()
        self.settled.append(reports)
        return [Reading.APPLY] * len(reports)

    async def append_worker_log(self, worker_id, batch):
        await self.may_keep.wait()
        self._fail()
        self.worker_log.append(batch)

    async def note_answer(self, worker_id, answer):
        self._fail()
        self.answers.append(answer)

    def _fail(self):
        if self.fails:
            raise self.fails.pop(0)

    def gained(self, link):
        self.woken += 1

    def put_back(self):
        self.back += 1


class World:
    """A link whose records answer when the test lets them."""

    def __init__(self, **hello):
        self.wire = Wire()
        self.site = site_session("s")
        self.records = Notebook()
        worker = enrolled_worker(queues=("a", "b"))
        fields = {
            "oldest_protocol": OLDEST,
            "newest_protocol": NEWEST,
            "session_id": "s",
            "received": 0,
            "boot_id": "",
            "agent_version": "",
            "airflow_version": "",
            "python_version": "",
            "platform": "",
            "concurrency": 4,
            "queues": None,
            "state": WorkerState.IDLE,
            "jobs": (),
        }
        self.link = WorkerLink(
            uuid4(), worker, Hello(**{**fields, **hello}), centre_session("s"), sign=lambda said: bytes(64)
        )

    async def run(self):
        return await drive(self.link, await self.wire.accepted(), self.records, silence=60)


@pytest.fixture
async def world():
    world = World()
    running = asyncio.create_task(world.run())
    yield world
    world.link.close(1000, "over")
    await asyncio.wait_for(running, 5)


async def test_reports_that_come_during_a_transaction_share_the_next(world):
    for _ in range(3):
        world.wire.say(world.site.send(Accepted(**JOB)))
    await until(world.wire.incoming.empty)
    world.wire.say(world.site.send(Ended(**JOB, exit_code=0)))
    world.records.may_settle.set()
    while world.site.outstanding:
        world.site.receive(await world.wire.hear())
    assert sum(map(len, world.records.settled)) == 4
    assert len(world.records.settled) <= 2


async def test_nothing_is_acknowledged_before_it_is_settled(world):
    world.wire.say(world.site.send(Accepted(**JOB)))
    await until(world.wire.incoming.empty)
    world.link.send(Ping())
    assert (await world.wire.hear()).ack == 0
    world.records.may_settle.set()
    assert (await world.wire.hear()).ack == 1


async def test_a_conversation_is_left_alone_after_the_links_end():
    world = World()
    running = asyncio.create_task(world.run())
    await asyncio.sleep(0)
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.link.close(4409, "replaced")
    world.link.send(Stop(**JOB, reason=""))
    world.link.void_job(KEY, "")
    end = await asyncio.wait_for(running, 5)
    assert (end.code, end.reason) == (4409, "replaced")
    assert (world.link.session.received, world.link.session.handled, world.link.session.outstanding) == (0, 0, 0)
    assert (await world.wire.hear())["code"] == 4409


async def test_a_refused_job_may_be_anybodys_and_after_an_end_there_is_room(world):
    world.records.may_settle.set()
    world.wire.say(world.site.send(Refused(**JOB, reason="")))
    assert (await world.wire.hear()).ack == 1
    assert (world.records.back, world.records.woken) == (1, 1)
    world.wire.say(world.site.send(Ended(**JOB)))
    assert (await world.wire.hear()).ack == 2
    assert (world.records.back, world.records.woken) == (1, 2)


@pytest.mark.parametrize(("denied", "free"), [(False, 0), (True, 4)])
async def test_one_that_refuses_a_job_for_good_is_offered_the_next_at_once(world, denied, free):
    world.records.may_settle.set()
    world.wire.say(world.site.send(Refused(**JOB, reason="", denied=denied)))
    await world.wire.hear()
    assert world.link.free_slots(asyncio.get_running_loop().time()) == free


async def test_queues_that_their_owner_has_closed_get_no_jobs_until_they_are_open(world):
    links = Links(Demand())
    links.add(world.link)
    shut = Closed(queues=("a",), reason="shut\n", for_good=True)
    idle = Status(state=WorkerState.IDLE, alive=())
    assert not world.link.note_status(replace_fields(idle, closed=(shut,)), now=0)
    assert world.link.capacity(0).queues == {"b"}
    assert read_closures(str(world.link.system[CLOSED])) == {"a": Closure("shut", for_good=True)}
    # That it is open again is a reason to look at the queue.
    assert world.link.note_status(idle, now=0)
    assert world.link.capacity(0).queues == {"a", "b"}
    assert not world.link.note_status(idle, now=0)


async def test_a_job_is_stopped_once_while_it_is_unwanted(world):
    for unwanted in ({KEY: "a"}, {KEY: "b"}, {}, {KEY: "c"}):
        world.link.stop_jobs(unwanted)
    assert [(await world.wire.hear()).body.reason for _ in range(2)] == ["a", "c"]


async def test_a_worker_has_free_slots_only_while_it_is_ready(world):
    assert world.link.free_slots(0) == 4
    for state, free in (("terminating", 0), ("idle", 4), ("starting", 0), ("running", 4)):
        world.wire.say(world.site.send(Status(state=WorkerState(state), alive=())))
        await until(lambda state=state: world.link.state == state)
        assert world.link.free_slots(0) == free
    world.link.close(1000, "")
    assert world.link.free_slots(0) == 0


async def test_a_worker_that_says_why_it_takes_no_job_is_offered_none_until_it_does(world):
    said = "less than 100 MiB are free"
    for conditions, free, woken in (((said, "and more"), 0, 0), ((), 4, 1)):
        world.wire.say(world.site.send(Status(state=WorkerState.IDLE, alive=(), conditions=conditions)))
        await until(lambda conditions=conditions: world.link.conditions == conditions)
        assert world.link.free_slots(0) == free
        assert world.link.system[CONDITIONS] == "; ".join(conditions)
        assert world.records.woken == woken


@pytest.mark.attack(12)
async def test_what_a_worker_says_of_itself_is_a_line_that_no_terminal_obeys(world):
    said = ("\x1b]0;owned\x07the disk\r\nis full\x1b[2J", "\x07\0")
    system: dict[str, str | int | float | bool] = {"a\nb": "\x1b[31mred\0", "long": "x" * 10_000, "load": 0.5}
    world.wire.say(world.site.send(Status(state=WorkerState.IDLE, alive=(), conditions=said, system=system)))
    await until(lambda: world.link.conditions)
    assert world.link.conditions == ("the disk is full", WORDLESS)
    assert world.link.free_slots(0) == 0
    shown = world.link.system
    assert (shown["a b"], shown["load"], len(shown["long"])) == ("red", 0.5, LONGEST_SYSTEM_TEXT)
    assert shown[CONDITIONS] == f"the disk is full; {WORDLESS}"


NOW = datetime(2026, 3, 4, tzinfo=UTC)
REQUEST = LogRequest(id="r", until=NOW + timedelta(seconds=30), level=20, lines=5)


async def test_a_worker_has_room_until_so_much_is_on_its_way_and_again_when_it_has_taken_it_in(world, monkeypatch):
    monkeypatch.setattr(link_module, "MOST_OFFERED_BYTES", 1_000)
    link = world.link
    whole, offers = link.room()
    link.send(Offer(**JOB, kind="task", queue="q", slots=1, lease=1.0, workload=bytes(whole)))
    assert (link.room(), link.has_room_again()) == ((0, 0), False)
    world.records.woken = 0
    # Sent is not read: only what is acknowledged has been taken in.
    offer = await world.wire.hear()
    assert world.site.receive(offer)
    assert link.room() == (0, 0)
    world.site.handle(offer.seq)
    world.wire.say(world.site.send(Ping()))
    await until(lambda: world.records.woken)
    assert link.room() == (whole, offers)
    assert not link.has_room_again()


async def test_a_worker_is_sent_few_offers_at_a_time_and_more_as_soon_as_it_has_taken_these_in(world, monkeypatch):
    monkeypatch.setattr(link_module, "MOST_OFFERS", 2)
    link = world.link
    for number in range(2):
        assert link.room()[1] == 2 - number
        key = AssignmentKey(str(uuid4()), 1)
        job = SimpleNamespace(key=key, slots=1, kind="task", queue="q", workload="{}")
        link.offer(cast("ClaimedJob", job), lease=1.0, now=0.0)
    world.records.woken = 0
    seqs = [offer.seq for offer in (await world.wire.hear(), await world.wire.hear()) if world.site.receive(offer)]
    world.site.handle(seqs[0])
    world.wire.say(world.site.send(Ping()))
    # Nobody has looked meanwhile: it is a reason to look.
    await until(lambda: world.records.woken)
    assert link.room()[1] == 1


async def test_a_worker_is_asked_for_its_own_log_once_until_the_request_changes(world):
    for _ in range(3):
        world.link.ask_for_log(REQUEST, now=NOW)
    longer = replace(REQUEST, until=NOW + timedelta(seconds=60))
    world.link.ask_for_log(longer, now=NOW)
    world.link.ask_for_log(replace(REQUEST, id="over", until=NOW), now=NOW)
    world.link.send(Ping())
    heard = [(await world.wire.hear()).body for _ in range(3)]
    assert heard == [
        WantWorkerLog(request="r", seconds=30, level=20, lines=5),
        WantWorkerLog(request="r", seconds=60, level=20, lines=5),
        Ping(),
    ]


async def test_a_workers_own_log_is_kept_beside_everything_else(world):
    batch = WorkerLog(run="r", first=0, size=1, data=b"x")
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.wire.say(world.site.send(batch))
    await until(lambda: world.records.worker_log == [batch])
    assert world.records.settled == []


def given(kind, number=None):
    return WorkerOrder(
        id=uuid4(),
        worker_id=uuid4(),
        kind=kind,
        text="why",
        number=number,
        asked_by="ada",
        asked_at=datetime.now(UTC),
        state=OrderState.WAITING,
    )


async def test_an_order_is_passed_on_once_and_no_job_is_offered_until_it_is_answered(world):
    order = given("maintenance")
    assert world.link.free_slots(0.0) == 4
    world.link.pass_orders([order])
    world.link.pass_orders([order])
    assert world.link.free_slots(0.0) == 0
    frame = await world.wire.hear()
    assert frame.body == Order(order_id=str(order.id), kind="maintenance", text="why")
    answer = Obeyed(order_id=str(order.id), done=False, detail="no", state=WorkerState.IDLE)
    world.wire.say(world.site.send(answer))
    assert (await world.wire.hear()).ack == 1
    assert world.records.answers == [answer]
    assert world.link.free_slots(0.0) == 4


async def test_slots_change_when_the_worker_has_changed_them(world):
    order = given("concurrency", number=7)
    world.link.pass_orders([order])
    await world.wire.hear()
    assert world.link.free_slots(0.0) == 4
    woken = world.records.woken
    world.wire.say(world.site.send(Obeyed(order_id=str(order.id), done=True, state=WorkerState.IDLE)))
    await world.wire.hear()
    assert (world.link.free_slots(0.0), world.records.woken) == (7, woken + 1)


async def test_a_worker_hears_of_its_new_queues_once(world):
    changed = replace(world.link.worker, queues=("a", "c"))
    assert world.link.follow(changed)
    assert not world.link.follow(replace(changed, team_name="another"))
    assert (await world.wire.hear()).body == Serves(queues=("a", "c"))
    assert world.wire.outgoing.empty()
    assert (world.link.queues, world.link.worker.team_name) == (frozenset({"a", "c"}), "another")


async def test_what_the_records_refuse_ends_the_link_and_is_said(world, caplog):
    world.records.may_settle.set()
    world.records.fails = [RuntimeError("no luck")]
    world.wire.say(world.site.send(Accepted(**JOB)))
    event = await world.wire.hear()
    assert (event["type"], event["code"]) == ("websocket.close", 4503)
    assert "no luck" in caplog.text
    # Nothing was acknowledged: the worker says it again when it has linked anew.
    assert world.link.session.handled == 0
    assert world.link.resumable


async def test_lanes_wait_for_the_database_and_lose_nothing(world, monkeypatch):
    monkeypatch.setattr("airflow_edge.gateway.database.calls.FIRST_PAUSE", 0.001)
    world.records.may_settle.set()
    world.records.fails = [StoreUnavailableError("away")] * 3
    order = given("restart")
    world.link.pass_orders([order])
    assert (await world.wire.hear()).body.order_id == str(order.id)
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.wire.say(world.site.send(Obeyed(order_id=str(order.id), done=True, state=WorkerState.IDLE)))
    while world.site.outstanding:
        world.site.receive(await world.wire.hear())
    assert len(world.records.settled) == len(world.records.answers) == 1
    # The lanes have ended, and begin again.
    world.wire.say(world.site.send(Ended(**JOB)))
    while world.site.outstanding:
        world.site.receive(await world.wire.hear())
    assert len(world.records.settled) == 2


async def test_nobody_waits_for_a_workers_own_log_and_what_there_is_no_room_for_is_dropped(world):
    world.records.may_keep.clear()
    for first in range(3 * MOST_WORKER_LOGS):
        world.wire.say(world.site.send(WorkerLog(run="r", first=first, size=1, data=b"x")))
    world.wire.say(world.site.send(Ping()))
    await until(world.wire.incoming.empty)
    world.records.fails = [StoreUnavailableError("away")]
    world.records.may_keep.set()
    await until(lambda: world.records.worker_log and len(tasks()) == 2)
    # One was with the records, and was not kept.
    kept = [batch.first for batch in world.records.worker_log]
    assert kept == list(range(1, len(kept) + 1))
    assert MOST_WORKER_LOGS - 1 <= len(kept) <= MOST_WORKER_LOGS


async def test_an_idle_link_has_two_tasks_and_one_more_for_what_it_works_on(world):
    await asyncio.sleep(0)
    await until(lambda: len(tasks()) == 2)
    assert tasks() == ["receiving", "sending"]
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.records.may_keep.clear()
    world.wire.say(world.site.send(WorkerLog(run="r", first=0, size=1, data=b"x")))
    await until(lambda: len(tasks()) == 4)
    world.records.may_settle.set()
    world.records.may_keep.set()
    await until(lambda: len(tasks()) == 2)
    assert (len(world.records.settled), len(world.records.worker_log)) == (1, 1)


@given_values(st.integers(0, 5), st.permutations(range(1, 9)), st.integers(0, 8))
def test_progress_is_the_number_up_to_which_all_are_done(start, order, count):
    progress = Progress(start)
    done = {start + number for number in order[:count]}
    for number in order[:count]:
        progress.finish(start + number)
    first_missing = next(number for number in range(start + 1, start + 10) if number not in done)
    assert progress.done == first_missing - 1


async def test_frames_leave_in_the_order_in_which_they_came():
    queue = SendQueue()
    taker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert queue.put(b"one")
    assert queue.put(b"two")
    assert [await taker, await queue.get()] == [b"one", b"two"]
    assert queue.empty


async def test_the_queue_holds_so_many_frames_and_so_many_bytes():
    queue = SendQueue(most_frames=2, most_bytes=10)
    assert queue.put(b"12345")
    assert not queue.put(b"123456")
    assert queue.put(b"12345")
    assert not queue.put(b"")
    await queue.get()
    assert queue.put(b"12345")
