"""What a worker is told by its flags, its environment and `airflow.cfg`, in that order. Airflow is not imported."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from airflow_edge.agent.core.automatic import ENTER_AT, LEAVE_BELOW, Automatic
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process.sockets import socket_path
from airflow_edge.agent.task_logs.retention import Limits
from airflow_edge.protocol.worker_log import LEVELS
from airflow_edge.settings import BY_NAME, SECTION

T = TypeVar("T")

_UNITS = {"k": 2**10, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MEBIBYTE = 1024 * 1024
DAY = 86_400
DEFAULT_LIMITS = Limits(max_age=7 * DAY, max_size=512 * MEBIBYTE, min_free=1024 * MEBIBYTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that a worker is told. Paths are absolute."""

    state_dir: Path
    """The worker's own folder."""
    api_url: str | None = None
    """Where the centre is; None to use the URL stored at enrolment."""
    name: str | None = None
    """The name asked for with `-H`; None for the one given at enrolment, or for the host's."""
    queues: tuple[str, ...] | None = None
    """The queues asked for; None for all that the worker may serve."""
    concurrency: int = 8
    """Slots."""
    ca_file: Path | None = None
    task_stop_grace: float = 3.0
    """Seconds between SIGTERM and SIGKILL."""
    log_bandwidth: float | None = None
    """Bytes a second that task logs may take, compressed; None for no limit."""
    min_free_disk: int = 100
    """MiB."""
    kept_logs: Limits = DEFAULT_LIMITS
    """What is kept of the logs of finished jobs."""
    worker_log_max_size: int = 10 * MEBIBYTE
    """Bytes after which the worker's own log begins a new file."""
    worker_log_backups: int = 3
    worker_log_level: int | None = None
    """From which of `logging`'s levels on the worker always sends its own log to the centre; None for never."""
    extended_system_info_function: str | None = None
    """The dotted path of the user's own function that says more about the machine."""
    automatic: Automatic = field(default_factory=Automatic)
    """When the worker goes into maintenance by itself."""
    daemon: bool = False
    umask: int = 0o077
    pid_file: Path | None = None
    """Where to write the pid besides `agent.pid` in the state folder."""
    log_file: Path | None = None
    stdout: Path | None = None
    stderr: Path | None = None
    verbose: bool = False

    @property
    def identity_file(self) -> Path:
        return self.state_dir / "worker.json"

    @property
    def lock_file(self) -> Path:
        """Locked while a worker runs in this folder; holds its pid."""
        return self.state_dir / "agent.pid"

    @property
    def journal_file(self) -> Path:
        return self.state_dir / "journal.sqlite"

    @property
    def jobs_dir(self) -> Path:
        return self.state_dir / "jobs"

    @property
    def kept_logs_dir(self) -> Path:
        return self.state_dir / "logs"

    @property
    def agent_log(self) -> Path:
        """The agent's own log."""
        return self.state_dir / "agent.log"

    @property
    def runtime_log(self) -> Path:
        """What the runtime says."""
        return self.state_dir / "runtime.log"

    @property
    def api_socket(self) -> Path:
        """Where the agent serves the Execution API to the site's supervisors."""
        return socket_path(self.state_dir, "agent.sock")

    @property
    def runtime_socket(self) -> Path:
        """Where the runtime listens for the agent."""
        return socket_path(self.state_dir, "runtime.sock")

    @property
    def control_socket(self) -> Path:
        """Where the agent answers `airflow-edge status` and `airflow-edge stop`."""
        return socket_path(self.state_dir, "control.sock")


class _Choice(NamedTuple):
    """A level of logging that was chosen, or none: not to be taken for a setting that is not there."""

    level: int | None


