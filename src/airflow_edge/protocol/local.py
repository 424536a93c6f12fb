"""What agent and runtime say to each other at the site, and what lies in a job's folder.

The agent connects to the runtime's Unix socket; both send frames of a four-byte big-endian length and a MessagePack
message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import msgspec

from airflow_edge.protocol.assignment import Assigned
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.messages import JobKind, one_line

JOB_FILE = "job.json"
OUTCOME_FILE = "outcome.json"
OUTCOME_RESERVE_FILE = f"{OUTCOME_FILE}.new"
"""Made with the folder, so that there is room for the outcome however full the disk is by then."""
OUTCOME_RESERVE = 8192
"""Bytes of it; no outcome is longer."""
LOG_FILE = "task.log"
STOP_FILE = "stop.json"
SUPERVISOR_LOG_FILE = "supervisor.log"
SUPERVISOR_PID_FILE = "supervisor.pid"
"""Locked by the supervisor while it lives."""
AGENT_LOCK_FILE = "agent.pid"
"""In the state folder. Locked by the agent while it lives, with its pid."""

LOCAL_PROTOCOL = 3
"""Counted up when a runtime of before does not understand what an agent says: such a one is replaced by another. With 2
a job's secret comes over a pipe; with 3 its file has the `SiteTerms`."""
GENERATION_VARIABLE = "AIRFLOW_EDGE_GENERATION"
"""The environment variable that tells a runtime its generation: a command line could be read by everybody."""

MAX_LOCAL_FRAME = 1024 * 1024
_LENGTH = struct.Struct(">I")


class SiteTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner of the machine says of a job that is taken, as his site policy was when it was."""

    policy: str
    """Where that is: a file of this machine."""
    users: tuple[str, ...] | None = None
    """Globs of the users that a task may ask to be run as; None for any."""
    max_log: int | None = None
    """Most bytes of the task's log that leave the machine, those of one try; None for all."""

    def against_user(self, name: str) -> str:
        """Say what speaks against a task that asks to be run as this user; empty if nothing does."""
        if self.users is None or any(fnmatchcase(name, glob) for glob in self.users):
            return ""
        return by_owner(self.policy, f"user '{one_line(name, 100)}' is none of its users")


class JobFile(msgspec.Struct, Assigned, frozen=True, kw_only=True):
    """`job.json` (mode 0600).

    All that the supervisor needs, but for the secret that opens the agent's Execution API for this job: that one goes
    over a pipe.
    """

    job_id: str
    assignment: int
    kind: JobKind
    worker_name: str
    workload: str
    """Airflow's JSON of the workload, without a token."""
    api_socket: str
    """The Unix socket on which the agent serves the Execution API."""
    log_path: str
    secret: str = ""
    """Where an older agent has written it."""
    terms: SiteTerms | None = None
    """None where the owner of the machine says nothing of such."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome.json`, written atomically by the supervisor's wrapper when it ends.

    `reason` is empty after a good end.
    """

    job_id: str
    assignment: int
    exit_code: int
    reason: str = ""
    unbegun: bool = False
    """The machine had no process for the task: nothing of it has happened, and it may be started again."""


class StopFile(msgspec.Struct, frozen=True, kw_only=True):
    """`stop.json`, written before a signal is sent to the task, so that its supervisor knows what it ended of."""

    reason: str
    signal: int


class LocalMessage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the local messages."""


class LocalJobMessage(LocalMessage, Assigned, frozen=True, kw_only=True):
    """Base of the local messages about one assignment."""

    job_id: str
    assignment: int


class StartJob(LocalJobMessage, frozen=True, kw_only=True):
    """Fork a supervisor for the job whose folder this is."""

    folder: str
    piped: bool = False
    """Whether a pipe comes with this message, with the secret that opens the agent's Execution API for the job."""


class StopJob(LocalJobMessage, frozen=True, kw_only=True):
    """End the job: SIGTERM to the task, after `grace` seconds SIGKILL to its process group."""

    grace: float
    reason: str = ""
    """For the task's log."""


class Retire(LocalMessage, frozen=True, kw_only=True):
    """Leave the socket to another runtime at once, and exit when the last job has ended."""


