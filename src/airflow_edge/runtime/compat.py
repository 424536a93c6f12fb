"""The one place that knows how the supported Airflow versions, 3.2 to 3.4, differ: by what is there, not by number."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path, PosixPath
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from airflow.executors import workloads
from airflow.sdk import log as sdk_log
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time import supervisor, task_runner

from airflow_edge.protocol.messages import JobKind
from airflow_edge.runtime.lossy_file import task_log
from airflow_edge.runtime.parsing import is_example

TEST_JOB: Final = "airflow_edge.runtime.testing.run"
"""What a test job runs."""
_be_another: Callable[[], None] | None = None
"""Where tasks are another user's: has a process be that."""
HTTP: Final[ModuleType] = sys.modules[Client.__bases__[0].__module__.partition(".")[0]]
"""The library of Airflow's client, httpx or its successor httpx2: it takes no other's transport, nor other errors."""


def run_workload(kind: JobKind, workload: str, *, client: Client, log_path: str) -> int:
    """Run a workload to its end in this process, the main thread.

    :param workload: Airflow's JSON; a test has none, and gets no way to the centre either
    :return: the exit status of the task's process, negative for a signal; 0 does not mean that the task succeeded
    """
    if kind == "test":
        return _run_test(log_path=log_path)
    if kind == "callback":
        return _run_callback(workloads.ExecuteCallback.model_validate_json(workload), client=client, log_path=log_path)
    task = workloads.ExecuteTask.model_validate_json(workload)
    if is_example(task.bundle_info.name):
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "True"
    # Airflow 3.3 has renamed it.
    supervise: Any = getattr(supervisor, "supervise_task", None) or supervisor.supervise
    status: int = supervise(
        ti=task.ti,
        bundle_info=task.bundle_info,
        dag_rel_path=task.dag_rel_path,
        token="",
        client=client,
        log_path=log_path,
        sentry_integration=task.sentry_integration,
    )
    return status


def notice_ends_at_once() -> None:
    """Have Airflow's supervisor notice at once that its task has ended, and not up to a second later.

    The kernel closes a process's pipes a moment before its exit status can be had. A supervisor that looks within this
    moment has nothing left to wait for but its timeout, and there is no way in from outside but to shorten that.
    """
    watched = supervisor.WatchedSubprocess
    service = watched._service_subprocess

    def service_impatiently(self: Any, max_wait_time: float, *args: Any, **options: Any) -> Any:
        if not self._open_sockets:
            max_wait_time = min(max_wait_time, 0.01)
        return service(self, max_wait_time, *args, **options)

    watched._service_subprocess = service_impatiently  # type: ignore[method-assign]


def end_with_task(end: Callable[[], None]) -> None:
    """Have this called when the task's process has ended: what it has left may hold its output open.

    Airflow's supervisor would wait for a minute for that to be closed.
    """
    watched = supervisor.WatchedSubprocess
    service = watched._service_subprocess

    def end_and_service(self: Any, *args: Any, **options: Any) -> Any:
        if self._exit_code is not None and self._open_sockets:
            end()
        return service(self, *args, **options)

    watched._service_subprocess = end_and_service  # type: ignore[method-assign]


def run_tasks_as(be_another: Callable[[], None], begun: Callable[[], None]) -> None:
    """Have each task's or callback's process call this before anything else, and the supervisor `begun` after that.

    What `be_another` raises ends that process, as Airflow ends one that cannot begin.
    """
    global _be_another
    _be_another = be_another
    main = supervisor._fork_main
    watched = supervisor.WatchedSubprocess
    start = watched.start.__func__  # type: ignore[attr-defined]

    def be_another_and_go_on(*args: Any, **options: Any) -> Any:
        be_another()
        return main(*args, **options)

    def start_and_say(cls: Any, *args: Any, **options: Any) -> Any:
        process = start(cls, *args, **options)
        begun()
        return process

    supervisor._fork_main = be_another_and_go_on
    watched.start = classmethod(start_and_say)  # type: ignore[assignment]