class Sources:
    """The environment and `airflow.cfg`, read as Airflow reads them, but without interpolation."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Read `airflow.cfg` of `environ` (the process's own by default).

        :raises ConfigError: the file cannot be read or is not a configuration file.
        """
        self.environ = os.environ if environ is None else environ
        self.airflow_home = _absolute(self.environ.get("AIRFLOW_HOME") or "~/airflow")
        self.file = _absolute(self.environ.get("AIRFLOW_CONFIG") or str(self.airflow_home / "airflow.cfg"))
        self._parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        try:
            self._parser.read(self.file, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.file} cannot be read: {reason}") from error

    def find(self, section: str, option: str) -> tuple[str, str] | None:
        """Give an option's text and where it came from, or None. Empty counts as not set."""
        variable = f"AIRFLOW__{section.upper()}__{option.upper()}"
        if text := self.environ.get(variable, "").strip():
            return text, f"the environment variable {variable}"
        if text := (self._parser.get(section, option, fallback="") or "").strip():
            return text, f"[{section}] {option} in {self.file}"
        return None

    def find_secret(self, section: str, option: str) -> tuple[str, str] | None:
        """Like `find`, and also by running the command in `<option>_cmd`, as Airflow does for what is sensitive.

        :raises ConfigError: the command fails.
        """
        if found := self.find(section, option):
            return found
        if command := self.find(section, f"{option}_cmd"):
            text, origin = command
            # Airflow defines the option as a line for the shell.
            done = subprocess.run(text, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
            if done.returncode != 0:
                raise ConfigError(f"the command from {origin} exited with status {done.returncode}; try it by hand")
            return done.stdout.strip(), origin
        return None

    def setting(self, name: str, flag: object = None) -> tuple[str, str] | None:
        """Give a setting of `[edge]` and where it came from: flag, environment, file or default. None if nowhere."""
        if flag is not None:
            return str(flag), "the command line"
        if found := self.find(SECTION, name):
            return found
        default = BY_NAME[name].default
        return None if default is None else (default, "the default")


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    name: str | None = None,
    queues: str | None = None,
    daemon: bool = False,
    pid_file: str | None = None,
    log_file: str | None = None,
    stdout: str | None = None,
    stderr: str | None = None,
    verbose: bool = False,
) -> Config:
    """Put a worker's configuration together.

    :param flags: settings of `[edge]` given on the command line, by their names; None for one that was not given
    :raises ConfigError: a value makes no sense; the text names the setting and where it came from.
    """
    flags = flags or {}
    sources = Sources(environ)

    def setting(name: str, read: Callable[[str], T]) -> T | None:
        found = sources.setting(name, flags.get(name))
        if found is None:
            return None
        text, origin = found
        try:
            return read(text)
        except ValueError as error:
            raise ConfigError(f"{name} is '{text}', from {origin}, and that is {error}") from error

    def with_default(name: str, read: Callable[[str], T]) -> T:
        value = setting(name, read)
        if value is None:
            raise LookupError(f"{name} has no default")
        return value

    return Config(
        state_dir=setting("state_dir", _absolute) or sources.airflow_home / "edge",
        api_url=setting("api_url", str),
        name=name,
        queues=None if queues is None else _queues(queues),
        concurrency=with_default("worker_concurrency", _slots),
        ca_file=setting("ca_file", _absolute),
        task_stop_grace=with_default("task_stop_grace", _seconds),
        log_bandwidth=setting("log_bandwidth", _bandwidth),
        min_free_disk=with_default("min_free_disk", _mebibytes),
        kept_logs=Limits(
            max_age=with_default("local_log_max_age", _number) * DAY,
            max_size=int(with_default("local_log_max_size", _number) * MEBIBYTE),
            min_free=int(with_default("local_log_min_free", _number) * MEBIBYTE),
        ),
        worker_log_max_size=int(with_default("worker_log_max_size", _more_than_nothing) * MEBIBYTE),
        worker_log_backups=with_default("worker_log_backups", _backups),
        worker_log_level=setting("worker_log_level", _level),
        extended_system_info_function=setting("extended_system_info_function", str),
        automatic=Automatic(
            enter_at=with_default("automatic_maintenance_on", _one_of(ENTER_AT)).level,
            leave_below=with_default("automatic_maintenance_exit", _one_of(LEAVE_BELOW)).level,
        ),
        daemon=daemon,
        umask=with_default("worker_umask", _umask),
        pid_file=_optional_path(pid_file),
        log_file=_optional_path(log_file),
        stdout=_optional_path(stdout),
        stderr=_optional_path(stderr),
        verbose=verbose,
    )


def _absolute(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser().absolute()


def _optional_path(text: str | None) -> Path | None:
    return None if text is None else _absolute(text)


def _queues(text: str) -> tuple[str, ...]:
    queues = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not queues:
        raise ConfigError("--queues names no queue; give a comma-separated list, or leave it out to serve all")
    return queues


def _one_of(levels: Mapping[str, int | None]) -> Callable[[str], _Choice]:
    def read(text: str) -> _Choice:
        if (word := text.strip().lower()) not in levels:
            raise ValueError(f"none of {', '.join(level.capitalize() for level in levels)}")
        return _Choice(levels[word])

    return read


def _slots(text: str) -> int:
    try:
        slots = int(text)
    except ValueError:
        raise ValueError("not a whole number") from None
    if not 1 <= slots <= 100_000:
        raise ValueError("not between 1 and 100000")
    return slots


def _mebibytes(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        raise ValueError("not a whole number of MiB") from None
    if size < 0:
        raise ValueError("less than 0")
    return size


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError("not a number of seconds") from None
    if not 0 <= seconds <= 86_400:
        raise ValueError("not between 0 and 86400 seconds")
    return seconds


def _bandwidth(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    try:
        rate = float(number) * _UNITS.get(unit, 1)
    except ValueError:
        raise ValueError("not a number of bytes a second such as 65536, 64k or 1M") from None
    if not 1024 <= rate <= 2**40:
        raise ValueError("not between 1k and 1T bytes a second")
    return rate


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if not 0 <= number <= 1e9:
        raise ValueError("not between 0 and 1000000000")
    return number


def _more_than_nothing(text: str) -> float:
    number = _number(text)
    if number < 0.001:
        raise ValueError("too little; 0.001 is the least")
    return number


def _backups(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise ValueError("not a whole number between 0 and 999")
    return int(text)


def _level(text: str) -> int | None:
    if text.lower() == "off":
        return None
    if text.upper() not in LEVELS:
        raise ValueError(f"none of off, {', '.join(LEVELS).lower()}")
    return LEVELS[text.upper()]


def _umask(text: str) -> int:
    try:
        mask = int(text.lower().removeprefix("0o"), 8)
    except ValueError:
        raise ValueError("not an octal number such as 0o077") from None
    if not 0 <= mask <= 0o777:
        raise ValueError("not between 0o000 and 0o777")
    return mask
