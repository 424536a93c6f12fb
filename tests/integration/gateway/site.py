"""A site as the gateway sees it: a key, and real sockets. It does exactly what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from airflow_edge.protocol import polling, tokens, urls
from airflow_edge.protocol.enrolment import read_token, statement
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, decode_centre_frame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST
from airflow_edge.protocol.messages import CentreMessage, Hello, Signed, SiteMessage, Welcome
from airflow_edge.protocol.session import Session, site_session
from airflow_edge.protocol.signatures import content
from airflow_edge.protocol.states import WorkerState
from harness.client import NO_CAS

PATIENCE = 60.0

M = TypeVar("M", bound=CentreMessage)


class Site:
    """One machine: its key, and the worker it is enrolled as."""

    transport = "WebSocket"
    """How its links are made: this, or `long polling`."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"site-{uuid4().hex[:12]}"
        self.key = Ed25519PrivateKey.generate()
        self.worker_id = "00000000-0000-0000-0000-000000000000"

    @property
    def id(self) -> UUID:
        return UUID(self.worker_id)

    @property
    def public_key(self) -> str:
        return self.key.public_key().public_bytes_raw().hex()

    def token(self, method: str, path: str, **changes: Any) -> str:
        """A token for one request; `changes` overrides what it claims."""
        now, query = changes.pop("now", time.time()), changes.pop("query", "")
        claims = tokens.new_claims(
            sub=self.worker_id, now=now, jti=secrets.token_urlsafe(16), method=method, path=path, query=query
        )
        if changes:
            claims = tokens.Claims(
                **{name: changes.get(name, getattr(claims, name)) for name in claims.__struct_fields__}
            )
        signed = tokens.signing_input(claims)
        return tokens.assemble(signed, self.key.sign(signed))

    def strange_token(self, payload: bytes) -> str:
        """Something signed well that says anything."""
        header = b'{"alg":"EdDSA","typ":"JWT"}'
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
        return tokens.assemble(signed, self.key.sign(signed))

    def headers(self, method: str, path: str, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(method, path, **changes)}"}

    def signed_by(self, token: str) -> dict[str, Any]:
        """What an enrolment says with this enrolment token."""
        key, now = Ed25519PrivateKey.from_private_bytes(read_token(token).seed), int(time.time())
        signature = key.sign(statement(self.public_key, self.name, None, now))
        token_key = key.public_key().public_bytes_raw().hex()
        return {"token_key": token_key, "token_signature": signature.hex(), "signed_at": now}

    async def enroll(self, gateway: str, token: str | None = None, **fields: Any) -> httpx.Response:
        if token is not None:
            fields = {**self.signed_by(token), **fields}
        body = msgspec.json.encode({"public_key": self.public_key, "name": self.name, **fields})
        headers = self.headers("POST", urls.ENROLL, sub="enrol", body=tokens.body_digest(body))
        async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=PATIENCE) as client:
            answer = await client.post(
                gateway + urls.ENROLL, content=body, headers={**headers, "Content-Type": "application/json"}
            )
        if answer.is_success:
            self.worker_id = answer.json()["worker_id"]
        return answer

    async def call(
        self, gateway: str, method: str, path: str, job: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Call the task's Execution API, as the agent does for a job `<id>:<assignment>`."""
        async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=PATIENCE) as client:
            request = client.build_request(method, gateway + urls.EXECUTION + path, **options)
            query = request.url.query.decode()
            # What has no end is refused before it comes to its digest.
            endless = hasattr(options.get("content"), "__aiter__")
            body = "" if endless else tokens.body_digest(await request.aread())
            signed = self.headers(method, urls.EXECUTION + path, query=query, job=job, body=body)
            request.headers.update({**signed, urls.JOB_HEADER: job, **(headers or {})})
            return await client.send(request)

    async def raw_call(self, gateway: str, method: str, path: str, job: str, *, body: bytes = b"") -> httpx.Response:
        """Call the task's Execution API with a path that no client library would let through."""
        base = httpx.URL(gateway)
        target = f"{base.path}{urls.EXECUTION}{path}".encode()
        request = httpx.Request(
            method,
            gateway,
            headers={
                **self.headers(method, urls.EXECUTION + path, job=job, body=tokens.body_digest(body)),
                urls.JOB_HEADER: job,
                "Content-Type": "application/json",
            },
            content=body,
            extensions={"target": target},
        )
        async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=PATIENCE) as client:
            return await client.send(request)

    def hello(self, session: Session[SiteFrame, CentreFrame], **fields: Any) -> Hello:
        return Hello(
            **{
                "oldest_protocol": OLDEST,
                "newest_protocol": NEWEST,
                "session_id": session.session_id,
                "received": session.received,
                "boot_id": "boot",
                "agent_version": "0.1.0",
                "airflow_version": "3.3.2",
                "python_version": "3.11",
                "platform": "linux",
                "concurrency": 4,
                "queues": None,
                "state": WorkerState.IDLE,
                "jobs": (),
                **fields,
            }
        )

    @asynccontextmanager
    async def connection(self, gateway: str, **claims: Any):
        """The bare WebSocket, or what is like one."""
        if self.transport == "long polling":
            async with LongPolling(self, gateway, **claims) as connection:
                yield connection
            return
        headers = self.headers("GET", urls.LINK, **claims)
        async with connect(
            urls.link_url(gateway),
            additional_headers=headers,
            proxy=None,
            max_size=None,
            ping_interval=None,
            open_timeout=PATIENCE,
        ) as connection:
            yield connection

    @asynccontextmanager
    async def link(self, gateway: str, session: Session[SiteFrame, CentreFrame] | None = None, **hello: Any):
        """A link whose `Hello` was welcomed."""
        session = session or site_session(uuid4().hex)
        async with self.connection(gateway) as connection:
            link = SiteLink(connection, session)
            link.send_now(self.hello(session, **hello))
            await link.flush()
            link.welcome = await link.get(Welcome)
            resumed, received, name = link.welcome.resumed, link.welcome.received, link.welcome.session_id
            for frame in session.resume(received) if resumed else session.restart(name):
                await connection.send(encode(frame))
            yield link


