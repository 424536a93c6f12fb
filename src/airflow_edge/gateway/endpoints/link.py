"""Where links begin: from the `Hello` to the `Welcome`, and, for a WebSocket, from the request on."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from starlette.websockets import WebSocket

from airflow_edge import __version__
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.links.connection import Connection, ConnectionClosedError, WebSocketConnection, bound_frames
from airflow_edge.gateway.links.driver import drive
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.reconcile import Arrival, Kept
from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.errors import RejectedError, RemoteProtocolError
from airflow_edge.protocol.frames import SiteFrame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST, CentreHandshake, rejection
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.protocol.session import centre_session
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.protocol.urls import LINK
from airflow_edge.rules.versions import judge
from airflow_edge.rules.worker import Admission, Holder, OtherInstance, Worker, judge_instance, refusal_of_other
from airflow_edge.store.workers.instances import Claim
from airflow_edge.store.workers.workers import LinkFacts
from airflow_edge.texts import counted

log = logging.getLogger(__name__)

MOST_GREETINGS = 2
"""Connections of one worker at once on which no `Hello` has come: there is one, and perhaps another that broke."""
HELLO_PATIENCE = 10.0
"""Seconds between the acceptance of the connection and the worker's `Hello`."""


async def link_by_websocket(gateway: Gateway, websocket: WebSocket) -> None:
    """Serve one connection to its end.

    :raises ProblemError: it is not let in.
    :raises StoreUnavailableError: the database failed before that.
    """
    gateway.check_ready()
    worker = await gateway.authenticator.worker(
        websocket.headers, method="GET", path=LINK, query=websocket.url.query, everywhere=True
    )
    bound_frames(websocket)
    await websocket.accept()
    await serve(gateway, worker, WebSocketConnection(websocket))


async def serve(gateway: Gateway, worker: Worker, connection: Connection) -> None:
    """Serve a worker's connection to its end, beginning with the `Hello`."""
    try:
        await _serve(gateway, worker, connection)
    except RejectedError as error:
        gateway.refusals.note(worker.id)
        await connection.send(encode(rejection(error)))
        await connection.close(CloseCode.PROTOCOL_ERROR, str(error))
    except RemoteProtocolError as error:
        gateway.refusals.note(worker.id)
        await connection.close(CloseCode.PROTOCOL_ERROR, str(error))
    except TimeoutError:
        await connection.close(CloseCode.SILENT, "no Hello came")
    except StoreUnavailableError:
        await connection.close(CloseCode.UNREADY, "the centre's database does not answer; try again")
    except ConnectionClosedError:
        log.info("Worker '%s' closed its connection before it was linked", worker.name)


async def _serve(gateway: Gateway, worker: Worker, connection: Connection) -> None:
    first = await _greeting(gateway, worker, connection)
    handshake = CentreHandshake(first, release=__version__, oldest=OLDEST, newest=NEWEST)
    worker = replace(worker, asked_queues=handshake.hello.queues)
    if not worker.served_queues:
        raise RejectedError(
            Code.NO_QUEUES,
            f"worker '{worker.name}' may serve the queues {', '.join(worker.queues)}, and asks for none of them "
            f"({', '.join(worker.asked_queues or ())}): change -q, or enrol it anew with a token for these queues: "
            f"{ANEW}",
        )
    link = await _let_in(gateway, worker, connection, handshake)
    try:
        end = await drive(link, connection, gateway.records, silence=gateway.config.silence)
    finally:
        gateway.links.remove(link, now=asyncio.get_running_loop().time())
    log.info("The link of worker '%s' has ended (%d): %s", worker.name, end.code, end.reason)
    if end.code == CloseCode.PROTOCOL_ERROR:
        gateway.refusals.note(worker.id)
    if link.said_goodbye:
        await gateway.calls.run(gateway.store.workers.unlink, worker.id, link.id, link.state, now=datetime.now(UTC))
    elif end.code == CloseCode.SILENT:
        # While the link stood it counted as seen; the truth is older. A link that it has elsewhere puts it right.
        heard = datetime.now(UTC) - gateway.config.patience.silence
        await gateway.calls.run(gateway.store.workers.seen, {worker.id: WorkerState.UNKNOWN}, {}, now=heard)


async def _greeting(gateway: Gateway, worker: Worker, connection: Connection) -> SiteFrame:
    """Wait for the first frame: of few connections at once, since each may have sent most of a long one."""
    if gateway.greetings[worker.id] >= MOST_GREETINGS:
        await connection.close(CloseCode.UNREADY, "the worker has begun other links, and not said Hello; try again")
        raise ConnectionClosedError(CloseCode.UNREADY)
    gateway.greetings[worker.id] += 1
    try:
        await gateway.refusals.wait(worker.id)
        return await connection.receive(HELLO_PATIENCE)
    finally:
        gateway.greetings[worker.id] -= 1
        if not gateway.greetings[worker.id]:
            del gateway.greetings[worker.id]


