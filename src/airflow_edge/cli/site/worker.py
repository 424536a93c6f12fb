"""`airflow-edge worker`, `stop` and `status`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from airflow_edge.agent.config import Config, load
from airflow_edge.agent.errors import AgentError, ConfigError, unusable
from airflow_edge.agent.journal.journal import unfinished_jobs
from airflow_edge.agent.net.identity import Identity, make_private_folder
from airflow_edge.agent.own_log.file import RotatingFile
from airflow_edge.agent.process.control import ask
from airflow_edge.agent.process.daemon import detach, has_begun_again, pid_file, wait_for_end
from airflow_edge.checking.findings import Mark
from airflow_edge.cli.site.enroll import ensure_enrolled, may_enroll_itself
from airflow_edge.cli.site.local import UNGUARDED, at_start
from airflow_edge.cli.site.users import as_begun, separate
from airflow_edge.protocol.messages import MAX_TEXT
from airflow_edge.site.inherited import settle, take_more_files
from airflow_edge.site.kernel import keep_others_out
from airflow_edge.texts import LineFormatter

log = logging.getLogger(__name__)

_LOOK_INTERVAL = 0.1
_MAINTAINED = frozenset({"maintenance mode", "offline maintenance"})
_AT_WORK = frozenset({"idle", "running"})


def work(arguments: argparse.Namespace) -> int:
    """Be the worker until told to end.

    :raises AgentError: it cannot run; the text says why, and what to do.
    """
    begun_again = has_begun_again()
    settle()
    config = load(
        {
            "worker_concurrency": arguments.concurrency,
            "worker_umask": arguments.umask,
            "state_dir": arguments.state_dir,
            "ca_file": arguments.ca_file,
            "client_cert": arguments.client_cert,
            "client_key": arguments.client_key,
        },
        name=arguments.edge_hostname,
        queues=arguments.queues,
    )
    _see_guarded(config)
    config = replace(config, open_files=take_more_files())
    separate(config)
    config = as_begun(config)
    # Before the key is read. A task that is the same user could read it in this process's memory otherwise, and in its
    # environment what a site was given of the centre's secrets.
    keep_others_out()
    _see_enrolled(config)
    if not arguments.daemon:
        _open_logs(config, arguments)
        return _run(config, arguments.pid)
    if not begun_again:
        with pid_file(config.lock_file):
            """Only to see, while a person is there to be told, that no worker runs here."""
        log_file = arguments.log_file or config.agent_log
        pid = detach(umask=config.umask, stdout=arguments.stdout or log_file, stderr=arguments.stderr or log_file)
        if pid:
            print(f"the worker runs in the background (pid {pid}), its log is {log_file}")
            return 0
    _open_logs(config, arguments)
    try:
        return _run(config, arguments.pid)
    except AgentError as error:
        log.error("%s", error)
        raise


def stop(arguments: argparse.Namespace) -> int:
    """Have the running worker take no new task and end with its last one, or when its time is over.

    :raises NotRunningError: there is none.
    :raises AgentError: its process has ended before its tasks, which is to be seen only by who waits.
    """
    config = load({"state_dir": arguments.state_dir})
    socket = config.control_socket
    running = ask(socket, "status")
    ask(socket, "drain", "" if arguments.timeout is None else str(arguments.timeout))
    until = "" if arguments.timeout is None else f"; those that are left in {arguments.timeout:g} s are ended"
    waits = f", after {_tasks(running['jobs'])}{until}" if running["jobs"] else "; no task runs there"
    print(f"the worker '{running['name']}' (pid {running['pid']}) ends{waits}")
    if arguments.wait:
        wait_for_end(config.lock_file)
        left, undelivered = unfinished_jobs(config.journal_file)
        if undelivered:
            print(
                f"the outcome or log of {undelivered} of its tasks is not at the centre completely; it is kept here, "
                "and sent when a worker is started here again",
                file=sys.stderr,
            )
        if left:
            raise AgentError(
                f"the worker's process has ended, and {left} of its tasks have not; they go on, and a worker that is "
                "started here now ends with the last of them, as it was told"
            )
    return 0


def maintenance(arguments: argparse.Namespace) -> int:
    """Have the running worker go into maintenance, or leave it.

    :raises NotRunningError: there is none.
    :raises ConfigError: there is no comment.
    """
    socket = load({"state_dir": arguments.state_dir}).control_socket
    wanted = arguments.maintenance == "on"
    if wanted and not arguments.comments:
        raise ConfigError("say why, for those who look at the worker meanwhile: --comments 'new disk'")
    if wanted and len(arguments.comments) > MAX_TEXT:
        raise ConfigError(f"--comments has {len(arguments.comments)} characters; say it in at most {MAX_TEXT}")
    if ask(socket, "status")["state"] == "terminating":
        raise AgentError("the worker is shutting down; it takes no new task anyway")
    ask(socket, "maintenance" if wanted else "exit maintenance", arguments.comments or "")
    reached = _MAINTAINED if wanted else _AT_WORK
    while arguments.wait and ask(socket, "status")["state"] not in reached:
        time.sleep(_LOOK_INTERVAL)
    running = ask(socket, "status")
    print(f"the worker '{running['name']}' is in state '{running['state']}', with {_tasks(running['jobs'])}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print what the running worker does, or what has happened to it lately.

    :raises NotRunningError: there is none.
    """
    answer = ask(load({"state_dir": arguments.state_dir}).control_socket, "events" if arguments.events else "status")
    print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    return 0


