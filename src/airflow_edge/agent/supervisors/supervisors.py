"""The supervisors of this worker's jobs, whether a runtime has them or they have outlived theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import Event, Exited, RuntimeGone, RuntimeReady
from airflow_edge.agent.core.jobs import HeldJobs
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.supervisors.orphans import LOOK_INTERVAL, Orphans
from airflow_edge.agent.supervisors.runtime import RuntimeLink
from airflow_edge.protocol.local import JobExited, JobNotStarted, JobStarted, RuntimeHello, StopJob, ToAgent

log = logging.getLogger(__name__)


class Supervisors:
    """Has them started and ended, and tells the core what becomes of them."""

    def __init__(self, config: Config, folders: JobFolders, jobs: HeldJobs, post: Callable[[Event], None]) -> None:
        """:param post: tells the core"""
        self.runtime = RuntimeLink(config, heard=self._heard, outdated=self._remember, gone=lambda: post(RuntimeGone()))
        self.orphans = Orphans(folders, lambda key: post(Exited(key, None, None, folders.outcome(key))))
        self._folders = folders
        self._jobs = jobs
        self._post = post

    def stop(self, order: StopJob) -> None:
        """Have a job stopped: by the runtime, or, where that is gone, from here."""
        if not self.orphans.stop(order.key, order.grace, order.reason):
            self.runtime.send(order)

    def _heard(self, message: ToAgent) -> None:
        match message:
            case RuntimeHello():
                self._take_stock(message)
            case JobStarted():
                self.orphans.remember(message.key, message.pid)
                self._post(message)
            case JobNotStarted():
                self._post(message)
            case JobExited():
                self._exited(message)

    def _exited(self, message: JobExited) -> None:
        try:
            outcome = self._folders.outcome(message.key)
        except OSError:
            asyncio.get_running_loop().call_later(LOOK_INTERVAL, self._exited, message)
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
        outcomes = {}
        for key in set(others) - alive:
            try:
                outcomes[key] = self._folders.outcome(key)
            except OSError:
                # It is there, and to be read when the machine can: until then the job goes on.
                alive.add(key)
                self._exited(JobExited(**key._asdict()))
        unstarted = frozenset(key for key in outcomes if not self._folders.was_started(key))
        self._post(RuntimeReady(frozenset(alive), {key: found for key, found in outcomes.items() if found}, unstarted))
