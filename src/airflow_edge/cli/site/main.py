"""`airflow-edge`: what a person types at a site. Airflow is never imported, and nothing before it is needed."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from airflow_edge import __version__
from airflow_edge.cli.example import as_epilog

EXIT_STATUSES: Final = """\
exit statuses:
   0  it is done
   1  anything that has no status of its own
   2  a flag or setting that makes no sense
   3  not enrolled, the key must not be used, or the state folder is another user's
   4  a worker is already running in this state folder
   5  the URL is wrong, or no Airflow API server answers there
   6  the certificate is not trusted
   7  the API server does not serve edge workers ([edge] api_enabled)
   8  the centre refuses: revoked, unknown worker, name taken, token spent
   9  the clocks differ too much
  10  no worker runs in this state folder
"""

LONGEST_TIMEOUT: Final = 7 * 86_400

INTERRUPTED: Final = 130
"""The exit status of a program that was ended by Ctrl-C, as shells give it."""


class Command(NamedTuple):
    """How a command is described: never without an example."""

    name: str
    handler: str
    """`module:function`, imported only when the command is called."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    text: str
    """What it does, in a line."""
    example: str
    """See `as_epilog`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; give its exit status, and tell a person in one line what went wrong."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 2
    from airflow_edge.agent.errors import AgentError, unusable
    from airflow_edge.cli.pipes import while_somebody_reads

    command: Callable[[argparse.Namespace], int] = pkgutil.resolve_name(arguments.handler)
    try:
        try:
            with while_somebody_reads():
                return command(arguments)
        except OSError as error:
            # Of a file that has a name: what else may go wrong is told where it does.
            if error.filename is None:
                raise
            raise unusable(Path(os.fsdecode(error.filename)), error) from error
    except AgentError as error:
        sys.stderr.write(f"airflow-edge: {' '.join(str(error).split())}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands and their flags."""
    parser = argparse.ArgumentParser(
        prog="airflow-edge",
        description="Run Airflow tasks on this machine, with nothing but outbound HTTPS to Airflow's API server.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for each in COMMANDS:
        command = commands.add_parser(
            each.name,
            help=each.text,
            description=f"{each.text[0].upper()}{each.text[1:]}.",
            epilog=as_epilog(each.example),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        each.add_arguments(command)
        command.set_defaults(handler=each.handler)
    return parser


def _enroll(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", nargs="?", help="Airflow's base URL (default: [edge] api_url)")
    parser.add_argument(
        "token", metavar="TOKEN", nargs="?", help="from `airflow edge enroll-token create`; - to read it from the input"
    )
    parser.add_argument("--name", help="the worker's name (default: the host's)")
    parser.add_argument("--force", action="store_true", help="enrol anew where this state folder is enrolled already")
    parser.add_argument(
        "--insecure", action="store_true", help="take http:// to another machine, where everybody on the way can listen"
    )
    parser.add_argument(
        "--shared-secret", action="store_true", help="prove to know [api_auth] jwt_secret instead of giving a token"
    )
    parser.add_argument("-q", "--queues", help="with --shared-secret: the queues to serve, separated by commas")
    _add_trust(parser)
    _add_state_dir(parser)


def _file(text: str) -> Path:
    """In the background the working directory is another one."""
    from airflow_edge.agent.config import absolute

    return absolute(text)


def _worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--concurrency", help="slots (default: [edge] worker_concurrency)")
    parser.add_argument(
        "-q",
        "--queues",
        help="only these of the worker's queues, separated by commas, besides those that the centre adds later",
    )
    parser.add_argument("-H", "--edge-hostname", metavar="NAME", help="the worker's name, where it enrols itself")
    parser.add_argument("--pid", type=_file, metavar="FILE", help="where to write the pid too")
    parser.add_argument("-D", "--daemon", action="store_true", help="go on in the background")
    parser.add_argument(
        "--stdout", type=_file, metavar="FILE", help="in the background: where stdout goes (default: the log file)"
    )
    parser.add_argument(
        "--stderr", type=_file, metavar="FILE", help="in the background: where stderr goes (default: the log file)"
    )
    parser.add_argument(
        "-l",
        "--log-file",
        type=_file,
        metavar="FILE",
        help="the log in place of stderr (agent.log in the state folder is written too)",
    )
    parser.add_argument("-u", "--umask", help="in the background: the umask, octal (default: [edge] worker_umask)")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    _add_trust(parser)
    _add_state_dir(parser)


def _stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-w", "--wait", action="store_true", help="return only when the worker has ended")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="end the tasks that are still there after so long: SIGTERM, [edge] task_stop_grace, SIGKILL "
        "(default: wait for them for ever)",
    )
    _add_state_dir(parser)


def _maintenance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("maintenance", choices=("on", "off"), help="into maintenance, or out of it")
    parser.add_argument("-c", "--comments", help="why, for those who look at the worker; needed with `on`")
    parser.add_argument("-w", "--wait", action="store_true", help="return only when the last task has ended")
    _add_state_dir(parser)


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events",
        action="store_true",
        help="what has happened lately instead: the last 500 events, each with what the worker did about it",
    )
    _add_state_dir(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="Airflow's base URL (default: the one enrolled at, or [edge] api_url)")
    parser.add_argument("--skip-runtime", action="store_true", help="start no runtime, which takes seconds")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default: text)")
    _add_trust(parser)
    _add_state_dir(parser)


