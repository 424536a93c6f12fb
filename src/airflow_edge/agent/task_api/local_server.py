"""A small HTTP/1.1 server on a Unix socket, for the supervisors of this machine.

A handler is cancelled when its caller goes away, so that a call may be held for as long as somebody waits for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_edge.agent.process.sockets import listen_privately
from airflow_edge.agent.task_api.calls import Handler

if TYPE_CHECKING:
    from airflow_edge.agent.task_api.conversation import Conversation

_BACKLOG = 512


class LocalServer:
    """Serves one handler on one socket, which only this user can connect to."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.AbstractServer | None = None
        self._conversations: set[Conversation] = set()

    async def start(self) -> None:
        """Listen. A socket left behind by a dead agent is replaced."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._converse, sock=listen_privately(self._path), backlog=_BACKLOG
        )

    def close(self) -> None:
        """Stop listening, drop the calls under way, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for conversation in list(self._conversations):
            conversation.close()

    def _converse(self) -> Conversation:
        # Loaded with the first task: a worker without one has nobody to speak HTTP with.
        from airflow_edge.agent.task_api.conversation import Conversation

        return Conversation(self._handler, self._conversations)
