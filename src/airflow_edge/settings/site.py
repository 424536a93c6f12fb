"""The settings of a site: of a worker."""

from __future__ import annotations

from functools import partial
from typing import Final

from airflow_edge.settings.setting import Setting

_site = partial(Setting, side="site")

SITE: Final = (
    _site(
        name="api_url",
        default=None,
        example="https://airflow.example.org",
        description="Where the worker finds Airflow's API server: its base URL. The old form that ends in "
        "`/edge_worker/v1/rpcapi` is accepted too. Enrolment stores the URL, so that an enrolled worker needs this "
        "only when the address has changed.",
    ),
    _site(
        name="worker_concurrency",
        default=8,
        unit="slots",
        least=1,
        most=10_000,
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
        name="keep_children",
        default=False,
        description="Whether processes that a task has started may live on when it has ended. Otherwise they end with "
        "it, also where they lead a session of their own (`setsid`, `nohup`, a daemon). Linux only: elsewhere what has "
        "ended its own parent lives on.",
    ),
    _site(
        name="site_policy",
        default=None,
        guards=True,
        example="/etc/airflow-edge/policy.toml",
        description="A TOML file in which the owner of the machine says which jobs are taken here, whatever the centre "
        "offers. It is root's or the worker's, and nobody else may write to it. Read again when it changes; one that "
        "cannot be read any more leaves its last good version in force, and until there was a good one no job is "
        "taken. Default: none, the centre decides.",
    ),
    _site(
        name="agent_user",
        default=None,
        guards=True,
        example="airflow-edge",
        description="Where the worker is started by root (Linux): the user that it is from then on, whose alone are "
        "its key, its journal, its sockets and the files of jobs. Goes with `task_user`. Default: worker and tasks are "
        "whoever has started it, and a task can do all that the worker can.",
    ),
    _site(
        name="task_user",
        default=None,
        guards=True,
        example="airflow-task",
        description="Where the worker is started by root (Linux): the user that tasks are, another one than "
        "`agent_user`. `run_as_user` of a Dag goes on from there, by `sudo`, which has to allow it.",
    ),
    _site(
        name="site_secrets",
        default=None,
        guards=True,
        example="/etc/airflow-edge/secrets.toml",
        description="A file (TOML) that says where connections and variables are kept at the site, and which Dags may "
        "have them: a folder of files, systemd's credentials, or a secrets backend of Airflow's. What is there never "
        "leaves the site, and the centre is not asked for it. A change counts at once. Default: the centre is asked "
        "for everything.",
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
