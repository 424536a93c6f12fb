"""Every setting of the `[edge]` section, defined once.

For Airflow's configuration, for the agent and for the reference in the docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SECTION: Final = "edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One option of `[edge]`.

    Its environment variable is `AIRFLOW__EDGE__<NAME>`; defaults are text, as in a configuration file.
    """

    name: str
    side: Literal["centre", "site", "both"]
    kind: Literal["boolean", "integer", "float", "string"]
    default: str | None
    description: str
    example: str | None = None
    version_added: str = "0.1.0"


SETTINGS: Final = (
    Setting(
        name="api_enabled",
        side="centre",
        kind="boolean",
        default="False",
        description=(
            "Whether the API server serves edge workers. While it is off, a worker's call is answered with what to set."
        ),
    ),
    Setting(
        name="api_url",
        side="site",
        kind="string",
        default=None,
        example="https://airflow.example.org",
        description=(
            "Where the worker finds Airflow's API server: its base URL. The old form that ends in "
            "`/edge_worker/v1/rpcapi` is "
            "accepted too. Enrolment stores the URL, so that an enrolled worker needs this only when the address "
            "has changed."
        ),
    ),
    Setting(
        name="allow_shared_secret_enrollment",
        side="centre",
        kind="boolean",
        default="False",
        description=(
            "Whether a worker that knows `[api_auth] jwt_secret` may enrol itself without a token, for sites that "
            "were configured "
            "for the shared secret. Every holder of that secret can then add workers for any queue."
        ),
    ),
    Setting(
        name="offer_timeout",
        side="centre",
        kind="float",
        default="10",
        description=(
            "Seconds a worker has to answer when it is handed a job; after that the job goes back into the queue."
        ),
    ),
    Setting(
        name="heartbeat_interval",
        side="centre",
        kind="float",
        default="5",
        description=(
            "Seconds between two status messages of a worker. One that was silent for three of them is shown as "
            "unknown."
        ),
    ),
    Setting(
        name="disconnect_grace",
        side="centre",
        kind="string",
        default="900",
        example="12h",
        description=(
            "How long the centre keeps the tasks of a worker alive that it cannot reach: seconds, or a number with a "
            "unit (`90s`, `30m`, `12h`, `2d`). After that they are failed, so that retries run, and the worker is told "
            "to stop them should it come back. `queue_disconnect_grace` and a worker's own grace "
            "(`airflow edge set-disconnect-grace`) go before it."
        ),
    ),
    Setting(
        name="queue_disconnect_grace",
        side="centre",
        kind="string",
        default="",
        example="plc=2d, lab=12h",
        description=(
            "The same for the tasks of single queues, written like `plc=2d, lab=12h`. A worker's own grace goes "
            "before it."
        ),
    ),
    Setting(
        name="dispatch_poll_interval",
        side="centre",
        kind="float",
        default="0.2",
        description=(
            "Seconds between two looks for queued jobs where the database cannot notify (SQLite, MySQL). On "
            "PostgreSQL jobs are "
            "notified, and the queue is looked at every 5 seconds only to be safe."
        ),
    ),
    Setting(
        name="job_success_purge",
        side="centre",
        kind="integer",
        default="5",
        description="Minutes after which jobs that succeeded are deleted from the table of jobs.",
    ),
    Setting(
        name="job_fail_purge",
        side="centre",
        kind="integer",
        default="60",
        description=(
            "Minutes after which jobs that failed, were lost or were cancelled are deleted from the table of jobs."
        ),
    ),
    Setting(
        name="log_store",
        side="centre",
        kind="string",
        default=None,
        example="s3://airflow-logs/edge",
        description=(
            "Where the logs of ended tasks are kept: a URL that fsspec knows (`s3://`, `gs://`, `abfs://`, `file://`). "
            "Default: Airflow's "
            "database. Logs that are somewhere already stay there and are read from there. The library, and "
            "credentials where "
            "it looks for them, belong wherever an API server runs: `pip install 'airflow-edge[s3]'`."
        ),
    ),
    Setting(
        name="log_retention",
        side="centre",
        kind="float",
        default="90",
        description=(
            "Days after which a task's log is deleted, from the database or the log store, counted from its last "
            "line. 0 keeps all "
            "logs for ever: then the database grows until it is full."
        ),
    ),
    Setting(
        name="minimum_worker_version",
        side="centre",
        kind="string",
        default=None,
        example="0.2.0",
        description=(
            "The lowest version of airflow-edge that a worker may have. One with a lower version is given no new "
            "jobs, finishes those it has, and says what to install. Default: any that speaks a version of the "
            "protocol that the centre speaks too."
        ),
    ),
    Setting(
        name="minimum_airflow_version",
        side="centre",
        kind="string",
        default=None,
        example="3.2.0",
        description="The same for the version of Airflow that a worker runs tasks with. Default: any.",
    ),
    Setting(
        name="metrics_retention",
        side="centre",
        kind="string",
        default="7d",
        example="36h",
        description=(
            "How long the measurements of workers (processor, memory, disk, network, link) are kept for the charts, "
            "one a minute: seconds, or a number with a unit (`90s`, `30m`, `12h`, `2d`). 0 to keep none."
        ),
    ),
    Setting(
        name="worker_concurrency",
        side="site",
        kind="integer",
        default="8",
        description="How many slots a worker has, where `-c` does not say. A task takes as many as its `pool_slots`.",
    ),
    Setting(
        name="worker_umask",
        side="site",
        kind="string",
        default="0o077",
        description="The umask (octal) of a worker in the background, where `-u` does not say.",
    ),
    Setting(
        name="state_dir",
        side="site",
        kind="string",
        default=None,
        example="/var/lib/airflow-edge",
        description=(
            "The worker's own folder: its key, its journal, the folders of its jobs. Default: `edge` in "
            "`$AIRFLOW_HOME`. Two workers "
            "on one machine need two folders."
        ),
    ),
    Setting(
        name="ca_file",
        side="site",
        kind="string",
        default=None,
        example="/etc/ssl/private-ca.pem",
        description=(
            "A file of PEM certificates to trust besides the system's, for a centre with a private certificate "
            "authority."
        ),
    ),
    Setting(
        name="min_free_disk",
        side="site",
        kind="integer",
        default="100",
        description=(
            "MiB that have to be free on the disk of the worker's state folder for it to take new jobs. With less it "
            "says so in its status and to the centre; its running jobs go on, and it takes new ones as soon as there "
            "is room. 0 to "
            "not look."
        ),
    ),
    Setting(
        name="local_log_max_age",
        side="site",
        kind="float",
        default="7",
        description=(
            "Days for which the logs of finished jobs are kept at the site, where `airflow-edge logs` reads them. 0 "
            "keeps none."
        ),
    ),
    Setting(
        name="local_log_max_size",
        side="site",
        kind="float",
        default="512",
        description="MiB that the kept logs may take together; the oldest go first. 0 keeps none.",
    ),
    Setting(
        name="local_log_min_free",
        side="site",
        kind="float",
        default="1024",
        description="MiB that have to stay free on the disk of the state folder; while less is free, kept logs go.",
    ),
    Setting(
        name="worker_log_max_size",
        side="site",
        kind="float",
        default="10",
        description=(
            "MiB after which the files of the worker's own log, `agent.log` and `runtime.log` in the state folder, are "
            "begun anew."
        ),
    ),
    Setting(
        name="worker_log_backups",
        side="site",
        kind="integer",
        default="3",
        description="How many older files of each of the two are kept.",
    ),
    Setting(
        name="worker_log_level",
        side="site",
        kind="string",
        default="off",
        example="warning",
        description=(
            "From which level on the worker always sends its own log to the centre: `debug`, `info`, `warning`, "
            "`error`, `critical`, or `off`. On request, by `airflow edge worker-logs`, it is sent whatever this says."
        ),
    ),
    Setting(
        name="worker_log_quota",
        side="centre",
        kind="float",
        default="1",
        description=(
            "MiB of a worker's own log that the centre keeps, compressed; the oldest goes first. The logs of tasks do "
            "not count."
        ),
    ),
    Setting(
        name="worker_log_purge",
        side="centre",
        kind="float",
        default="7",
        description="Days after which the centre deletes what it has of the workers' own logs.",
    ),
    Setting(
        name="extended_system_info_function",
        side="site",
        kind="string",
        default=None,
        example="factory.health.system_info",
        description=(
            "A function of your own, as a dotted path, that says more about the machine: `async def system_info() -> "
            "dict[str, str | int | float | datetime]`, without arguments. What it gives is shown with the worker. Its "
            "`status`, a level of Python's logging (20 info, 30 warning, 40 error), drives "
            "`automatic_maintenance_on`, and `status_text` says why. It runs within the worker, in a thread of its "
            "own, every 5 seconds, and has 10 seconds to answer. Import what is light: Airflow takes seconds and 100 "
            "MB."
        ),
    ),
    Setting(
        name="automatic_maintenance_on",
        side="site",
        kind="string",
        default="Off",
        example="Error",
        description=(
            "Whether the worker goes into maintenance by itself: `Error` when `extended_system_info_function` gives "
            "the status error, `Warning` when it gives warning or error, `Off` never. It does so while the centre is "
            "out of reach, too."
        ),
    ),
    Setting(
        name="automatic_maintenance_exit",
        side="site",
        kind="string",
        default="Off",
        example="Info",
        description=(
            "Whether a worker that went into maintenance by itself leaves it by itself: `Info` when the status is "
            "info again, `Warning` when it is info or warning, `Off` never. A maintenance that a person asked for, or "
            "has commented on, stays until a person ends it."
        ),
    ),
    Setting(
        name="task_stop_grace",
        side="site",
        kind="float",
        default="3",
        description=(
            "Seconds between SIGTERM, which lets a task's `on_kill` run, and SIGKILL when the centre has a task "
            "stopped or the "
            "worker is terminated."
        ),
    ),
    Setting(
        name="log_bandwidth",
        side="site",
        kind="string",
        default=None,
        example="64k",
        description=(
            "Bytes a second that task logs may take on the way to the centre, compressed and on the average; `k`, `M` "
            "and `G` stand for powers of 1024. Default: no limit. Outcomes and heartbeats are never held back by it."
        ),
    ),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def environment_variable(name: str) -> str:
    """Give the environment variable that sets this option."""
    return f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
