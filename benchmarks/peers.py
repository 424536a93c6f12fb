"""What is compared: each a deployment of its own, all with the same settings, on the same PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, JWT_ISSUER, Airflow, Config, MigratedDatabases
from harness.database import PostgresServer
from harness.processes import Process
from harness.site import Site

CONCURRENCY = 8
DAGS = Path(__file__).parent / "dags"

_BOOT_TIMEOUT = 60.0
_WORKER = "bench-worker"
_EDGE3_EXECUTOR = "airflow.providers.edge3.executors.EdgeExecutor"


@dataclass(frozen=True)
class Ground:
    """Where the peers are built: a folder for their files and the database server they share."""

    folder: Path
    postgres: PostgresServer

    @contextmanager
    def airflow(
        self,
        name: str,
        *,
        venv: Path,
        executor: str,
        config: Config | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Airflow]:
        """A deployment with a migrated database, not started yet."""
        folder = self.folder / name
        database = MigratedDatabases(self.postgres, folder, venv=venv).create(name)
        # LocalExecutor's concurrency is this setting, so everybody has it.
        settings = {"core": {"parallelism": CONCURRENCY}, **(config or {})}
        with Airflow(
            folder / "centre",
            database,
            venv=venv,
            dags=DAGS,
            executor=executor,
            config=settings,
            environment=environment,
        ) as deployment:
            yield deployment


@contextmanager
def local(ground: Ground) -> Iterator[Airflow]:
    """Airflow's own LocalExecutor: no network between scheduler and task at all."""
    with ground.airflow("local", venv=environments.centre(), executor="LocalExecutor") as airflow:
        airflow.boot(triggerer=False)
        yield airflow


@contextmanager
def edge(ground: Ground) -> Iterator[Airflow]:
    """airflow-edge, with one enrolled worker in the environment a site has."""
    with edge_and_site(ground) as (airflow, _):
        yield airflow


@contextmanager
def edge_and_site(ground: Ground, *, api_servers: int = 1) -> Iterator[tuple[Airflow, Site]]:
    """The same with its site, whose worker is linked to the first API server and, as is verified, to no other."""
    with (
        ground.airflow("edge", venv=environments.centre(), executor=EDGE_EXECUTOR, config=EDGE_CONFIG) as airflow,
        Site(ground.folder / _WORKER, venv=environments.worker(), dags=DAGS) as site,
    ):
        airflow.boot(api_servers=api_servers, triggerer=False)
        site.enroll(airflow.url, airflow.enroll_token(), name=_WORKER)
        worker = site.start_worker(concurrency=CONCURRENCY)
        ends = psutil.Process(worker.pid).net_connections("tcp")
        ports = {end.raddr[1] for end in ends if end.status == psutil.CONN_ESTABLISHED}
        assert httpx.URL(airflow.url).port in ports
        assert not ports & {httpx.URL(url).port for url in airflow.urls[1:]}
        yield airflow, site


@contextmanager
def edge3(ground: Ground) -> Iterator[Airflow]:
    """apache-airflow-providers-edge3 with one worker, as its documentation sets it up, intervals at their defaults."""
    venv = environments.edge3()
    folder = ground.folder / "edge3-worker"
    folder.mkdir()
    with ground.airflow(
        "edge3", venv=venv, executor=_EDGE3_EXECUTOR, config={"edge": {"api_enabled": True}}
    ) as airflow:
        airflow.boot(triggerer=False)
        worker = Process(
            "edge3 worker",
            [venv / "bin" / "airflow", "edge", "worker", "-q", "default", "-c", str(CONCURRENCY), "-H", _WORKER],
            env={
                "PATH": f"{venv / 'bin'}{os.pathsep}{os.defpath}",
                "HOME": str(folder),
                "LANG": "C.UTF-8",
                "AIRFLOW_HOME": str(folder),
                "AIRFLOW__CORE__EXECUTOR": _EDGE3_EXECUTOR,
                "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow.url}/execution/",
                "AIRFLOW__EDGE__API_URL": f"{airflow.url}/edge_worker/v1/rpcapi",
                "AIRFLOW__API_AUTH__JWT_SECRET": airflow.jwt_secret,
                "AIRFLOW__API_AUTH__JWT_ISSUER": JWT_ISSUER,
                "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
            },
            cwd=folder,
            log=folder / "worker.log",
        )
        try:
            worker.wait_ready(
                lambda: airflow.database.rows("SELECT 1 FROM edge_worker WHERE state = 'idle'"), timeout=_BOOT_TIMEOUT
            )
            yield airflow
        finally:
            worker.stop()


Peer = Callable[[Ground], AbstractContextManager[Airflow]]

PEERS: dict[str, Peer] = {"edge": edge, "local": local, "edge3": edge3}
