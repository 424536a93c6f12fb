"""What the worker says of itself: to the centre as it links and every few seconds after, and to people at the site."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import msgspec

from airflow_edge import __version__
from airflow_edge.agent.config import Config
from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.jobs import Job
from airflow_edge.agent.errors import WITHOUT_TLS
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.link.link import Link
from airflow_edge.agent.machine import facts
from airflow_edge.agent.machine.conditions import bounded
from airflow_edge.agent.machine.dags import DagsWatch
from airflow_edge.agent.machine.metrics import Meter
from airflow_edge.agent.machine.system_info import ExtendedInfo
from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.net.instance import Instance
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.agent.supervisors.runtime import RuntimeLink
from airflow_edge.agent.task_logs.kept import about
from airflow_edge.protocol import handshake
from airflow_edge.protocol.messages import Hello, Status, Welcome
from airflow_edge.protocol.states import WorkerState

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Profile:
    """One worker's facts, from where each of them is known."""

    config: Config
    identity: Identity
    core: Core
    metrics: Meter
    system: ExtendedInfo
    link: Link
    runtime: RuntimeLink
    folders: JobFolders
    dags: DagsWatch
    boot_id: str
    instance: Instance
    site_policy: SitePolicyFile

    def __post_init__(self) -> None:
        self._life = str(uuid4())
        self._queues: tuple[str, ...] = self.config.queues or self.identity.queues
        self._versions = {"refused": "", "warning": ""}
        """What the centre thinks of this worker's versions."""

    def welcomed(self, welcome: Welcome) -> None:
        """Note what the centre says of the worker."""
        self._queues = welcome.queues
        versions = {"refused": welcome.version_refused, "warning": welcome.version_warning}
        if versions != self._versions:
            self._versions = versions
            if versions["refused"]:
                log.error("the centre gives this worker no new tasks: %s", versions["refused"])
            elif versions["warning"]:
                log.warning("the versions differ: %s", versions["warning"])

    def serves(self, queues: tuple[str, ...]) -> None:
        """Note that the centre has changed the worker's queues."""
        log.info("this worker serves the queues %s from now on", ", ".join(queues))
        self._queues = queues

    def hello(self, session_id: str, received: int) -> Hello:
        """Say who this is."""
        return Hello(
            oldest_protocol=handshake.OLDEST,
            newest_protocol=handshake.NEWEST,
            session_id=session_id,
            received=received,
            boot_id=self.boot_id,
            agent_version=__version__,
            airflow_version=self.runtime.airflow_version or facts.installed_airflow(),
            python_version=platform.python_version(),
            platform=facts.system(),
            concurrency=self.core.concurrency,
            queues=self.config.queues,
            # The first status says which maintenance.
            state=WorkerState.STARTING if self.core.worker.in_maintenance else self.core.worker.state,
            jobs=self.core.jobs.held(),
            instance=self.instance.id,
            life=self._life,
            last_link=self.instance.last_link,
            host=platform.node()[:256],
        )

    def status(self) -> Status:
        """Say what this does."""
        worker = self.core.worker
        return Status(
            state=worker.state,
            alive=self.core.jobs.alive(asyncio.get_running_loop().time()),
            system={
                **self.system.facts,
                "concurrency": self.core.concurrency,
                "free_slots": self.core.free,
                "cpus": os.cpu_count() or 0,
                "warnings": "; ".join(self._warnings()),
                "load": -1.0 if (load := facts.load()) is None else load,
            },
            conditions=self.core.conditions,
            comment=worker.desired.maintenance or "",
            cause=worker.desired.cause,
            metrics=self.metrics.take(self.link.round_trip, self.link.times_linked),
            closed=self.site_policy.closed(self._queues),
        )

    def describe(self, gateway: str) -> dict[str, Any]:
        """Give what `airflow-edge status` shows."""
        desired = self.core.worker.desired
        return {
            "name": self.identity.name,
            "state": self.core.worker.state,
            "pid": os.getpid(),
            "instance": self.instance.id,
            "version": __version__,
            "concurrency": self.core.concurrency,
            "free_slots": self.core.free,
            "conditions": self.core.conditions,
            "site_policy": self.site_policy.summary,
            "closed_queues": {
                queue: one.reason for one in self.site_policy.closed(self._queues) for queue in one.queues
            },
            "settings": self.config.told,
            "warnings": self._warnings(),
            "clock_ahead": self.identity.clock.machine_ahead,
            "maintenance_comment": desired.maintenance,
            "maintenance_cause": desired.cause,
            "version_refused": self._versions["refused"],
            "version_warning": self._versions["warning"],
            "system": dict(self.system.facts),
            "queues": self._queues,
            "link": {**asdict(self.link.state), "url": gateway},
            "runtime": {"pid": self.runtime.pid, "airflow_version": self.runtime.airflow_version},
            "jobs": [describe(job, self.folders) for job in self.core.jobs.live()],
            "undelivered": len(self.core.jobs) - len(self.core.jobs.live()),
        }

    def _warnings(self) -> tuple[str, ...]:
        warnings = (self.site_policy.warning, *self.dags.found.warnings, *self.runtime.warnings)
        return bounded((WITHOUT_TLS, *warnings) if self.identity.insecure else warnings)


def describe(job: Job, folders: JobFolders) -> dict[str, Any]:
    """Give what `airflow-edge status` shows of a job: which task it is, as far as its folder says, and since when."""
    task = about(folders.folder(job.key))
    since = folders.stored_at(job.key)
    return {
        **job.key._asdict(),
        "phase": job.record.phase,
        **(msgspec.structs.asdict(task) if task.task_id else {}),
        "kind": job.record.kind,
        "since": since and since.isoformat(),
    }
