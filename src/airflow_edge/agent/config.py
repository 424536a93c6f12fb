"""What a worker is told by its flags, its environment and `airflow.cfg`, in that order. Airflow is not imported."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from urllib.parse import urlsplit

from airflow_edge.agent.core.worker_state import ENTER_AT, LEAVE_BELOW, Automatic
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process.sockets import socket_path
from airflow_edge.agent.task_logs.kept import Limits
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.protocol.local import AGENT_LOCK_FILE
from airflow_edge.protocol.logs.worker_log import LEVELS
from airflow_edge.protocol.problems import QUEUE_NAME_RULE, is_queue_name
from airflow_edge.settings import BY_NAME, SECTION, SETTINGS, SettingError
from airflow_edge.settings.setting import FALSE, TRUE
from airflow_edge.settings.unread import Unread, unread

if TYPE_CHECKING:
    import configparser

T = TypeVar("T")
N = TypeVar("N", int, float)

_UNITS = {"k": 2**10, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MEBIBYTE = 1024 * 1024
DAY = 86_400
COMMAND_PATIENCE = 60.0
"""Seconds for a command that prints a secret: a vault may be slow, and must not keep anybody waiting for ever."""
DEFAULT_LIMITS = Limits(max_age=7 * DAY, max_size=512 * MEBIBYTE, min_free=1024 * MEBIBYTE)


READ_ONCE: Final = (("core", "dags_folder"), ("core", "plugins_folder"), ("dag_processor", "dag_bundle_config_list"))
"""What a worker goes by besides `[edge]`, as it was when it started."""


class _Place:
    """What has this name in the state folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, config: Config, _: type[Config]) -> Path:
        return config.state_dir / self._name


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
    trust: Trust = SYSTEM
    """`ca_file`, `client_cert` and `client_key`."""
    task_stop_grace: float = 5.0
    """Seconds between SIGTERM and SIGKILL."""
    agent_user: str | None = None
    """Whose the worker is where root has started it; None for whoever has started it."""
    task_user: str | None = None
    """Whose its tasks are then."""
    site_policy: Path | None = None
    """The file in which the machine's owner says what is allowed here; None for no such file."""
    keep_children: bool = False
    """Whether what a task has started may live on when it has ended."""
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
    umask: int = 0o077
    site_secrets: Path | None = None
    """The file that says where the site's own secrets are, and which Dags may have them."""
    dags_folder: Path | None = None
    """Airflow's `[core] dags_folder`; None where nothing of Dags is known."""
    import_folders: tuple[Path, ...] = ()
    """Where Airflow looks for modules beside a Dag's own folder: plugins, and what is beside its configuration."""
    dag_bundles: str = ""
    """Airflow's `[dag_processor] dag_bundle_config_list`, as it is written; empty if it is not set."""
    told: Mapping[str, str | None] = field(default_factory=dict)
    """What was set of all that is read once, by options with their sections; None for what the command line says."""
    unread: tuple[Unread, ...] = ()
    """What looks like a setting and is none."""
    open_files: int | None = None
    """How many files a task may have open; None for as many as the agent."""

    identity_file = _Place("worker.json")
    instance_file = _Place("instance.json")
    lock_file = _Place(AGENT_LOCK_FILE)
    """Locked while a worker runs in this folder; holds its pid."""
    journal_file = _Place("journal.sqlite")
    linked_file = _Place("linked")
    """Is there if this worker has ever been linked."""
    jobs_dir = _Place("jobs")
    kept_logs_dir = _Place("logs")
    agent_log = _Place("agent.log")
    """The agent's own log."""
    runtime_log = _Place("runtime.log")
    """What the runtime says."""

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