class Probe(LocalMessage, frozen=True, kw_only=True):
    """Say that you are there: `Alive` answers. Only for a runtime whose `RuntimeHello` says that it knows this."""

    fork: bool = False
    """Try whether a process is to be had, too."""


class LocalJob(msgspec.Struct, Assigned, frozen=True, kw_only=True):
    """A job whose supervisor is alive."""

    job_id: str
    assignment: int
    pid: int


class RuntimeHello(LocalMessage, frozen=True, kw_only=True):
    """The runtime's first message on each connection: it is warm, and these jobs are alive."""

    pid: int
    airflow_version: str
    jobs: tuple[LocalJob, ...]
    generation: str = ""
    """What it was told when it was started: it stands for the installation and configuration that it has read."""
    knows_probes: bool = False
    trouble: str = ""
    """Why no task can run with this configuration, for a person; empty if none is known."""
    warnings: tuple[str, ...] = ()
    """What may harm tasks, for a person: they are run all the same."""


class JobStarted(LocalJobMessage, frozen=True, kw_only=True):
    """The supervisor was forked."""

    pid: int


class JobExited(LocalJobMessage, frozen=True, kw_only=True):
    """The supervisor is gone: with an exit status, or by a signal."""

    exit_code: int | None = None
    signal: int | None = None


class JobNotStarted(LocalJobMessage, frozen=True, kw_only=True):
    """No supervisor could be forked."""

    reason: str
    passing: bool = False
    """The machine could not do it now, and nothing of the attempt is left: it may be tried again."""


class Alive(LocalMessage, frozen=True, kw_only=True):
    """The answer to a `Probe`."""

    obstacle: str | None = None
    """Why no process is to be had, empty if one is; None if that was not to be tried."""


SecretKind: TypeAlias = Literal["connection", "variable"]


class SecretAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent asks its reader of secrets (`python -m airflow_edge.runtime.site_secrets`), as a line of JSON."""

    kind: SecretKind
    name: str
    """Empty where a secrets backend is only to be loaded."""
    text: str = ""
    """A connection as `AIRFLOW_CONN_…` has it; empty where a secrets backend is to be asked."""
    backend: str = ""
    """The dotted path of its class."""
    backend_kwargs: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Say what it is about: the rest may be secret."""
        return f"SecretAsked({self.kind!r}, {self.name!r})"


class SecretAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader answers, a line of JSON as well."""

    body: str | None = None
    """What the Execution API answers with, in JSON; None where the backend has nothing of that name."""
    failure: str = ""
    """Why it is not known, as names of errors: their texts may hold what nobody is to read."""

    def __repr__(self) -> str:
        """Say nothing of what it is."""
        return f"SecretAnswer(failure={self.failure!r})"


ToRuntime: TypeAlias = StartJob | StopJob | Retire | Probe
ToAgent: TypeAlias = RuntimeHello | JobStarted | JobExited | JobNotStarted | Alive

decode_for_runtime: Callable[[bytes], ToRuntime] = msgspec.msgpack.Decoder(ToRuntime).decode
"""Reads what the agent sent."""
decode_for_agent: Callable[[bytes], ToAgent] = msgspec.msgpack.Decoder(ToAgent).decode
"""Reads what the runtime sent."""


def by_owner(policy: str, reason: str) -> str:
    """Say in a line whose will something is, so that it can be understood far from the machine.

    :param policy: the file in which its owner says so
    """
    return one_line(f"by its owner's site policy ({policy} on that machine): {reason}", 500)


def encode_local(message: ToRuntime | ToAgent) -> bytes:
    """Give the message's frame."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def split_frames(buffer: bytearray) -> list[bytes]:
    """Take the complete frames out of the buffer, leaving the rest in it.

    :raises RemoteProtocolError: a frame claims to be longer than `MAX_LOCAL_FRAME`.
    """
    frames = []
    while len(buffer) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer)
        if length > MAX_LOCAL_FRAME:
            raise RemoteProtocolError(f"a local frame of {length} bytes")
        if len(buffer) < _LENGTH.size + length:
            break
        frames.append(bytes(buffer[_LENGTH.size : _LENGTH.size + length]))
        del buffer[: _LENGTH.size + length]
    return frames
