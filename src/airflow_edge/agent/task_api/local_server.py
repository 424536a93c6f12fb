"""A small HTTP/1.1 server on a Unix socket, for the supervisors of this machine.

A handler is cancelled when its caller goes away, so that a call may be held for as long as somebody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_edge.agent.process.sockets import listening

if TYPE_CHECKING:
    from airflow_edge.agent.task_api.conversation import Conversation, Handler


@contextlib.asynccontextmanager
async def served(path: Path, handler: Handler) -> AsyncIterator[None]:
    """Serve this user's processes. A socket left behind by a dead agent is replaced."""
    conversations: set[Conversation] = set()

    def converse() -> Conversation:
        # Loaded with the first task: a worker without one has nobody to speak HTTP with.
        from airflow_edge.agent.task_api.conversation import Conversation

        return Conversation(handler, conversations)

    with listening(path) as listener:
        server = await asyncio.get_running_loop().create_unix_server(converse, sock=listener, backlog=512)
        try:
            yield
        finally:
            server.close()
            for conversation in list(conversations):
                conversation.close()
