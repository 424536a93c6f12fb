"""The link as a WebSocket, and what a WebSocket that cannot be made says about what is on the way."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)

from airflow_edge import __version__
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.link.fallback import Suspicion
from airflow_edge.agent.link.transport import LinkClosedError
from airflow_edge.agent.net import tls_and_proxy
from airflow_edge.agent.net.failures import refusal, transport_error
from airflow_edge.agent.net.foreign import IN_BETWEEN, foreign_answer
from airflow_edge.agent.net.identity import Signer
from airflow_edge.agent.trust import Trust
from airflow_edge.protocol import urls
from airflow_edge.protocol.frames import MAX_FRAME_BYTES
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.protocol.tokens import answer_mark

if TYPE_CHECKING:
    from websockets.http11 import Response as Answer

OPEN_TIMEOUT = 15.0
PING_INTERVAL = 5.0
PING_TIMEOUT = 40.0
"""Seconds for an answer. The centre's machine may be there while its API server stands still, for 30 s where Airflow
waits for its database; whoever links anew meanwhile meets the same."""
ACKNOWLEDGED_WITHIN = 10.0
"""Seconds for the machine at the other end of the connection to acknowledge what was sent, pings too. That it does
whatever its programs do: a network that is gone is noticed all the same."""
UNSENT_BYTES = 64 * 1024
"""What may wait in the kernel: log chunks that are already there delay what is urgent, and the pings."""


class WebSocketFailedError(Exception):
    """No WebSocket could be made. `error` is what that means by itself, `suspicion` whether WebSockets are to blame."""

    def __init__(self, error: AgentError, suspicion: Suspicion) -> None:
        super().__init__(str(error))
        self.error = error
        self.suspicion = suspicion


class WebSocketTransport:
    """A connected WebSocket."""

    name = "WebSocket"

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def round_trip(self) -> float | None:
        """Seconds between the last ping and its answer; see `Transport`."""
        return self._connection.latency or None

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send encoded frames; see `Transport`."""
        try:
            for frame in frames:
                await self._connection.send(frame)
        except ConnectionClosed:
            raise self._closed() from None

    async def receive(self) -> bytes:
        """Wait for the next frame; see `Transport`."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed:
            raise self._closed() from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        await self._connection.close(code, reason[:100])

    def _closed(self) -> LinkClosedError:
        return LinkClosedError(self._connection.close_code or CloseCode.CUT, self._connection.close_reason or "")


async def open_websocket(gateway: str, signer: Signer, *, trust: Trust) -> WebSocketTransport:
    """Connect.

    :param gateway: the gateway's base URL
    :raises WebSocketFailedError: that did not come about.
    :raises ConfigError: what `trust` names or the proxy's URL makes no sense.
    """
    token = signer.token("GET", urls.LINK)
    proxy = tls_and_proxy.proxy_url(gateway)
    context = tls_and_proxy.ssl_context(gateway, trust)
    proxy_tls: dict[str, Any] = {}
    if proxy and proxy.startswith("https:"):
        proxy_tls["proxy_ssl"] = tls_and_proxy.ssl_context(proxy, trust)
    try:
        connection = await _Connect(
            urls.link_url(gateway),
            additional_headers={"Authorization": f"Bearer {token}"},
            user_agent_header=f"airflow-edge/{__version__}",
            ssl=context,
            proxy=proxy,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=2.0,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            # For whichever is connected to, the centre or the proxy.
            happy_eyeballs_delay=tls_and_proxy.NEXT_ADDRESS_AFTER,
            **proxy_tls,
        )
    except InvalidStatus as error:
        raise refused(error.response, token, gateway, proxy) from error
    # Whoever answers can send anything, and the library does not name all that it raises then.
    except Exception as error:
        raise WebSocketFailedError(transport_error(error, gateway, proxy), suspicion_of(error, gateway)) from error
    answer = connection.response
    if answer is None or not _is_gateways(answer, token):
        connection.transport.abort()
        headers = {} if answer is None else _fields(answer)
        meaning = foreign_answer(
            HTTPStatus.SWITCHING_PROTOCOLS, headers, b"", gateway=gateway, path=urls.LINK, proxy=proxy
        )
        raise WebSocketFailedError(meaning, Suspicion.CERTAIN)
    _tune(connection)
    return WebSocketTransport(connection)


class _Connect(connect):
    """A token is good for the address that it was signed for, so nobody is followed to another one."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for the refusal that it is."""
        return exc


def refused(answer: Answer, token: str, gateway: str, proxy: str | None = None) -> WebSocketFailedError:
    """Say what an answer to the upgrade with this token means that is not 101."""
    status, body = answer.status_code, bytes(answer.body or b"")
    if _is_gateways(answer, token):
        # The gateway itself answers so when the request reaches it without its upgrade.
        suspicion = Suspicion.CERTAIN if status == HTTPStatus.UPGRADE_REQUIRED else Suspicion.NONE
        return WebSocketFailedError(refusal(status, body, gateway), suspicion)
    meaning = foreign_answer(status, _fields(answer), body, gateway=gateway, path=urls.LINK, proxy=proxy)
    return WebSocketFailedError(meaning, _suspicion_of_answer(status))


def _fields(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.raw_items()}


def _is_gateways(answer: Answer, token: str) -> bool:
    mark = answer_mark(token, answer.status_code, bytes(answer.body or b""))
    return mark in answer.headers.get_all(urls.MARK_HEADER)


def suspicion_of(error: BaseException, gateway: str) -> Suspicion:
    """Say how likely it is that something on the way does not let WebSockets through, where other requests may pass.

    :param error: what the attempt to make one raised, other than an answer to the upgrade
    """
    match error:
        # A proxy may connect to port 443 only, and pass plain HTTP on by itself.
        case InvalidProxyStatus() if gateway.startswith("http:"):
            refused = error.response.status_code != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
            return Suspicion.CERTAIN if refused else Suspicion.NONE
        case ProxyError():
            return Suspicion.NONE
        case InvalidMessage() | TimeoutError() | ConnectionResetError():
            return Suspicion.SOME
        case InvalidHandshake():
            return Suspicion.CERTAIN
        case OSError():
            return Suspicion.NONE
    return Suspicion.SOME


def _suspicion_of_answer(status: int) -> Suspicion:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return Suspicion.NONE
    # Proxies answer so where nobody is behind them, and sometimes to an upgrade that they do not understand.
    return Suspicion.SOME if status in IN_BETWEEN else Suspicion.CERTAIN


def _tune(connection: ClientConnection) -> None:
    sock: socket.socket | None = connection.transport.get_extra_info("socket")
    options = {"TCP_NOTSENT_LOWAT": UNSENT_BYTES, "TCP_USER_TIMEOUT": int(ACKNOWLEDGED_WITHIN * 1000)}
    for name, value in options.items():
        # Not every system has them.
        option = getattr(socket, name, None)
        if sock is not None and option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
