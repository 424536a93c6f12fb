"""The commands of `airflow edge`. Every `airflow` command reads this, so it imports next to nothing."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand

from airflow_edge.cli.centre.describing import (
    arg,
    command,
    comment,
    grace_or_default,
    moment,
    positive,
    seconds,
    slots,
    worker_name,
)
from airflow_edge.cli.centre.key_commands import KEY_COMMANDS, TOKEN_COMMANDS
from airflow_edge.cli.centre.policy_commands import POLICY_COMMANDS


class _Everything(Arg):
    """All that follows, options too, unread: the worker's own command line reads it."""

    def __init__(self) -> None:
        super().__init__(flags=("arguments",), nargs=argparse.REMAINDER)  # type: ignore[no-untyped-call]

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        """Make the parser take options for plain words: argparse refuses a leading one it does not know."""
        parser.prefix_chars = "\0"
        super().add_to_parser(parser)


def _at_the_site(name: str, text: str, words: str) -> ActionCommand:
    """Describe the other name of a command of `airflow-edge`; `words` follow it in the example."""

    def call(args: argparse.Namespace) -> None:
        from airflow_edge.cli.site.main import main

        sys.exit(main([name, *args.arguments]))

    return command(
        name,
        text,
        call,
        _Everything(),
        verbose=False,
        description=f"{text} The same as `airflow-edge {name}`.",
        example=f"$ airflow edge {name} {words}",
    )


_LISTED = (
    arg(
        "-o",
        "--output",
        help="Output format: table (default), wide for all columns, json, yaml or plain",
        metavar="(table, wide, json, yaml, plain)",
        choices=("table", "wide", "json", "yaml", "plain"),
        default="table",
    ),
    arg("--watch", help="Show it again every 2 s until Ctrl-C", action="store_true"),
)

PATIENCE: Final = 5.0
"""Seconds for which a command waits for the workers' answers."""

_WORKERS = arg("workers", metavar="WORKER", nargs="*", help="Names of workers, or patterns like 'press-*'")
_HOSTNAME = arg("-H", "--edge-hostname", metavar="WORKER", nargs="+", help="The same, as other tools call it")
_COMMENT = arg("-c", "--comments", help="Why: people see it beside the worker", type=comment, required=True)
_QUEUES = arg("-q", "--queues", help="Comma-separated queues", required=True)
_THESE_QUEUES = arg("queues", metavar="QUEUE", nargs="+", help="A queue's name")
_OF_TEAM = arg("-t", "--team", help="The team whose queues they are ([core] multi_team)")
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
    given = (_WORKERS, _HOSTNAME, *args, *([_PATIENCE] if waits else []), ARG_OUTPUT)
    return command(name, text, f"workers.{function}", *given, example=example)


