"""Loops of a gateway that must never end: whatever their hands raise, they go on, nothing is lost, and it is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from websockets.exceptions import ConnectionClosed

from airflow_edge.gateway.app import app_of
from airflow_edge.gateway.database import calls, listener, notify
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.loops import (
    assignments,
    background,
    handover,
    left_out,
    log_keeper,
    presence,
    purge,
    testing,
    worker_changes,
)
from airflow_edge.protocol.frames import encode
from airflow_edge.protocol.messages import Accepted, Ended, LogAck, Obeyed, Offer, Order, Ping, Serves, Status
from airflow_edge.protocol.states import WorkerState
from airflow_edge.protocol.urls import HEALTH
from airflow_edge.rules.orders import Wish
from tests.integration.gateway.site import SiteLink
from tests.integration.gateway.test_logs import chunk, end_of, line
from tests.integration.gateway.world import Centre, GatewayServer, NoTaskApi, below_prefix, config, wait_until

OUTAGE = OperationalError("a statement", {}, OSError("the connection was lost"))
REFUSAL = IntegrityError("a statement", {}, ValueError("the database did not like it"))
BUG = RuntimeError("nobody has thought of this")

HANDS = (
    ("queue", "waiting"),
    ("jobs", "unwanted"),
    ("jobs", "offered"),
    ("jobs", "expire_leases"),
    ("jobs", "keep_alive"),
    ("jobs", "lose_unreachable"),
    ("jobs", "purge"),
    ("orphaned_jobs", "finish"),
    ("workers", "changed_since"),
    ("workers", "with_ids"),
    ("workers", "seen"),
    ("workers", "last_seen"),
    ("workers", "mark_unreachable"),
    ("orders", "waiting"),
    ("orders", "purge"),
    ("fleet", "waiting_tests"),
    ("nonces", "forget_expired"),
    ("enroll_tokens", "purge"),
    ("worker_logs", "purge"),
    ("metrics", "purge"),
    ("log_upkeep", "tidy"),
    ("log_upkeep", "expire"),
    ("log_handovers", "claim"),
)
"""What the loops do with the store: part and method."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Let the loops take up the work again at once."""
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret" * 12)
    for module in (background, calls, notify):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
        monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)
    for module, name in (
        (assignments, "LEASES_INTERVAL"),
        (assignments, "UNWANTED_INTERVAL"),
        (presence, "CHANGES_INTERVAL"),
        (presence, "SETTLING"),
        (testing, "LOOK_INTERVAL"),
        (worker_changes, "LOOK_INTERVAL"),
        (purge, "INTERVAL"),
        (purge, "METRICS_INTERVAL"),
        (log_keeper, "TIDY_INTERVAL"),
        (handover, "LOOK_INTERVAL"),
        (left_out, "TRIED_AGAIN"),
    ):
        monkeypatch.setattr(module, name, 0.05)


@attrs.define
class FolderLog:
    """A remote log of Airflow's kind: it takes finished files, and deletes what it has taken."""

    base_log_folder: Path
    target: Path
    delete_local_copy: bool = True
    processors: tuple[()] = ()

    def upload(self, path: str, _: object) -> None:
        file = self.base_log_folder / path
        taken = self.target / path
        taken.parent.mkdir(parents=True, exist_ok=True)
        with taken.open("a") as log:
            log.write(file.read_text())
        file.unlink()

    def read(self, path: str, _: object) -> tuple[list[str], list[str]]:
        taken = self.target / path
        return [], [taken.read_text()] if taken.exists() else []


