"""The runtime's loop: it takes the agent's orders on a Unix socket, forks supervisors, and tells when they end.

Single-threaded, because it forks. One agent at a time: a new connection takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import msgspec

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import (
    OUTCOME_FILE,
    SUPERVISOR_LOG_FILE,
    Alive,
    JobExited,
    JobNotStarted,
    JobStarted,
    LocalJob,
    Outcome,
    Probe,
    Retire,
    RuntimeHello,
    StartJob,
    StopJob,
    ToAgent,
    ToRuntime,
    encode_local,
)
from airflow_edge.runtime.forked import Supervisor, try_fork
from airflow_edge.runtime.outcome import describe_exit, write_outcome
from airflow_edge.site.files import is_there
from airflow_edge.site.pipes import Inbox, closing
from airflow_edge.site.processes import end_children, is_shortage, is_the_one, no_process
from airflow_edge.site.stop import StopSteps, stop_of

log = logging.getLogger(__name__)

TERMINATION_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for the tasks when the runtime itself is terminated: as long as Airflow's own."""

_LOOK_AROUND = 5.0
_PAUSE = 1.0
_ORPHAN_PATIENCE = 0.1
"""Seconds at a time: the other tasks need this process, too."""
_MAX_BACKLOG = 16 * 1024 * 1024


