"""The agent, which is the worker: everything put together, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from airflow_edge.agent.config import Config
from airflow_edge.agent.core import events
from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import JobRecord
from airflow_edge.agent.driver import Driver
from airflow_edge.agent.effects import Effects
from airflow_edge.agent.ending import HURRIED_PATIENCE, PATIENCE, closing, deliver, say_what_is_left
from airflow_edge.agent.errors import AgentError, first_error, unusable
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.agent.journal.recovery import let_go, recover
from airflow_edge.agent.link.link import Link
from airflow_edge.agent.link.owner import Owner
from airflow_edge.agent.loops import Loops
from airflow_edge.agent.machine import facts
from airflow_edge.agent.machine.conditions import ConditionsWatch
from airflow_edge.agent.machine.dags import DagsWatch
from airflow_edge.agent.machine.metrics import Meter
from airflow_edge.agent.machine.place import look_around
from airflow_edge.agent.machine.system_info import ExtendedInfo
from airflow_edge.agent.net.http import HttpClient
from airflow_edge.agent.net.identity import Identity, make_private_folder
from airflow_edge.agent.net.instance import Instance
from airflow_edge.agent.own_log.shipper import WorkerLogShipper
from airflow_edge.agent.process.control import Command, controlled
from airflow_edge.agent.process.daemon import begin_again, check_program, handled, pid_file
from airflow_edge.agent.profile import Profile
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.agent.site_secrets.secrets import SiteSecrets
from airflow_edge.agent.supervisors.supervisors import Supervisors
from airflow_edge.agent.taking_over import take_over
from airflow_edge.agent.task_api.execution_api import ExecutionApi
from airflow_edge.agent.task_api.forwarder import Forwarder
from airflow_edge.agent.task_api.local_server import served
from airflow_edge.agent.task_logs.kept import Copies
from airflow_edge.agent.task_logs.shipper import LogShipper
from airflow_edge.agent.threads import Loop
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.messages import LogChunk, Welcome, WorkerLog
from airflow_edge.protocol.problems import Code
from airflow_edge.site.inherited import give_back_files
from airflow_edge.texts import counted

log = logging.getLogger(__name__)

SUPERVISOR_GRACE = 8.0
"""Seconds that the runtime may need beyond a task's grace to be rid of its supervisor too."""
REGAIN_PATIENCE = 3.0
"""Seconds that a worker which ends has for a link that is just being made again: without a goodbye it looks like one
that is out of reach."""
GOODBYE_PATIENCE = 1.0
RETIRE_PATIENCE = 3.0


def run_agent(config: Config) -> int:
    """Be the worker of this state folder until told to end; give the exit status.

    :raises AgentError: the worker cannot run, or not go on; its `exit_status` says why.
    """
    identity = Identity.load(config.identity_file)
    make_private_folder(config.state_dir)
    with pid_file(config.lock_file) as lock:
        # For who waits for the worker's end, which is its process's: another one can begin when the file is gone.
        os.dup(lock)
        try:
            with asyncio.Runner(loop_factory=Loop) as runner:
                again = runner.run(Agent(config, identity).run())
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        except OSError as error:
            raise unusable(Path(error.filename or config.state_dir), error) from error
    if again:
        give_back_files(config.open_files)
        begin_again()
    return 0