class Breakable:
    """A gateway before a real store, whose parts can be made to fail; a linked site."""

    def __init__(self, centre: Centre, gateway: Gateway, server: GatewayServer) -> None:
        self.centre = centre
        self.gateway = gateway
        self.server = server
        self.queue = centre.queue_name()
        self.site = centre.trusted_site(self.queue)

    def fail(self, part: str, method: str, *errors: Exception, done: bool = False) -> Callable[[], bool]:
        """Let a method fail so many times; the function given says whether it has succeeded since.

        :param done: it does its work, and then fails: what it has done is not known to its caller
        """
        owner = getattr(self.gateway.store, part)
        real = getattr(owner, method)
        left = list(errors)
        succeeded = False

        def failing(*args: Any, **kwargs: Any) -> Any:
            nonlocal succeeded
            answer = real(*args, **kwargs) if done or not left else None
            if left:
                raise left.pop(0)
            succeeded = True
            return answer

        setattr(owner, method, failing)
        return lambda: succeeded

    @asynccontextmanager
    async def link(self) -> AsyncIterator[SiteLink]:
        """A link that is never silent."""

        async def talk(link: SiteLink) -> None:
            with suppress(ConnectionClosed):
                while True:
                    await link.connection.send(encode(link.session.send(Ping())))
                    await asyncio.sleep(0.1)

        async with self.site.link(self.server.url) as link:
            talking = asyncio.create_task(talk(link))
            yield link
            talking.cancel()

    async def health(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer: dict[str, Any] = (await client.get(self.server.url + HEALTH)).json()
            return answer


@pytest.fixture
def world(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "configured_handler", lambda: FolderLog(tmp_path, tmp_path / "remote"))
    centre = Centre(engine, "")
    settings = config(heartbeat_interval=0.5, offer_timeout=1.0, log_retention=timedelta(days=1))
    gateway = Gateway(settings, centre.sessions, NoTaskApi)
    with GatewayServer(below_prefix(app_of(gateway))) as server:
        centre.gateway = server.url
        yield Breakable(centre, gateway, server)


async def test_every_loop_goes_on_whatever_its_hands_raise_and_says_so(world, caplog):
    assert (await world.health()).get("detail") is None
    async with world.link():
        succeeded = {hand: world.fail(*hand, OUTAGE, REFUSAL, BUG) for hand in HANDS}
        await wait_until(
            lambda: [hand for hand, has in succeeded.items() if not has()], lambda left: left == [], patience=60
        )
    health = await world.health()
    assert health["status"] == "healthy"
    for loop in ("dispatcher", "watch over tasks", "watch over presence", "care of logs", "handing over of logs"):
        assert f"the {loop} (RuntimeError)" in health["detail"]
        assert f"The {loop} of the edge gateway failed" in caplog.text
    assert str(BUG) in caplog.text


@pytest.mark.parametrize("error", [OUTAGE, BUG], ids=["outage", "bug"])
async def test_a_job_is_offered_though_nobody_heard_that_it_was_claimed(world, error):
    claimed = world.fail("queue", "claim", error, done=True)
    expired = world.fail("jobs", "expire_leases", error, error)
    async with world.link() as link:
        job = world.centre.queue(world.queue)
        await wait_until(claimed, bool)
        offer = await link.get(Offer)
        assert (offer.job_id, expired()) == (str(job.id), True)
        assert offer.assignment in {1, 2}
        name = {"job_id": offer.job_id, "assignment": offer.assignment}
        await link.say(Accepted(**name), Ended(**name, exit_code=0))
        await link.acknowledged()
        await world.centre.wait_for_state(job.id, "succeeded")


@pytest.mark.parametrize("error", [OUTAGE, BUG], ids=["outage", "bug"])
async def test_what_people_want_of_a_worker_reaches_it_all_the_same(world, error):
    store = world.centre.store
    async with world.link() as link:
        for method in ("changed_since", "seen"):
            world.fail("workers", method, error, error)
        world.fail("orders", "waiting", error, error)
        order = store.orders.give(world.site.id, Wish("restart"), by="ada", now=datetime.now(UTC))
        assert (await link.get(Order)).order_id == str(order.id)
        world.fail("orders", "obeyed", OUTAGE, REFUSAL)
        await link.say(Obeyed(order_id=str(order.id), done=False, detail="not now", state=WorkerState.IDLE))
        await link.acknowledged()
        assert store.orders.get(order.id).detail == "not now"
        world.fail("workers", "changed_since", error, error)
        store.workers.change_queues(world.site.id, add=["another"], now=datetime.now(UTC))
        assert "another" in (await link.get(Serves)).queues
        world.fail("workers", "seen", error, error)
        await link.say(Status(state=WorkerState.TERMINATING, alive=()))
        await wait_until(lambda: store.workers.get(world.site.id).state, lambda state: state is WorkerState.TERMINATING)
        world.fail("workers", "changed_since", error, error)
        assert store.workers.revoke(world.site.name, now=datetime.now(UTC))
        assert (await link.closed())[0] == 4403


async def test_what_a_worker_says_is_kept_though_the_database_fails_before_or_after(world):
    plain = line("hello")
    async with world.link() as link:
        world.centre.queue(world.queue)
        offer = await link.get(Offer)
        name = {"job_id": offer.job_id, "assignment": offer.assignment}
        for part, method in (("jobs", "settle"), ("logs", "append"), ("logs", "finish")):
            world.fail(part, method, OUTAGE, REFUSAL)
            world.fail(part, method, OUTAGE, done=True)
        await link.say(Accepted(**name), chunk(offer, 0, plain))
        assert (await link.get(LogAck)).offset == len(plain)
        await link.say(Ended(**name, exit_code=0), end_of(offer, plain))
        await link.until(LogAck, lambda ack: ack.complete)
        await link.acknowledged()
    job = world.centre.job(offer.job_id)
    assert job.state == "succeeded"
    (part,) = world.centre.store.logs.parts(job.log_path)
    assert b"".join(world.centre.store.logs.read(part.id)) == plain


async def test_a_log_is_handed_over_once_though_nobody_heard_that_it_was(world, tmp_path):
    plain = line("hello")
    world.fail("log_handovers", "claim", BUG, OUTAGE)
    world.fail("log_handovers", "done", BUG)
    async with world.link() as link:
        job = world.centre.queue(world.queue)
        offer = await link.get(Offer)
        name = {"job_id": offer.job_id, "assignment": offer.assignment}
        await link.say(Accepted(**name), chunk(offer, 0, plain), Ended(**name, exit_code=0), end_of(offer, plain))
        await link.until(LogAck, lambda ack: ack.complete)
        await link.acknowledged()
        taken = tmp_path / "remote" / job.log_path
        await wait_until(taken.exists, bool)
        succeeded = world.fail("log_handovers", "claim")
        await wait_until(succeeded, bool)
    assert taken.read_text() == plain.decode()


async def test_notifications_are_heard_again_whatever_the_connection_raises(world, monkeypatch):
    if world.centre.engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL notifies")
    signal = world.gateway.queue
    await wait_until(lambda: signal.connected, bool)
    real, errors = listener.Listener, [OSError("gone"), BUG, OSError("gone")]

    def connect(*args: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return real(*args)

    monkeypatch.setattr(notify, "Listener", connect)
    with world.centre.engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
        )
    await wait_until(lambda: not errors and signal.connected, bool)
