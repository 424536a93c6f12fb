"""Every setting of the `[edge]` section, defined once.

For Airflow's configuration, for the agent and for the reference in the docs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

SECTION: Final = "edge"

_TRUE: Final = frozenset({"t", "true", "1"})
_FALSE: Final = frozenset({"f", "false", "0"})
"""As Airflow reads them."""


class SettingError(ValueError):
    """A setting makes no sense; the message names it and says what it has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One option of `[edge]`; its environment variable is `AIRFLOW__EDGE__<NAME>`."""

    name: str
    side: Literal["centre", "site"]
    default: bool | int | float | str | None
    """Its type is the option's; None is for a text."""
    description: str
    unit: str = ""
    """What a number counts."""
    least: float = 0
    most: float = math.inf
    """The bounds of a number, both possible; there is always a most."""
    form: Literal["", "url"] = ""
    """What a text has to be, where not any will do. Who reads a duration or a version looks at it."""
    example: str | None = None
    sensitive: bool = False
    """Whether it may hold a password, so that Airflow shows it to nobody."""
    version_added: str = "0.1.0"

    @property
    def kind(self) -> str:
        """The type, as Airflow calls it."""
        return {bool: "boolean", int: "integer", float: "float"}.get(type(self.default), "string")

    @property
    def default_text(self) -> str | None:
        """The default as it would be written in a configuration file."""
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return None if self.default is None else str(self.default)

    @property
    def bounds(self) -> str:
        """What a number has to be, in words; empty for what is no number."""
        if self.kind not in {"integer", "float"}:
            return ""
        number = "a whole number" if self.kind == "integer" else "a number"
        return f"{number}{f' of {self.unit}' if self.unit else ''} between {self.least:.15g} and {self.most:.15g}"

    def check(self, text: str) -> str:
        """Give a value back as it is written, if it makes sense: the same rule wherever the setting is read.

        :raises SettingError: it makes none.
        """
        text = text.strip()
        try:
            _CHECKS[self.form or self.kind](self, text)
        except ValueError as error:
            raise SettingError(f"[{SECTION}] {self.name}: {error}") from None
        return text


def _check_number(setting: Setting, text: str) -> None:
    try:
        number = int(text) if setting.kind == "integer" else float(text)
    except ValueError:
        number = math.nan
    if not setting.least <= number <= setting.most:
        raise ValueError(f"'{text}' is not {setting.bounds}")


def _check_boolean(_: Setting, text: str) -> None:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"'{text}' is neither True nor False")


def _check_url(_: Setting, text: str) -> None:
    if text and "://" not in text:
        raise ValueError(f"'{text}' is not a URL; a folder is file:///path/to/it")


_CHECKS: Final[Mapping[str, Callable[[Setting, str], object]]] = {
    "integer": _check_number,
    "float": _check_number,
    "boolean": _check_boolean,
    "string": lambda _, text: text,
    "url": _check_url,
}


_centre = partial(Setting, side="centre")
_site = partial(Setting, side="site")