class LongPolling:
    """Long polling with the face of a WebSocket: one request a frame, and one that listens."""

    def __init__(self, site: Site, gateway: str, **claims: Any) -> None:
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.link: str | None = None
        self.passed_on = False
        self._site = site
        self._gateway = gateway
        self._claims = claims
        self._http = httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=polling.WAIT + PATIENCE)
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LongPolling:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()
        await self._http.aclose()

    @property
    def transport(self) -> LongPolling:
        return self

    def abort(self) -> None:
        """Be gone without a word."""
        if self._listening is not None:
            self._listening.cancel()

    def move_to(self, gateway: str) -> None:
        """Send all further requests to another API server."""
        self._gateway = gateway

    async def post(self, body: bytes, link: str | None = None) -> httpx.Response:
        path = urls.poll_path(link or self.link or "") if link or self.link else urls.POLL
        headers = self._site.headers("POST", path, **{"body": tokens.body_digest(body), **self._claims})
        answer = await self._http.post(self._gateway + path, content=body, headers=headers)
        self.passed_on = self.passed_on or urls.PASSED_ON_HEADER in answer.headers
        return answer

    async def send(self, frame: bytes | str) -> None:
        first = self.link is None
        answer = await self.post(polling.encode_frames([frame.encode() if isinstance(frame, str) else frame]))
        if answer.status_code == 400:
            self._closed(4400, answer.text)
            return
        assert answer.status_code == 200, answer.text
        self._note(polling.decode_reply(answer.content))
        if first:
            self._listening = asyncio.create_task(self._listen())

    async def recv(self) -> bytes:
        frame = await self._frames.get()
        if frame is None:
            self._frames.put_nowait(None)
            raise ConnectionClosedOK(None, None)
        return frame

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def _listen(self) -> None:
        while self.close_code is None:
            try:
                answer = await self.post(b"")
            except httpx.TransportError as error:
                self._closed(1006, str(error))
                return
            if answer.status_code == 200:
                self._note(polling.decode_reply(answer.content))
            else:
                self._closed(1006, answer.text)

    def _note(self, reply: polling.Reply) -> None:
        self.link = reply.link
        for frame in reply.frames:
            self._frames.put_nowait(bytes(frame))
        if reply.end is not None:
            self._closed(reply.end.code, reply.end.reason)

    def _closed(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._frames.put_nowait(None)


class SiteLink:
    """One connection of a site."""

    def __init__(self, connection: ClientConnection | LongPolling, session: Session[SiteFrame, CentreFrame]) -> None:
        self.connection = connection
        self.session = session
        self.welcome: Welcome
        self.passed: list[CentreMessage] = []
        """Messages that came while another kind was awaited."""
        self._waiting: list[bytes] = []

    def send_now(self, message: SiteMessage) -> None:
        self._waiting.append(encode(self.session.send(message)))

    async def flush(self) -> None:
        for data in self._waiting:
            await self.connection.send(data)
        self._waiting.clear()

    async def say(self, *said: SiteMessage) -> None:
        for message in said:
            self.send_now(message)
        await self.flush()

    async def next(self, patience: float = PATIENCE) -> CentreMessage:
        """The next message that is new, dealt with at once."""
        while True:
            async with asyncio.timeout(patience):
                data = await self.connection.recv()
            assert isinstance(data, bytes)
            frame = decode_centre_frame(data)
            if isinstance(frame.body, Signed):
                frame = CentreFrame(frame.seq, frame.ack, content(frame.body))
            if self.session.receive(frame):
                if frame.seq:
                    self.session.handle(frame.seq)
                return frame.body

    async def get(self, kind: type[M], patience: float = PATIENCE) -> M:
        """The next message of a kind."""
        for message in self.passed:
            if isinstance(message, kind):
                self.passed.remove(message)
                return message
        async with asyncio.timeout(patience):
            while True:
                message = await self.next(patience)
                if isinstance(message, kind):
                    return message
                self.passed.append(message)

    async def until(self, kind: type[M], which: Callable[[M], bool]) -> M:
        """The next message of a kind that is the one awaited."""
        async with asyncio.timeout(PATIENCE):
            while not which(message := await self.get(kind)):
                pass
        return message

    async def acknowledged(self) -> None:
        """Wait until the centre has acknowledged everything that was said."""
        async with asyncio.timeout(PATIENCE):
            while self.session.outstanding:
                self.passed.append(await self.next())

    async def closed(self, patience: float = PATIENCE) -> tuple[int, str]:
        """Wait for the end; give its code and reason."""
        async with asyncio.timeout(patience):
            with suppress(ConnectionClosed):
                async for data in self.connection:
                    assert isinstance(data, bytes)
                    self.session.receive(decode_centre_frame(data))
        code = self.connection.close_code
        assert code is not None
        return code, self.connection.close_reason or ""
