"""The link to the centre: a WebSocket, made again whenever it breaks, for a conversation that outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from airflow_edge import __version__
from airflow_edge.agent import network
from airflow_edge.agent.backoff import Backoff
from airflow_edge.agent.errors import AgentError, RefusedError, UnreachableError
from airflow_edge.agent.events import Key
from airflow_edge.agent.failures import refusal, transport_error
from airflow_edge.agent.identity import Signer
from airflow_edge.protocol import urls, version
from airflow_edge.protocol.errors import ProtocolError, RemoteProtocolError
from airflow_edge.protocol.messages import (
    MAX_FRAME_BYTES,
    CentreFrame,
    Ended,
    Goodbye,
    Hello,
    LogAck,
    LogChunk,
    Offer,
    Ping,
    Rejected,
    SiteFrame,
    SiteMessage,
    Status,
    Stop,
    Void,
    Welcome,
    decode_centre_frame,
    encode,
)
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.session import site_session

log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 8.0
STEADY_AFTER = 10.0
"""Seconds after which a link counts as good, so that the next attempts begin with the shortest wait again."""
REFUSED_WAIT = 30.0
"""Seconds between two attempts at a centre that does not want us, made only because tasks still run here."""
OPEN_TIMEOUT = 15.0
CLOSE_TIMEOUT = 2.0
PING_INTERVAL = 5.0
PING_TIMEOUT = 10.0
UNSENT_BYTES = 64 * 1024
"""What may wait in the kernel: log chunks that are already there delay what is urgent, and the pings."""

CLOSED_PROTOCOL_ERROR = 4400
CLOSED_REVOKED = 4403
CLOSED_REPLACED = 4409

_PASSING = frozenset({Code.REPLAYED, Code.NOT_READY, ""})
"""Refusals that another attempt may cure."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """How it stands with the link; `reason` says why it is not there."""

    state: Literal["connecting", "linked", "refused"] = "connecting"
    reason: str = "not tried yet"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Names a message of the centre; `epoch` counts the times that the conversation began anew."""

    epoch: int
    seq: int


class Owner(Protocol):
    """What the link needs to know from the worker it belongs to, and tells it."""

    def hello(self, session_id: str, received: int) -> Hello: ...

    def status(self) -> Status: ...

    def welcomed(self, welcome: Welcome) -> None: ...

    def received(self, receipt: Receipt, message: Offer | Stop | Void) -> None:
        """Take a message. `Link.handled` has to be called with its receipt when it is dealt with for good."""

    def acknowledged(self, key: Key) -> None:
        """The centre has dealt with a job's `Ended`."""

    def log_acknowledged(self, ack: LogAck) -> None: ...

    def next_chunk(self) -> LogChunk | None:
        """Give the next piece of a log; asked for when nothing more urgent is to be sent."""

    def has_tasks(self) -> bool:
        """Whether a task's process is still there."""


