"""The gateway of one API server process: it gets ready beside the server's start, and never stands in its way."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Final
from uuid import UUID, uuid4

from airflow import settings
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from airflow_edge.backoff import Backoff
from airflow_edge.gateway import process
from airflow_edge.gateway.access import denials, policy_in_force, uses
from airflow_edge.gateway.access.attempts import Attempts
from airflow_edge.gateway.access.authentication import Authenticator
from airflow_edge.gateway.access.centre_key import KeyringCache
from airflow_edge.gateway.access.directory import WorkerDirectory
from airflow_edge.gateway.access.jobs import CallingJobs
from airflow_edge.gateway.access.policy import PolicyGate
from airflow_edge.gateway.access.policy_in_force import DatabasePolicy, FilePolicy, PolicyInForce
from airflow_edge.gateway.access.stored_names import StoredNames
from airflow_edge.gateway.access.upstream import UpstreamTasks
from airflow_edge.gateway.access.uses import UseCounter
from airflow_edge.gateway.bodies import Bodies
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.database.batching import Coalesced
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.database.listener import listener_engine
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.database.own import OwnSessions
from airflow_edge.gateway.http import not_ready
from airflow_edge.gateway.links.demand import Demand
from airflow_edge.gateway.links.inquiry import Inquiry
from airflow_edge.gateway.links.passing import Passing
from airflow_edge.gateway.links.polling import Polls, tag_of
from airflow_edge.gateway.links.reconcile import Arrival, Kept, Reconciled, reconcile
from airflow_edge.gateway.links.records import Records
from airflow_edge.gateway.links.registry import Links
from airflow_edge.gateway.loops import assignments, log_keeper, maintenance, presence, purge, testing, worker_changes
from airflow_edge.gateway.loops.background import Background
from airflow_edge.gateway.loops.dispatcher import Dispatcher
from airflow_edge.gateway.loops.handover import Handover
from airflow_edge.gateway.loops.mark import GatewayMark
from airflow_edge.gateway.refusals import Refusals
from airflow_edge.gateway.task_api import TaskApi
from airflow_edge.protocol.problems import CloseCode
from airflow_edge.room import SharedRoom
from airflow_edge.rules.processes import MARK_INTERVAL
from airflow_edge.rules.worker import Worker
from airflow_edge.store import schema
from airflow_edge.store.store import Store
from airflow_edge.store.transactions import SessionFactory

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
"""Seconds between two attempts to get ready."""
POLICY_UNREADABLE: Final = "The centre's policy cannot be read; the API server's log says why, and what is in force."
MOST_CALLS: Final = 10
"""Calls at Airflow's Execution API at once. More would not be answered sooner: they have one processor, and Airflow's
connections to its database, of which it has 15."""
MOST_OF_ONE: Final = 5
"""Of them of one worker: so that others' need not wait for its."""


