"""`python -m airflow_edge.runtime --state-dir DIR`: started by the agent, which it outlives."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from airflow_edge.protocol.local import AGENT_LOCK_FILE, GENERATION_VARIABLE
from airflow_edge.protocol.logs.worker_log import Formatter
from airflow_edge.runtime.environment import for_tasks, hide_sensitive, keep_log_folder_open, set_title
from airflow_edge.runtime.lossy_file import make_output_lossy
from airflow_edge.site.files import clear, make_way
from airflow_edge.site.inherited import give_back_files, settle
from airflow_edge.site.kernel import CAP_KILL, CAP_SETGID, CAP_SETUID, become, become_subreaper, user_named
from airflow_edge.site.rotation import Rotation

ALREADY_RUNNING = 4
"""Exit status: another runtime listens there."""

_CAUTIOUS = "AIRFLOW_EDGE_RUNTIME_CAUTIOUS"
"""The environment variable of a runtime that has begun anew, to load nothing that can be left to the tasks."""
_SHARED_THREADS = "threads run in the process from which tasks are forked, and will be dead in each task"
_SHARED_MODULES = "loaded for all tasks at once, though not Airflow's: what it opens or locks they share"

log = logging.getLogger("airflow_edge.runtime")


def main(argv: list[str] | None = None) -> int:
    """Serve the agent until told to retire; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_edge.runtime", description="Fork an edge worker's tasks.")
    parser.add_argument("--state-dir", type=Path, required=True, help="the worker's own folder")
    parser.add_argument("--socket", type=Path, help="where to listen (default: runtime.sock in the state folder)")
    parser.add_argument("--log-file", type=Path, help="where stdout and stderr go, begun anew at a size")
    parser.add_argument("--log-max-size", type=int, default=10_000_000, help="bytes after which that is done")
    parser.add_argument("--log-backups", type=int, default=3, help="how many older ones are kept")
    parser.add_argument("--open-files", type=int, help="how many files a task may have open (default: as here)")
    parser.add_argument("--keep-children", action="store_true", help="let live on what a task has started")
    parser.add_argument("--agent-user", help="as root: whose this process is to be")
    parser.add_argument("--task-user", help="as root: whose the tasks are to be")
    arguments = parser.parse_args(argv)
    path: Path = arguments.socket or arguments.state_dir / "runtime.sock"

    settle()
    give_back_files(arguments.open_files)
    with contextlib.suppress(PermissionError):
        # Started as a session's leader already, by the agent; by hand otherwise.
        os.setsid()
    set_title("airflow-edge runtime")
    task_user = None
    if arguments.agent_user and arguments.task_user:
        task_user = user_named(arguments.task_user)
        become(user_named(arguments.agent_user), (CAP_KILL, CAP_SETGID, CAP_SETUID))
    # Held until this process ends.
    lock_file = path.with_suffix(".pid")
    make_way(lock_file)
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"airflow-edge runtime: another one serves {path}\n")
        return ALREADY_RUNNING
    with contextlib.suppress(OSError):
        # For people; on a full disk the lock is enough.
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    # A socket that is there before this runtime is warm is a dead one's.
    clear(path)

    make_output_lossy()
    generation = os.environ.pop(GENERATION_VARIABLE, "")
    cautious = os.environ.pop(_CAUTIOUS, "") != ""
    environment = for_tasks(os.environ)
    if task_user is not None:
        keep_log_folder_open(environment)
    os.environ.clear()
    os.environ.update(environment)
    tidy = None
    if arguments.log_file is not None:
        rotation = Rotation(arguments.log_file, max_size=arguments.log_max_size, backups=arguments.log_backups)
        tidy = partial(rotation.rotate, sys.stderr.fileno())
    supervision = {"keep_children": arguments.keep_children, "task_user": task_user}
    agent_lock = arguments.state_dir / AGENT_LOCK_FILE
    return _serve(path, lock, generation, tidy, agent_lock=agent_lock, cautious=cautious, supervision=supervision)


def _serve(
    path: Path,
    lock: int,
    generation: str,
    tidy: Callable[[], None] | None,
    *,
    agent_lock: Path,
    cautious: bool,
    supervision: Mapping[str, Any],
) -> int:
    began = time.monotonic()
    # Airflow reads the environment when it is imported: not before this.
    from airflow_edge.runtime.user_code import foreign_modules, initialize, other_threads, use_xcom_backend
    from airflow_edge.runtime.warm import warm_up

    user_code = warm_up(cautious=cautious)
    hide_sensitive()

    from airflow import __version__ as airflow_version

    from airflow_edge.runtime import rehearsal
    from airflow_edge.runtime.server import Server
    from airflow_edge.runtime.supervising import nothing, supervise

    # After Airflow, which arranges the root logger to its own liking.
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    threads = other_threads()
    if threads and not cautious:
        log.warning("what was loaded in advance has started threads: %s; beginning anew with less", ", ".join(threads))
        os.environ.update({GENERATION_VARIABLE: generation, _CAUTIOUS: "yes"})
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - its own command
    shared = {_SHARED_THREADS: threads, _SHARED_MODULES: foreign_modules()}
    warnings = [f"{what}: {', '.join(found)}" for what, found in shared.items() if found]
    for warning in warnings:
        log.warning("%s", warning)
    if left := str(user_code):
        log.info("left to each task to load: %s", left)
    first = {"the Dag bundles cannot be set up ([dag_processor] dag_bundle_config_list)": rehearsal.bundles}
    if user_code.xcom_backend:
        first = {"[core] xcom_backend cannot be loaded": use_xcom_backend, **first}
    if user_code.settings:
        first = {"Airflow's settings cannot be loaded": initialize, **first}
    trouble = ""
    with contextlib.suppress(OSError):
        trouble = rehearsal.trouble(first)
    prepare = initialize if user_code.settings else nothing
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen()
        if not supervision["keep_children"]:
            # What a task has left whose supervisor was killed comes to this process.
            become_subreaper()
        server = Server(
            listener,
            airflow_version=airflow_version,
            supervise=partial(supervise, prepare=prepare, **supervision),
            keep_children=supervision["keep_children"],
            agent_lock=agent_lock,
            release=lambda: os.close(lock),
            generation=generation,
            trouble=trouble,
            warnings=warnings,
            tidy=tidy,
        )
        log.info("ready for tasks of Airflow %s after %.1f s", airflow_version, time.monotonic() - began)
        server.run()
    log.info("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