class Sources:
    """The environment and `airflow.cfg`, read as Airflow reads them, but without interpolation."""

    def __init__(self, environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None) -> None:
        """Read `airflow.cfg` of `environ` (the process's own by default).

        :param flags: settings of `[edge]` given on the command line, by their names; None for one that was not given
        :raises ConfigError: the file cannot be read or is not a configuration file.
        """
        self.environ = os.environ if environ is None else environ
        self._flags = flags or {}
        self.airflow_home = absolute(self.environ.get("AIRFLOW_HOME") or "~/airflow")
        self.file = absolute(self.environ.get("AIRFLOW_CONFIG") or str(self.airflow_home / "airflow.cfg"))
        self._parser = _parse(self.file)

    def find(self, section: str, option: str) -> tuple[str, str] | None:
        """Give an option's text and where it came from, or None. Empty counts as not set."""
        variable = f"AIRFLOW__{section.upper()}__{option.upper()}"
        if text := self.environ.get(variable, "").strip():
            return text, f"the environment variable {variable}"
        if self._parser and (text := (self._parser.get(section, option, fallback="") or "").strip()):
            return text, f"[{section}] {option} in {self.file}"
        return None

    def told(self) -> dict[str, str | None]:
        """Give what is set of all that a worker reads once, as it is written; None for what the command line says."""
        edge = [(SECTION, setting.name) for setting in SETTINGS if setting.side == "site"]
        told: dict[str, str | None] = {}
        for section, option in (*edge, *READ_ONCE):
            if section == SECTION and self._flags.get(option) is not None:
                told[f"[{section}] {option}"] = None
            elif found := self.find(section, option):
                told[f"[{section}] {option}"] = _without_login(found[0])
        return told

    def unread(self, side: Literal["centre", "site"] = "site") -> Iterator[Unread]:
        """Give what looks like a setting of `[edge]` and is none; what guards first."""
        options: dict[str, Iterable[str]] = {}
        if self._parser is not None:
            defaults = self._parser.defaults()
            options = {one: [*self._parser[one].keys() - defaults.keys()] for one in self._parser.sections()}
            if not self._parser.has_section(SECTION):
                options["DEFAULT"] = list(defaults)
        found = unread(options, self.file, self.environ, side)
        # One that is set as it should be as well is in force.
        astray = (
            one if not one.near or self.find(SECTION, one.meant) is None else one._replace(near=False) for one in found
        )
        return iter(sorted(astray, key=lambda one: (not one.guards, one.place)))

    def find_secret(self, section: str, option: str) -> tuple[str, str] | None:
        """Like `find`, and also by running the command in `<option>_cmd`, as Airflow does for what is sensitive.

        :raises ConfigError: the command fails, or does not end in `COMMAND_PATIENCE`.
        """
        if found := self.find(section, option):
            return found
        if command := self.find(section, f"{option}_cmd"):
            text, origin = command
            try:
                # Airflow defines the option as a line for the shell.
                done = subprocess.run(  # noqa: S602
                    text, shell=True, capture_output=True, text=True, check=False, timeout=COMMAND_PATIENCE
                )
            except subprocess.TimeoutExpired:
                raise ConfigError(
                    f"the command from {origin} had not ended after {COMMAND_PATIENCE:g} s; try it by hand"
                ) from None
            if done.returncode != 0:
                raise ConfigError(f"the command from {origin} exited with status {done.returncode}; try it by hand")
            return done.stdout.strip(), origin
        return None

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """Read a setting of `[edge]`, from flag, environment, file or default; None if it is nowhere.

        :raises ConfigError: it makes no sense; the text names the setting and where it came from.
        """
        if (flag := self._flags.get(name)) is not None:
            found = str(flag), "the command line"
        elif (anywhere := self.find(SECTION, name)) is not None:
            found = anywhere
        elif (default := BY_NAME[name].default_text) is not None:
            found = default, "the default"
        else:
            return None
        try:
            return read(found[0])
        except ValueError as error:
            raise ConfigError(f"{name} is '{found[0]}', from {found[1]}, and that is {error}") from error

    def required(self, name: str, read: Callable[[str], T]) -> T:
        """Read a setting that has a default; see `optional`."""
        # As a tuple: what is read may be None.
        value = self.optional(name, lambda text: (read(text),))
        if value is None:
            raise LookupError(f"{name} has no default")
        return value[0]


