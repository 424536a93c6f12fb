"""What of a worker stays root where its agent does not: a process that starts the runtime, and ends other users' tasks.

The agent tells it what to do over a socket that nobody else has, and cannot tell it what to run: command line and
environment of a runtime are what they were when root started the worker. It ends with the last agent that has the
socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

import msgspec

from airflow_edge.protocol.local import GENERATION_VARIABLE
from airflow_edge.site import processes, secrets

_DESCRIPTOR: Final = "_AIRFLOW_EDGE_KEEPER"
"""The environment variable with the descriptor of its socket, for a process that begins again."""
_LONGEST: Final = 65_536
_here: Keeper | None = None


class _Errand(msgspec.Struct, frozen=True):
    do: str
    pid: int = 0
    text: str = ""


class _Reply(msgspec.Struct, frozen=True):
    value: int | None = None
    errno: int = 0
    """Why it could not be done; 0 if it was."""


class KeptRuntime:
    """A runtime that the keeper has started, to the agent like a child of its own."""

    def __init__(self, keeper: Keeper, pid: int) -> None:
        self.pid = pid
        self._keeper = keeper

    def poll(self) -> int | None:
        """Give its exit status, negative for a signal; None while it lives. Without a keeper it counts as killed."""
        try:
            return self._keeper.ask("poll", self.pid)
        except OSError:
            return -signal.SIGKILL

    def terminate(self) -> None:
        """Send it SIGTERM."""
        with contextlib.suppress(OSError):
            self._keeper.ask("terminate", self.pid)


class Keeper:
    """The keeper, as the agent sees it. It answers at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def start(self, generation: str, output: int) -> KeptRuntime:
        """Start a runtime.

        :param output: descriptor of the file for what it says
        :raises OSError: no process is to be had, or the keeper is gone.
        """
        return KeptRuntime(self, self.ask("start", text=generation, output=output) or 0)

    def terminate_task(self, supervisor: int) -> bool:
        """Like `processes.terminate_task`."""
        return bool(self.ask("terminate task", supervisor))

    def kill_session(self, supervisor: int) -> None:
        """Like `processes.kill_session`."""
        self.ask("kill session", supervisor)

    def ask(self, do: str, pid: int = 0, text: str = "", output: int | None = None) -> int | None:
        """Have it do something; give what it says to that.

        :raises OSError: it could not be done, or the keeper is gone.
        """
        request = msgspec.json.encode(_Errand(do, pid, text))
        socket.send_fds(self._connection, [request], [] if output is None else [output])
        if not (data := self._connection.recv(_LONGEST)):
            raise BrokenPipeError("the part of this worker that is root is gone; start the worker anew")
        answer = msgspec.json.decode(data, type=_Reply)
        if answer.errno:
            raise OSError(answer.errno, os.strerror(answer.errno))
        return answer.value

    def hand_on(self) -> None:
        """Leave it to what this process executes next, see `begin_again`."""
        self._connection.set_inheritable(True)
        os.environ[_DESCRIPTOR] = str(self._connection.fileno())


def here() -> Keeper | None:
    """Give this process's keeper; None where agent and tasks are one user."""
    global _here
    if _here is None and (descriptor := os.environ.pop(_DESCRIPTOR, "")):
        connection = socket.socket(fileno=int(descriptor))
        connection.set_inheritable(False)
        _here = Keeper(connection)
    return _here


def begin(command: Sequence[str], agent: int) -> None:
    """Leave a keeper behind, as root; this process is to become the agent then. Before any thread is begun.

    :param command: how a runtime is started
    :param agent: the agent's user id
    """
    global _here
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            ours.close()
            _keep(its, command, agent)
        finally:
            os._exit(1)
    its.close()
    _here = Keeper(ours)


def _keep(connection: socket.socket, command: Sequence[str], agent: int) -> NoReturn:
    # Signals for the agent, from a terminal for example, are not for it.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    started: dict[int, subprocess.Popen[bytes]] = {}
    environment = dict(os.environ)
    # What a process is started with stays to be read in it and in its forks, each task among them.
    secrets.hide(environment)
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, _LONGEST, 1)
        if not data:
            os._exit(0)
        try:
            request = msgspec.json.decode(data, type=_Errand)
            answer = _Reply(_obey(request, descriptors, started, command, environment, agent))
        except (OSError, ValueError, MemoryError) as error:
            answer = _Reply(errno=getattr(error, "errno", None) or 22)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        with contextlib.suppress(OSError):
            connection.send(msgspec.json.encode(answer))


def _obey(
    request: _Errand,
    descriptors: Sequence[int],
    started: dict[int, subprocess.Popen[bytes]],
    command: Sequence[str],
    environment: Mapping[str, str],
    agent: int,
) -> int | None:
    match request.do:
        case "start":
            process = subprocess.Popen(
                command,
                env={**environment, GENERATION_VARIABLE: request.text},
                stdin=subprocess.DEVNULL,
                stdout=descriptors[0],
                stderr=descriptors[0],
                start_new_session=True,
            )
            started[process.pid] = process
            return process.pid
        case "poll" if request.pid in started:
            return started[request.pid].poll()
        case "terminate" if request.pid in started:
            started[request.pid].terminate()
        case "terminate task" if _is_supervisor(request.pid, agent):
            return int(processes.terminate_task(request.pid))
        case "kill session" if _is_supervisor(request.pid, agent):
            processes.kill_session(request.pid)
        case _:
            raise ProcessLookupError(3, "no such process")
    return None


def _is_supervisor(pid: int, agent: int) -> bool:
    """Whether that is a process of the agent's that leads a session: nothing else is ended for it."""
    process = processes.find(pid)
    return process is not None and process.uids().real == agent and os.getsid(pid) == pid