class Server:
    """Forks supervisors for the agent. `run` it in the main thread."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        airflow_version: str,
        supervise: Callable[[Path, int, int | None], NoReturn],
        release: Callable[[], None],
        generation: str = "",
        trouble: str = "",
        warnings: Iterable[str] = (),
        tidy: Callable[[], None] | None = None,
        keep_children: bool = True,
        agent_lock: Path | None = None,
    ) -> None:
        """:param supervise: what a forked process does: the job's folder, a descriptor for output, one with its secret
        :param release: called once in each process, when it does not keep another runtime from serving at this socket
        :param trouble: why no task can run with this configuration; empty if none is known
        :param warnings: what may harm tasks
        :param tidy: is called every few seconds
        :param keep_children: whether children that are no supervisors are left alone; they are what tasks have left
        :param agent_lock: a file that a living agent holds: while it does, nobody else is listened to
        """
        self._listener = listener
        self._path = Path(listener.getsockname())
        self._inode = self._path.stat().st_ino
        self._airflow_version = airflow_version
        self._generation = generation
        self._trouble = trouble
        self._warnings = tuple(warnings)
        self._supervise = supervise
        self._release = release
        self._tidy = tidy
        self._keep_children = keep_children
        self._agent_lock = agent_lock
        self._supervisor_killed = False
        """Whether there may be what nobody but this process can end."""
        self._selector = selectors.DefaultSelector()
        self._signals, self._wakeup = socket.socketpair()
        self._agent: socket.socket | None = None
        self._incoming = Inbox()
        self._outgoing = bytearray()
        self._orders: deque[tuple[ToRuntime, int | None]] = deque()
        """What the agent has said and was not dealt with yet."""
        self._jobs: dict[AssignmentKey, Supervisor] = {}
        self._retiring = False
        for end in (listener, self._signals, self._wakeup):
            end.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._signals, selectors.EVENT_READ, self._signalled)

    def run(self) -> None:
        """Serve until told to retire, terminated, or alone: then return when the last job has ended."""
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            # The wakeup descriptor does the work; a handler only has to be there.
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        look_around = time.monotonic() + _LOOK_AROUND
        while self._jobs or not self._retiring:
            try:
                for key, _ in self._selector.select(0 if self._orders else self._timeout(look_around)):
                    key.data()
                while self._orders:
                    self._obey(*self._orders.popleft())
                for job in self._jobs.values():
                    if job.ended is None:
                        job.stop.enforce(job.pid, time.monotonic())
                if time.monotonic() >= look_around:
                    look_around = time.monotonic() + _LOOK_AROUND
                    if not self._retiring and self._forgotten():
                        self._return()
                    if self._tidy is not None:
                        self._tidy()
                    self._end_orphans()
            # No descriptor is to be had, most likely: for the agent that connects, or to look at processes. Whatever it
            # is, the tasks need this process; what was not dealt with is dealt with in the next round.
            except Exception as error:
                if isinstance(error, OSError):
                    log.error("%s; trying again in %g s", error, _PAUSE)
                else:
                    log.exception("this is a fault of ours; trying again in %g s", _PAUSE)
                time.sleep(_PAUSE)
                with contextlib.suppress(OSError):
                    self._wakeup.send(bytes([signal.SIGCHLD]))
        self._leave_socket()

    def _timeout(self, look_around: float) -> float:
        steps = [due for job in self._jobs.values() if (due := job.stop.due) is not None]
        return max(0.0, min([look_around, *steps]) - time.monotonic())

    # The agent

    def _accept(self) -> None:
        if self._listener.fileno() < 0:
            # It was left to another runtime a moment ago, in the same round.
            return
        connection, _ = self._listener.accept()
        if not is_the_one(connection, self._agent_lock):
            connection.close()
            return
        self._drop_agent()
        connection.setblocking(False)
        self._agent = connection
        self._selector.register(connection, selectors.EVENT_READ, self._talk)
        self._send(
            RuntimeHello(
                pid=os.getpid(),
                airflow_version=self._airflow_version,
                jobs=tuple(LocalJob(**key._asdict(), pid=job.pid) for key, job in self._jobs.items()),
                generation=self._generation,
                knows_probes=True,
                trouble=self._trouble,
                warnings=self._warnings,
            )
        )

    def _talk(self) -> None:
        agent = self._agent
        if agent is None:
            return
        try:
            self._flush(agent)
            self._orders.extend(self._incoming.receive(agent))
        except BlockingIOError:
            return
        except OSError:
            self._drop_agent()
        except (RemoteProtocolError, msgspec.MsgspecError, ValueError) as error:
            log.error("the agent's connection is dropped, because it sent what is no message: %s", error)
            self._drop_agent()

    def _obey(self, order: ToRuntime, secret: int | None) -> None:
        try:
            match order:
                case StartJob():
                    with closing(secret):
                        self._start(order, secret)
                case StopJob():
                    if job := self._jobs.get(order.key):
                        job.stop.ask(order.grace, order.reason, time.monotonic())
                case Retire():
                    log.info("retiring (jobs: %d)", len(self._jobs))
                    self._retiring = True
                    self._leave_socket()
                case Probe(fork=fork):
                    self._send(Alive(obstacle=try_fork() if fork else None))
        except Exception:
            # The agent connects anew, hears what there is, and says again what it wants.
            log.exception("%s has failed", type(order).__name__)
            self._drop_agent()

    def _send(self, message: ToAgent) -> None:
        if self._agent is None:
            return
        self._outgoing += encode_local(message)
        if len(self._outgoing) > _MAX_BACKLOG:
            log.error("the agent's connection is dropped, because it does not read")
            self._drop_agent()
            return
        try:
            self._flush(self._agent)
        except OSError:
            self._drop_agent()

    def _flush(self, agent: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                del self._outgoing[: agent.send(self._outgoing)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(agent, wanted, self._talk)

    def _drop_agent(self) -> None:
        if self._agent is not None:
            self._selector.unregister(self._agent)
            self._agent.close()
            self._agent = None
            self._incoming.clear()
            self._outgoing.clear()

    def _leave_socket(self) -> None:
        """Let another runtime have the socket; the agent takes the end of the connection as the sign that it may."""
        if self._listener.fileno() >= 0:
            try:
                self._selector.unregister(self._listener)
                self._listener.close()
                if not self._forgotten():
                    self._path.unlink(missing_ok=True)
            except OSError as error:
                # The next runtime removes what is left there.
                log.warning("%s cannot be removed: %s", self._path, error)
            finally:
                self._release()
        self._drop_agent()

    # Jobs

    def _start(self, order: StartJob, secret: int | None) -> None:
        job = self._jobs.get(order.key)
        if job is None:
            try:
                job = self._jobs[order.key] = self._fork(order, secret)
            except FileExistsError:
                self._refuse(order, "it was started here before, and is started once only")
                return
            except (OSError, MemoryError) as error:
                passing = is_shortage(error)
                self._refuse(order, no_process(error) if passing else f"no process could be started: {error}", passing)
                return
        self._send(JobStarted(**order.key._asdict(), pid=job.pid))

    def _refuse(self, order: StartJob, reason: str, passing: bool = False) -> None:
        log.warning("job %s: %s", order.key, reason)
        self._send(JobNotStarted(**order.key._asdict(), reason=reason, passing=passing))

    def _fork(self, order: StartJob, secret: int | None) -> Supervisor:
        if self._retiring:
            raise OSError(errno.ESHUTDOWN, "this runtime retires")
        if order.piped and secret is None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        folder = Path(order.folder)
        # Whoever makes this file starts the job: nobody can start it again, not even after a crash in between.
        log_file = folder / SUPERVISOR_LOG_FILE
        output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        pid = None
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._leave_to_parent()
                    # A supervisor may outlive its runtime, and must not keep the next one from starting.
                    self._release()
                    self._supervise(folder, output, secret)
                finally:
                    os._exit(1)
        finally:
            os.close(output)
            if pid is None:
                log_file.unlink()
        return Supervisor(pid, StopSteps(folder))

    def _leave_to_parent(self) -> None:
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for end in (self._listener, self._signals, self._wakeup, self._agent):
            if end is not None:
                end.close()
        # Other jobs' secrets.
        self._incoming.clear(secret for _, secret in self._orders)

    def _signalled(self) -> None:
        numbers = self._signals.recv(4096)
        if signal.SIGTERM in numbers:
            log.info("terminated (jobs: %d)", len(self._jobs))
            self._retiring = True
            for job in self._jobs.values():
                job.stop.ask(TERMINATION_GRACE, "the runtime was terminated", time.monotonic())
        if signal.SIGCHLD in numbers:
            failures = []
            for key, job in tuple(self._jobs.items()):
                try:
                    self._reap(key, job)
                except OSError as error:
                    failures.append(error)
            if self._supervisor_killed:
                self._supervisor_killed = False
                self._end_orphans()
            if failures:
                raise failures[0]

    def _reap(self, key: AssignmentKey, job: Supervisor) -> None:
        if (ended := job.reap()) is None:
            return
        code, number = ended
        self._supervisor_killed |= number is not None
        try:
            if not is_there(job.stop.folder / OUTCOME_FILE):
                self._write_missing_outcome(key, job.stop.folder, -number if number else code or 0)
        except OSError as error:
            # The agent looks for it, too.
            log.error("whether job %s has left an outcome cannot be known: %s", key, error)
        del self._jobs[key]
        self._send(JobExited(**key._asdict(), exit_code=code, signal=number))

    def _end_orphans(self) -> None:
        """End what has become a child of this process: a task's whose supervisor was killed, or could not end it."""
        if self._keep_children:
            return
        supervisors = {job.pid for job in self._jobs.values()}
        if count := end_children(spare=supervisors.__contains__, patience=_ORPHAN_PATIENCE):
            log.warning("%d processes that tasks have left behind were ended", count)

    def _write_missing_outcome(self, key: AssignmentKey, folder: Path, status: int) -> None:
        code, reason = describe_exit("the task's supervisor", status, stop=stop_of(folder))
        reason = reason or "the task's supervisor wrote no outcome"
        try:
            write_outcome(folder, Outcome(**key._asdict(), exit_code=code or 1, reason=reason))
        except OSError as error:
            log.error("the outcome of job %s cannot be written: %s", key, error)

    def _return(self) -> None:
        """Listen anew where the socket was removed; retire where another runtime may listen, or nobody can come."""
        try:
            # As long as it is there, and ours, no other runtime starts.
            if (
                int(self._path.with_suffix(".pid").read_text(encoding="ascii")) == os.getpid()
                and not self._path.exists()
            ):
                self._listen_anew()
                return
        except (OSError, ValueError) as error:
            log.info("%s cannot be made anew: %s", self._path, error)
        log.info("retiring (jobs: %d), because %s is not this runtime's any more", len(self._jobs), self._path)
        self._retiring = True
        self._leave_socket()

    def _listen_anew(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(self._path))
            self._path.chmod(0o600)
            listener.listen()
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
        except OSError:
            listener.close()
            raise
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener, self._inode = listener, self._path.stat().st_ino
        log.warning("%s was removed; it was made anew", self._path)

    def _forgotten(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True
