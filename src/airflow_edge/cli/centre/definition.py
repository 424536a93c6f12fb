"""The commands of `airflow edge`. Every `airflow` command reads this, so it imports next to nothing."""

from __future__ import annotations

import argparse
import sys

from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg, GroupCommand

from airflow_edge.cli.centre.describing import arg, command, duration, grace, grace_or_default, positive
from airflow_edge.cli.centre.fleet_definition import FLEET_COMMANDS


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
        description=f"{text} The same as `airflow-edge {name}`.",
        example=f"$ airflow edge {name} {words}",
    )


_TOKEN_COMMANDS = (
    command(
        "create",
        "Create a token with which a worker can enrol, and print the command for the site",
        "tokens.create_enroll_token",
        arg("-q", "--queues", help="Comma-separated queues to serve. Default: [operators] default_queue"),
        arg("-t", "--team", help="The team whose tasks the worker runs ([core] multi_team)"),
        arg("-n", "--name-pattern", help="A glob that the worker's name has to match, like 'factory-*'"),
        arg("--ttl", help="How long it can be used: 30m, 1h, 7d … Default: 1h", type=duration, default="1h"),
        arg("--uses", help="How many workers may enrol with it. Default: 1", type=positive, default=1),
        arg(
            "--disconnect-grace",
            help="How long the worker's jobs are waited for while it is out of reach: 90s, 30m, 12h, 2d … "
            "Default: what [edge] queue_disconnect_grace or disconnect_grace says",
            type=grace,
        ),
        arg("--api-url", help="The API server's URL as the site sees it. Default: [api] base_url"),
        arg(
            "-o",
            "--output",
            help="Output format: table (default) or json",
            choices=("table", "json"),
            default="table",
        ),
        ARG_VERBOSE,
        example="""
$ airflow edge enroll-token create --queues plc,camera \\
    --name-pattern 'factory-*' --uses 4 --ttl 2h
""",
    ),
    command(
        "list",
        "List the enrolment tokens (their secrets are not kept)",
        "tokens.list_enroll_tokens",
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="$ airflow edge enroll-token list --output yaml",
    ),
    command(
        "revoke",
        "Revoke an enrolment token; workers enrolled with it stay",
        "tokens.revoke_enroll_token",
        arg("token_id", metavar="ID", help="The token's id, as `list` shows it"),
        ARG_VERBOSE,
        example="""
$ airflow edge enroll-token revoke 1f0c6f0e-5d8b-4c55-9a55-0d6f3f0c8a4e
Enrolment token 1f0c6f0e-5d8b-4c55-9a55-0d6f3f0c8a4e is revoked.
""",
    ),
)

_COMMANDS = (
    GroupCommand(name="enroll-token", help="Manage the tokens with which workers enrol", subcommands=_TOKEN_COMMANDS),
    command(
        "list-workers",
        "List the enrolled workers",
        "workers.list_workers",
        arg("-s", "--state", nargs="+", help="Only in these states, like 'maintenance mode'"),
        arg("--worker-name-pattern", metavar="PATTERN", help="Only with names like this, as in 'factory-*'"),
        arg("-q", "--queue", help="Only those that serve this queue"),
        arg("-t", "--team", help="Only those of this team"),
        ARG_OUTPUT,
        ARG_VERBOSE,
        example="""
$ airflow edge list-workers --worker-name-pattern 'factory-*' \\
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
        ARG_VERBOSE,
        example="""
$ airflow edge set-disconnect-grace factory-7 12h
Jobs of 'factory-7' are waited for 12h while the worker is out of reach.
""",
    ),
    *FLEET_COMMANDS,
    command(
        "check",
        "Look at the centre's configuration and say what to set",
        "check.check",
        arg("--api-url", help="The API server's URL as sites see it. Default: [api] base_url"),
        ARG_VERBOSE,
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
        ARG_VERBOSE,
        example="$ airflow edge worker-logs factory-7 --level warning --lines 20 --follow",
    ),
    _at_the_site("enroll", "Make this machine a worker of an Airflow.", "https://airflow.example.org edge_9fKx2VbT"),
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
