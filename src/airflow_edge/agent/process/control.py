"""How `airflow-edge status` and `stop` speak to the running worker: a JSON object a line, over a Unix socket.

A request is `{"command": "status", "text": ""}`. Its answer is `{"ok": true, "result": …}`, or with an error
`{"ok": false, "error": "…"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from airflow_edge.agent.errors import AgentError, NotRunningError, unusable
from airflow_edge.agent.process.sockets import Doorway, doorway
from airflow_edge.site.files import DamagedError, decode
from airflow_edge.site.kernel import is_ours

log = logging.getLogger(__name__)

Command = Callable[[str], object]
"""Does what it is called for, given the request's text; gives an answer that can be written as JSON, or awaits one."""


class _Request(msgspec.Struct, frozen=True):
    command: str
    text: str = ""


class _Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    ok: bool
    result: Any = None
    error: str = ""


@contextlib.asynccontextmanager
async def controlled(path: Path, commands: Mapping[str, Command]) -> AsyncIterator[Doorway]:
    """Do what this user asks for, whom alone the socket lets in.

    A socket left behind by a dead worker is replaced: the caller holds the folder's lock.
    """
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not is_ours(writer.get_extra_info("socket")):
            writer.close()
            return
        connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, ValueError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(await _answer(line, commands)) + b"\n")
                    await writer.drain()
        finally:
            connections.discard(writer)
            writer.close()

    def listen(listener: socket.socket) -> Awaitable[asyncio.AbstractServer]:
        return asyncio.start_unix_server(serve, sock=listener, limit=64 * 1024)

    async with doorway(path, listen) as door:
        try:
            yield door
        finally:
            door.close()
            for connection in connections:
                connection.close()


async def _answer(line: bytes, commands: Mapping[str, Command]) -> _Answer:
    try:
        request = decode(line, _Request)
    except DamagedError as error:
        return _Answer(ok=False, error=f"not a request: {error}")
    command = commands.get(request.command)
    if command is None:
        return _Answer(ok=False, error=f"'{request.command}' is none of {', '.join(sorted(commands))}")
    try:
        result = command(request.text)
        if inspect.isawaitable(result):
            result = await result
        return _Answer(ok=True, result=msgspec.to_builtins(result))
    except AgentError as error:
        return _Answer(ok=False, error=str(error))
    except Exception as error:
        log.exception("the command %r failed", request.command)
        return _Answer(ok=False, error=f"{type(error).__name__}: {error}")


def ask(path: Path, command: str, text: str = "", *, patience: float = 10.0) -> Any:
    """Send a command to the running worker and give its answer. Blocks.

    :param patience: seconds to wait for the answer
    :raises NotRunningError: nobody listens there.
    :raises AgentError: the worker does not answer in time, or says no.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(os.fspath(path))
            connection.sendall(msgspec.json.encode(_Request(command, text)) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except (FileNotFoundError, ConnectionError) as error:
            raise NotRunningError(
                f"no worker runs in {path.parent}; start one with `airflow-edge worker`, or name its folder "
                "with --state-dir"
            ) from error
        except TimeoutError as error:
            raise AgentError(f"the worker did not answer within {patience:g} s; its log may say why") from error
        except OSError as error:
            raise unusable(path, error) from error
    if not line:
        raise NotRunningError("the worker ended before it answered")
    try:
        answer = decode(line, _Answer)
    except DamagedError as error:
        raise AgentError(f"what answers at {path} is no worker ({error})") from error
    if not answer.ok:
        raise AgentError(f"the worker could not do it: {answer.error}")
    return answer.result
