"""Opens the link's connections: a WebSocket where that gets through, else long polling."""

from __future__ import annotations

import asyncio
from functools import partial

from airflow_edge.agent.link.fallback import Fallback, Suspicion
from airflow_edge.agent.link.polling import PollingTransport
from airflow_edge.agent.link.transport import Transport
from airflow_edge.agent.link.websocket import WebSocketFailedError, WebSocketTransport, open_websocket
from airflow_edge.agent.net.identity import Signer
from airflow_edge.agent.trust import SYSTEM, Trust


class Opener:
    """Gives the link one transport after the other, and learns from what becomes of them."""

    def __init__(self, gateway: str, signer: Signer, *, trust: Trust = SYSTEM) -> None:
        """:param gateway: the gateway's base URL"""
        self._open_websocket = partial(open_websocket, gateway, signer, trust=trust)
        self._start_polling = partial(PollingTransport, gateway, signer, trust=trust)
        self._fallback = Fallback()
        self.reopened: WebSocketTransport | None = None
        """A WebSocket that is there already, for `open` to give."""

    async def open(self) -> Transport:
        """Give the next transport. One for long polling is not connected yet.

        :raises AgentError: there is none.
        """
        if self.reopened is not None:
            transport, self.reopened = self.reopened, None
            return transport
        if not self._fallback.polling:
            try:
                return await self._open_websocket()
            except WebSocketFailedError as failure:
                self._fallback.websocket_failed(failure.suspicion, str(failure.error))
                if not self._fallback.polling:
                    raise failure.error from failure
        return self._start_polling()

    async def reopen(self) -> None:
        """Wait until `open` has something better to give than long polling, which stays in use meanwhile."""
        while True:
            await asyncio.sleep(self._fallback.next_pause())
            try:
                self.reopened = await self._open_websocket()
            except WebSocketFailedError as failure:
                self._fallback.websocket_failed(failure.suspicion, str(failure.error))
            else:
                self._fallback.websocket_opened()
                return

    def failed(self, transport: Transport, *, linked: bool) -> None:
        """A transport has ended without a word, before it had lasted; `linked`: the centre had welcomed us over it."""
        if isinstance(transport, WebSocketTransport):
            self._fallback.websocket_failed(Suspicion.SOME, "they can be made, but do not last")
        elif not linked:
            self._fallback.polling_failed()

    def lasted(self, transport: Transport) -> None:
        """A transport has proved that it works."""
        if isinstance(transport, WebSocketTransport):
            self._fallback.websocket_lasted()

    def why(self, transport: Transport) -> str:
        """Say why this is not a WebSocket; nothing if it is one."""
        if isinstance(transport, WebSocketTransport):
            return ""
        return f"WebSockets do not get through: {self._fallback.reason}"