FLEET_COMMANDS: Final = (
    _about_workers(
        "remote-edge-worker-request-maintenance",
        "request_maintenance",
        "Have workers take no new task, until they are told to leave maintenance, or until a time",
        _COMMENT,
        arg(
            "--until",
            metavar="TIME",
            type=moment,
            help="When it ends by itself: in 90s, 30m, 12h, 2d …, or a time like 2026-01-15T18:00. Default: never",
        ),
        example="""
$ airflow edge remote-edge-worker-request-maintenance press-7 \\
    --comments "new disk" --until 2h
maintenance: 1 worker (press-7)
 worker   | result   | order
----------+----------+--------------------------------------
 press-7  | done     | 8d5d8b1e-3f0f-4f0c-9e3b-6a53b8c8d1f2
""",
    ),
    _about_workers(
        "remote-edge-worker-update-maintenance-comment",
        "update_maintenance_comment",
        "Change the comment on workers' maintenance",
        _COMMENT,
        example="""
$ airflow edge remote-edge-worker-update-maintenance-comment press-7 \\
    --comments "new disk, back on Monday"
""",
    ),
    _about_workers(
        "remote-edge-worker-exit-maintenance",
        "exit_maintenance",
        "Have workers in maintenance take tasks again",
        example="$ airflow edge remote-edge-worker-exit-maintenance 'press-*'",
    ),
    _about_workers(
        "shutdown-remote-edge-worker",
        "shutdown_worker",
        "Have workers finish their tasks and end",
        example="$ airflow edge shutdown-remote-edge-worker press-7 press-8 --wait 30",
    ),
    command(
        "shutdown-all-workers",
        "Have every linked worker finish its tasks and end",
        "workers.shutdown_all_workers",
        arg("-y", "--yes", help="Don't ask", action="store_true"),
        _PATIENCE,
        ARG_OUTPUT,
        example="""
$ airflow edge shutdown-all-workers
Shut down 2 workers (press-7, press-8)? They finish their jobs, and
nothing starts them again [y/N]
""",
    ),
    _about_workers(
        "restart-worker",
        "restart_worker",
        "Have workers replace their agent; their tasks go on",
        example="$ airflow edge restart-worker 'press-*' --wait 60 --output json",
    ),
    _about_workers(
        "set-worker-concurrency",
        "set_worker_concurrency",
        "Set how many slots workers have; it outlives their restarts",
        arg("-c", "--concurrency", help="The number of slots", type=slots, required=True),
        example="$ airflow edge set-worker-concurrency press-7 --concurrency 16",
    ),
    command(
        "rename-worker",
        "Give a worker another name",
        "workers.rename_worker",
        arg("name", metavar="NAME", help="The worker's name"),
        arg("new_name", metavar="NEW_NAME", help="Its new one", type=worker_name),
        _PATIENCE,
        ARG_OUTPUT,
        example="$ airflow edge rename-worker press-7 press-hall-2",
    ),
    command(
        "test-worker",
        "Have a worker run a test job, and say how it ended",
        "testing.test_worker",
        arg("worker", metavar="WORKER", help="The worker's name"),
        arg("--no-wait", help="Only ask for it", action="store_true"),
        description=(
            "Have a worker run a job that only proves that tasks could run there. It goes the way of every job, takes "
            "a slot for a moment and changes nothing. If it is not taken within 5 minutes, it is cancelled. The exit "
            "status is 0 only if it ended well."
        ),
        example="$ airflow edge test-worker press-7",
    ),
    _about_workers(
        "add-worker-queues",
        "add_worker_queues",
        "Have workers serve more queues, whatever they were started for",
        _QUEUES,
        waits=False,
        example="$ airflow edge add-worker-queues 'press-*' --queues camera,gpu",
    ),
    _about_workers(
        "remove-worker-queues",
        "remove_worker_queues",
        "Have workers serve these queues no more; tasks that they have go on",
        _QUEUES,
        waits=False,
        example="$ airflow edge remove-worker-queues press-7 --queues gpu",
    ),
    _about_workers(
        "revoke-worker",
        "revoke_worker",
        "Revoke workers' keys: they are cut off at once, and what they ran is lost",
        waits=False,
        example="$ airflow edge revoke-worker press-7",
    ),
    _about_workers(
        "remove-remote-edge-worker",
        "remove_worker",
        "Forget workers that are offline or revoked",
        waits=False,
        example="$ airflow edge remove-remote-edge-worker press-7",
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
        *_LISTED,
        example="$ airflow edge list-jobs --state queued running --queue plc --output yaml",
    ),
    command(
        "list-queues",
        "List queues: what waits and runs in them, and the workers and free slots that serve them",
        "jobs.list_queues",
        *_LISTED,
        example="$ airflow edge list-queues --output yaml",
    ),
    command(
        "pause-queue",
        "Hand out no job of these queues until they are resumed; those that run go on",
        "queues.pause_queue",
        _THESE_QUEUES,
        arg("-n", "--note", help="Why: people see it beside the queue", type=comment),
        _OF_TEAM,
        ARG_OUTPUT,
        example="$ airflow edge pause-queue plc --note 'the line is rebuilt'",
    ),
    command(
        "resume-queue",
        "Hand out the jobs of these queues again",
        "queues.resume_queue",
        _THESE_QUEUES,
        _OF_TEAM,
        ARG_OUTPUT,
        example="$ airflow edge resume-queue plc",
    ),
    command(
        "explain-job",
        "Say in one sentence why a task is not running, or what became of it",
        "jobs.explain_job",
        arg("dag_id", metavar="DAG", help="The Dag's id; alone: a job's id, or how it begins, as list-jobs shows it"),
        arg("run_id", metavar="RUN", nargs="?", help="The run's id"),
        arg("task_id", metavar="TASK", nargs="?", help="The task's id"),
        arg("map_index", metavar="MAP_INDEX", nargs="?", type=int, default=-1, help="Of a mapped task"),
        example="""
$ airflow edge explain-job press_check manual__2026-01-15T08:00 temperature
No worker serves queue 'plc' (nearest: 'plc2').
""",
    ),
)

