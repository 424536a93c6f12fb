"""The connection to the runtime, which is started where none is alive, and started anew when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from airflow_edge.agent.config import Config
from airflow_edge.backoff import Backoff
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import (
    GENERATION_VARIABLE,
    Retire,
    RuntimeHello,
    ToAgent,
    ToRuntime,
    decode_for_agent,
    encode_local,
    split_frames,
)

log = logging.getLogger(__name__)

CONNECT_INTERVAL = 0.05
"""Seconds between two looks whether a starting runtime listens already."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
ANOTHER_RUNS = 4
"""The exit status of a runtime that found another one at its socket."""


class RuntimeLink:
    """Keeps the agent connected to a runtime."""

    def __init__(
        self,
        config: Config,
        *,
        heard: Callable[[ToAgent], None],
        outdated: Callable[[RuntimeHello], None],
        gone: Callable[[], None],
    ) -> None:
        """:param heard: is told what the runtime says, beginning with its `RuntimeHello`
        :param outdated: is told of a runtime that only ends its jobs, because it has read what is not installed or
            configured any more; another one takes its place
        :param gone: is told when the connection broke
        """
        self.pid: int | None = None
        self.airflow_version = ""
        self._config = config
        self._socket = config.runtime_socket
        self._heard = heard
        self._outdated = outdated
        self._gone = gone
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._broken.set()
        self._retiring = False

    def send(self, message: ToRuntime) -> None:
        """Send an order; without a connection it is lost, and to be given again after the next `RuntimeHello`."""
        if self._writer is not None:
            self._writer.write(encode_local(message))

    async def retire(self, patience: float) -> None:
        """Have the runtime end when its last job has; wait `patience` seconds for that."""
        self._retiring = True
        self.send(Retire())
        if self._writer is None and self._process is not None:
            # It is not warm yet, and has no job.
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if self._process is None and self._socket.exists():
                    # One that the last agent has left: it is told as soon as it answers.
                    await self._connected.wait()
                # The end of a process that is not a child cannot be waited for, only that of the connection to it.
                await self._broken.wait()
                while self._running():  # noqa: ASYNC110 - nor is there an event for a child's end
                    await asyncio.sleep(CONNECT_INTERVAL)

    async def run(self) -> None:
        """Connect again and again."""
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            connection = await self._connect()
            if connection is not None and await self._converse(*connection):
                backoff.reset()
            # Also after it was told to retire: without a pause this would never let go of the event loop.
            await asyncio.sleep(backoff.next())

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Give a connection to the runtime that is there, or to a new one; None if that one ended."""
        while True:
            try:
                return await asyncio.open_unix_connection(os.fspath(self._socket))
            except (FileNotFoundError, ConnectionError):
                pass
            except OSError as error:
                # It may be there; another one would find its place taken.
                log.warning("the runtime cannot be reached: %s; trying again", error.strerror or error)
                return None
            if self._process is None and not self._retiring:
                self._start()
            elif not self._running():
                return None
            await asyncio.sleep(CONNECT_INTERVAL)

    def _start(self) -> None:
        log.info("starting the runtime")
        config = self._config
        output = os.open(config.runtime_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "airflow_edge.runtime"),
                    f"--state-dir={config.state_dir}",
                    f"--socket={self._socket}",
                    f"--log-file={config.runtime_log}",
                    f"--log-max-size={config.worker_log_max_size}",
                    f"--log-backups={config.worker_log_backups}",
                ],
                env={**os.environ, GENERATION_VARIABLE: generation()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Signals for the agent, from a terminal for example, are not for the tasks.
                start_new_session=True,
            )
        finally:
            os.close(output)

    def _running(self) -> bool:
        """Whether the runtime that was started here lives; its end is noted."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        self._process = None
        if status == ANOTHER_RUNS:
            log.info("another runtime is starting already")
        elif not self._retiring:
            log.error(
                "the runtime ended with status %d; the end of %s says why:\n%s",
                status,
                self._config.runtime_log,
                _tail(self._config.runtime_log),
            )
        return False

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Listen until the connection breaks; say whether the runtime was warm."""
        buffer = bytearray()
        try:
            while data := await reader.read(64 * 1024):
                buffer += data
                for frame in split_frames(buffer):
                    message = decode_for_agent(frame)
                    if isinstance(message, RuntimeHello):
                        # One that was started by hand does not know its own.
                        if message.generation not in {"", generation()}:
                            self._replace(message, writer)
                            continue
                        self._welcome(message, writer)
                    self._heard(message)
        except ConnectionError:
            pass
        except (RemoteProtocolError, msgspec.MsgspecError):
            log.exception("the runtime sent what is no message; connecting anew")
        finally:
            writer.close()
            warm, self._writer = self._writer is not None, None
            self._broken.set()
            if warm and not self._retiring:
                log.warning("the connection to the runtime broke")
                self._gone()
            self._running()
        return warm

    def _replace(self, hello: RuntimeHello, writer: asyncio.StreamWriter) -> None:
        log.info(
            "the installation or the configuration has changed: the runtime (pid %d) ends with its %d jobs, and a new "
            "one is started",
            hello.pid,
            len(hello.jobs),
        )
        self._outdated(hello)
        self._process = None
        writer.write(encode_local(Retire()))

    def _welcome(self, hello: RuntimeHello, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._broken.clear()
        self._connected.set()
        self.pid = hello.pid
        self.airflow_version = hello.airflow_version
        log.info(
            "the runtime (pid %d, Airflow %s) is ready, with %d jobs", hello.pid, hello.airflow_version, len(hello.jobs)
        )
        if self._retiring:
            self.send(Retire())


def generation(environ: Mapping[str, str] = os.environ, folders: Iterable[str] = tuple(sys.path)) -> str:
    """Give a digest that changes with the installed packages, Airflow's configuration, and its environment variables.

    :param folders: where packages are installed; a package is known by its `.dist-info` folder, named with its version
    """
    digest = hashlib.sha256()
    for fact in _facts(environ, folders):
        digest.update(fact.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _facts(environ: Mapping[str, str], folders: Iterable[str]) -> Iterator[str]:
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


def _tail(path: Path, size: int = 2000) -> str:
    try:
        with path.open("rb") as source:
            source.seek(max(0, path.stat().st_size - size))
            return source.read().decode(errors="replace")
    except OSError:
        return ""
