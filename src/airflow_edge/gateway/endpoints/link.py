"""Where links begin: from the `Hello` to the `Welcome`, and, for a WebSocket, from the request on."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from starlette.websockets import WebSocket

from airflow_edge import __version__
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.links.connection import Connection, ConnectionClosedError, WebSocketConnection
from airflow_edge.gateway.links.driver import drive
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.reconcile import Arrival
from airflow_edge.protocol.errors import RejectedError, RemoteProtocolError
from airflow_edge.protocol.handshake import NEWEST, OLDEST, ORDERS, CentreHandshake, rejection
from airflow_edge.protocol.messages import encode
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.protocol.session import centre_session
from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.protocol.urls import LINK
from airflow_edge.rules.versions import judge
from airflow_edge.rules.worker import Worker
from airflow_edge.store.workers.workers import LinkFacts

log = logging.getLogger(__name__)

HELLO_PATIENCE = 10.0
"""Seconds between the acceptance of the connection and the worker's `Hello`."""


async def link_by_websocket(gateway: Gateway, websocket: WebSocket) -> None:
    """Serve one connection to its end.

    :raises ProblemError: it is not let in.
    :raises StoreUnavailableError: the database failed before that.
    """
    gateway.check_ready()
    worker = await gateway.authenticator.worker(websocket.headers, method="GET", path=LINK, everywhere=True)
    await websocket.accept()
    await serve(gateway, worker, WebSocketConnection(websocket))


async def serve(gateway: Gateway, worker: Worker, connection: Connection) -> None:
    """Serve a worker's connection to its end, beginning with the `Hello`."""
    try:
        await _serve(gateway, worker, connection)
    except RejectedError as error:
        await connection.send(encode(rejection(error)))
        await connection.close(CloseCode.PROTOCOL_ERROR, str(error))
    except RemoteProtocolError as error:
        await connection.close(CloseCode.PROTOCOL_ERROR, str(error))
    except TimeoutError:
        await connection.close(CloseCode.SILENT, "no Hello came")
    except StoreUnavailableError:
        await connection.close(CloseCode.UNREADY, "the centre's database does not answer; try again")
    except ConnectionClosedError:
        log.info("Worker '%s' closed its connection before it was linked", worker.name)


async def _serve(gateway: Gateway, worker: Worker, connection: Connection) -> None:
    first = await connection.receive(HELLO_PATIENCE)
    handshake = CentreHandshake(first, release=__version__, oldest=OLDEST, newest=NEWEST)
    worker = replace(worker, asked_queues=handshake.hello.queues)
    if not worker.served_queues:
        raise RejectedError(
            Code.NO_QUEUES,
            f"worker '{worker.name}' may serve the queues {', '.join(worker.queues)}, and asks for none of them "
            f"({', '.join(worker.asked_queues or ())}): change -q, or enrol it with a token for these queues",
        )
    async with gateway.links.lock(worker.id):
        link = await _enter(gateway, worker, connection, handshake)
    try:
        end = await drive(link, connection, gateway.records, silence=gateway.config.silence)
    finally:
        gateway.links.remove(link, now=asyncio.get_running_loop().time())
    log.info("The link of worker '%s' has ended (%d): %s", worker.name, end.code, end.reason)
    if link.said_goodbye:
        await gateway.calls.run(gateway.store.workers.unlink, worker.id, link.id, link.state, now=datetime.now(UTC))
    elif end.code == CloseCode.SILENT:
        # While the link stood it counted as seen; the truth is older. A link that it has elsewhere puts it right.
        heard = datetime.now(UTC) - gateway.config.patience.silence
        await gateway.calls.run(gateway.store.workers.seen, {worker.id: WorkerState.UNKNOWN}, {}, now=heard)


async def _enter(gateway: Gateway, worker: Worker, connection: Connection, handshake: CentreHandshake) -> WorkerLink:
    """Settle who has which job, welcome the worker, and give its link, which holds what is said to it first."""
    clock = asyncio.get_running_loop().time
    hello = handshake.hello
    verdict = judge(hello.agent_version, hello.airflow_version, gateway.config.versions)
    parked = gateway.links.take_over(worker.id, now=clock())
    if parked is not None and not handshake.continues(parked.session):
        parked = None
    link_id = uuid4()
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
                concurrency=hello.concurrency,
                state=hello.state,
                version_refused=verdict.refused,
                version_warning=verdict.warning,
                asked_queues=hello.queues,
            ),
            knows_orders=handshake.protocol >= ORDERS,
            parked=parked,
        )
    )
    session = parked.session if parked is not None and reconciled.resumed else centre_session(uuid4().hex)
    welcome, again = handshake.welcome(
        session,
        resumed=reconciled.resumed,
        name=worker.name,
        queues=worker.served_queues,
        heartbeat_interval=gateway.config.patience.heartbeat_interval,
        version_refused=verdict.refused,
        version_warning=verdict.warning,
    )
    link = WorkerLink(link_id, worker, hello, session, protocol=handshake.protocol, refused=bool(verdict.refused))
    for job in reconciled.held:
        if job.state is JobState.LEASED:
            link.slots.offer(job.key, job.slots, deadline=clock() + gateway.config.offer_timeout)
        elif not job.released:
            link.slots.hold(job.key, job.slots)
    await connection.send(encode(welcome))
    gateway.links.add(link)
    log.info(
        "Worker '%s' is linked (%s): %d slots, queues %s, %d jobs there; %d given back to the queue, %d lost",
        worker.name,
        connection.transport,
        hello.concurrency,
        ", ".join(sorted(link.queues)),
        len(reconciled.held),
        reconciled.requeued,
        reconciled.lost,
    )
    if verdict.refused:
        log.warning("Worker '%s' is given no new jobs: %s", worker.name, verdict.refused)
    link.resend(again)
    # Before the first offer: it may have been told to take none.
    link.pass_orders(reconciled.orders)
    for key in reconciled.void:
        link.void_job(key, "the centre does not know this job here: it was given to another worker, or has ended")
    if reconciled.requeued:
        gateway.queue.tell()
    else:
        gateway.queue.wake()
    return link