def expect_signals(sent: Callable[[], int | None]) -> None:
    """Have Airflow's supervisor know of what its task died, when that was sent past it: else it finds an explanation.

    :param sent: gives the last signal, None if there was none
    """
    watched = supervisor.WatchedSubprocess
    check = watched._check_subprocess_exit

    def check_knowingly(self: Any, raise_on_timeout: bool = False, expect_signal: int | None = None) -> int | None:
        return check(self, raise_on_timeout=raise_on_timeout, expect_signal=expect_signal or sent())

    watched._check_subprocess_exit = check_knowingly  # type: ignore[method-assign]


def bear_full_disks() -> None:
    """Have a supervisor go on, and its task with it, when there is no room for a line of the task's log."""
    make = sdk_log.init_log_file

    def make_lossy(local_relative_path: str) -> Path:
        return _LogPath(make(local_relative_path))

    sdk_log.init_log_file = make_lossy


def load_in_tasks(load: Callable[[], None]) -> None:
    """Have this called in each task's own process, before anything else."""
    main: Callable[[], None] = task_runner.main

    def load_and_go_on() -> None:
        load()
        main()

    task_runner.main = load_and_go_on


class _LogPath(PosixPath):
    """A task's log; whoever opens it to append to it gets a file that never raises."""

    def open(self, mode: str = "r", *args: Any, **options: Any) -> Any:
        """Open it."""
        return task_log(Path(self)) if mode == "ab" else super().open(mode, *args, **options)


def _run_callback(workload: workloads.ExecuteCallback, *, client: Client, log_path: str) -> int:
    try:
        from airflow.sdk.execution_time.callback_supervisor import supervise_callback
    except ImportError:
        return _run_callback_here(workload, client=client, log_path=log_path)
    callback = workload.callback.data
    # New in 3.4. What is encoded fails on an older one, and is not handed over as it is.
    encoding = callback.get("kwargs_encoding")
    status: int = supervise_callback(
        id=workload.callback.id,
        callback_path=callback.get("path", ""),
        callback_kwargs=callback.get("kwargs", {}),
        dag_rel_path=workload.dag_rel_path,
        log_path=log_path,
        bundle_info=workload.bundle_info,
        client=client,
        **({"callback_kwargs_encoding": encoding} if encoding else {}),
    )
    return status


def _run_test(*, log_path: str) -> int:
    """Run it as a callback, which makes a process as a task's; whatever it were to ask, nobody answers."""
    test = workloads.ExecuteCallback.model_validate(
        {
            "callback": {"id": str(uuid4()), "fetch_method": "import_path", "data": {"path": TEST_JOB, "kwargs": {}}},
            "dag_rel_path": "",
            "token": "",
            "log_path": log_path,
            "bundle_info": {"name": ""},
        }
    )
    with Client(base_url=None, dry_run=True, token="") as nobody:
        return _run_callback(test, client=nobody, log_path=log_path)


def _run_callback_here(workload: workloads.ExecuteCallback, *, client: Client, log_path: str) -> int:
    """Airflow 3.2 has no supervisor for callbacks; its LocalExecutor runs them in its own process as well."""
    from airflow.executors.workloads import callback

    execute: Any = vars(callback)["execute_callback_workload"]
    logger, log_file = supervisor._configure_logging(log_path, client)
    if workload.callback.data["path"] == TEST_JOB:
        # It has no logger of its own here.
        workload.callback.data["kwargs"] = {"say": logger.info}
    with log_file:
        if _be_another is not None and (child := os.fork()):
            # What is another user's is not for this process.
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        succeeded = False
        try:
            if _be_another is not None:
                _be_another()
            succeeded, error = execute(workload.callback, logger)
            if not succeeded:
                logger.error("Callback failed", error=error)
        finally:
            if _be_another is not None:
                log_file.flush()
                os._exit(0 if succeeded else 1)
    return 0 if succeeded else 1
