"""The supervisors of this worker's jobs, whether a runtime has them or they have outlived theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import Event, Exited, NotStarted, RuntimeGone, RuntimeReady, Started
from airflow_edge.agent.core.jobs import Jobs
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.supervisors.orphans import Orphans
from airflow_edge.agent.supervisors.runtime import RuntimeLink, RuntimeLog
from airflow_edge.protocol import stopping
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import (
    JobExited,
    JobNotStarted,
    JobStarted,
    RuntimeHello,
    StartJob,
    StopJob,
    ToAgent,
)

log = logging.getLogger(__name__)


class Supervisors:
    """Has them started and ended, and tells the core what becomes of them."""

    def __init__(self, config: Config, folders: JobFolders, jobs: Jobs, post: Callable[[Event], None]) -> None:
        """:param post: tells the core"""
        self.runtime = RuntimeLink(
            config.state_dir,
            config.runtime_socket,
            log=RuntimeLog(config.runtime_log, config.worker_log_max_size, config.worker_log_backups),
            heard=self._heard,
            outdated=self._remember,
            gone=lambda: post(RuntimeGone()),
        )
        self.orphans = Orphans(
            lambda key: post(Exited(key, None, None, folders.outcome(key))),
            note=lambda key, event: folders.note(key, stopping.line(event, datetime.now(UTC))),
        )
        self._grace = config.task_stop_grace
        self._folders = folders
        self._jobs = jobs
        self._post = post

    def start(self, key: AssignmentKey) -> None:
        """Have the runtime start a job."""
        log.info("starting job %s", key)
        folder = str(self._folders.folder(key))
        self.runtime.send(StartJob(job_id=key.job_id, assignment=key.assignment, folder=folder))

    def halt(self, key: AssignmentKey, reason: str) -> None:
        """End a job."""
        log.info("stopping job %s: %s", key, reason)
        if not self.orphans.halt(key, self._grace, reason):
            self.runtime.send(StopJob(job_id=key.job_id, assignment=key.assignment, grace=self._grace, reason=reason))

    def _heard(self, message: ToAgent) -> None:
        match message:
            case RuntimeHello():
                self._take_stock(message)
            case JobStarted():
                key = message.key
                self.orphans.remember(key, message.pid)
                self._post(Started(key))
            case JobNotStarted():
                self._post(NotStarted(message.key, message.reason))
            case JobExited():
                key = message.key
                self._post(Exited(key, message.exit_code, message.signal, self._folders.outcome(key)))

    def _remember(self, hello: RuntimeHello) -> None:
        for job in hello.jobs:
            self.orphans.remember(job.key, job.pid)

    def _take_stock(self, hello: RuntimeHello) -> None:
        self._remember(hello)
        alive = frozenset(job.key for job in hello.jobs)
        others = [job.key for job in self._jobs.live() if job.key not in alive]
        self.orphans.discover({self._folders.supervisor_log(key): key for key in others})
        alive |= self.orphans.adopt(others)
        missing = [key for key in others if key not in alive]
        outcomes = {key: outcome for key in missing if (outcome := self._folders.outcome(key))}
        unstarted = frozenset(key for key in missing if not self._folders.was_started(key))
        self._post(RuntimeReady(alive, outcomes, unstarted))