def _run(config: Config, pid: Path | None) -> int:
    from airflow_edge.agent.agent import run_agent

    _check_name(config, ensure_enrolled(config))
    for finding in at_start(config, os.environ):
        if finding.mark is not Mark.OK:
            log.warning("%s", finding.text)
    with pid_file(pid) if pid else contextlib.nullcontext():
        return run_agent(config)


def _see_guarded(config: Config) -> None:
    """See that nothing is misspelt by which somebody believes this machine guarded.

    :raises ConfigError: something is.
    """
    if astray := [str(one) for one in config.unread if one.guards]:
        raise ConfigError(f"{'; '.join(astray)}; what it is to keep out would not be: {UNGUARDED}")


def _see_enrolled(config: Config) -> None:
    """See that this is a worker, or can make itself one, before anything is written.

    :raises AgentError: the state folder is not there, as when its disk is not mounted yet: worth another attempt.
    :raises NotEnrolledError: it is there, and no worker's.
    """
    try:
        there = {found.name for found in config.state_dir.iterdir()}
    except FileNotFoundError:
        there = set()
    except OSError as error:
        raise unusable(config.state_dir, error) from error
    if config.identity_file.name in there:
        make_private_folder(config.state_dir)
        _check_name(config, Identity.load(config.identity_file))
    elif may_enroll_itself(config):
        make_private_folder(config.state_dir)
    elif there:
        Identity.load(config.identity_file)
    else:
        raise AgentError(
            f"nothing is in the state folder {config.state_dir}: if its disk is not mounted, mount it; if this is no "
            "worker yet, run the command that `airflow edge enroll-token create` prints at the centre"
        )


def _check_name(config: Config, identity: Identity) -> None:
    if config.name not in {None, identity.name, identity.first_name}:
        raise ConfigError(
            f"this worker is enrolled as '{identity.name}', and -H asks for '{config.name}'; leave -H out, or enrol "
            f"anew under that name: airflow-edge enroll URL TOKEN --name {config.name} --force"
        )


def _open_logs(config: Config, arguments: argparse.Namespace) -> None:
    """Log to the worker's own file, and to stderr or to what was asked for in its place.

    :raises AgentError: a file cannot be written.
    """
    # `airflow edge worker` brings those of Airflow, by which each line would stand there twice.
    logging.getLogger().handlers.clear()
    if handler := _second_log(config, arguments):
        handler.setFormatter(LineFormatter("%(asctime)s %(levelname)-7s %(message)s"))
        logging.getLogger().addHandler(handler)
    own_log = RotatingFile(config.agent_log, max_size=config.worker_log_max_size, backups=config.worker_log_backups)
    logging.getLogger().addHandler(own_log)
    # Only ours: the libraries' debug messages show headers, and those hold tokens.
    logging.getLogger("airflow_edge").setLevel(logging.DEBUG if arguments.verbose else logging.INFO)


def _second_log(config: Config, arguments: argparse.Namespace) -> logging.Handler | None:
    if arguments.log_file in {None, config.agent_log}:
        # In the background stderr is the worker's own file, unless it was sent elsewhere: no line twice.
        return None if arguments.daemon else logging.StreamHandler(sys.stderr)
    from logging import handlers

    try:
        return handlers.WatchedFileHandler(arguments.log_file, encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ConfigError(
            f"the log file {arguments.log_file} cannot be written ({error.strerror}); choose another one"
        ) from error


def _tasks(jobs: list[object]) -> str:
    return f"{len(jobs)} task{'' if len(jobs) == 1 else 's'}"