class Agent:
    """One life of a worker."""

    def __init__(self, config: Config, identity: Identity) -> None:
        """:raises ConfigError: a setting makes no sense."""
        self._gateway = identity.gateway(config.api_url)
        self._config = config
        self._identity = identity
        # Read once: what cannot be read later must not look like another boot.
        boot_id = facts.boot_id()
        self._loops = Loops()
        self._terminating = asyncio.Event()
        self._handing_over = asyncio.Event()
        self._again = False  # whether the next agent is to begin at once, in this process
        self._timer: asyncio.TimerHandle | None = None
        """Ends the jobs when the time is over that a worker that was stopped has for them."""
        self._copies = Copies(config.kept_logs_dir, config.kept_logs)
        self._folders = JobFolders(config.jobs_dir, self._copies.keep)
        self._journal = Journal(config.journal_file)
        self._instance = Instance(config.instance_file, look_around(config.state_dir))
        if self._instance.is_copy:
            let_go(self._journal, self._folders)
            self._instance.settle()
        records = recover(self._journal, self._folders, boot_id)
        self._core = Core(
            config.concurrency,
            records,
            self._journal.desired(),
            config.automatic,
            jobs_dir=config.jobs_dir,
            stop_grace=config.task_stop_grace,
        )
        self._site_policy = SitePolicyFile(config.site_policy, lambda: self._watch.hurry())
        name, socket, policy = identity.name, str(config.api_socket), self._site_policy
        self._driver = Driver(
            self._core, self._journal, self._folders, worker_name=name, api_socket=socket, site_policy=policy
        )
        trust = config.trust if any(config.trust) else identity.trust
        pin = identity.pin(config.identity_file)
        self._link = Link(self._gateway, identity, pin, trust=trust, linked_before=config.linked_file.exists())
        self._metrics = Meter(config.jobs_dir)
        self._system = ExtendedInfo(
            config.extended_system_info_function,
            lambda status, text: self._driver.post(events.StatusFound(status, text)),
        )
        self._system.warn_of_useless(config.automatic.enter_at)
        self._http = HttpClient(self._gateway, identity, trust=trust)
        self._forwarder = Forwarder(self._http)
        self._secrets = SiteSecrets(config.site_secrets)
        self._shipper = LogShipper(
            send=self._link.send,
            more=self._link.more_log,
            done=lambda key: self._driver.post(events.LogDone(key)),
            bandwidth=config.log_bandwidth,
        )
        self._own_log = WorkerLogShipper(
            {"agent": config.agent_log, "runtime": config.runtime_log},
            config.worker_log_level,
            linked=self._link.linked.is_set,
            more=self._link.more_log,
        )
        self._watch = ConditionsWatch(
            state_dir=config.state_dir,
            min_free_disk=config.min_free_disk,
            failing=lambda: (
                self._driver.condition,
                self._loops.condition,
                self._forwarder.condition,
                self._link.state.condition,
                *self._supervisors.conditions,
                self._dags.found.obstacle,
                self._site_policy.condition,
                self._secrets.condition,
            ),
            found=lambda conditions: self._driver.post(events.ConditionsFound(conditions)),
        )
        self._dags = DagsWatch(config, self._watch.hurry)
        self._supervisors = Supervisors(
            config,
            self._folders,
            self._core.jobs,
            self._driver.post,
            changed=self._watch.hurry,
            secret=identity.job_secret,
        )
        self._runtime = self._supervisors.runtime
        self._profile = Profile(
            config=config,
            identity=identity,
            core=self._core,
            metrics=self._metrics,
            system=self._system,
            link=self._link,
            runtime=self._runtime,
            folders=self._folders,
            dags=self._dags,
            boot_id=boot_id or "unknown",
            instance=self._instance,
            site_policy=self._site_policy,
        )
        self._api = ExecutionApi(self._forwarder, self._driver.post, self._secrets, self._folders.folder)
        self._take_over(records)

    async def run(self) -> bool:
        """Work until told to end; say whether a new agent is to go on at once.

        :raises AgentError: there is no going on; perhaps within an exception group.
        """
        commands: Mapping[str, Command] = {
            "status": lambda _: self._profile.describe(self._gateway),
            "events": lambda _: self._driver.history.last(),
            "drain": self.stop,
            "terminate": lambda _: self.terminate(),
            "maintenance": lambda comment: self._driver.written(events.MaintenanceAsked(comment)),
            "exit maintenance": lambda _: self._driver.written(events.ExitAsked()),
        }
        with (
            contextlib.closing(self._journal),
            handled(interrupt=self._interrupted, terminate=self.terminate, hang_up=self.hand_over),
        ):
            async with (
                closing(self._http),
                controlled(self._config.control_socket, commands) as control,
                served(self._config.api_socket, self._api, self._api.refusal) as api,
                asyncio.TaskGroup() as group,
            ):
                loops = [
                    group.create_task(self._keep_linked()),
                    *(
                        group.create_task(self._loops.keep(name, loop))
                        for name, loop in (
                            ("doing what is decided", partial(self._driver.run, self._effects())),
                            ("shipping the tasks' logs", self._shipper.run),
                            ("the connection to the runtime", self._runtime.run),
                            ("listening to the tasks", api.guard),
                            ("listening to `airflow-edge status`", control.guard),
                            ("looking after tasks without a runtime", self._supervisors.orphans.run),
                            ("looking for Dags", self._dags.run),
                            ("looking at the site policy", self._site_policy.run),
                            ("looking at the machine's condition", self._watch.run),
                            ("shipping the worker's own log", self._own_log.run),
                            ("looking after kept logs", self._copies.run),
                            ("looking at the machine", self._metrics.run),
                            ("looking at the machine", self._system.run),
                            ("looking after the site's secrets", self._secrets.run),
                        )
                    ),
                ]
                self._end_jobs_in_time(self._core.worker.desired.deadline)
                await self._until_over()
                if not self._handing_over.is_set():
                    await self._leave()
                for running in loops:
                    running.cancel()
        return self._again

    # What a person may ask

    async def stop(self, time_left: str = "") -> None:
        """Take no new job, and end when the last one has; once this has come back, it holds for the next agent, too.

        :param time_left: seconds after which the jobs that are left are ended; empty for what was said before
        """
        log.info("stopping: no new jobs; %d are left", len(self._core.jobs.live()))
        deadline = events.Deadline(time.time() + float(time_left), float(time_left)) if time_left else None
        self._end_jobs_in_time(deadline)
        await self._driver.written(events.StopAsked(deadline))

    def terminate(self, reason: str = "the worker was terminated") -> None:
        """End the jobs, then the worker."""
        if not self._terminating.is_set():
            log.info("terminating, with %s: %s", counted(len(self._core.jobs.live()), "job"), reason)
            self._terminating.set()
            self._driver.post(events.TerminateAsked(reason))

    def hand_over(self) -> None:
        """End at once and leave everything as it is, runtime and tasks included: the next agent goes on with it."""
        log.info("leaving %s to the next agent", counted(len(self._core.jobs.live()), "job"))
        self._handing_over.set()

    def _end_jobs_in_time(self, deadline: events.Deadline | None) -> None:
        if deadline is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        # Never longer than was said, whatever was done to the clock between two agents.
        left = min(deadline.at - time.time(), deadline.seconds)
        reason = f"the worker was stopped, and the {deadline.seconds:g} s that it had for its tasks are over"
        self._timer = asyncio.get_running_loop().call_later(left, self.terminate, reason)

    # For the link and the driver

    def _owner(self) -> Owner:
        return Owner(
            hello=self._profile.hello,
            status=self._profile.status,
            welcomed=self._welcomed,
            serves=self._profile.serves,
            receive=self._driver.post,
            acknowledged=lambda key: self._driver.post(events.Acknowledged(key)),
            log_acknowledged=self._shipper.acknowledged,
            worker_log_wanted=self._own_log.want,
            next_chunk=self._next_chunk,
            has_tasks=lambda: bool(self._core.jobs.live()),
            refused=self._refused,
        )

    def _effects(self) -> Effects:
        return Effects(
            send=self._link.send,
            start=self._supervisors.start,
            stop=self._supervisors.stop,
            admit=lambda job: self._api.admit(self._identity.job_secret(job.key), job.key, job),
            follow=partial(self._shipper.follow, fresh=True),
            close=self._close_job,
            announce=lambda: self._link.send(self._profile.status()),
            rename=partial(self._identity.rename, self._config.identity_file),
            restart=self._restart,
        )

    def _welcomed(self, welcome: Welcome) -> None:
        with contextlib.suppress(OSError):
            self._config.linked_file.touch()
        self._profile.welcomed(welcome)
        self._instance.linked(welcome.link)
        self._driver.post(welcome)
        self._shipper.linked(welcome.log_dictionaries)
        self._own_log.welcomed()
        self._forwarder.hurry()

    def _refused(self, code: str) -> None:
        """Begin another instance where this one is a copy: it comes second, has never been linked, and has no task."""
        if code != Code.COPIED_INSTANCE or self._link.times_linked or not self._runtime.pid or self._core.jobs.live():
            return
        try:
            self._instance.renew()
            self._restart()
        except (OSError, AgentError) as error:
            log.warning("this copy of another machine's worker cannot begin anew: %s", error)

    def _next_chunk(self) -> LogChunk | WorkerLog | None:
        """Give the next piece of log. The worker's own, which is little, tells what is wrong with the others'."""
        return self._own_log.next_batch() or self._shipper.next_chunk()

    def _close_job(self, key: AssignmentKey) -> None:
        log.info("job %s has ended", key)
        self._supervisors.orphans.forget(key)
        self._api.close(key)
        self._shipper.close(key)
        if self._link.state.state == "refused":
            # Perhaps it was the last one for whose sake the worker still tries.
            self._link.hurry()

    def _restart(self) -> None:
        check_program()
        self._again = True
        self.hand_over()

    # Beginning and end

    async def _keep_linked(self) -> None:
        try:
            await self._loops.keep("the link to the centre", partial(self._link.run, self._owner()))
        except AgentError:
            # No task is left for which the runtime would have to stay.
            await self._runtime.retire(RETIRE_PATIENCE)
            raise

    def _take_over(self, records: list[JobRecord]) -> None:
        """Go on with what the last agent left."""
        secret, leaving = self._identity.job_secret, self._core.worker.leaving
        take_over(records, self._folders, self._shipper, self._api, secret, leaving=leaving)
        for message in self._core.jobs.reports():
            self._link.send(message)

    def _interrupted(self) -> None:
        if self._core.worker.leaving:
            self.terminate()
        else:
            log.info("draining: no new jobs; %d are left", len(self._core.jobs.live()))
            self._driver.post(events.DrainAsked())

    async def _until_over(self) -> None:
        """Wait until the worker was told to end and no job is left; once terminated, not longer than killing takes."""
        over = asyncio.ensure_future(self._driver.wait_until(lambda core: core.worker.over))
        terminating = asyncio.ensure_future(self._terminating.wait())
        handing_over = asyncio.ensure_future(self._handing_over.wait())
        ends = {over, handing_over}
        try:
            await asyncio.wait({*ends, terminating}, return_when=asyncio.FIRST_COMPLETED)
            patience = self._config.task_stop_grace + SUPERVISOR_GRACE
            done, _ = await asyncio.wait(ends, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                log.error("%s did not end; the runtime goes on trying", counted(len(self._core.jobs.live()), "job"))
        finally:
            for waiting in (*ends, terminating):
                waiting.cancel()

    async def _leave(self) -> None:
        """Deliver what can be delivered now; the rest is in the journal for the next time."""
        jobs, hurried = self._core.jobs, self._terminating.is_set
        await self._link.regain(REGAIN_PATIENCE)
        if self._link.linked.is_set():
            await deliver(lambda: len(jobs), lambda: (len(jobs), self._shipper.answers), hurried)
        # The centre drops what it has not dealt with when the link ends: the answers to orders, say.
        await self._link.flush(HURRIED_PATIENCE if hurried() else PATIENCE)
        say_what_is_left(len(jobs))
        await self._link.say_goodbye("the worker was shut down", GOODBYE_PATIENCE)
        await self._runtime.retire(RETIRE_PATIENCE)
        log.info("ended")