class Gateway:
    """What is behind the gateway's endpoints: its parts, and whether calls can be served yet."""

    def __init__(
        self,
        config: GatewayConfig,
        session_factory: SessionFactory | None = None,
        load_task_api: Callable[[], TaskApi] = TaskApi,
    ) -> None:
        """Connect to nothing yet.

        :param session_factory: gives sessions on Airflow's database; Airflow's own where it is not given
        :param load_task_api: makes the Execution API that tasks' calls are passed to
        """
        self.config = config
        self._session_factory = OwnSessions(session_factory or _airflow_session)
        self.store = Store(self._session_factory)
        self.calls = StoreCalls()
        self.demand = Demand()
        self.links = Links(self.demand)
        self.directory = WorkerDirectory(self.store.workers, self.calls)
        self.authenticator = Authenticator(self.directory, self.store.nonces, self.calls)
        self.greetings: Counter[UUID] = Counter()
        """Connections of each worker on which no `Hello` has come."""
        self.refusals = Refusals()
        self.turns = SharedRoom(MOST_CALLS, MOST_OF_ONE)
        """Of calls at Airflow's Execution API."""
        self.bodies = Bodies(longest=config.call_max_size, memory=config.call_memory)
        self.policy = self._make_policy()
        self.denials = denials.DenialNotes(self.calls)
        self.centre_keys = KeyringCache(self.store, self.calls)
        self.attempts = Attempts(self.store.enroll_attempts, self.calls)
        self.inquiry = Inquiry(self.store.instances, self.calls, self.links)
        self.arrivals = Coalesced(self._reconcile)
        self.queue = QueueSignal(self._notify, self.demand)
        self.records = Records(
            self.store,
            self.calls,
            self.queue,
            self.demand,
            config.worker_log_quota,
            config.log_max_size,
            SharedRoom(config.call_memory // 4, config.call_memory // 16),
        )
        # A thread of its own: whoever keeps the others busy, with tasks' calls, reports or logs, keeps no job waiting.
        self._dispatcher_calls = StoreCalls(threads=1)
        self._dispatcher = Dispatcher(self.store, self._dispatcher_calls, self.links, self.queue, self.demand, config)
        self.calling_jobs = CallingJobs(
            self.store.jobs, self.store.job_authority, self.calls, self.links.void, config.time_to_end
        )
        self._assignments = assignments.Assignments(self.store, self.calls, self.links, self.queue, config)
        self._worker_changes = worker_changes.WorkerChanges(
            self.store, self.calls, self.links, self.directory, self.demand, self._answer_others
        )
        self._maintenance = maintenance.MaintenanceEnds(self.store, self.calls)
        self._untaken_tests = testing.UntakenTests(self.store, self.calls, config.patience)
        self._presence = presence.Presence(self.store, self.calls, self.links, config)
        self._purge = purge.Purge(self.store, self.calls, self.links, self.authenticator.seen, config)
        self._log_keeper = log_keeper.LogKeeper(self.store.log_upkeep, config)
        self._handover = Handover(self.store)
        self.background = Background()
        self._load_task_api = load_task_api
        self._task_api: TaskApi | None = None
        self._links_served = False
        self._not_ready = "The gateway is starting; try again."

    def _make_policy(self) -> PolicyGate:
        file = self.config.policy_file
        source = DatabasePolicy(self.store.policies, self.calls) if file is None else FilePolicy(file, self.calls)
        upstream = UpstreamTasks(self._session_factory, self.calls)
        uses = UseCounter(self.store.policy_uses, self.calls)
        return PolicyGate(PolicyInForce(source), upstream, uses, StoredNames(self._session_factory, self.calls))

    @cached_property
    def id(self) -> str:
        """Its name among all gateways; made by the process that serves, not by one that forks it off."""
        return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    @cached_property
    def _process_id(self) -> UUID:
        return uuid4()

    @cached_property
    def mark(self) -> GatewayMark:
        """What others see it by."""
        return GatewayMark(self._process_id, self.store.processes, self.calls)

    @cached_property
    def polls(self) -> Polls:
        """Its links by long polling."""
        return Polls(tag_of(self._process_id.hex))

    @cached_property
    def passing(self) -> Passing:
        """What it passes on of requests for links of others, and they of those for its own."""
        return Passing(
            self.store.passed_requests,
            self.store.processes,
            self.calls,
            self.polls,
            self.authenticator.note_token,
            self.queue,
            self.config.dispatch_poll_interval,
        )

    def trouble(self) -> str | None:
        """Say, to anybody, what has failed lately; None if nothing has."""
        policy = POLICY_UNREADABLE if self.policy.in_force.trouble() else None
        found = self.background.trouble(), self.passing.trouble(), policy
        return " ".join(filter(None, found)) or None

    def check_ready(self, *, tasks: bool = False) -> None:
        """Raise `ProblemError` unless workers can enrol and link; with `tasks`, unless their tasks can call, too."""
        if not self._links_served or (tasks and self._task_api is None):
            raise not_ready(self._not_ready)

    @property
    def task_api(self) -> TaskApi:
        """Airflow's Execution API.

        :raises ProblemError: it is not ready, or workers cannot link yet.
        """
        if self._task_api is None:
            raise not_ready(self._not_ready)
        return self._task_api

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load Airflow's Execution API, get ready in the background, and end everything afterwards.

        Nothing that goes wrong here reaches the API server.
        """
        process.allow_many_files()
        process.serve_links()
        async with AsyncExitStack() as stack:
            task_api = await self._start_task_api(stack)
            process.keep_what_is_loaded()
            getting_ready = asyncio.create_task(self._get_ready(task_api)) if task_api else None
            try:
                yield
            finally:
                if getting_ready is not None:
                    getting_ready.cancel()
                    await asyncio.gather(getting_ready, return_exceptions=True)
                if self._links_served:
                    await self._stop()
                for calls in (self.calls, self._dispatcher_calls):
                    await asyncio.to_thread(calls.close)
                await asyncio.to_thread(self._session_factory.dispose)

    async def _start_task_api(self, stack: AsyncExitStack) -> TaskApi | None:
        try:
            task_api = self._load_task_api()
            await stack.enter_async_context(task_api.running())
        # Whatever it is, Airflow's own API server has to start all the same.
        except Exception:
            # Anybody can read this: what it failed at, with whatever stands in that, is in the log only.
            self._not_ready = "The gateway could not start; the API server's log says more."
            log.exception("The edge gateway could not start Airflow's Execution API; no worker can link here")
            return None
        return task_api

    async def _get_ready(self, task_api: TaskApi) -> None:
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                if not self._links_served and (engine := await self._look_at_database()):
                    self._start(engine)
                if self._links_served:
                    # Workers come back meanwhile; the calls of their tasks wait for this.
                    await task_api.warm_up()
                    process.keep_what_is_loaded()
                    self._task_api = task_api
                    log.info("The edge gateway is ready (%s)", self.id)
                    return
            # The reasons are many, and none must end the attempts.
            except Exception as error:
                self._not_ready = f"The gateway is not ready ({type(error).__name__}); the API server's log says more."
                log.exception("The edge gateway is not ready; it tries again")
            await asyncio.sleep(pauses.next())

    async def _look_at_database(self) -> Engine | None:
        """Give the database's engine if it has the tables; say what to do if not."""
        try:
            engine, found = await self.calls.run(_examine, self._session_factory)
        except StoreUnavailableError:
            self._not_ready = "The centre's database does not answer; try again."
            return None
        if found:
            self._not_ready = f"The centre is not ready: {found} (at the centre)."
            log.error("The edge gateway waits: %s", found)
            return None
        return engine

    def _start(self, engine: Engine) -> None:
        """Start the loops, and serve links."""
        start, repeat = self.background.start, self.background.repeat
        start("dispatcher", self._dispatcher.run)
        repeat("watch over tasks", assignments.UNWANTED_INTERVAL, self._assignments.stop_unwanted)
        repeat("watch over offers", assignments.LEASES_INTERVAL, self._assignments.expire_leases)
        repeat("watch over accepted jobs", assignments.LEASES_INTERVAL, self._assignments.look_after_idle)
        repeat("passing on of changes to workers", worker_changes.LOOK_INTERVAL, self._worker_changes.look)
        repeat("watch over ends of maintenance", maintenance.LOOK_INTERVAL, self._maintenance.look)
        repeat("watch over test jobs", testing.LOOK_INTERVAL, self._untaken_tests.look)
        repeat("noting of workers' states", presence.CHANGES_INTERVAL, self._presence.note_changes)
        beats = self._presence.beat, self._assignments.void_strays
        repeat("mark of this gateway", MARK_INTERVAL, self.mark.leave)
        repeat("watch over presence", self.config.patience.heartbeat_interval, *beats)
        to_purge = self._purge.forget, self._purge.purge_jobs, self._purge.purge_worker_logs
        repeat("purge", purge.INTERVAL, *to_purge, self._purge.purge_policy_uses)
        repeat("watch over the policy", policy_in_force.LOOK_INTERVAL, self.policy.in_force.look)
        repeat("noting of what tasks ask for", uses.INTERVAL, self.policy.uses.flush)
        repeat("noting of what is denied", denials.INTERVAL, self.denials.flush)
        repeat("retention of measurements", purge.METRICS_INTERVAL, self._purge.purge_metrics)
        start("passing on of requests", self.passing.run)
        start("care of logs", self._log_keeper.tidy)
        repeat("retention of logs", purge.INTERVAL, self._purge.expire_logs)
        start("handing over of logs", self._handover.run)
        if engine.dialect.name == "postgresql":
            listens = listener_engine(engine, self.config.listener_sql_alchemy_conn)
            start("listener", partial(self.queue.listen, listens))
        self._links_served = True
        self._not_ready = "The gateway is loading Airflow's Execution API; try again."

    async def _stop(self) -> None:
        """Stop the loops and let go of the links."""
        self._links_served, self._task_api = False, None
        await self.background.stop()
        await self.mark.end()
        await self._log_keeper.stop()
        await self._handover.stop()
        await self.inquiry.stop()
        for link in self.links:
            link.close(CloseCode.SHUTTING_DOWN, "the API server is shutting down")
        await self.polls.stop()
        await self.passing.stop()
        # It was logged.
        with suppress(StoreUnavailableError):
            await self.policy.uses.flush()
            await self.denials.flush()

    async def _notify(self, payload: str) -> None:
        await self.calls.run(self.store.queue.notify, payload)

    async def _answer_others(self, changed: Iterable[Worker]) -> None:
        await self.inquiry.answer(changed, self.id)

    async def _reconcile(self, arrivals: Sequence[Arrival]) -> list[Reconciled | Kept]:
        return await self.calls.run(reconcile, self.store, arrivals, now=datetime.now(UTC))


def _airflow_session() -> Session:
    if settings.NonScopedSession is None:
        raise RuntimeError("Airflow's database session is not set up in this process")
    session: Session = settings.NonScopedSession()
    return session


def _examine(factory: SessionFactory) -> tuple[Engine, str | None]:
    with factory() as session:
        connection = session.connection()
        return connection.engine, schema.trouble(schema.look(connection))
