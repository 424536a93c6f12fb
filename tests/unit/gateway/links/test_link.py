from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from starlette.websockets import WebSocket

from airflow_edge.gateway.links.link import Link
from airflow_edge.gateway.links.orders import OrderLane
from airflow_edge.gateway.links.task_logs import LogLane
from airflow_edge.gateway.links.websocket import WebSocketConnection
from airflow_edge.gateway.links.worker_logs import WorkerLogLane
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import (
    Accepted,
    Ended,
    Hello,
    Obeyed,
    Order,
    Ping,
    Refused,
    Serves,
    Status,
    Stop,
    WantWorkerLog,
    WorkerLog,
    decode_centre_frame,
    encode,
)
from airflow_edge.protocol.session import centre_session, site_session
from airflow_edge.protocol.states import WorkerState
from airflow_edge.protocol.version import NEWEST, ORDERS, WORKER_LOG
from airflow_edge.rules.model import CONDITIONS, LogRequest, OrderState, Worker, WorkerOrder
from airflow_edge.rules.reports import Reading

JOB: dict[str, Any] = {"job_id": str(uuid4()), "assignment": 1}
KEY = AssignmentKey(JOB["job_id"], 1)


async def until(condition):
    """Let the loop turn until it is so."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


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
        return decode_centre_frame(event["bytes"]) if event["type"] == "websocket.send" else event


class World:
    """A link whose store answers when the test lets it."""

    def __init__(self, protocol=NEWEST, **hello):
        self.protocol = protocol
        self.worker_log: list[WorkerLog] = []
        self.wire = Wire()
        self.site = site_session("s")
        self.settled: list[list] = []
        self.may_settle = asyncio.Event()
        self.woken = self.requeued = 0
        self.answers: list[Obeyed] = []
        worker = Worker(
            id=uuid4(),
            name="worker",
            public_key=bytes(32),
            queues=("a", "b"),
            team_name=None,
            state=WorkerState.IDLE,
            concurrency=4,
            enrolled_at=datetime.now(UTC),
            last_seen_at=None,
            revoked_at=None,
            boot_id=None,
            link_id=None,
            transport=None,
            agent_version=None,
            airflow_version=None,
        )
        fields = {
            "oldest_protocol": 1,
            "newest_protocol": 1,
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
        self.link = Link(
            uuid4(),
            worker,
            Hello(**{**fields, **hello}),
            centre_session("s"),
            LogLane(self.no_log, self.no_log),
            WorkerLogLane(self.keep_worker_log),
            OrderLane(self.protocol, self.note_answer),
            protocol=self.protocol,
            settle=self.settle,
            wake_dispatcher=lambda: setattr(self, "woken", self.woken + 1),
            requeued=lambda: setattr(self, "requeued", self.requeued + 1),
            silence=60,
        )

    async def note_answer(self, answer):
        self.answers.append(answer)
        return True

    async def settle(self, reports):
        await self.may_settle.wait()
        self.settled.append(reports)
        return [Reading.APPLY] * len(reports)

    async def keep_worker_log(self, batch):
        self.worker_log.append(batch)

    async def no_log(self, _):
        return None


@pytest.fixture
async def world():
    world = World()
    running = asyncio.create_task(world.link.run(await world.wire.accepted()))
    yield world
    world.link.close(1000, "over")
    await asyncio.wait_for(running, 5)


async def test_reports_that_come_during_a_transaction_share_the_next(world):
    for _ in range(3):
        world.wire.say(world.site.send(Accepted(**JOB)))
    await until(world.wire.incoming.empty)
    world.wire.say(world.site.send(Ended(**JOB, exit_code=0)))
    world.may_settle.set()
    while world.site.outstanding:
        world.site.receive(await world.wire.hear())
    assert sum(map(len, world.settled)) == 4
    assert len(world.settled) <= 2


async def test_nothing_is_acknowledged_before_it_is_settled(world):
    world.wire.say(world.site.send(Accepted(**JOB)))
    await until(world.wire.incoming.empty)
    world.link.send(Ping())
    assert (await world.wire.hear()).ack == 0
    world.may_settle.set()
    assert (await world.wire.hear()).ack == 1


async def test_a_conversation_is_left_alone_after_the_links_end():
    world = World()
    running = asyncio.create_task(world.link.run(await world.wire.accepted()))
    await asyncio.sleep(0)
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.link.close(4409, "replaced")
    world.link.send(Stop(**JOB, reason=""))
    world.link.void_job(KEY, "")
    end = await asyncio.wait_for(running, 5)
    assert (end.code, end.reason) == (4409, "replaced")
    assert (world.link.session.received, world.link.session.handled, world.link.session.outstanding) == (0, 0, 0)
    assert (await world.wire.hear())["code"] == 4409


async def test_a_refusal_is_told_to_the_other_gateways_and_an_end_to_our_dispatcher(world):
    world.may_settle.set()
    world.wire.say(world.site.send(Refused(**JOB, reason="")))
    assert (await world.wire.hear()).ack == 1
    assert (world.requeued, world.woken) == (1, 0)
    world.wire.say(world.site.send(Ended(**JOB)))
    assert (await world.wire.hear()).ack == 2
    assert (world.requeued, world.woken) == (1, 1)


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
        assert world.woken == woken


NOW = datetime(2026, 3, 4, tzinfo=UTC)
REQUEST = LogRequest(id="r", until=NOW + timedelta(seconds=30), level=20, lines=5)


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


async def test_a_worker_too_old_for_it_is_not_asked():
    world = World(protocol=WORKER_LOG - 1)
    world.link.ask_for_log(REQUEST, now=NOW)
    world.link.send(Ping())
    running = asyncio.create_task(world.link.run(await world.wire.accepted()))
    assert (await world.wire.hear()).body == Ping()
    running.cancel()


async def test_a_workers_own_log_is_kept_beside_everything_else(world):
    batch = WorkerLog(run="r", first=0, size=1, data=b"x")
    world.wire.say(world.site.send(Accepted(**JOB)))
    world.wire.say(world.site.send(batch))
    await until(lambda: world.worker_log == [batch])
    assert world.settled == []


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
    assert world.answers == [answer]
    assert world.link.free_slots(0.0) == 4


async def test_one_that_is_too_old_for_orders_refuses_them_without_being_asked():
    world = World(protocol=ORDERS - 1)
    connection = await world.wire.accepted()
    running = asyncio.create_task(world.link.run(connection))
    order = given("restart")
    world.link.pass_orders([order])
    await until(lambda: world.answers)
    assert (world.answers[0].done, world.answers[0].order_id) == (False, str(order.id))
    assert "update airflow-edge" in world.answers[0].detail
    assert world.wire.outgoing.empty()
    world.link.close(1000, "")
    await running


async def test_slots_change_when_the_worker_has_changed_them(world):
    order = given("concurrency", number=7)
    world.link.pass_orders([order])
    await world.wire.hear()
    assert world.link.free_slots(0.0) == 4
    woken = world.woken
    world.wire.say(world.site.send(Obeyed(order_id=str(order.id), done=True, state=WorkerState.IDLE)))
    await world.wire.hear()
    assert (world.link.free_slots(0.0), world.woken) == (7, woken + 1)


async def test_a_worker_hears_of_its_new_queues_once(world):
    woken = world.woken
    changed = replace(world.link.worker, queues=("a", "c"))
    world.link.follow(changed)
    world.link.follow(replace(changed, team_name="another"))
    assert (await world.wire.hear()).body == Serves(queues=("a", "c"))
    assert world.wire.outgoing.empty()
    assert (world.link.queues, world.link.worker.team_name) == (frozenset({"a", "c"}), "another")
    assert world.woken == woken + 1


async def test_one_that_is_too_old_is_not_told_of_its_queues_and_serves_them():
    world = World(protocol=ORDERS - 1)
    running = asyncio.create_task(world.link.run(await world.wire.accepted()))
    world.link.follow(replace(world.link.worker, queues=("c",)))
    await asyncio.sleep(0)
    assert world.wire.outgoing.empty()
    assert world.link.queues == {"c"}
    world.link.close(1000, "")
    await running