def load(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    name: str | None = None,
    queues: str | None = None,
) -> Config:
    """Put a worker's configuration together.

    :param flags: settings of `[edge]` given on the command line, by their names; None for one that was not given
    :raises ConfigError: a value makes no sense; the text names the setting and where it came from.
    """
    sources = Sources(environ, flags)
    return Config(
        state_dir=sources.optional("state_dir", absolute) or sources.airflow_home / "edge",
        api_url=sources.optional("api_url", str),
        name=name,
        queues=None if queues is None else _queues(queues),
        concurrency=sources.required("worker_concurrency", _number(int, "worker_concurrency")),
        trust=Trust(*(sources.optional(name, absolute) for name in Trust._fields)),
        task_stop_grace=sources.required("task_stop_grace", _number(float, "task_stop_grace")),
        agent_user=sources.optional("agent_user", str),
        task_user=sources.optional("task_user", str),
        site_policy=sources.optional("site_policy", absolute),
        keep_children=sources.required("keep_children", _boolean),
        log_bandwidth=sources.optional("log_bandwidth", _bandwidth),
        min_free_disk=sources.required("min_free_disk", _number(int, "min_free_disk")),
        kept_logs=Limits(
            max_age=sources.required("local_log_max_age", _number(float, "local_log_max_age")) * DAY,
            max_size=int(sources.required("local_log_max_size", _number(float, "local_log_max_size")) * MEBIBYTE),
            min_free=int(sources.required("local_log_min_free", _number(float, "local_log_min_free")) * MEBIBYTE),
        ),
        worker_log_max_size=int(
            sources.required("worker_log_max_size", _number(float, "worker_log_max_size")) * MEBIBYTE
        ),
        worker_log_backups=sources.required("worker_log_backups", _number(int, "worker_log_backups")),
        worker_log_level=sources.optional("worker_log_level", _one_of({"off": None, **LEVELS})),
        extended_system_info_function=sources.optional("extended_system_info_function", str),
        automatic=Automatic(
            enter_at=sources.required("automatic_maintenance_on", _one_of(ENTER_AT)),
            leave_below=sources.required("automatic_maintenance_exit", _one_of(LEAVE_BELOW)),
        ),
        umask=sources.required("worker_umask", _umask),
        site_secrets=sources.optional("site_secrets", absolute),
        dags_folder=_dags_folder(sources),
        import_folders=(_plugins_folder(sources), sources.airflow_home / "config"),
        told=sources.told(),
        unread=tuple(sources.unread()),
        dag_bundles=(sources.find("dag_processor", "dag_bundle_config_list") or ("",))[0],
    )


def _parse(file: Path) -> configparser.RawConfigParser | None:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    # Many a site has no file, and no need of this.
    import configparser

    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text, str(file))
    except configparser.Error as error:
        raise ConfigError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    return parser


def _without_login(text: str) -> str:
    """Leave out of a URL what may be a password; people are shown what a worker was told."""
    try:
        parts = urlsplit(text)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else text
    except ValueError:
        return text


def _dags_folder(sources: Sources) -> Path:
    found = sources.find("core", "dags_folder")
    return absolute(found[0]) if found else sources.airflow_home / "dags"


def _plugins_folder(sources: Sources) -> Path:
    found = sources.find("core", "plugins_folder")
    return absolute(found[0]) if found else sources.airflow_home / "plugins"


def absolute(text: str) -> Path:
    """Give the path that a person means."""
    return Path(os.path.expandvars(text)).expanduser().absolute()


def _queues(text: str) -> tuple[str, ...]:
    queues = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not queues:
        raise ConfigError("--queues names no queue; give a comma-separated list, or leave it out to serve all")
    if bad := next((name for name in queues if not is_queue_name(name)), None):
        raise ConfigError(f"--queues: there can be no queue {bad[:60]!a}; {QUEUE_NAME_RULE}")
    return queues


def _one_of(levels: Mapping[str, int | None]) -> Callable[[str], int | None]:
    by_word = {word.lower(): level for word, level in levels.items()}

    def read(text: str) -> int | None:
        if (word := text.strip().lower()) not in by_word:
            raise ValueError(f"none of {', '.join(word.capitalize() for word in by_word)}")
        return by_word[word]

    return read


def _number(kind: type[N], name: str) -> Callable[[str], N]:
    setting = BY_NAME[name]

    def read(text: str) -> N:
        try:
            return kind(setting.check(text))
        except SettingError:
            raise ValueError(f"not {setting.bounds}") from None

    return read


def _boolean(text: str) -> bool:
    if (word := text.strip().lower()) not in TRUE | FALSE:
        raise ValueError("neither True nor False")
    return word in TRUE


def _bandwidth(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    try:
        rate = float(number) * _UNITS.get(unit, 1)
    except ValueError:
        raise ValueError("not a number of bytes a second such as 65536, 64k or 1M") from None
    if not 1024 <= rate <= 2**40:
        raise ValueError("not between 1k and 1T bytes a second")
    return rate


def _umask(text: str) -> int:
    try:
        mask = int(text.lower().removeprefix("0o"), 8)
    except ValueError:
        raise ValueError("not an octal number such as 0o077") from None
    if not 0 <= mask <= 0o777:
        raise ValueError("not between 0o000 and 0o777")
    return mask
