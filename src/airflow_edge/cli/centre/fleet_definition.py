"""The commands of `airflow edge` about workers, jobs and queues: read by every `airflow` command, so light."""

from __future__ import annotations

from typing import Final

from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg

from airflow_edge.cli.centre.describing import arg, command, comment, seconds, slots, worker_name

PATIENCE: Final = 5.0
"""Seconds for which a command waits for the workers' answers."""


_WORKERS = arg("workers", metavar="WORKER", nargs="*", help="Names of workers, or patterns like 'factory-*'")
_HOSTNAME = arg("-H", "--edge-hostname", metavar="WORKER", nargs="+", help="The same, as other tools call it")
_COMMENT = arg("-c", "--comments", help="Why: people see it beside the worker", type=comment, required=True)
_QUEUES = arg("-q", "--queues", help="Comma-separated queues", required=True)
_PATIENCE = arg(
    "-w",
    "--wait",
    dest="patience",
    metavar="SECONDS",
    type=seconds,
    default=PATIENCE,
    help=f"How long to wait for the workers' answers. Default: {PATIENCE:g}. What they do later, they do all the same",
)


def _about_workers(name: str, function: str, text: str, *args: Arg, example: str, waits: bool = True) -> ActionCommand:
    """Describe a command that takes several workers."""
    given = (_WORKERS, _HOSTNAME, *args, *([_PATIENCE] if waits else []), ARG_OUTPUT, ARG_VERBOSE)
    return command(name, text, f"workers.{function}", *given, example=example)


FLEET_COMMANDS: Final = (
    _about_workers(
        "remote-edge-worker-request-maintenance",
        "request_maintenance",
        "Have workers take no new task, until they are told to leave maintenance",
        _COMMENT,
        example="""
$ airflow edge remote-edge-worker-request-maintenance factory-7 \\
    --comments "new disk"
maintenance: 1 worker (factory-7)
 worker    | result   | order
-----------+----------+--------------------------------------
 factory-7 | done     | 8d5d8b1e-3f0f-4f0c-9e3b-6a53b8c8d1f2
""",
    ),
    _about_workers(
        "remote-edge-worker-update-maintenance-comment",
        "update_maintenance_comment",
        "Change the comment on workers' maintenance",
        _COMMENT,
        example="""
$ airflow edge remote-edge-worker-update-maintenance-comment factory-7 \\
    --comments "new disk, back on Monday"
""",
    ),
    _about_workers(
        "remote-edge-worker-exit-maintenance",
        "exit_maintenance",
        "Have workers in maintenance take tasks again",
        example="$ airflow edge remote-edge-worker-exit-maintenance 'factory-*'",
    ),
    _about_workers(
        "shutdown-remote-edge-worker",
        "shutdown_worker",
        "Have workers finish their tasks and end",
        example="$ airflow edge shutdown-remote-edge-worker factory-7 factory-8 --wait 30",
    ),
    command(
        "shutdown-all-workers",
        "Have every linked worker finish its tasks and end",
        "workers.shutdown_all_workers",
        arg("-y", "--yes", help="Don't ask", action="store_true"),
        _PATIENCE,
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="""
$ airflow edge shutdown-all-workers
Shut down 2 workers (factory-7, factory-8)? They finish their jobs, and
nothing starts them again [y/N]
""",
    ),
    _about_workers(
        "restart-worker",
        "restart_worker",
        "Have workers replace their agent; their tasks go on",
        example="$ airflow edge restart-worker 'factory-*' --wait 60 --output json",
    ),
    _about_workers(
        "set-worker-concurrency",
        "set_worker_concurrency",
        "Set how many slots workers have; it outlives their restarts",
        arg("-c", "--concurrency", help="The number of slots", type=slots, required=True),
        example="$ airflow edge set-worker-concurrency factory-7 --concurrency 16",
    ),
    command(
        "rename-worker",
        "Give a worker another name",
        "workers.rename_worker",
        arg("name", metavar="NAME", help="The worker's name"),
        arg("new_name", metavar="NEW_NAME", help="Its new one", type=worker_name),
        _PATIENCE,
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="$ airflow edge rename-worker factory-7 press-hall-2",
    ),
    _about_workers(
        "add-worker-queues",
        "add_worker_queues",
        "Have workers serve more queues, whatever they were started for",
        _QUEUES,
        waits=False,
        example="$ airflow edge add-worker-queues 'factory-*' --queues camera,gpu",
    ),
    _about_workers(
        "remove-worker-queues",
        "remove_worker_queues",
        "Have workers serve these queues no more; tasks that they have go on",
        _QUEUES,
        waits=False,
        example="$ airflow edge remove-worker-queues factory-7 --queues gpu",
    ),
    _about_workers(
        "revoke-worker",
        "revoke_worker",
        "Revoke workers' keys: they are cut off at once, and what they ran is lost",
        waits=False,
        example="$ airflow edge revoke-worker factory-7",
    ),
    _about_workers(
        "remove-remote-edge-worker",
        "remove_worker",
        "Forget workers that are offline or revoked",
        waits=False,
        example="$ airflow edge remove-remote-edge-worker factory-7",
    ),
    command(
        "list-jobs",
        "List jobs: tasks and callbacks on their way to workers and back",
        "jobs.list_jobs",
        arg("-s", "--state", nargs="+", help="Only in these states"),
        arg("-q", "--queue", help="Only of this queue"),
        arg("--worker", help="Only those of this worker"),
        arg("-t", "--team", help="Only of this team"),
        arg("--dag-id", help="Only of this Dag"),
        arg("--run-id", help="Only of this run"),
        arg("--limit", type=slots, default=100, help="How many, the newest first. Default: 100"),
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="$ airflow edge list-jobs --state queued running --queue plc --output yaml",
    ),
    command(
        "list-queues",
        "List queues: what waits and runs in them, and the workers and free slots that serve them",
        "jobs.list_queues",
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="$ airflow edge list-queues --output yaml",
    ),
    command(
        "explain-job",
        "Say in one sentence why a task is not running",
        "jobs.explain_job",
        arg("dag_id", metavar="DAG", help="The Dag's id"),
        arg("run_id", metavar="RUN", help="The run's id"),
        arg("task_id", metavar="TASK", help="The task's id"),
        arg("map_index", metavar="MAP_INDEX", nargs="?", type=int, default=-1, help="Of a mapped task"),
        ARG_VERBOSE,
        example="""
$ airflow edge explain-job presses manual__2026-01-15T08:00:00+00:00 read_plc
No worker serves queue 'plc' (nearest: 'plc2').
""",
    ),
)
