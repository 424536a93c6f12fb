"""The link by long polling, as `protocol.polling` describes it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus

from airflow_edge.agent.errors import UnreachableError
from airflow_edge.agent.link.transport import LinkClosedError
from airflow_edge.agent.net.failures import refusal
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.net.identity import Signer
from airflow_edge.agent.trust import Trust
from airflow_edge.protocol import urls
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.polling import CONTENT_TYPE, WAIT, End, Reply, decode_reply, encode_frames
from airflow_edge.protocol.problems import Code, read_problem

PATIENCE = 40.0
"""Seconds for an answer, beyond what the centre may take on purpose: an API server may stand still for 30 s."""
MOST_CONNECTIONS = 20
"""Connections to make in search of the API server process that has the link.

Others pass requests on to it; over a connection of its own they are answered sooner. Where something before the centre
makes a new connection for each request, there is none to be found. A centre that is older than that passes nothing on.
"""


class PollingTransport:
    """Two connections: one to speak, one to listen. The first frame that is sent, the `Hello`, makes the link."""

    name = "long polling"

    def __init__(self, gateway: str, signer: Signer, *, trust: Trust) -> None:
        """:param gateway: the gateway's base URL"""
        connect = partial(HttpClient, gateway, signer, trust=trust, cookies={})
        self._listening = _Lane(connect)
        self._speaking = _Lane(connect)
        self._path = ""
        self._frames: deque[bytes] = deque()
        self._end: End | None = None
        self.round_trip: float | None = None
        """Seconds that the last frames took that were sent; see `Transport`."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send encoded frames; see `Transport`. Afterwards the centre has taken them in."""
        if self._path:
            began = time.monotonic()
            self._note(await self._speaking.post(self._path, encode_frames(frames), PATIENCE))
            self.round_trip = time.monotonic() - began
        else:
            # Whom the Hello reaches has the link, and over the same connection it is reached again.
            reply = await self._listening.post(urls.POLL, encode_frames(frames), WAIT + PATIENCE)
            self._path = urls.poll_path(reply.link)
            self._note(reply)
        if self._end is not None and not self._frames:
            raise LinkClosedError(self._end.code, self._end.reason)

    async def receive(self) -> bytes:
        """Wait for the next frame; see `Transport`."""
        while not self._frames:
            if self._end is not None:
                raise LinkClosedError(self._end.code, self._end.reason)
            self._note(await self._listening.post(self._path, b"", WAIT + PATIENCE))
        return self._frames.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Let go of it. The centre notices that nothing comes, or that the next link replaces this one."""
        await self._listening.aclose()
        await self._speaking.aclose()

    def _note(self, reply: Reply) -> None:
        self._frames.extend(bytes(frame) for frame in reply.frames)
        self._end = reply.end or self._end


class _Lane:
    """Requests one after the other, over one connection while it lasts: behind it is one and the same process."""

    def __init__(self, connect: Callable[[], HttpClient]) -> None:
        self._connect = connect
        self._client = connect()
        self._gateway = self._client.gateway
        self._moves = 0

    async def post(self, path: str, body: bytes, patience: float) -> Reply:
        for _ in range(MOST_CONNECTIONS):
            response = await self._client.request(
                "POST", path, headers={"Content-Type": CONTENT_TYPE}, body=body, patience=patience
            )
            if response.status == HTTPStatus.OK:
                if urls.PASSED_ON_HEADER.lower() in response.headers and self._moves < MOST_CONNECTIONS:
                    self._moves += 1
                    await self._move()
                return self._read(response)
            problem = read_problem(response.body)
            elsewhere = problem is not None and problem.code == Code.LINK_ELSEWHERE
            if not elsewhere or response.status != HTTPStatus.MISDIRECTED_REQUEST:
                raise refusal(response.status, response.body, self._gateway)
            await self._move()
        raise UnreachableError(
            f"the API server process at {self._gateway} that had the link is gone, or a load balancer spreads one "
            "worker's requests over several; if this happens again and again, switch its session affinity on"
        )

    async def _move(self) -> None:
        await self._client.aclose()
        self._client = self._connect()

    async def aclose(self) -> None:
        await self._client.aclose()

    def _read(self, response: Response) -> Reply:
        try:
            return decode_reply(response.body)
        except RemoteProtocolError as error:
            raise refusal(response.status, response.body, self._gateway) from error
