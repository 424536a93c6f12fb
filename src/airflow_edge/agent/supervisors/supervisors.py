"""The supervisors of this worker's jobs, whether a runtime has them or they have outlived theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import Event, Exited, ProcessesBack, RuntimeGone, RuntimeReady, Unbegun
from airflow_edge.agent.core.jobs import HeldJobs
from airflow_edge.agent.errors import SHORTAGES
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.supervisors.orphans import LOOK_INTERVAL, Orphans
from airflow_edge.agent.supervisors.runtime import RuntimeLink
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import (
    Alive,
    JobExited,
    JobNotStarted,
    JobStarted,
    Outcome,
    RuntimeHello,
    StartJob,
    StopJob,
    ToAgent,
)

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 120
"""At reading an outcome, `LOOK_INTERVAL` apart, before the job, whose process is gone, ends without."""


class Supervisors:
    """Has them started and ended, and tells the core what becomes of them."""

    def __init__(
        self,
        config: Config,
        folders: JobFolders,
        jobs: HeldJobs,
        post: Callable[[Event], None],
        *,
        changed: Callable[[], None],
        secret: Callable[[AssignmentKey], str],
    ) -> None:
        """:param post: tells the core
        :param changed: is told that `conditions` may have changed
        :param secret: gives what opens the Execution API for a job
        """
        self.runtime = RuntimeLink(
            config,
            heard=self._heard,
            outdated=self._remember,
            gone=self._gone,
            try_fork=lambda: bool(self._no_process),
        )
        self._no_process = ""
        """Why the runtime could start no process; empty if it could."""
        self._trouble = ""
        """Why no task can run with the configuration that the runtime has read."""
        self.orphans = Orphans(folders, lambda key: self._tell_end(JobExited(**key._asdict())))
        self._folders = folders
        self._jobs = jobs
        self._post = post
        self._changed = changed
        self._secret = secret

    @property
    def conditions(self) -> tuple[str, ...]:
        """Why no job can be started now, for a person."""
        return tuple(condition for condition in (self.runtime.condition, self._no_process, self._trouble) if condition)

    def start(self, order: StartJob) -> None:
        """Have a job started. Without a runtime the order is lost, and to be given again when one is ready.

        :raises OSError: no pipe is to be had for its secret.
        """
        self.runtime.send(order, self._secret(order.key))

    def stop(self, order: StopJob) -> None:
        """Have a job stopped: by the runtime, or, where that is gone, from here."""
        if not self.orphans.stop(order.key, order.grace, order.reason):
            self.runtime.send(order)

    def _gone(self) -> None:
        self._post(RuntimeGone())
        self._changed()

    def _heard(self, message: ToAgent) -> None:
        match message:
            case RuntimeHello():
                # Another one may have more luck.
                self._no_process, self._trouble = "", message.trouble
                self._changed()
                self._take_stock(message)
            case JobStarted():
                self._note_processes("")
                self.orphans.remember(message.key, message.pid)
                self._post(message)
            case JobNotStarted():
                if message.passing:
                    self._note_processes(message.reason)
                self._post(message)
            case Alive():
                if self._no_process and message.obstacle is not None:
                    self._note_processes(message.obstacle)
            case JobExited():
                self._exited(message)

    def _note_processes(self, obstacle: str) -> None:
        back = self._no_process and not obstacle
        if obstacle != self._no_process:
            self._no_process = obstacle
            self._changed()
        if back:
            self._post(ProcessesBack())

    def _exited(self, message: JobExited, attempts: int = 1) -> None:
        """Tell how a job has ended, when its outcome can be read; what never can is not waited for for ever."""
        try:
            self._tell_end(message)
        except OSError as error:
            if error.errno in SHORTAGES or attempts < MOST_ATTEMPTS:
                asyncio.get_running_loop().call_later(LOOK_INTERVAL, self._exited, message, attempts + 1)
                return
            log.error("the outcome of job %s cannot be read: %s; it ends without", message.key, error)
            self._post(Exited(message.key, message.exit_code, message.signal, None))

    def _tell_end(self, message: JobExited) -> None:
        outcome = self._folders.outcome(message.key)
        if outcome is not None and outcome.unbegun:
            self._folders.make_startable(message.key)
            self._note_processes(outcome.reason)
            self._post(Unbegun(message.key))
        else:
            self._post(Exited(message.key, message.exit_code, message.signal, outcome))

    def _remember(self, hello: RuntimeHello) -> None:
        for job in hello.jobs:
            self.orphans.remember(job.key, job.pid)

    def _take_stock(self, hello: RuntimeHello) -> None:
        self._remember(hello)
        alive = {job.key for job in hello.jobs}
        others = [job.key for job in self._jobs.live() if job.key not in alive]
        alive |= self.orphans.adopt(others)
        outcomes: dict[AssignmentKey, Outcome] = {}
        unstarted: set[AssignmentKey] = set()
        later = []
        for key in set(others) - alive:
            try:
                outcome = self._folders.outcome(key)
                if outcome is None or not outcome.unbegun:
                    if not self._folders.was_started(key):
                        unstarted.add(key)
                    if outcome is not None:
                        outcomes[key] = outcome
                    continue
            except OSError:
                """What became of it is to be read when the machine can: until then the job goes on."""
            alive.add(key)
            later.append(key)
        self._post(RuntimeReady(frozenset(alive), outcomes, frozenset(unstarted)))
        for key in later:
            self._exited(JobExited(**key._asdict()))