class Link:
    """Keeps the worker linked."""

    def __init__(self, gateway: str, signer: Signer, owner: Owner, *, ca_file: Path | None = None) -> None:
        """:param gateway: the gateway's base URL"""
        self.state = LinkState()
        self.linked = asyncio.Event()
        self._gateway = gateway
        self._signer = signer
        self._owner = owner
        self._ssl = network.ssl_context(gateway, ca_file)
        self._proxy = network.proxy_url(gateway)
        self._ca_file = ca_file
        self._session = site_session(_new_id())
        self._epoch = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._ended: deque[tuple[int, Key]] = deque()
        """The numbers of unacknowledged `Ended`."""
        self._outbox: deque[SiteFrame] = deque()
        self._wake = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._hurry = asyncio.Event()
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._interval = 0.0
        """Seconds between two statuses, as the centre wants it."""
        self._ever_linked = False
        self._said_goodbye = asyncio.Event()
        self._last_reason = ""

    # What the worker calls

    def send(self, message: SiteMessage) -> None:
        """Send a message now, or when the link stands again. A `Status` without a link is dropped."""
        frame = self._session.send(message)
        if isinstance(message, Ended):
            self._ended.append((frame.seq, Key(message.job_id, message.assignment)))
        if self.linked.is_set():
            self._outbox.append(frame)
            self._wake.set()

    def handled(self, receipt: Receipt) -> None:
        """Everything from the centre up to this message is dealt with."""
        if receipt.epoch != self._epoch:
            return
        self._session.handle(receipt.seq)
        if self._session.handled == self._session.received:
            self._settled.set()

    def more_log(self) -> None:
        """There may be a log chunk to send."""
        self._wake.set()

    def hurry(self) -> None:
        """Don't wait any longer for the next attempt."""
        self._hurry.set()

    async def say_goodbye(self, reason: str, patience: float) -> None:
        """Tell the centre that the worker ends in good order; wait at most `patience` seconds until that is sent."""
        if self.linked.is_set():
            self._said_goodbye.set()
            self._all_sent.clear()
            self.send(Goodbye(reason=reason))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_sent.wait(), patience)

    async def run(self) -> None:
        """Link again and again, until goodbye was said.

        :raises AgentError: the centre cannot be, or does not want to be linked to, and no task runs here.
        """
        while not self._said_goodbye.is_set():
            self._hurry.clear()
            try:
                await self._link_once()
            except AgentError as error:
                if self._said_goodbye.is_set():
                    return
                self._failed(error)
            except ProtocolError as error:
                log.exception("the centre and this worker misunderstand each other; the link is made anew")
                self._set_state("connecting", f"protocol error: {error}")
                self._begin_anew(_new_id())
            self.linked.clear()
            wait = REFUSED_WAIT if self.state.state == "refused" else self._backoff.next()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), wait)

    # One connection

    async def _link_once(self) -> None:
        # What came over the last connection is dealt with first, so that it is known what is to come again.
        await self._settled.wait()
        connection = await self._connect()
        try:
            await self._greet(connection)
            since = asyncio.get_running_loop().time()
            try:
                await _until_one_ends(self._send_all(connection), self._send_status(), self._receive_all(connection))
            finally:
                if asyncio.get_running_loop().time() - since > STEADY_AFTER:
                    self._backoff.reset()
        except ConnectionClosed:
            raise self._closed(connection) from None
        except ProtocolError as error:
            await connection.close(CLOSED_PROTOCOL_ERROR, str(error)[:100])
            raise
        finally:
            self.linked.clear()
            await connection.close()

    async def _connect(self) -> ClientConnection:
        token = self._signer.token("GET", urls.LINK)
        proxy_tls: dict[str, Any] = {}
        if self._proxy and self._proxy.startswith("https:"):
            proxy_tls["proxy_ssl"] = network.ssl_context(self._proxy, self._ca_file)
        try:
            connection = await connect(
                urls.link_url(self._gateway),
                additional_headers={"Authorization": f"Bearer {token}"},
                user_agent_header=f"airflow-edge/{__version__}",
                ssl=self._ssl,
                proxy=self._proxy,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                **proxy_tls,
            )
        except InvalidStatus as error:
            raise refusal(error.response.status_code, bytes(error.response.body or b""), self._gateway) from error
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise transport_error(error, self._gateway) from error
        _keep_short(connection)
        return connection

    async def _greet(self, connection: ClientConnection) -> None:
        """Say who we are, and hear whether the conversation goes on."""
        session = self._session
        hello = self._owner.hello(session.session_id, session.handled)
        await connection.send(encode(session.send(hello)))
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                frame = await _receive(connection)
        except TimeoutError:
            raise UnreachableError(f"{self._gateway} did not answer the worker's greeting in time") from None
        match frame.body:
            case Rejected() as rejected:
                raise RefusedError(rejected.message, rejected.code)
            case Welcome() as welcome:
                pass
            case other:
                raise RemoteProtocolError(f"{type(other).__name__} came instead of Welcome")
        if version.negotiate(welcome.protocol, welcome.protocol) is None:
            raise RemoteProtocolError(f"the centre wants to speak version {welcome.protocol} of the protocol")
        if welcome.resumed:
            self._acknowledge(welcome.received)
            frames = session.resume(welcome.received)
        else:
            frames = self._begin_anew(session.session_id)
        self._interval = welcome.heartbeat_interval
        self._outbox = deque(frames)
        self._wake.set()
        self._ever_linked = True
        self._set_state("linked", "")
        self.linked.set()
        self._owner.welcomed(welcome)
        self.send(self._owner.status())

    def _begin_anew(self, session_id: str) -> list[SiteFrame]:
        frames = self._session.restart(session_id)
        self._epoch += 1
        self._settled.set()
        self._ended = deque(
            (frame.seq, Key(frame.body.job_id, frame.body.assignment))
            for frame in frames
            if isinstance(frame.body, Ended)
        )
        return frames

    async def _send_all(self, connection: ClientConnection) -> None:
        while True:
            self._wake.clear()
            if self._outbox:
                await connection.send(encode(self._outbox.popleft()))
                if not self._outbox:
                    self._all_sent.set()
            elif chunk := self._owner.next_chunk():
                await connection.send(encode(self._session.send(chunk)))
            else:
                await self._wake.wait()

    async def _send_status(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self.send(self._owner.status())

    async def _receive_all(self, connection: ClientConnection) -> None:
        while True:
            frame = await _receive(connection)
            is_new = self._session.receive(frame)
            self._acknowledge(frame.ack)
            match frame.body:
                case LogAck() as ack:
                    self._owner.log_acknowledged(ack)
                    self._wake.set()
                case Ping():
                    pass
                case Offer() | Stop() | Void() as message if is_new:
                    self._settled.clear()
                    self._owner.received(Receipt(self._epoch, frame.seq), message)
                case Welcome() | Rejected() as unexpected:
                    raise RemoteProtocolError(f"{type(unexpected).__name__} came in the middle of a link")

    # Bookkeeping

    def _acknowledge(self, seq: int) -> None:
        while self._ended and self._ended[0][0] <= seq:
            self._owner.acknowledged(self._ended.popleft()[1])

    def _closed(self, connection: ClientConnection) -> AgentError:
        code, reason = connection.close_code, connection.close_reason or ""
        if code == CLOSED_REVOKED:
            return RefusedError(reason or "this worker was revoked; enrol it anew to use it again", Code.REVOKED)
        if code == CLOSED_REPLACED:
            return RefusedError(
                reason or "another worker has linked with this worker's key; enrol each machine by itself", ""
            )
        return UnreachableError(f"the link to {self._gateway} broke (code {code}{': ' if reason else ''}{reason})")

    def _failed(self, error: AgentError) -> None:
        """Note why there is no link, and give up where nothing would come of going on."""
        refused = isinstance(error, RefusedError)
        for_good = isinstance(error, RefusedError) and error.code not in _PASSING
        hopeless = for_good or not (self._ever_linked or isinstance(error, UnreachableError) or refused)
        if hopeless and not self._owner.has_tasks():
            raise error
        self._set_state("refused" if refused else "connecting", str(error))

    def _set_state(self, state: Literal["connecting", "linked", "refused"], reason: str) -> None:
        if reason != self._last_reason or state != self.state.state:
            if state == "linked":
                log.info("linked to %s", self._gateway)
            else:
                log.warning("not linked: %s; trying again", reason)
        self.state = LinkState(state, reason)
        self._last_reason = reason


async def _until_one_ends(*coroutines: Coroutine[object, object, None]) -> None:
    """Run all until the first ends, end the others too, and raise what ended it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _receive(connection: ClientConnection) -> CentreFrame:
    data = await connection.recv(decode=False)
    return decode_centre_frame(data)


def _keep_short(connection: ClientConnection) -> None:
    sock: socket.socket | None = connection.transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if sock is not None and option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)


def _new_id() -> str:
    return secrets.token_urlsafe(12)
