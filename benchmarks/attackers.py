"""Hostile workers: greedy, slow, lying, malformed, revoked and back, all at once and as fast as they are answered.

`python -m benchmarks.attackers GATEWAY TOKEN COUNT ONLY` enrols so many with a token of many uses, and goes on until it
is told to end; with `ONLY`, as in "lies", they do that alone. What they were answered is printed then, as JSON: how
often, by what was tried and what came of it. Whenever one is refused for good, as after a revocation, it enrols anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.net.enrolment import enroll
from airflow_edge.agent.net.identity import Identity
from airflow_edge.protocol import handshake, tokens, urls
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, decode_centre_frame, encode
from airflow_edge.protocol.messages import Accepted, Ended, Hello, LogChunk, LogEnd, Offer, Signed, SiteMessage, Status
from airflow_edge.protocol.session import Session, site_session
from airflow_edge.protocol.signatures import content
from airflow_edge.protocol.states import WorkerState
from harness.client import NO_CAS

GREED: Final = 4
"""Large calls at once."""
BIG: Final = bytes(4 * 2**20)
"""What each of them brings."""
SLOW: Final = 50
"""Requests at once that are never finished."""
_SOMEBODY_ELSES: Final = "cae3a4e7-5563-4d2b-8dce-0b08f2d8fe5e"


class HostileWorker:
    """What it knows: who it is now, and the jobs it was given."""

    def __init__(self, gateway: str, token: str, folder: Path, seen: Counter[str]) -> None:
        """:param seen: counts what it is answered"""
        self.seen = seen
        self._gateway = gateway
        self._token = token
        self._folder = folder
        self._identity: Identity | None = None
        self._enrolling = asyncio.Lock()
        self._job = f"{_SOMEBODY_ELSES}:1"
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        self._http = httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=90, limits=limits)

    async def run(self, only: str = "") -> None:
        """Do everything at once, for ever.

        :param only: how the name of the one thing to do begins
        """
        ways: list[tuple[str, Callable[[], Awaitable[str]], int]] = [
            ("hoards jobs", self._hoard, 1),
            ("calls with large bodies", partial(self._call, "PUT", "/variables/greedy", BIG), GREED),
            ("calls for another's job", partial(self._call, "GET", "/variables/x", b"", _SOMEBODY_ELSES + ":1"), 4),
            (
                "calls with what is no JSON",
                partial(self._call, "PATCH", "/task-instances/x/state", b'{"state": NaN'),
                4,
            ),
            ("calls without a token", self._call_as_nobody, 4),
            ("never ends a body", self._half, SLOW),
            ("sends frames that are none", self._send_garbage, 2),
            ("lies on its link", self._lie, 2),
            ("floods a log", self._flood, 1),
            ("enrols under bad names", self._enrol_badly, 1),
        ]
        async with asyncio.TaskGroup() as group:
            for name, way, at_once in ways:
                if not name.startswith(only):
                    continue
                for _ in range(at_once):
                    group.create_task(self._again_and_again(name, way))

    async def _again_and_again(self, name: str, way: Callable[[], Awaitable[str]]) -> None:
        while True:
            try:
                came = await way()
            except (httpx.HTTPError, WebSocketException, OSError, TimeoutError, AgentError) as error:
                came = type(error).__name__
                # A connection that is refused costs the other side nothing: what it serves is what counts.
                await asyncio.sleep(random.uniform(0.01, 0.1))
            self.seen[f"{name}: {came}"] += 1

    async def _who(self) -> Identity:
        async with self._enrolling:
            if self._identity is None:
                name = f"hostile-{uuid4().hex[:8]}"
                file = self._folder / name / "identity.json"
                self._identity = await enroll(
                    file, self._gateway.removesuffix(urls.PREFIX), name, token=self._token, insecure=True
                )
                self.seen["enrolled"] += 1
            return self._identity

    def _answered(self, who: Identity, status: int, text: str) -> str:
        if status in {401, 403} and "revoked" in text and self._identity is who:
            self._identity = None
        return str(status)

    async def _call(self, method: str, path: str, body: bytes, job: str | None = None) -> str:
        who, job = await self._who(), job or self._job
        path = urls.EXECUTION + path
        token = who.token(method, path, job=job, body=tokens.body_digest(body))
        headers = {"Authorization": f"Bearer {token}", urls.JOB_HEADER: job, "Content-Type": "application/json"}
        answer = await self._http.request(method, self._gateway + path, content=body, headers=headers)
        return self._answered(who, answer.status_code, answer.text)

    async def _call_as_nobody(self) -> str:
        answer = await self._http.get(
            self._gateway + urls.EXECUTION + "/variables/x", headers={"Authorization": "Bearer a.b.c"}
        )
        return str(answer.status_code)

    async def _half(self) -> str:
        who = await self._who()
        address, path = urlsplit(self._gateway), urls.EXECUTION + "/variables/slow"
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            token = who.token("PUT", path, job=self._job)
            head = (
                f"PUT {address.path}{path} HTTP/1.1\r\nHost: centre\r\nContent-Length: 5000\r\n"
                f"Authorization: Bearer {token}\r\n{urls.JOB_HEADER}: {self._job}\r\n\r\n"
            )
            writer.write(head.encode() + b"x")
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(4096), 60)
            return answer[9:12].decode() or "closed"
        finally:
            writer.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[ClientConnection]:
        who = await self._who()
        headers = {"Authorization": f"Bearer {who.token('GET', urls.LINK)}"}
        try:
            async with connect(
                urls.link_url(self._gateway), additional_headers=headers, proxy=None, max_size=None, ping_interval=None
            ) as connection:
                yield connection
        except WebSocketException:
            if self._identity is who:
                # Perhaps it was revoked; a call will say.
                await self._call("GET", "/variables/x", b"")
            raise

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[tuple[ClientConnection, Session[SiteFrame, CentreFrame]]]:
        session = site_session(uuid4().hex)
        async with self._connection() as connection:
            hello = Hello(
                oldest_protocol=handshake.OLDEST,
                newest_protocol=handshake.NEWEST,
                session_id=session.session_id,
                received=0,
                boot_id="boot",
                agent_version="0",
                airflow_version="3",
                python_version="3",
                platform="linux",
                concurrency=10_000,
                queues=None,
                state=WorkerState.IDLE,
                jobs=(),
            )
            await connection.send(encode(session.send(hello)))
            yield connection, session

    async def _say(
        self, connection: ClientConnection, session: Session[SiteFrame, CentreFrame], *messages: SiteMessage
    ) -> None:
        for message in messages:
            await connection.send(encode(session.send(message)))

    async def _hoard(self) -> str:
        async with self._link() as (connection, session):
            async for data in connection:
                frame = decode_centre_frame(data if isinstance(data, bytes) else data.encode())
                message = content(frame.body) if isinstance(frame.body, Signed) else frame.body
                if isinstance(message, Offer):
                    self._job = f"{message.job_id}:{message.assignment}"
                    await self._say(connection, session, Accepted(job_id=message.job_id, assignment=message.assignment))
        return f"closed with {connection.close_code}"

    async def _send_garbage(self) -> str:
        async with self._connection() as connection:
            while True:
                await connection.send(random.randbytes(random.choice((10, 1000, 100_000))))

    async def _lie(self) -> str:
        async with self._link() as (connection, session):
            for _ in range(1000):
                ended = Ended(job_id=str(uuid4()), assignment=1, exit_code=0)
                alive = tuple(str(uuid4()) for _ in range(1000))
                await self._say(connection, session, ended, Status(state=WorkerState.RUNNING, alive=alive))
        return "said"

    async def _flood(self) -> str:
        job_id, _, assignment = self._job.partition(":")
        async with self._link() as (connection, session):
            for number in range(1000):
                chunk = LogChunk(
                    job_id=job_id,
                    assignment=int(assignment),
                    offset=number * 60_000,
                    size=60_000,
                    crc32=0,
                    data=random.randbytes(60_000),
                )
                end = LogEnd(job_id=job_id, assignment=int(assignment), size=2**40, sha256="0" * 64)
                await self._say(connection, session, chunk, end)
        return "said"

    async def _enrol_badly(self) -> str:
        body = json.dumps({"public_key": "00" * 32, "name": "a\0b\n", "queues": ["\ud800"]}).encode()
        answer = await self._http.post(
            self._gateway + urls.ENROLL, content=body, headers={"Content-Type": "application/json"}
        )
        return str(answer.status_code)


async def _run(gateway: str, token: str, folder: Path, count: int, only: str) -> None:
    seen: Counter[str] = Counter()

    def end() -> None:
        # Whoever holds a connection of its open is not waited for.
        print(json.dumps(dict(sorted(seen.items()))), flush=True)
        shutil.rmtree(folder)
        os._exit(0)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(HostileWorker(gateway, token, folder, seen).run(only))


def main() -> None:
    gateway, token, count, only = sys.argv[1:]
    # Its machine is not the centre's: it has what of this one's processors nobody else wants.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        asyncio.run(_run(gateway, token, Path(folder), int(count), only))


if __name__ == "__main__":
    main()
