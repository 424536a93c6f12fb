"""A small HTTP/1.1 server on a Unix socket, for the supervisors of this machine.

A handler is cancelled when its caller goes away, so that a call may be held for as long as somebody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_edge.agent.process.sockets import Doorway, doorway
from airflow_edge.protocol.urls import LONGEST_CALL
from airflow_edge.room import Room

if TYPE_CHECKING:
    from airflow_edge.agent.task_api.conversation import Conversation, Doorkeeper, Handler


@contextlib.asynccontextmanager
async def served(path: Path, handler: Handler, doorkeeper: Doorkeeper) -> AsyncIterator[Doorway]:
    """Serve this user's processes. A socket left behind by a dead agent is replaced.

    :param doorkeeper: is asked before a long body is read
    """
    conversations: set[Conversation] = set()
    room = Room(LONGEST_CALL)

    def converse() -> Conversation:
        # Loaded with the first task: a worker without one has nobody to speak HTTP with.
        from airflow_edge.agent.task_api.conversation import Conversation

        return Conversation(handler, doorkeeper, conversations, room)

    def serve(listener: socket.socket) -> Awaitable[asyncio.AbstractServer]:
        return asyncio.get_running_loop().create_unix_server(converse, sock=listener, backlog=512)

    async with doorway(path, serve) as door:
        try:
            yield door
        finally:
            door.close()
            for conversation in list(conversations):
                conversation.close()
