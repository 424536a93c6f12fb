"""A centre and its sites with a misbehaving network between them, every process of which may be killed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy.exc import DBAPIError

from harness import environments
from harness.airflow import Airflow, Config, MigratedDatabases
from harness.client import ApiError, Client
from harness.database import PostgresServer
from harness.faults import FaultProxy
from harness.processes import Process, kill_processes
from harness.site import Site
from harness.waiting import wait_for
from tests.chaos.evidence import Entry, Kill
from tests.chaos.reading import read_ledger

DAGS = Path(__file__).parent / "dags"

# Nothing may be purged before it was looked at; and a dead scheduler's work is to be taken over within the minute.
_KEPT_FOR_EVIDENCE = 7 * 24 * 60
CONFIG: Config = {
    "core": {"parallelism": 64, "max_active_tasks_per_dag": 1000, "max_active_runs_per_dag": 1000},
    "edge": {"api_enabled": True, "job_success_purge": _KEPT_FOR_EVIDENCE, "job_fail_purge": _KEPT_FOR_EVIDENCE},
    "logging": {"logging_config_class": "airflow_edge.logs.LOGGING_CONFIG"},
    "scheduler": {"orphaned_tasks_check_interval": 15},
}


@dataclass
class Place:
    """A site, the network between it and the centre, and what its tasks have written down."""

    name: str
    site: Site
    proxy: FaultProxy
    ledger: Path
    kills: list[Kill] = field(default_factory=list)

    @property
    def agent(self) -> Process:
        assert self.site.worker is not None
        return self.site.worker

    def entries(self) -> list[Entry]:
        return read_ledger(self.ledger)

    def runtimes(self) -> list[psutil.Process]:
        """The warm process; for a moment there may be two, or none."""
        return [process for process in self.site.processes() if _title(process).startswith("airflow-edge runtime")]

    def supervisors(self) -> list[psutil.Process]:
        """One process for each task that runs here, whoever its parent is by now."""
        return [process for process in self.site.processes() if _title(process).startswith("airflow-edge supervisor")]

    def kill_runtime(self) -> None:
        """SIGKILL for the warm process alone."""
        self.kills.append(Kill(self.name, time.time()))
        kill_processes(self.runtimes())

    def cut_power(self) -> None:
        """SIGKILL for everything at the site at once."""
        self.kills.append(Kill(self.name, time.time()))
        everything = self.site.processes()
        for process in everything:
            # Stopped first, so that nobody sees another one die and reports it.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        kill_processes(everything)


class Deployment:
    """A booted centre on PostgreSQL, and its places."""

    def __init__(self, airflow: Airflow, postgres: PostgresServer, places: dict[str, Place]) -> None:
        self.airflow = airflow
        self.postgres = postgres
        self.places = places

    def components(self, kind: str) -> list[Process]:
        """The centre's processes of one kind: `api-server`, `scheduler`, `dag-processor`."""
        return [process for process in self.airflow.components if process.name.startswith(kind)]

    def client(self) -> Client | None:
        """A client of whichever API server answers, if one does."""
        for url in self.airflow.urls:
            try:
                return self.airflow.client(url)
            except (httpx.HTTPError, ApiError):
                continue
        return None

    def rows(self, sql: str, **parameters: object) -> list[Any] | None:
        """Rows of a query, or None while the database is away."""
        try:
            return list(self.airflow.database.rows(sql, **parameters))
        except DBAPIError:
            return None

    def entries(self) -> list[Entry]:
        return [entry for place in self.places.values() for entry in place.entries()]

    def kills(self) -> list[Kill]:
        return [kill for place in self.places.values() for kill in place.kills]

    def wait_until_linked(self, timeout: float = 60) -> None:
        for place in self.places.values():
            wait_for(place.site.is_linked, f"{place.name} to be linked", timeout=timeout, interval=0.3)


@contextmanager
def open_deployment(
    folder: Path,
    *,
    places: Sequence[str],
    dags: Sequence[str],
    queues: Sequence[str],
    schedulers: int = 1,
    concurrency: int = 4,
    own_queues: bool = False,
    edge: Mapping[str, object] | None = None,
    worker_venv: Path | None = None,
) -> Iterator[Deployment]:
    """Boot two API servers and all the rest, and link a site for each of `places`.

    All serve `queues`, and with `own_queues` each another one called like itself. `dags` are Dags to wait for, `edge`
    more settings of `[edge]` at the centre.
    """
    config = {**CONFIG, "edge": {**CONFIG["edge"], **(edge or {})}}
    with ExitStack() as stack:
        # Durable: it is killed in the middle of things, and what it has promised must be there afterwards.
        postgres = stack.enter_context(PostgresServer(durable=True).running())
        centre = environments.centre()
        database = MigratedDatabases(postgres, folder, venv=centre).create("chaos")
        airflow = stack.enter_context(
            Airflow(
                folder / "centre",
                database,
                venv=centre,
                dags=DAGS,
                executor="airflow_edge.executor.EdgeExecutor",
                config=config,
            )
        )
        airflow.boot(schedulers=schedulers, api_servers=2, triggerer=False)
        with airflow.client() as client:
            client.wait_for_dags(dags)
        deployment = Deployment(airflow, postgres, {})
        shared_token = "" if own_queues else airflow.enroll_token(queues=queues, uses=len(places))
        for name in places:
            token = shared_token or airflow.enroll_token(queues=[*queues, name])
            proxy = stack.enter_context(FaultProxy(airflow.urls))
            ledger = folder / f"{name}.ledger"
            environment = {"CHAOS_LEDGER": str(ledger), "CHAOS_SITE": name}
            venv = worker_venv or environments.worker()
            site = stack.enter_context(Site(folder / name, venv=venv, dags=DAGS, environment=environment))
            site.enroll(proxy.url, token, name=name)
            site.start_worker(concurrency=concurrency, linked=False)
            deployment.places[name] = Place(name, site, proxy, ledger)
        deployment.wait_until_linked()
        yield deployment


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
