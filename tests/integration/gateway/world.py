"""A centre around the gateway: Airflow's tables, tasks in them, and gateways on real sockets."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import uvicorn
from airflow.api_fastapi.app import lifespan
from fastapi import FastAPI
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session, sessionmaker, undefer
from starlette.routing import Mount

from airflow_edge.admin.centre_keys import keyring
from airflow_edge.admin.tokens import verify_key
from airflow_edge.gateway.app import create_app
from airflow_edge.gateway.config import GatewayConfig
from airflow_edge.gateway.task_api import TaskApi
from airflow_edge.protocol.enrolment import write_token
from airflow_edge.protocol.urls import HEALTH, PREFIX
from airflow_edge.rules.liveness import SILENT_INTERVALS, Patience
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow, LogChunkRow, LogRow
from airflow_edge.store.transactions import SessionFactory
from airflow_edge.store.workers.enrollment import EnrollToken
from harness.client import NO_CAS
from tests.integration.gateway.site import Site

START_PATIENCE = 120.0

T = TypeVar("T")


def config(
    *,
    heartbeat_interval: float = 5.0,
    disconnect_grace: timedelta = timedelta(minutes=15),
    queue_disconnect_grace: Mapping[str, timedelta] | None = None,
    **changes: Any,
) -> GatewayConfig:
    """Settings for tests: impatient, but not hasty."""
    silence = timedelta(seconds=SILENT_INTERVALS * heartbeat_interval)
    return GatewayConfig(
        **{
            "api_enabled": True,
            "allow_shared_secret_enrollment": False,
            "offer_timeout": 10.0,
            "patience": Patience(silence, disconnect_grace, queue_disconnect_grace or {}),
            "dispatch_poll_interval": 0.05,
            "job_success_purge": timedelta(minutes=5),
            "job_fail_purge": timedelta(minutes=60),
            **changes,
        }
    )


async def wait_until(look: Callable[[], T], enough: Callable[[T], bool], *, patience: float = 60.0) -> T:
    """Look again and again until it is enough."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while not enough(seen := await asyncio.to_thread(look)):
        assert clock() < deadline, f"still {seen!r} after {patience} s"
        await asyncio.sleep(0.02)
    return seen


def serve_below(path: str, app: FastAPI) -> None:
    """Let the gateway in Airflow's app be reached below a path too; to it that is the same as Airflow being there."""
    (gateway,) = (route.app for route in app.routes if isinstance(route, Mount) and route.path == PREFIX)
    app.router.routes.insert(0, Mount(path, routes=[Mount(PREFIX, gateway)]))


def mounted(*, session_factory: SessionFactory | None = None, **settings: Any) -> FastAPI:
    """A gateway mounted as Airflow does it, without Airflow's own pages beside it."""
    return below_prefix(create_app(config(**settings), session_factory))


def below_prefix(gateway: FastAPI) -> FastAPI:
    """An app with nothing but the gateway in it."""
    app = FastAPI(lifespan=lifespan)
    app.mount(PREFIX, gateway)
    return app


class NoTaskApi(TaskApi):
    """In place of Airflow's Execution API where no task calls: it is loaded in no time."""

    def __init__(self) -> None: ...

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def warm_up(self) -> None: ...


def links_only(sessions: SessionFactory, **settings: Any) -> FastAPI:
    """A gateway where workers enrol, link, and do nothing else: it is up in no time."""
    return below_prefix(create_app(config(**settings), sessions, NoTaskApi))


