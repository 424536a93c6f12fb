"""The connection to the runtime, which is started where none is alive, and started anew when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from airflow_edge.agent.config import Config
from airflow_edge.agent.process.sockets import make_folder_again
from airflow_edge.agent.supervisors.runtime_process import RuntimeProcess
from airflow_edge.agent.supervisors.sending import Outbox
from airflow_edge.backoff import Backoff
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import (
    GENERATION_VARIABLE,
    LOCAL_PROTOCOL,
    Probe,
    Retire,
    RuntimeHello,
    StartJob,
    ToAgent,
    ToRuntime,
    decode_for_agent,
    encode_local,
    split_frames,
)
from airflow_edge.site.pipes import filled
from airflow_edge.texts import counted

log = logging.getLogger(__name__)

CONNECT_INTERVAL = 0.05
"""Seconds between two looks whether a starting runtime listens already."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
PULSE = 4.0
"""Seconds of silence after which a runtime is asked whether it is there."""
LONGEST_SILENCE = 8.0
"""Seconds that it may take to answer."""
STEADY_AFTER = 30.0
"""Seconds after which a runtime that has ended again and again is believed in."""


_Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter, Outbox]


class RuntimeLink:
    """Keeps the agent connected to a runtime."""

    def __init__(
        self,
        config: Config,
        *,
        heard: Callable[[ToAgent], None],
        outdated: Callable[[RuntimeHello], None],
        gone: Callable[[], None],
        try_fork: Callable[[], bool] = lambda: False,
    ) -> None:
        """:param heard: is told what the runtime says, beginning with its `RuntimeHello`
        :param outdated: is told of a runtime that only ends its jobs, because it has read what is not installed or
            configured any more; another one takes its place
        :param gone: is told when the connection broke
        :param try_fork: says whether the runtime is to try if a process is to be had
        """
        self.pid: int | None = None
        self.airflow_version = ""
        self.warnings: tuple[str, ...] = ()
        """What may harm its tasks, for a person."""
        self._config = config
        self._socket = config.runtime_socket
        self._heard = heard
        self._outdated = outdated
        self._gone = gone
        self._try_fork = try_fork
        self._process = RuntimeProcess(config, self._socket)
        self._knows_probes = False
        self._silent_since: float | None = None
        """When it was last asked for a sign of life, or connected to, and has not given one since."""
        self._unreachable = ""
        self._outbox: Outbox | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._broken.set()
        self._retiring = False

    @property
    def ended(self) -> bool:
        """Whether one that was started here has ended without having been ready."""
        return self._process.failed

    @property
    def condition(self) -> str:
        """Why the runtime can start no job now, for a person; empty if it can, or will in a moment."""
        if self._silent_since is not None and time.monotonic() - self._silent_since > LONGEST_SILENCE:
            pid = self._pid()
            end_it = f"`kill -9 {pid}`" if pid else "SIGKILL"
            return (
                f"the runtime (pid {pid or 'unknown'}) does not answer: it is stopped, or waits for a disk "
                f"that is gone. If that does not pass, end it with {end_it}: its tasks go on, and another is started"
            )
        if self._outbox is not None and not self._process.ended_often:
            return ""
        return self._unreachable or self._process.condition

    def send(self, message: ToRuntime, secret: str = "") -> None:
        """Send an order; without a connection it is lost, and to be given again after the next `RuntimeHello`.

        :param secret: of a job that is to be started: goes in a pipe, which the runtime hands on unread
        :raises OSError: no pipe is to be had.
        """
        if self._outbox is None:
            return
        if isinstance(message, StartJob) and secret:
            self._outbox.send(encode_local(replace(message, piped=True)), filled(secret))
        else:
            self._outbox.send(encode_local(message))

    async def retire(self, patience: float) -> None:
        """Have the runtime end when its last job has; wait `patience` seconds for that."""
        self._retiring = True
        self.send(Retire())
        if self._outbox is None:
            # It is not warm yet, and has no job.
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if not self._process.started and self._socket.exists():
                    # One that the last agent has left: it is told as soon as it answers.
                    await self._connected.wait()
                # The end of a process that is not a child cannot be waited for, only that of the connection to it.
                await self._broken.wait()
                while self._process.running(retiring=True):  # noqa: ASYNC110 - nor is there an event for a child's end
                    await asyncio.sleep(CONNECT_INTERVAL)

    async def run(self) -> None:
        """Connect again and again."""
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            connection = await self._connect()
            if connection is not None and await self._converse(*connection) and not self._process.ended_often:
                backoff.reset()
            # Also after it was told to retire: without a pause this would never let go of the event loop.
            await asyncio.sleep(backoff.next())

    async def _connect(self) -> _Connection | None:
        """Give a connection to the runtime that is there, or to a new one; None if that one ended."""
        while True:
            try:
                connection = await _connected(self._socket)
            except (FileNotFoundError, ConnectionError):
                self._unreachable = ""
            except OSError as error:
                # It may be there; another one would find its place taken.
                unreachable = f"the runtime cannot be reached: {error.strerror or error}"
                if unreachable != self._unreachable:
                    log.warning("%s; trying again", unreachable)
                self._unreachable = unreachable
                return None
            else:
                self._unreachable = ""
                return connection
            if not self._process.started and not self._retiring:
                # The folder of its socket may be a temporary one, which somebody has tidied away.
                make_folder_again(self._socket)
                if not self._process.start({**os.environ, GENERATION_VARIABLE: generation()}):
                    return None
            elif not self._process.running(retiring=self._retiring):
                return None
            await asyncio.sleep(CONNECT_INTERVAL)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outbox: Outbox) -> bool:
        """Listen until the connection breaks; say whether the runtime was warm."""
        buffer = bytearray()
        broke = False
        self._silent_since = time.monotonic()
        steady = asyncio.get_running_loop().call_later(STEADY_AFTER, self._steady)
        try:
            while data := await self._listen(reader, outbox):
                buffer += data
                for frame in split_frames(buffer):
                    message = decode_for_agent(frame)
                    if isinstance(message, RuntimeHello):
                        # One that was started by hand does not know its own.
                        if message.generation not in {"", generation()}:
                            self._replace(message, outbox)
                            continue
                        self._welcome(message, outbox)
                    self._heard(message)
            broke = True
        except ConnectionError:
            broke = True
        except (RemoteProtocolError, msgspec.MsgspecError):
            log.exception("the runtime sent what is no message; connecting anew")
        finally:
            outbox.close()
            writer.close()
            steady.cancel()
            self._silent_since = None
            warm, self._outbox = self._outbox is not None, None
            self._broken.set()
            # Else it is this agent that ends, or its machine that fails it.
            if warm and broke and not self._retiring:
                log.warning("the connection to the runtime broke")
            if warm and not self._retiring:
                self._gone()
            self._process.running(retiring=self._retiring)
        return warm

    async def _listen(self, reader: asyncio.StreamReader, outbox: Outbox) -> bytes:
        """Wait for what the runtime says, and ask it to say something when it has not for a while."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PULSE):
                    data = await reader.read(64 * 1024)
                self._silent_since = None
                return data
            if self._outbox is not None and self._knows_probes and self._silent_since is None:
                outbox.send(encode_local(Probe(fork=self._try_fork())))
                self._silent_since = time.monotonic()

    def _steady(self) -> None:
        if self._outbox is not None:
            self._process.works()

    def _pid(self) -> int:
        """Give the pid that a runtime has written beside its socket; 0 if that cannot be read."""
        try:
            return int(self._socket.with_suffix(".pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _replace(self, hello: RuntimeHello, outbox: Outbox) -> None:
        log.info(
            "the installation or the configuration has changed: the runtime (pid %d) ends with its %s, and a new "
            "one is started",
            hello.pid,
            counted(len(hello.jobs), "job"),
        )
        self._outdated(hello)
        self._process.forget()
        outbox.send(encode_local(Retire()))

    def _welcome(self, hello: RuntimeHello, outbox: Outbox) -> None:
        self._outbox = outbox
        self._broken.clear()
        self._connected.set()
        self.pid = hello.pid
        self._knows_probes = hello.knows_probes
        if not self._process.ended_often:
            self._process.works()
        self.airflow_version, self.warnings = hello.airflow_version, hello.warnings
        log.info(
            "the runtime (pid %d, Airflow %s) is ready, with %s",
            hello.pid,
            hello.airflow_version,
            counted(len(hello.jobs), "job"),
        )
        if self._retiring:
            self.send(Retire())


async def _connected(path: Path) -> _Connection:
    """Connect to a Unix socket.

    :raises OSError: nobody listens there, or it cannot be done now.
    """
    with contextlib.ExitStack() as opening:
        connection = opening.enter_context(socket.socket(socket.AF_UNIX))
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, os.fspath(path))
        outbox = Outbox(connection)
        opening.callback(outbox.close)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        opening.pop_all()
        return reader, writer, outbox


def generation(environ: Mapping[str, str] = os.environ, folders: Iterable[str] = tuple(sys.path)) -> str:
    """Give a digest that changes with the installed packages, Airflow's configuration, and its environment variables.

    :param folders: where packages are installed; a package is known by its `.dist-info` folder, named with its version
    """
    digest = hashlib.sha256()
    for fact in _facts(environ, folders):
        digest.update(fact.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _facts(environ: Mapping[str, str], folders: Iterable[str]) -> Iterator[str]:
    yield f"{LOCAL_PROTOCOL}"
    yield sys.prefix
    for folder in folders:
        # A folder that is not there has none.
        yield from sorted(str(found) for found in Path(folder or ".").glob("*.dist-info"))
    for name in sorted(environ):
        if name == "PYTHONPATH" or (name.startswith("AIRFLOW") and name != GENERATION_VARIABLE):
            yield f"{name}={environ[name]}"
    home = environ.get("AIRFLOW_HOME") or "~/airflow"
    config = Path(environ.get("AIRFLOW_CONFIG") or f"{home}/airflow.cfg").expanduser()
    try:
        yield f"{config.stat().st_mtime_ns}"
    except OSError:
        yield "no airflow.cfg"
