"""The supervisor's way to the Execution API: the agent's Unix socket, which may be away for a while."""

from __future__ import annotations

import ssl
import time
from typing import Final

import httpx

RETRY_INTERVAL: Final = 0.2
"""Seconds between two attempts to reach an agent that is away."""

_AGENT_AWAY: Final = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class AgentTransport(httpx.HTTPTransport):
    """Sends requests to the agent, and waits for the next agent when one dies: the task must not notice.

    A request that the dead agent may have passed on is sent again as it was, its correlation id included. Airflow's
    calls that matter bear that: `/run` is answered alike for the same process.
    """

    def __init__(self, api_socket: str) -> None:
        # Left alone, it would load the system's certificates for each task: 20 ms.
        super().__init__(uds=api_socket, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, however long it takes. Only a heartbeat is not waited for: that would hold up the log."""
        while True:
            try:
                return super().handle_request(request)
            except _AGENT_AWAY:
                if request.url.path.endswith("/heartbeat"):
                    return httpx.Response(204, request=request)
                time.sleep(RETRY_INTERVAL)