class GatewayServer:
    """One API server: uvicorn, in a thread with a loop of its own."""

    def __init__(
        self, app: FastAPI, *, wait: bool = True, websocket_ping: float | None = 20.0, loop: str = "auto"
    ) -> None:
        """Set it up.

        :param wait: until the gateway is ready, not only until the server is up
        :param websocket_ping: seconds between the server's own pings
        :param loop: whose event loop, as uvicorn calls it
        """
        self._wait = wait
        # As `airflow api-server` sets it, but for the port.
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                port=0,
                lifespan="on",
                access_log=False,
                log_config=None,
                timeout_keep_alive=60,
                ws_ping_interval=websocket_ping,
                loop=loop,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        (server,) = self._server.servers
        host, port = server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}{PREFIX}"

    def block(self, seconds: float) -> None:
        """Have the server's loop stand still, as a call does that waits for something."""
        self._server.servers[0].get_loop().call_soon_threadsafe(time.sleep, seconds)

    def tasks(self) -> list[str]:
        """Give the names of the tasks that the gateway has made; others in the server's loop are not counted."""
        loop = self._server.servers[0].get_loop()
        coroutines = ((task.get_name(), task.get_coro()) for task in asyncio.all_tasks(loop))
        return [name for name, coroutine in coroutines if "airflow_edge" in inspect.getfile(coroutine.cr_code)]  # type: ignore[union-attr]

    def start(self) -> None:
        self._thread.start()
        deadline = threading.Event()
        for _ in range(int(START_PATIENCE / 0.02)):
            if self._server.started and not (self._wait and self._unready()):
                return
            assert self._thread.is_alive(), "the server has died"
            deadline.wait(0.02)
        raise TimeoutError("the server did not start")

    def _unready(self) -> bool:
        return httpx.get(self.url + HEALTH, trust_env=False, verify=NO_CAS, timeout=START_PATIENCE).is_error

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(START_PATIENCE)
        assert not self._thread.is_alive(), "the server does not end"

    def __enter__(self) -> GatewayServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Centre:
    """The database and what tests put into it."""

    long_ago = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __init__(self, engine: Engine, gateway: str) -> None:
        self.engine = engine
        self.gateway = gateway
        self.sessions = sessionmaker(engine, autoflush=False, expire_on_commit=False)
        self.store = Store(self.sessions)

    def gateway_for_links(self, *, websocket_ping: float | None = 20.0, **settings: Any) -> GatewayServer:
        """Another API server's worth of links."""
        return GatewayServer(links_only(self.sessions, **settings), websocket_ping=websocket_ping)

    def queue_name(self) -> str:
        """A queue that nobody else serves."""
        return f"queue-{uuid4().hex[:12]}"

    def centre_key(self) -> str:
        """The key with which its gateways sign, hex."""
        return keyring(self.store).links[-1].key

    def enroll_token(self, *queues: str, uses: int = 1, pattern: str | None = None) -> str:
        secret = write_token(secrets.token_bytes(32), keyring(self.store).fingerprint)
        now = datetime.now(UTC)
        token = EnrollToken(
            id=uuid4(),
            queues=queues or ("default",),
            team_name=None,
            name_pattern=pattern,
            uses=uses,
            uses_left=uses,
            created_at=now,
            expires_at=now + timedelta(hours=1),
            created_by="test",
            revoked_at=None,
        )
        self.store.enroll_tokens.create(token, verify_key(secret))
        return secret

    async def site(self, *queues: str) -> Site:
        """An enrolled site."""
        site = Site()
        answer = await site.enroll(self.gateway, self.enroll_token(*queues))
        assert answer.status_code == 200, answer.text
        return site

    @staticmethod
    def stranger() -> Site:
        """A site that nobody has enrolled."""
        return Site()

    def trusted_site(self, *queues: str) -> Site:
        """A site that is enrolled without the gateway's doing."""
        site = Site()
        worker = self.store.enroll_tokens.enroll_trusted(
            site.name, bytes.fromhex(site.public_key), queues, now=datetime.now(UTC)
        )
        site.worker_id = str(worker.id)
        return site

    def queue(self, queue: str, **fields: Any) -> JobRow:
        """Put a job into the queue, as the executor does."""
        job = JobRow(
            **{
                "id": uuid4(),
                "kind": "task",
                "workload_id": uuid4(),
                "dag_id": "dag",
                "task_id": "task",
                "run_id": "run",
                "map_index": -1,
                "try_number": 1,
                "queue": queue,
                "team_name": None,
                "priority_weight": 1,
                "slots": 1,
                # Of no scheduler: that of one that does not run is taken back.
                "owner": None,
                "log_path": f"dag_id=dag/run_id=run/task_id={uuid4().hex}/attempt=1.log",
                "workload": '{"token":""}',
                **fields,
            }
        )
        with self.sessions() as session:
            queueing.add_job(session, job, now=datetime.now(UTC))
            session.commit()
        return job

    def let_lease_expire(self, job_id: UUID) -> None:
        """Let the time of an offer run out now."""
        assert self.store.jobs.expire_leases({job_id: self.job(job_id).assignment}, now=datetime.now(UTC)) == 1

    def job(self, job_id: UUID | str) -> JobRow:
        with self.sessions() as session:
            return session.scalars(
                select(JobRow)
                .options(undefer(JobRow.log_path), undefer(JobRow.workload))
                .where(JobRow.id == UUID(str(job_id)))
            ).one()

    def log_rows(self, job_id: UUID | str) -> int:
        """How many rows hold the log of this job."""
        with self.sessions() as session:
            logs = select(LogRow.id).where(LogRow.job_id == UUID(str(job_id)))
            rows = select(func.count()).select_from(LogChunkRow).where(LogChunkRow.log_id.in_(logs))
            return session.scalar(rows) or 0

    async def wait_for_state(self, job_id: UUID | str, *states: str, patience: float = 60.0) -> JobRow:
        """Wait until the job is in one of these states."""
        return await wait_until(lambda: self.job(job_id), lambda job: job.state in states, patience=patience)

    async def wait_for_heartbeat(self, worker_id: UUID) -> None:
        """Wait until a gateway has noted once more that this worker is there."""

        def last() -> datetime:
            worker = self.store.workers.get(worker_id)
            assert worker is not None
            assert worker.last_seen_at is not None
            return worker.last_seen_at

        before = last()
        await wait_until(last, lambda now: now > before)

    def task_instance(
        self, queue: str, *, state: str = "queued", hostname: str = "", dag_id: str | None = None
    ) -> UUID:
        """A task instance that Airflow has queued."""
        from airflow.models.dag import DagModel
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.tasklog import LogTemplate

        name = dag_id or f"dag_{uuid4().hex[:10]}"
        now = datetime.now(UTC)
        version_id, ti_id = uuid4(), uuid4()
        with self.engine.begin() as connection:
            if not connection.scalar(select(DagBundleModel.name).where(DagBundleModel.name == "bundle")):
                connection.execute(insert(DagBundleModel.__table__).values(name="bundle", active=True, version=None))
            connection.execute(
                insert(DagModel.__table__).values(
                    dag_id=name,
                    bundle_name="bundle",
                    fileloc="dag.py",
                    is_paused=False,
                    is_stale=False,
                    has_import_errors=False,
                    has_task_concurrency_limits=False,
                    max_active_tasks=16,
                    max_active_runs=16,
                    max_consecutive_failed_dag_runs=0,
                    exceeds_max_non_backfill=False,
                    fail_fast=False,
                    timetable_type="x",
                )
            )
            connection.execute(
                insert(DagVersion.__table__).values(
                    id=version_id, dag_id=name, version_number=1, bundle_name="bundle", created_at=now, last_updated=now
                )
            )
            connection.execute(
                insert(DagRun.__table__).values(
                    dag_id=name,
                    run_id="run",
                    state="running",
                    run_type="manual",
                    run_after=now,
                    created_dag_version_id=version_id,
                    log_template_id=connection.scalar(select(func.max(LogTemplate.id))),
                    clear_number=0,
                )
            )
            connection.execute(
                insert(TaskInstance.__table__).values(
                    id=ti_id,
                    dag_id=name,
                    task_id="task",
                    run_id="run",
                    state=state,
                    hostname=hostname,
                    try_number=1,
                    max_tries=0,
                    pool="default_pool",
                    pool_slots=1,
                    queue=queue,
                    priority_weight=1,
                    dag_version_id=version_id,
                )
            )
        return ti_id

    def tries(self, dag_id: str) -> int:
        """How many tries of a Dag's only task there were; former ones have a table of their own, or not (3.4)."""
        from airflow.models.base import Base

        tables = Base.metadata.tables
        kept = [tables[name] for name in ("task_instance", "task_instance_history") if name in tables]
        with self.engine.connect() as connection:
            counts = (select(func.count()).select_from(one).where(one.c.dag_id == dag_id) for one in kept)
            return sum(connection.scalar(count) or 0 for count in counts)

    def task_state(self, ti_id: UUID) -> str | None:
        from airflow.models.taskinstance import TaskInstance

        with Session(self.engine) as session:
            return session.scalar(select(TaskInstance.state).where(TaskInstance.id == ti_id))

    def dag_of(self, ti_id: UUID) -> str:
        from airflow.models.taskinstance import TaskInstance

        with Session(self.engine) as session:
            return session.scalars(select(TaskInstance.dag_id).where(TaskInstance.id == ti_id)).one()

    def last_heartbeat(self, ti_id: UUID) -> datetime | None:
        from airflow.models.taskinstance import TaskInstance

        with Session(self.engine) as session:
            return session.scalar(select(TaskInstance.last_heartbeat_at).where(TaskInstance.id == ti_id))

    def set_task_state(self, ti_id: UUID, state: str | None, **values: Any) -> None:
        from airflow.models.taskinstance import TaskInstance

        with self.engine.begin() as connection:
            table = TaskInstance.__table__
            connection.execute(table.update().where(table.c.id == ti_id).values(state=state, **values))
