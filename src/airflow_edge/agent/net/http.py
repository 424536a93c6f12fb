"""HTTPS to the centre: a pool of kept-alive connections, and a fresh signature for each call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.proxy import parse_proxy

from airflow_edge import __version__
from airflow_edge.agent.net import tls_and_proxy
from airflow_edge.agent.net.failures import transport_error
from airflow_edge.agent.net.identity import Signer

if TYPE_CHECKING:
    import httpcore

KEEP_ALIVE = 50.0
"""Seconds for which an idle connection is kept: less than the usual minute of proxies and load balancers."""

MAX_CONNECTIONS = 64
MOST_COOKIES = 8


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered, by the centre or, to a supervisor, here. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpClient:
    """Calls the gateway. Use it within one event loop, and close it there."""

    def __init__(
        self, gateway: str, signer: Signer, *, ca_file: Path | None = None, cookies: dict[bytes, bytes] | None = None
    ) -> None:
        """:param gateway: the gateway's base URL, as `protocol.urls.gateway_url` gives it
        :param cookies: where to keep cookies, and what to send, for a load balancer that knows its clients by them;
            without it, cookies are ignored
        :raises ConfigError: `ca_file` or the proxy's URL makes no sense.
        """
        self.gateway = gateway
        self._signer = signer
        self._cookies = cookies
        self._ca_file = ca_file
        self._context = tls_and_proxy.ssl_context(gateway, ca_file)
        self._proxy = tls_and_proxy.proxy_url(gateway)
        self._connections: httpcore.AsyncConnectionPool | None = None

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
        """Make one call, once; the token is for this method and path.

        :param path: below the gateway, percent-encoded, `/v1/enroll` for example
        :param query: without the question mark
        :param patience: seconds without progress in sending, or in receiving, after which the call has failed
        :raises UnreachableError: no complete answer came; whether the centre has acted on the call is not known.
        :raises AgentError: the connection cannot be made as things are: `CertificateError`, `WrongUrlError`.
        """
        fields: list[tuple[str | bytes, str | bytes]] = [
            ("User-Agent", f"airflow-edge/{__version__}"),
            ("Authorization", f"Bearer {self._signer.token(method, path)}"),
            *(headers or {}).items(),
        ]
        if self._cookies:
            fields.append((b"Cookie", b"; ".join(self._cookies.values())))
        pool = self._pool()
        import httpcore

        try:
            response = await pool.request(
                method,
                _url(self.gateway, path, query),
                headers=fields,
                content=body,
                extensions={"timeout": {"connect": 15.0, "pool": patience, "read": patience, "write": patience}},
            )
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.ProxyError,
            httpcore.TimeoutException,
            OSError,
        ) as error:
            raise transport_error(error, self.gateway) from error
        if self._cookies is not None:
            _keep_cookies(self._cookies, response.headers)
        answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Response(response.status, answered, response.content)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.aclose()

    def _pool(self) -> httpcore.AsyncConnectionPool:
        if self._connections is None:
            # Loaded with the first call: it takes up 3 MB, and a worker without tasks makes none.
            import httpcore

            self._connections = httpcore.AsyncConnectionPool(
                ssl_context=self._context,
                proxy=_proxy(self._proxy, self._ca_file),
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


def _keep_cookies(cookies: dict[bytes, bytes], headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name.lower() == b"set-cookie":
            cookie = value.split(b";", 1)[0].strip()
            cookies[cookie.split(b"=", 1)[0]] = cookie
    while len(cookies) > MOST_COOKIES:
        del cookies[next(iter(cookies))]


def _proxy(url: str | None, ca_file: Path | None) -> httpcore.Proxy | None:
    if url is None:
        return None
    import httpcore

    parsed = parse_proxy(url)
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    address = f"{parsed.scheme}://{host}:{parsed.port}"
    return httpcore.Proxy(address, auth=parsed.user_info, ssl_context=tls_and_proxy.ssl_context(address, ca_file))