def _logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "job", metavar="JOB", nargs="?", help="its id, the beginning of that, or DAG/RUN/TASK with * for whatever"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    parser.add_argument("--raw", action="store_true", help="print the bytes as the task wrote them")
    _add_state_dir(parser)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds between 0 and {LONGEST_TIMEOUT}")
    return seconds


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ca-file", metavar="FILE", help="PEM file with certificates to trust besides the system's")
    parser.add_argument("--client-cert", metavar="FILE", help="PEM file with this machine's own certificate for TLS")
    parser.add_argument("--client-key", metavar="FILE", help="its key, where that is in another file")


def _add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state-dir", metavar="FOLDER", help="the worker's own folder (default: [edge] state_dir)")


COMMANDS: Final = (
    Command(
        "enroll",
        "airflow_edge.cli.site.enroll:enroll",
        _enroll,
        "make this machine a worker of an Airflow",
        """
$ airflow-edge enroll https://airflow.example.org edge_…
enrolled as 'press-7' for the queue plc; start the worker with
`airflow-edge worker`
""",
    ),
    Command(
        "worker",
        "airflow_edge.cli.site.worker:work",
        _worker,
        "run the worker",
        "$ airflow-edge worker --concurrency 8 --queues plc,camera",
    ),
    Command(
        "check",
        "airflow_edge.cli.site.check:check",
        _check,
        "find out whether a worker could work here, and what to do if not",
        """
$ airflow-edge check --url https://airflow.example.org
OK     airflow-edge 0.1.0, Python 3.12.3, apache-airflow-task-sdk 1.3.2
WRONG  there are no Dags; no task can run here: the Dags folder /path/to/dags
is not there; put the Dags there, …
""",
    ),
    Command(
        "stop",
        "airflow_edge.cli.site.worker:stop",
        _stop,
        "have the worker finish its tasks and end",
        """
$ airflow-edge stop --wait --timeout 600
the worker 'press-7' (pid 4711) ends, after 2 tasks; those that are left in
600 s are ended
""",
    ),
    Command(
        "maintenance",
        "airflow_edge.cli.site.worker:maintenance",
        _maintenance,
        "have the worker take no new task, or take tasks again",
        """
$ airflow-edge maintenance on --comments "new disk" --wait
the worker 'press-7' is in state 'maintenance mode', with 0 tasks
""",
    ),
    Command(
        "status",
        "airflow_edge.cli.site.worker:status",
        _status,
        "print what the worker does, as JSON",
        """
$ airflow-edge status | jq .state
"running"
$ airflow-edge status --events | jq -r '.[].event' | tail -1
JobStarted(job_id='0191d6c4-…', assignment=1, pid=4711)
""",
    ),
    Command(
        "logs",
        "airflow_edge.cli.site.logs:logs",
        _logs,
        "list the logs of jobs that are here, or print one",
        "$ airflow-edge logs 'press_check/*/temperature' --follow",
    ),
)


if __name__ == "__main__":
    sys.exit(main())