async def _let_in(gateway: Gateway, worker: Worker, connection: Connection, handshake: CentreHandshake) -> WorkerLink:
    """Link the process that may have the worker's key, and refuse any other: see `rules.worker`."""
    dead_link: UUID | None = None
    while True:
        async with gateway.links.lock(worker.id):
            link = await _enter(gateway, worker, connection, handshake, dead_link)
        if isinstance(link, WorkerLink):
            return link
        # Meanwhile whoever has the key may link anew, and is asked again then.
        if not link.asks or await gateway.inquiry.lives(worker.id, link.holder, gateway.id):
            break
        dead_link = link.holder.link_id
    hello, holder = handshake.hello, link.holder
    other = OtherInstance(
        instance=hello.instance, host_name=hello.host, address=connection.address, last_tried_at=datetime.now(UTC)
    )
    is_new = await gateway.calls.run(gateway.store.instances.note_other, worker.id, other)
    log.log(
        logging.WARNING if is_new else logging.DEBUG,
        "Worker '%s' is %s; %s has a copy of its key, and is refused",
        worker.name,
        holder,
        other,
    )
    raise RejectedError(Code.COPIED_INSTANCE if link.asks else Code.OTHER_INSTANCE, refusal_of_other(holder))


async def _enter(
    gateway: Gateway, worker: Worker, connection: Connection, handshake: CentreHandshake, dead_link: UUID | None
) -> WorkerLink | Kept:
    """Settle who has which job, welcome the worker, and give its link, which holds what is said to it first.

    Nothing has happened if somebody else keeps the worker's key.

    :param dead_link: one that was asked, and gave no answer
    """
    clock = asyncio.get_running_loop().time
    hello = handshake.hello
    link_id = uuid4()
    comer = Holder(
        link_id=link_id,
        instance=UUID(hello.instance) if hello.instance else None,
        life=UUID(hello.life) if hello.life else None,
        gateway_id=gateway.id,
        host_name=hello.host,
        address=connection.address,
        since=datetime.now(UTC),
    )
    if (here := gateway.links.get(worker.id)) is not None:
        may = judge_instance(
            here.holder, instance=comer.instance, life=comer.life, last_link=hello.last_link, dead_link=dead_link
        )
        if may is not Admission.ENTER:
            return Kept(holder=here.holder, asks=may is Admission.ASK)
    verdict = judge(hello.agent_version, hello.airflow_version, gateway.config.versions)
    remembered = gateway.links.take_over(worker.id, now=clock())
    parked = remembered if remembered is not None and handshake.continues(remembered.session) else None
    keys = await gateway.centre_keys.get(hello.centre_key)
    reconciled = await gateway.arrivals.ask(
        Arrival(
            worker_id=worker.id,
            jobs=hello.jobs,
            facts=LinkFacts(
                link_id=link_id,
                gateway_id=gateway.id,
                transport=connection.transport,
                boot_id=hello.boot_id,
                agent_version=hello.agent_version,
                airflow_version=hello.airflow_version,
                protocol=handshake.protocol,
                concurrency=worker.slots_of(hello.concurrency),
                state=hello.state,
                version_refused=verdict.refused,
                version_warning=verdict.warning,
                asked_queues=hello.queues,
                instance=comer.instance,
                life=comer.life,
                host_name=comer.host_name,
                address=comer.address,
            ),
            claim=Claim(hello.last_link, dead_link),
            parked=parked,
        )
    )
    if isinstance(reconciled, Kept):
        gateway.links.park_again(worker.id, remembered)
        return reconciled
    session = parked.session if parked is not None and reconciled.resumed else centre_session(uuid4().hex)
    welcome, again = handshake.welcome(
        session,
        resumed=reconciled.resumed,
        name=worker.name,
        queues=worker.served_queues,
        heartbeat_interval=gateway.config.patience.heartbeat_interval,
        link=str(link_id),
        centre_keys=keys.since(hello.centre_key),
        version_refused=verdict.refused,
        version_warning=verdict.warning,
    )
    link = WorkerLink(
        link_id,
        worker,
        hello,
        session,
        refused=bool(verdict.refused),
        holder=comer,
        sign=keys.sign,
    )
    for job in reconciled.held:
        if job.state is JobState.LEASED:
            link.slots.offer(job.key, job.slots, deadline=clock() + gateway.config.offer_timeout)
        elif not job.released:
            link.slots.hold(job.key, job.slots)
    await connection.send(encode(welcome))
    gateway.links.add(link)
    log.info(
        "Worker '%s' is linked (%s): %d slots, queues %s, %s there; %d given back to the queue, %d lost",
        worker.name,
        connection.transport,
        link.slots.concurrency,
        ", ".join(sorted(link.queues)),
        counted(len(reconciled.held), "job"),
        reconciled.requeued,
        reconciled.lost,
    )
    if link.slots.concurrency < hello.concurrency:
        log.warning(
            "Worker '%s' has %d slots, of which it is given %d: more than its enrolment allows",
            worker.name,
            hello.concurrency,
            link.slots.concurrency,
        )
    if verdict.refused:
        log.warning("Worker '%s' is given no new jobs: %s", worker.name, verdict.refused)
    link.resend(again)
    # Before the first offer: it may have been told to take none.
    link.pass_orders(reconciled.orders)
    for key in reconciled.void:
        link.void_job(key, "the centre does not know this job here: it was given to another worker, or has ended")
    if reconciled.requeued:
        gateway.queue.put_back()
    return link