_COMMANDS = (
    GroupCommand(name="enroll-token", help="Manage the tokens with which workers enrol", subcommands=TOKEN_COMMANDS),
    GroupCommand(name="policy", help="Say what tasks may ask of the centre", subcommands=POLICY_COMMANDS),
    GroupCommand(
        name="centre-key", help="The key with which the centre signs what workers do", subcommands=KEY_COMMANDS
    ),
    command(
        "list-workers",
        "List the enrolled workers",
        "workers.list_workers",
        arg("-s", "--state", nargs="+", help="Only in these states, like 'maintenance mode'"),
        arg("--worker-name-pattern", metavar="PATTERN", help="Only with names like this, as in 'press-*'"),
        arg("-q", "--queue", help="Only those that serve this queue"),
        arg("-t", "--team", help="Only those of this team"),
        *_LISTED,
        example="""
$ airflow edge list-workers --worker-name-pattern 'press-*' \\
    --state 'maintenance mode' unknown --output yaml
""",
    ),
    command(
        "set-disconnect-grace",
        "Say how long the jobs of single workers are waited for while those are out of reach; it holds at once",
        "workers.set_disconnect_grace",
        arg("names", metavar="WORKER", nargs="+", help="A worker's name"),
        arg(
            "grace",
            metavar="DURATION",
            type=grace_or_default,
            help="90s, 30m, 12h, 2d …, or 'default' for what the settings say",
        ),
        example="""
$ airflow edge set-disconnect-grace press-7 12h
Jobs of 'press-7' are waited for 12h while the worker is out of reach.
""",
    ),
    *FLEET_COMMANDS,
    command(
        "check",
        "Look at the centre's configuration and say what to set",
        "check.check",
        arg("--api-url", help="The API server's URL as sites see it. Default: [api] base_url"),
        description=(
            "Look at the centre's configuration, database and API server, and say line by line what is right and what "
            "to set. The exit status is 0 only if nothing has to be changed."
        ),
        example="$ airflow edge check --api-url https://airflow.example.org",
    ),
    command(
        "worker-logs",
        "Show a worker's own log, which it is asked for, or what the centre has of it",
        "worker_logs.worker_logs",
        arg("name", metavar="NAME", help="The worker's name"),
        arg("-f", "--follow", help="Go on with what is added, until Ctrl-C", action="store_true"),
        arg("-n", "--lines", help="How many past lines to begin with. Default: 100", type=positive, default=100),
        arg(
            "--level",
            help="The least level. Default: info",
            choices=("debug", "info", "warning", "error", "critical"),
            default="info",
        ),
        example="$ airflow edge worker-logs press-7 --level warning --lines 20 --follow",
    ),
    _at_the_site("enroll", "Make this machine a worker of an Airflow.", "https://airflow.example.org edge_…"),
    _at_the_site("worker", "Start the worker of this machine.", "--concurrency 8 --queues plc,camera"),
    _at_the_site("status", "Show what the worker of this machine does.", "| jq .state"),
    _at_the_site("stop", "Stop the worker of this machine.", "--wait --timeout 600"),
    _at_the_site(
        "maintenance",
        "Have the worker of this machine take no new task, or take tasks again.",
        'on --comments "new disk" --wait',
    ),
)


def get_edge_commands() -> list[GroupCommand]:
    """Give the commands for Airflow's command line."""
    return [GroupCommand(name="edge", help="Run and manage edge workers", subcommands=_COMMANDS)]
