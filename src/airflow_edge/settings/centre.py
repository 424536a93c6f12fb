"""The settings of the centre: of Airflow's own processes."""

from __future__ import annotations

from functools import partial
from typing import Final

from airflow_edge.settings.setting import Setting

_centre = partial(Setting, side="centre")

CENTRE: Final = (
    _centre(
        name="api_enabled",
        default=False,
        description="Whether the API server serves edge workers. While it is off, a worker's call is answered with "
        "what to set.",
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
        name="start_timeout",
        default=300.0,
        unit="seconds",
        least=10,
        most=86_400,
        description="Seconds that a linked worker has to begin with a task that it has accepted; after that the job "
        "goes back into the queue. Until a task has begun, its worker may ask for nothing else on its behalf.",
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
        name="call_max_size",
        default=16.0,
        unit="MiB",
        least=1,
        most=64,
        description="MiB that a task's call (an XCom, a variable, a state with its values) may send, and that the "
        "calls of one worker that are under way may take in the API server's memory together. A longer one is refused.",
    ),
    _centre(
        name="call_memory",
        default=32.0,
        unit="MiB",
        least=8,
        most=100_000,
        description="MiB that what workers send may take in the memory of one API server process while it is worked "
        "on, of all workers together. What finds no room waits, and is answered with 503 after half a minute: workers "
        "then try again. Airflow itself takes several times a value's size to read it.",
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
        name="log_max_size",
        default=1024.0,
        unit="MiB",
        least=0.001,
        most=10**9,
        description="MiB that are kept of the log of one try of a task, uncompressed. A longer one is cut there, with "
        "a line that says so, and the worker sends no more of it; the site keeps all of it for a while "
        "(`local_log_max_age`).",
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
    _centre(
        name="policy_file",
        default=None,
        guards=True,
        example="/etc/airflow-edge/policy.yaml",
        description="A file (JSON, TOML or YAML) that says what tasks may ask of the centre, for those who keep it in "
        "git. It is read again when it changes, in every API server, and `airflow edge policy set` is refused then. "
        "While it cannot be read, what it said before stays in force; where it never could be, all that needs a grant "
        "is denied. Default: the policy is kept in the database, and where there is none, tasks may whatever Airflow "
        "lets them.",
    ),
    _centre(
        name="policy_use_purge",
        default=30.0,
        unit="days",
        least=1,
        most=3650,
        description="Days after which the centre deletes what it has counted of what tasks ask for, from which "
        "`airflow edge policy suggest` makes a policy. It is counted on queues whose mode is `report` or `enforce`.",
    ),
)
