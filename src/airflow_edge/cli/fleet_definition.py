"""The commands of `airflow edge` about workers, jobs and queues: read by every `airflow` command, so light."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg, lazy_load_command

LONGEST_COMMENT: Final = 4096
"""Characters: `protocol.messages.MAX_TEXT`, which is not imported for every `airflow` command."""
PATIENCE: Final = 5.0
"""Seconds for which a command waits for the workers' answers."""


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return float(text)


def _slots(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 1 and 100000")
    return int(text)


def comment(text: str) -> str:
    """Read what people are to see beside a worker.

    :raises argparse.ArgumentTypeError: it is empty or too long.
    """
    if not 1 <= len(text.strip()) <= LONGEST_COMMENT:
        raise argparse.ArgumentTypeError(f"a comment has between 1 and {LONGEST_COMMENT} characters")
    return text


def worker_name(text: str) -> str:
    """Read a worker's new name.

    :raises argparse.ArgumentTypeError: no worker can be called so.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' cannot be a worker's name: it has to begin with a letter or digit and to consist of at most 200 "
            "letters, digits and . _ @ -"
        )
    return text


def _arg(*flags: str, **options: Any) -> Arg:
    return Arg(flags, **options)  # type: ignore[no-untyped-call]


_WORKERS = _arg("workers", metavar="WORKER", nargs="*", help="Names of workers, or patterns like 'factory-*'")
_HOSTNAME = _arg("-H", "--edge-hostname", metavar="WORKER", nargs="+", help="The same, as other tools call it")
_COMMENT = _arg("-c", "--comments", help="Why: people see it beside the worker", type=comment, required=True)
_QUEUES = _arg("-q", "--queues", help="Comma-separated queues", required=True)
_PATIENCE = _arg(
    "-w",
    "--wait",
    dest="patience",
    metavar="SECONDS",
    type=_seconds,
    default=PATIENCE,
    help=f"How long to wait for the workers' answers. Default: {PATIENCE:g}. What they do later, they do all the same",
)
_QUEUE = _arg("-q", "--queue", help="Only of this queue")


def _about_workers(name: str, function: str, text: str, *args: Arg, waits: bool = True) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=text,
        func=lazy_load_command(f"airflow_edge.cli.fleet.{function}"),
        args=(_WORKERS, _HOSTNAME, *args, *([_PATIENCE] if waits else []), ARG_OUTPUT, ARG_VERBOSE),
    )


FLEET_COMMANDS: Final = (
    _about_workers(
        "remote-edge-worker-request-maintenance",
        "request_maintenance",
        "Have workers take no new task, until they are told to leave maintenance",
        _COMMENT,
    ),
    _about_workers(
        "remote-edge-worker-update-maintenance-comment",
        "update_maintenance_comment",
        "Change the comment on workers' maintenance",
        _COMMENT,
    ),
    _about_workers(
        "remote-edge-worker-exit-maintenance", "exit_maintenance", "Have workers in maintenance take tasks again"
    ),
    _about_workers("shutdown-remote-edge-worker", "shutdown_worker", "Have workers finish their tasks and end"),
    ActionCommand(
        name="shutdown-all-workers",
        help="Have every linked worker finish its tasks and end",
        func=lazy_load_command("airflow_edge.cli.fleet.shutdown_all_workers"),
        args=(_arg("-y", "--yes", help="Don't ask", action="store_true"), _PATIENCE, ARG_OUTPUT, ARG_VERBOSE),
    ),
    _about_workers("restart-worker", "restart_worker", "Have workers replace their agent; their tasks go on"),
    _about_workers(
        "set-worker-concurrency",
        "set_worker_concurrency",
        "Set how many slots workers have; it outlives their restarts",
        _arg("-c", "--concurrency", help="The number of slots", type=_slots, required=True),
    ),
    ActionCommand(
        name="rename-worker",
        help="Give a worker another name",
        func=lazy_load_command("airflow_edge.cli.fleet.rename_worker"),
        args=(
            _arg("name", metavar="NAME", help="The worker's name"),
            _arg("new_name", metavar="NEW_NAME", help="Its new one", type=worker_name),
            _PATIENCE,
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    ),
    _about_workers(
        "add-worker-queues",
        "add_worker_queues",
        "Have workers serve more queues, whatever they were started for",
        _QUEUES,
        waits=False,
    ),
    _about_workers(
        "remove-worker-queues",
        "remove_worker_queues",
        "Have workers serve these queues no more; tasks that they have go on",
        _QUEUES,
        waits=False,
    ),
    _about_workers(
        "revoke-worker",
        "revoke_worker",
        "Revoke workers' keys: they are cut off at once, and what they ran is lost",
        waits=False,
    ),
    _about_workers(
        "remove-remote-edge-worker", "remove_worker", "Forget workers that are offline or revoked", waits=False
    ),
    ActionCommand(
        name="list-jobs",
        help="List jobs: tasks and callbacks on their way to workers and back",
        func=lazy_load_command("airflow_edge.cli.fleet.list_jobs"),
        args=(
            _arg("-s", "--state", nargs="+", help="Only in these states"),
            _QUEUE,
            _arg("--worker", help="Only those of this worker"),
            _arg("-t", "--team", help="Only of this team"),
            _arg("--dag-id", help="Only of this Dag"),
            _arg("--run-id", help="Only of this run"),
            _arg("--limit", type=_slots, default=100, help="How many, the newest first. Default: 100"),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    ),
    ActionCommand(
        name="list-queues",
        help="List queues: what waits and runs in them, and the workers and free slots that serve them",
        func=lazy_load_command("airflow_edge.cli.fleet.list_queues"),
        args=(ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="explain-job",
        help="Say in one sentence why a task is not running",
        func=lazy_load_command("airflow_edge.cli.fleet.explain_job"),
        args=(
            _arg("dag_id", metavar="DAG", help="The Dag's id"),
            _arg("run_id", metavar="RUN", help="The run's id"),
            _arg("task_id", metavar="TASK", help="The task's id"),
            _arg("map_index", metavar="MAP_INDEX", nargs="?", type=int, default=-1, help="Of a mapped task"),
            ARG_VERBOSE,
        ),
    ),
)