SETTINGS: Final = (
    _centre(
        name="api_enabled",
        default=False,
        description="Whether the API server serves edge workers. While it is off, a worker's call is answered with "
        "what to set.",
    ),
    _site(
        name="api_url",
        default=None,
        example="https://airflow.example.org",
        description="Where the worker finds Airflow's API server: its base URL. The old form that ends in "
        "`/edge_worker/v1/rpcapi` is accepted too. Enrolment stores the URL, so that an enrolled worker needs this "
        "only when the address has changed.",
    ),
    _centre(
        name="allow_shared_secret_enrollment",
        default=False,
        description="Whether a worker that knows `[api_auth] jwt_secret` may enrol itself without a token, for sites "
        "that were configured for the shared secret. Every holder of that secret can then add workers for any queue.",
    ),
    _centre(
        name="offer_timeout",
        default=10.0,
        unit="seconds",
        least=1,
        most=3600,
        description="Seconds a worker has to answer when it is handed a job; after that the job goes back into the "
        "queue.",
    ),
    _centre(
        name="heartbeat_interval",
        default=5.0,
        unit="seconds",
        least=0.1,
        most=3600,
        description="Seconds between two status messages of a worker. One that was silent for three of them is shown "
        "as unknown.",
    ),
    _centre(
        name="disconnect_grace",
        default="900",
        example="12h",
        description="How long the centre keeps the tasks of a worker alive that it cannot reach: seconds, or a number "
        "with a unit (`90s`, `30m`, `12h`, `2d`). After that they are failed, so that retries run, and the worker is "
        "told to stop them should it come back. `queue_disconnect_grace` and a worker's own grace (`airflow edge "
        "set-disconnect-grace`) go before it.",
    ),
    _centre(
        name="queue_disconnect_grace",
        default="",
        example="plc=2d, lab=12h",
        description="The same for the tasks of single queues, written like `plc=2d, lab=12h`. A worker's own grace "
        "goes before it.",
    ),
    _centre(
        name="dispatch_poll_interval",
        default=0.2,
        unit="seconds",
        least=0.01,
        most=3600,
        description="Seconds between two looks for queued jobs where no notifications arrive (SQLite, MySQL, a "
        "connection pooler). On PostgreSQL jobs are notified, and the queue is looked at every 5 seconds only to be "
        "safe.",
    ),
    _centre(
        name="listener_sql_alchemy_conn",
        default=None,
        sensitive=True,
        form="url",
        example="postgresql+psycopg2://airflow:password@postgres.example.org:5432/airflow",
        description="Where API servers listen for PostgreSQL's notifications, written like `[database] "
        "sql_alchemy_conn`, which is the default. Needed where that leads to a connection pooler in transaction mode "
        "(PgBouncer, as in Airflow's official chart), through which no notification comes: this has to lead past it. "
        "Without it the queue is looked at every `dispatch_poll_interval` seconds there.",
    ),
    _centre(
        name="job_success_purge",
        default=5,
        unit="minutes",
        most=5_256_000,
        description="Minutes after which jobs that succeeded are deleted from the table of jobs.",
    ),
    _centre(
        name="job_fail_purge",
        default=60,
        unit="minutes",
        most=5_256_000,
        description="Minutes after which jobs that failed, were lost or were cancelled are deleted from the table of "
        "jobs.",
    ),
    _centre(
        name="log_store",
        default=None,
        example="s3://airflow-logs/edge",
        form="url",
        description="Where the logs of ended tasks are kept: a URL that fsspec knows (`s3://`, `gs://`, `abfs://`, "
        "`file://`). Default: Airflow's database. Logs that are somewhere already stay there and are read from there. "
        "The library, and credentials where it looks for them, belong wherever an API server runs: `pip install "
        "'airflow-edge[s3]'`.",
    ),
    _centre(
        name="log_retention",
        default=90.0,
        unit="days",
        most=36_500,
        description="Days after which a task's log is deleted, from the database or the log store, counted from its "
        "last line. 0 keeps all logs for ever: then the database grows until it is full.",
    ),
    _centre(
        name="minimum_worker_version",
        default=None,
        example="0.2.0",
        description="The lowest version of airflow-edge that a worker may have. One with a lower version is given no "
        "new jobs, finishes those it has, and says what to install. Default: any that speaks a version of the "
        "protocol that the centre speaks too.",
    ),
    _centre(
        name="minimum_airflow_version",
        default=None,
        example="3.2.0",
        description="The same for the version of Airflow that a worker runs tasks with. Default: any.",
    ),
    _centre(
        name="metrics_retention",
        default="7d",
        example="36h",
        description="How long the measurements of workers (processor, memory, disk, network, link) are kept for the "
        "charts, one a minute: seconds, or a number with a unit (`90s`, `30m`, `12h`, `2d`). 0 to keep none.",
    ),
    _site(
        name="worker_concurrency",
        default=8,
        unit="slots",
        least=1,
        most=100_000,
        description="How many slots a worker has, where `-c` does not say. A task takes as many as its `pool_slots`.",
    ),
    _site(
        name="worker_umask",
        default="0o077",
        description="The umask (octal) of a worker in the background, where `-u` does not say.",
    ),
    _site(
        name="state_dir",
        default=None,
        example="/var/lib/airflow-edge",
        description="The worker's own folder: its key, its journal, the folders of its jobs. Default: `edge` in "
        "`$AIRFLOW_HOME`. Two workers on one machine need two folders.",
    ),
    _site(
        name="ca_file",
        default=None,
        example="/etc/ssl/private-ca.pem",
        description="A file of PEM certificates to trust besides the system's, for a centre with a private "
        "certificate authority. One that is renewed counts at once. Default: the one named at enrolment.",
    ),
    _site(
        name="client_cert",
        default=None,
        example="/etc/airflow-edge/site.pem",
        description="A PEM file with the worker's own certificate for TLS, for a centre behind a proxy that wants one. "
        "One that is renewed counts at once. Default: the one named at enrolment.",
    ),
    _site(
        name="client_key",
        default=None,
        example="/etc/airflow-edge/site.key",
        description="The PEM file with the key of `client_cert`, without a password, where it is not in the same file.",
    ),
    _site(
        name="min_free_disk",
        default=100,
        unit="MiB",
        most=10**9,
        description="MiB that have to be free on the disk of the worker's state folder for it to take new jobs. With "
        "less it says so in its status and to the centre; its running jobs go on, and it takes new ones as soon as "
        "there is room. 0 to not look.",
    ),
    _site(
        name="local_log_max_age",
        default=7.0,
        unit="days",
        most=36_500,
        description="Days for which the logs of finished jobs are kept at the site, where `airflow-edge logs` reads "
        "them. 0 keeps none.",
    ),
    _site(
        name="local_log_max_size",
        default=512.0,
        unit="MiB",
        most=10**9,
        description="MiB that the kept logs may take together; the oldest go first. 0 keeps none.",
    ),
    _site(
        name="local_log_min_free",
        default=1024.0,
        unit="MiB",
        most=10**9,
        description="MiB that have to stay free on the disk of the state folder; while less is free, kept logs go.",
    ),
    _site(
        name="worker_log_max_size",
        default=10.0,
        unit="MiB",
        least=0.001,
        most=10**9,
        description="MiB after which the files of the worker's own log, `agent.log` and `runtime.log` in the state "
        "folder, are begun anew.",
    ),
    _site(
        name="worker_log_backups",
        default=3,
        unit="files",
        most=999,
        description="How many older files of each of the two are kept.",
    ),
    _site(
        name="worker_log_level",
        default="off",
        example="warning",
        description="From which level on the worker always sends its own log to the centre: `debug`, `info`, "
        "`warning`, `error`, `critical`, or `off`. On request, by `airflow edge worker-logs`, it is sent whatever "
        "this says.",
    ),
    _centre(
        name="worker_log_quota",
        default=1.0,
        unit="MiB",
        most=100_000,
        description="MiB of a worker's own log that the centre keeps, compressed; the oldest goes first. The logs of "
        "tasks do not count.",
    ),
    _centre(
        name="worker_log_purge",
        default=7.0,
        unit="days",
        most=3650,
        description="Days after which the centre deletes what it has of the workers' own logs.",
    ),
    _site(
        name="extended_system_info_function",
        default=None,
        example="factory.health.system_info",
        description="A function of your own, as a dotted path, that says more about the machine: `async def "
        "system_info() -> dict[str, str | int | float | datetime]`, without arguments. What it gives is shown with "
        "the worker. Its `status`, a level of Python's logging (20 info, 30 warning, 40 error), drives "
        "`automatic_maintenance_on`, and `status_text` says why. It runs within the worker, in a thread of its own, "
        "every 5 seconds, and has 10 seconds to answer. Import what is light: Airflow takes seconds and 100 MB.",
    ),
    _site(
        name="automatic_maintenance_on",
        default="Off",
        example="Error",
        description="Whether the worker goes into maintenance by itself: `Error` when `extended_system_info_function` "
        "gives the status error, `Warning` when it gives warning or error, `Off` never. It does so while the centre "
        "is out of reach, too.",
    ),
    _site(
        name="automatic_maintenance_exit",
        default="Off",
        example="Info",
        description="Whether a worker that went into maintenance by itself leaves it by itself: `Info` when the "
        "status is info again, `Warning` when it is info or warning, `Off` never. A maintenance that a person asked "
        "for, or has commented on, stays until a person ends it.",
    ),
    _site(
        name="task_stop_grace",
        default=5.0,
        unit="seconds",
        most=86_400,
        description="Seconds between SIGTERM, which lets a task's `on_kill` run, and SIGKILL when the centre has a "
        "task stopped or the worker is terminated.",
    ),
    _site(
        name="log_bandwidth",
        default=None,
        example="64k",
        description="Bytes a second that task logs may take on the way to the centre, compressed and on the average; "
        "`k`, `M` and `G` stand for powers of 1024. Default: no limit. Outcomes and heartbeats are never held back by "
        "it.",
    ),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def environment_variable(name: str) -> str:
    """Give the environment variable that sets this option."""
    return f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
