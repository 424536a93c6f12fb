"""HTTPS to the centre: a pool of kept-alive connections, and a fresh signature for each call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.proxy import parse_proxy

from airflow_edge import __version__
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.net.failures import transport_error
from airflow_edge.agent.net.foreign import foreign_answer
from airflow_edge.agent.net.identity import Signer
from airflow_edge.agent.net.tls_and_proxy import proxy_url, ssl_context
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.protocol.tokens import answer_mark, body_digest
from airflow_edge.protocol.urls import JOB_HEADER, MARK_HEADER

if TYPE_CHECKING:
    import httpcore

KEEP_ALIVE = 50.0
"""Seconds for which an idle connection is kept: less than the usual minute of proxies and load balancers."""

MAX_CONNECTIONS = 64
MOST_COOKIES = 8
STRANGERS_BODY = 64 * 1024
"""Bytes that are read of an answer that is not the gateway's."""
STRANGERS_PATIENCE = 5.0
"""Seconds for which it is read."""
LONG_BODY = 1024 * 1024
"""Bytes of a body from which on it is hashed beside the event loop."""
_MARK = MARK_HEADER.lower()


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered, by the centre or, to a supervisor, here. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpClient:
    """Calls the gateway. Use it within one event loop, and close it there."""

    def __init__(
        self,
        gateway: str,
        signer: Signer,
        *,
        trust: Trust = SYSTEM,
        cookies: dict[bytes, bytes] | None = None,
    ) -> None:
        """:param gateway: the gateway's base URL, as `protocol.urls.gateway_url` gives it
        :param cookies: where to keep cookies, and what to send, for a load balancer that knows its clients by them;
            without it, cookies are ignored
        :raises ConfigError: what `trust` names or the proxy's URL makes no sense.
        """
        self.gateway = gateway
        self._signer = signer
        self._cookies = cookies
        self._trust = trust
        self._context = ssl_context(gateway, trust)
        self._proxy = proxy_url(gateway)
        self._connections: httpcore.AsyncConnectionPool | None = None
        self._old_connections: list[httpcore.AsyncConnectionPool] = []
        """With certificates that are no more; closed when their last call has ended."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        patience: float = 30.0,
    ) -> Response:
        """Make one call, once; the token is for this very request.

        :param path: below the gateway, percent-encoded, `/v1/enroll` for example
        :param query: without the question mark
        :param patience: seconds without progress in sending, or in receiving, after which the call has failed
        :raises UnreachableError: no complete answer of the gateway came; whether it has acted on the call is not known.
        :raises ForeignAnswerError: somebody else has answered; that is such an error, too.
        :raises AgentError: the connection cannot be made as things are, such as `CertificateError`.
        """
        headers = headers or {}
        digest = body_digest(body) if len(body) <= LONG_BODY else await asyncio.to_thread(body_digest, body)
        token = self._signer.token(method, path, query=query, job=headers.get(JOB_HEADER, ""), body=digest)
        response = await self._exchange(token, method, path, query, headers, body, patience)
        if not await _is_gateways(response, token, method):
            raise foreign_answer(
                response.status,
                response.headers,
                response.body,
                gateway=self.gateway,
                path=path,
                sent=len(body),
                proxy=self._proxy,
            )
        return response

    async def ask_anybody(self, path: str, *, patience: float) -> Response:
        """Have whoever is there answer a GET; raises what `request` raises."""
        return await self._exchange(None, "GET", path, "", {}, b"", patience)

    async def _exchange(
        self,
        token: str | None,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        patience: float,
    ) -> Response:
        fields: list[tuple[str | bytes, str | bytes]] = [("User-Agent", f"airflow-edge/{__version__}")]
        if token is not None:
            fields.append(("Authorization", f"Bearer {token}"))
        fields += headers.items()
        if self._cookies:
            fields.append((b"Cookie", b"; ".join(self._cookies.values())))
        try:
            pool = await self._pool()
            async with pool.stream(
                method,
                _url(self.gateway, path, query),
                headers=fields,
                content=body,
                extensions={"timeout": {"connect": 15.0, "pool": patience, "read": patience, "write": patience}},
            ) as answer:
                answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                content = await (_whole(answer) if _MARK in answered else _beginning(answer))
        except AgentError:
            raise
        # Whoever answers can send anything, and no library names all that it raises then.
        except Exception as error:
            raise transport_error(error, self.gateway, self._proxy) from error
        if self._cookies is not None:
            _keep_cookies(self._cookies, answer.headers)
        return Response(answer.status, answered, content)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in (self._connections, *self._old_connections):
            if pool is not None:
                await pool.aclose()

    async def _pool(self) -> httpcore.AsyncConnectionPool:
        context = ssl_context(self.gateway, self._trust)
        if self._connections is not None and context is not self._context:
            self._old_connections.append(self._connections)
            self._connections = None
        self._context = context
        for pool in [pool for pool in self._old_connections if all(one.is_idle() for one in pool.connections)]:
            self._old_connections.remove(pool)
            await pool.aclose()
        if self._connections is None:
            # Loaded with the first call: it takes up 3 MB, and a worker without tasks makes none.
            import httpcore

            self._connections = httpcore.AsyncConnectionPool(
                ssl_context=context,
                proxy=_proxy(self._proxy, self._trust),
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE,
            )
        return self._connections


def _url(gateway: str, path: str, query: str) -> httpcore.URL:
    """Put it together by hand: given a string, httpcore takes it apart, and loses all from a `;` in the last part on.

    What is sent has to be what was signed, to the byte.
    """
    import httpcore

    base = urlsplit(gateway)
    target = base.path + path + (f"?{query}" if query else "")
    return httpcore.URL(scheme=base.scheme, host=base.hostname or "", port=base.port, target=target)


async def _whole(answer: httpcore.Response) -> bytes:
    return await answer.aread()


async def _beginning(answer: httpcore.Response) -> bytes:
    """Read as much of a stranger's answer as says who it is: it may have no end."""
    read = bytearray()
    # Where it breaks off, it has said as much.
    with contextlib.suppress(Exception):
        async with asyncio.timeout(STRANGERS_PATIENCE):
            async for part in answer.aiter_stream():
                read += part
                if len(read) >= STRANGERS_BODY:
                    break
    return bytes(read[:STRANGERS_BODY])


async def _is_gateways(response: Response, token: str, method: str) -> bool:
    """Say whether this is the gateway's whole answer to the request with this token."""
    mark = response.headers.get(_MARK)
    if mark is None:
        return False
    body = b"" if method == "HEAD" else response.body
    if len(body) > LONG_BODY:
        return mark == await asyncio.to_thread(answer_mark, token, response.status, body)
    return mark == answer_mark(token, response.status, body)


def _keep_cookies(cookies: dict[bytes, bytes], headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name.lower() == b"set-cookie":
            cookie = value.split(b";", 1)[0].strip()
            cookies[cookie.split(b"=", 1)[0]] = cookie
    while len(cookies) > MOST_COOKIES:
        del cookies[next(iter(cookies))]


def _proxy(url: str | None, trust: Trust) -> httpcore.Proxy | None:
    if url is None:
        return None
    import httpcore

    parsed = parse_proxy(url)
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    address = f"{parsed.scheme}://{host}:{parsed.port}"
    return httpcore.Proxy(address, auth=parsed.user_info, ssl_context=ssl_context(address, trust))
