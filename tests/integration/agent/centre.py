"""A centre over a real socket: the gateway's own link and handshake, its database and people played by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.websockets import WebSocket

from airflow_edge.gateway.access import authentication
from airflow_edge.gateway.links.connection import WebSocketConnection
from airflow_edge.gateway.links.driver import drive
from airflow_edge.gateway.links.link import WorkerLink
from airflow_edge.gateway.links.records import Records
from airflow_edge.gateway.marking import serve_marked
from airflow_edge.protocol import urls
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import RejectedError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST, CentreHandshake, rejection
from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import (
    CentreMessage,
    Hello,
    LogChunk,
    LogEnd,
    Obeyed,
    Offer,
    SiteMessage,
    Status,
    WorkerLog,
)
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.session import Session, centre_session
from airflow_edge.protocol.tokens import Claims
from airflow_edge.room import SharedRoom
from airflow_edge.rules.reports import Reading, Report
from airflow_edge.store.logs.logs import LogProgress
from tests.workers import enrolled_worker

M = TypeVar("M")

Answer = tuple[int, bytes]
CentreSession = Session[CentreFrame, SiteFrame]

WORKER = enrolled_worker(name="site-1")
WORKER_ID = str(WORKER.id)
_KEY = Ed25519PrivateKey.generate()
CENTRE_KEY = _KEY.public_key().public_bytes_raw().hex()
"""What its sites have pinned."""


@dataclass
class Call:
    """A call of the Execution API as it reached the centre."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Centre:
    """What has come is in the lists; what is to come is said with the methods."""

    public_key: str
    heartbeat_interval: float = 0.3
    acknowledge: bool = True
    take_logs: bool = True
    refusal: Answer | None = None
    rejection: RejectedError | None = None
    forget_sessions: bool = False
    answer: Callable[[Call], Answer | None] = lambda call: (200, b"{}")
    """Answers an Execution API call; None closes the connection instead."""

    tls: tuple[Path, Path] | None = None
    """Certificate chain and private key."""
    port: int = 0
    hellos: list[Hello] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    """Whether the conversation went on, for each link."""
    messages: list[SiteMessage] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    logs: dict[AssignmentKey | tuple[str, int], bytearray] = field(default_factory=dict)
    chunks: list[LogChunk] = field(default_factory=list)
    ends: dict[AssignmentKey | tuple[str, int], LogEnd] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()
        self._sessions: dict[str, CentreSession] = {}
        self._link: WorkerLink | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    # The test's side

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def linked(self) -> bool:
        return self._link is not None and self._link.open

    async def start(self) -> None:
        chain, key = self.tls or (None, None)
        config = uvicorn.Config(
            self._app,
            host="127.0.0.1",
            port=self.port,
            lifespan="off",
            log_level="error",
            interface="asgi3",
            ssl_certfile=chain,
            ssl_keyfile=key,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away, as a machine that is switched off."""
        assert self._server is not None
        assert self._serving is not None
        self._server.should_exit = self._server.force_exit = True
        await self._serving

    async def until(self, probe: Callable[[], M | None], *, patience: float = 60.0) -> M:
        """Wait until the probe, asked again after everything that comes, gives something true."""
        async with asyncio.timeout(patience), self._changed:
            while not (found := probe()):
                await self._changed.wait()
            return found

    async def message(self, kind: type[M], *, count: int = 1) -> M:
        """Wait until so many messages of this kind have come; give the last of them."""
        found = await self.until(lambda: [m for m in self.messages if isinstance(m, kind)][count - 1 : count])
        return found[0]

    async def say(self, message: CentreMessage) -> None:
        assert self._link is not None
        if self._link.open:
            self._link.send(message)
        else:
            self._link.session.send(message)

    async def offer(self, *, slots: int = 1, workload: dict[str, Any] | None = None, **more: Any) -> Offer:
        offer = Offer(
            job_id=more.pop("job_id", str(uuid4())),
            assignment=more.pop("assignment", 1),
            kind="task",
            queue="default",
            slots=slots,
            lease=10.0,
            workload=json.dumps(workload or {"ti": {"pool_slots": slots}}).encode(),
        )
        await self.say(offer)
        return offer

    async def cut(self, code: int = CloseCode.SHUTTING_DOWN) -> None:
        """Close the link."""
        assert self._link is not None
        self._link.close(code, "cut by the test")

    async def take(self, frame: SiteFrame, session: CentreSession) -> None:
        """Note what has come, if it is new."""
        if frame.seq in {0, session.received + 1}:
            match frame.body:
                case Status() as status:
                    self.statuses.append(status)
                case LogChunk() as chunk:
                    self.chunks.append(chunk)
                case LogEnd() as end:
                    self.ends[end.key] = end
            self.messages.append(frame.body)
        await self.notify()

    # The gateway's side

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await serve_marked(self._serve_request, scope, receive, send)

    async def _serve_request(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(urls.PREFIX)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            self._authenticate(scope, headers, "GET", path)
            await self._link_up(scope, receive, send)
        elif scope["type"] == "http":
            raw = scope["raw_path"].decode().removeprefix(urls.PREFIX)
            claims = self._authenticate(scope, headers, scope["method"], path)
            await self._call(scope, raw, headers, claims.body, receive, send)

    def _authenticate(self, scope: dict[str, Any], headers: dict[str, str], method: str, path: str) -> Claims:
        text = headers["authorization"].removeprefix("Bearer ")
        authentication.verify(text, bytes.fromhex(self.public_key))
        claims = authentication.read_claims(text)
        query, job = scope["query_string"].decode(), headers.get(urls.JOB_HEADER.lower(), "")
        authentication.check_request(claims, method=method, path=path, query=query, job=job)
        authentication.check_time(claims, now=time.time())
        assert claims.jti not in self.tokens
        self.tokens.add(claims.jti)
        return claims

    async def _link_up(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.refusal is not None:
            assert (await receive())["type"] == "websocket.connect"
            await _respond(send, "websocket.http.response", *self.refusal)
            return
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        connection = _Watched(WebSocketConnection(websocket), self.take)
        try:
            await self._serve(connection)
        except RejectedError as error:
            await connection.send(encode(rejection(error)))
            await connection.close(CloseCode.PROTOCOL_ERROR, str(error))

    async def _serve(self, connection: _Watched) -> None:
        handshake = CentreHandshake(await connection.receive(10), release="0", oldest=OLDEST, newest=NEWEST)
        self.hellos.append(handshake.hello)
        if self.rejection is not None:
            raise self.rejection
        known = None if self.forget_sessions else self._sessions.get(handshake.hello.session_id)
        session = connection.session = known or centre_session(uuid4().hex)
        self._sessions = {session.session_id: session}
        self.resumed.append(known is not None)
        welcome, again = handshake.welcome(
            session,
            resumed=known is not None,
            name="site-1",
            queues=("default",),
            heartbeat_interval=self.heartbeat_interval,
        )
        link = WorkerLink(uuid4(), WORKER, handshake.hello, session, sign=_KEY.sign)
        await connection.send(encode(welcome))
        link.resend(again)
        self._link = link
        await self.notify()
        try:
            await drive(link, connection, _Records(self), silence=60)
        finally:
            await self.notify()

    async def _call(
        self, scope: dict[str, Any], path: str, headers: dict[str, str], digest: str, receive: Any, send: Any
    ) -> None:
        body = b""
        more = True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        await authentication.check_body(digest, body)
        call = Call(scope["method"], path.removeprefix(urls.EXECUTION), scope["query_string"].decode(), headers, body)
        self.calls.append(call)
        await self.notify()
        answer = self.answer(call)
        if answer is None:
            # It breaks off in the middle of the answer: the server closes the connection after that.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            return
        await _respond(send, "http.response", *answer)

    async def notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _respond(send: Any, kind: str, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"refreshed-api-token", b"an-airflow-token"),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


class _Watched:
    """A connection that somebody listens in on."""

    transport = "WebSocket"
    address = "127.0.0.1"

    def __init__(self, connection: WebSocketConnection, take: Callable[[SiteFrame, CentreSession], Awaitable[None]]):
        self._connection = connection
        self._take = take
        self.send, self.close = connection.send, connection.close
        self.session: CentreSession | None = None

    async def receive(self, patience: float | None) -> SiteFrame:
        frame = await self._connection.receive(patience)
        if self.session is not None:
            await self._take(frame, self.session)
        return frame


class _Records(Records):
    """Keeps everything in memory; what the test does not let it take, it never gets done with."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self.room = SharedRoom(2**24, 2**24)

    async def settle(self, worker_id: UUID, reports: Sequence[Report]) -> list[Reading]:
        await self._let(self._centre.acknowledge)
        return [Reading.APPLY] * len(reports)

    async def append_log(self, worker_id: UUID, chunk: LogChunk) -> LogProgress:
        await self._let(self._centre.take_logs)
        kept = self._centre.logs.setdefault(chunk.key, bytearray())
        data = logdata.unpack(chunk)
        assert len(data) == chunk.size
        if chunk.offset == len(kept):
            kept += data
        await self._centre.notify()
        return LogProgress(len(kept), complete=False)

    async def finish_log(self, worker_id: UUID, end: LogEnd) -> LogProgress:
        await self._let(self._centre.take_logs)
        size = len(self._centre.logs.get(end.key, b""))
        return LogProgress(size, complete=size == end.size)

    async def append_worker_log(self, worker_id: UUID, batch: WorkerLog) -> None:
        pass

    async def note_answer(self, worker_id: UUID, answer: Obeyed) -> None:
        await self._let(self._centre.acknowledge)

    def gained(self, link: WorkerLink) -> None:
        pass

    def put_back(self) -> None:
        pass

    @staticmethod
    async def _let(allowed: bool) -> None:
        if not allowed:
            await asyncio.Event().wait()
