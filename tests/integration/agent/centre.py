"""A centre over a real socket: the gateway's side of the protocol, driven by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from airflow_edge.gateway.access import authentication
from airflow_edge.protocol import logdata, urls
from airflow_edge.protocol.messages import (
    CentreMessage,
    Hello,
    LogAck,
    LogChunk,
    LogEnd,
    Offer,
    Ping,
    Rejected,
    SiteFrame,
    SiteMessage,
    Status,
    Welcome,
    decode_site_frame,
    encode,
)
from airflow_edge.protocol.session import Session, centre_session

M = TypeVar("M")

Answer = tuple[int, bytes]


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
    protocol: int = 1
    heartbeat_interval: float = 0.3
    acknowledge: bool = True
    take_logs: bool = True
    refusal: Answer | None = None
    rejection: Rejected | None = None
    forget_sessions: bool = False
    answer: Callable[[Call], Answer | None] = lambda call: (200, b"{}")
    """Answers an Execution API call; None closes the connection instead."""

    tls: tuple[Path, Path] | None = None
    """Certificate chain and private key."""
    port: int = 0
    hellos: list[Hello] = field(default_factory=list)
    messages: list[SiteMessage] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    logs: dict[tuple[str, int], bytearray] = field(default_factory=dict)
    chunks: list[LogChunk] = field(default_factory=list)
    ends: dict[tuple[str, int], LogEnd] = field(default_factory=dict)
    close_codes: list[int] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()
        self._sessions: dict[str, Session[Any, SiteFrame]] = {}
        self._session: Session[Any, SiteFrame] | None = None
        self._send: Callable[[dict[str, Any]], Any] | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    # The test's side

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def linked(self) -> bool:
        return self._send is not None

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

    async def until(self, probe: Callable[[], M | None], *, patience: float = 15.0) -> M:
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
        assert self._session is not None
        frame = self._session.send(message)
        if self._send is not None:
            await self._send({"type": "websocket.send", "bytes": encode(frame)})

    async def offer(self, *, slots: int = 1, workload: dict[str, Any] | None = None, **more: Any) -> Offer:
        offer = Offer(
            job_id=more.pop("job_id", str(uuid.uuid4())),
            assignment=more.pop("assignment", 1),
            kind="task",
            queue="default",
            slots=slots,
            lease=10.0,
            workload=json.dumps(workload or {"ti": {"pool_slots": slots}}).encode(),
        )
        await self.say(offer)
        return offer

    async def cut(self, code: int = 1012) -> None:
        """Close the link."""
        assert self._send is not None
        with contextlib.suppress(RuntimeError):
            await self._send({"type": "websocket.close", "code": code, "reason": "cut by the test"})

    # The gateway's side

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(urls.PREFIX)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            self._authenticate(headers, "GET", path)
            await self._link(receive, send)
        elif scope["type"] == "http":
            raw = scope["raw_path"].decode().removeprefix(urls.PREFIX)
            self._authenticate(headers, scope["method"], raw)
            await self._call(scope, raw, headers, receive, send)

    def _authenticate(self, headers: dict[str, str], method: str, path: str) -> None:
        text = headers["authorization"].removeprefix("Bearer ")
        authentication.verify(text, bytes.fromhex(self.public_key))
        claims = authentication.read_claims(text)
        authentication.check_claims(claims, now=time.time(), method=method, path=path)
        assert claims.jti not in self.tokens
        self.tokens.add(claims.jti)

    async def _link(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if self.refusal is not None:
            await _respond(send, "websocket.http.response", *self.refusal)
            return
        await send({"type": "websocket.accept"})
        first = decode_site_frame((await receive())["bytes"])
        hello = first.body
        assert isinstance(hello, Hello)
        self.hellos.append(hello)
        if self.rejection is not None:
            await send({"type": "websocket.send", "bytes": encode(centre_session("-").send(self.rejection))})
            await send({"type": "websocket.close", "code": 4400})
            return
        session = None if self.forget_sessions else self._sessions.get(hello.session_id)
        resumed = session is not None
        if session is None:
            session = self._sessions[hello.session_id] = centre_session(hello.session_id)
        again = session.resume(hello.received) if resumed else []
        welcome = Welcome(
            protocol=self.protocol,
            resumed=resumed,
            received=session.handled,
            name="site-1",
            queues=("default",),
            heartbeat_interval=self.heartbeat_interval,
            centre_version="0",
            log_dictionaries=logdata.DICTIONARIES,
        )
        for frame in [session.send(welcome), *again]:
            await send({"type": "websocket.send", "bytes": encode(frame)})
        self._session, self._send = session, send
        await self._notify()
        try:
            async for frame in _frames(receive, self.close_codes):
                if session.receive(frame):
                    await self._take(session, frame)
        finally:
            if self._send is send:
                self._send = None
            await self._notify()

    async def _take(self, session: Session[Any, SiteFrame], frame: SiteFrame) -> None:
        body = frame.body
        match body:
            case Status():
                self.statuses.append(body)
            case LogChunk():
                self.chunks.append(body)
                if self.take_logs:
                    await self._take_chunk(body)
            case LogEnd():
                self.ends[body.job_id, body.assignment] = body
                if self.take_logs:
                    kept = self.logs.get((body.job_id, body.assignment), b"")
                    complete = len(kept) == body.size
                    await self.say(
                        LogAck(job_id=body.job_id, assignment=body.assignment, offset=len(kept), complete=complete)
                    )
        self.messages.append(body)
        if frame.seq and self.acknowledge:
            session.handle(frame.seq)
            await self.say(Ping())
        await self._notify()

    async def _take_chunk(self, chunk: LogChunk) -> None:
        kept = self.logs.setdefault((chunk.job_id, chunk.assignment), bytearray())
        data = logdata.unpack(chunk)
        assert len(data) == chunk.size
        if chunk.offset == len(kept):
            kept += data
        await self.say(LogAck(job_id=chunk.job_id, assignment=chunk.assignment, offset=len(kept)))

    async def _call(self, scope: dict[str, Any], path: str, headers: dict[str, str], receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        call = Call(scope["method"], path.removeprefix(urls.EXECUTION), scope["query_string"].decode(), headers, body)
        self.calls.append(call)
        await self._notify()
        answer = self.answer(call)
        if answer is None:
            # It breaks off in the middle of the answer: the server closes the connection after that.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            return
        await _respond(send, "http.response", *answer)

    async def _notify(self) -> None:
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


async def _frames(receive: Any, codes: list[int]) -> AsyncIterator[SiteFrame]:
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            codes.append(event.get("code", 0))
            return
        yield decode_site_frame(event["bytes"])
