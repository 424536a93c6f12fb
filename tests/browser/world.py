"""A centre with its workers, as somebody sees it who has a browser."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.store import Store
from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.client import Client, DagRun
from harness.database import Database
from harness.ports import free_port
from harness.site import Site

HERE = Path(__file__).parent
DAGS = HERE / "dags"
USERS = {"victor": "viewer"}
"""Who may look at everything, and change nothing."""
VERSIONS = ("3.3", "3.2", "3.4")
PATIENT: Mapping[str, object] = {"heartbeat_interval": 3600, "disconnect_grace": "100h"}
"""Settings under which nobody finds out that prepared workers are not there."""


def centre_of(version: str) -> Path:
    """The environment of an Airflow with the project in it."""
    return environments.centre_of(version) if version in environments.OTHER_AIRFLOWS else environments.centre()


@dataclass
class Centre:
    """A running Airflow and what it knows of. `gates` is a folder for what tasks wait for."""

    airflow: Airflow
    version: str
    folder: Path
    url: str
    sites: dict[str, Site] = field(default_factory=dict)

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        """Makes sessions on its database."""
        return sessionmaker(self.airflow.database.engine(), autoflush=False, expire_on_commit=False)

    @cached_property
    def store(self) -> Store:
        """The product's own store, on its database."""
        return Store(self.sessions)

    @cached_property
    def client(self) -> Client:
        return self.airflow.client()

    def call(self, path: str, **query: Any) -> Any:
        """What our REST API tells an administrator."""
        return self.client.get(f"/edge_worker/api/{path}", **query)

    def check(self) -> None:
        """Raise an error with the log of whatever ended that should be running."""
        self.airflow.check()

    @contextmanager
    def below(self, path: str) -> Iterator[Centre]:
        """The same, by one more API server whose address has a path, as some have it behind a proxy."""
        url = f"http://127.0.0.1:{free_port()}{path}"
        server = self.airflow.start_api_server(url=url)
        try:
            yield replace(self, url=url)
        finally:
            server.stop()
            self.airflow.components.remove(server)

    @contextmanager
    def site(self, name: str, *, queues: tuple[str, ...] = ("plc",), concurrency: int = 4) -> Iterator[Site]:
        """Have one more machine with a worker that is linked, until the end."""
        with self.machine(name) as site:
            site.enroll(self.url, self.airflow.enroll_token(queues=queues), name=name)
            site.start_worker(concurrency=concurrency)
            yield site

    @contextmanager
    def machine(self, name: str) -> Iterator[Site]:
        """Have a machine on which a worker can be enrolled, until the end."""
        venv = self.airflow.venv if self.version in environments.OTHER_AIRFLOWS else environments.worker()
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        with Site(folder, venv=venv, dags=DAGS) as site:
            self.sites[name] = site
            yield site
        del self.sites[name]

    def gate(self, name: str) -> Path:
        """What a task waits for: `touch` it, and the task ends."""
        return self.folder / f"gate-{name}"

    def trigger(self, dag_id: str, run_id: str | None = None, **conf: Any) -> DagRun:
        self.client.wait_for_dags([dag_id])
        return self.client.trigger(dag_id, run_id=run_id, conf=conf)


@contextmanager
def open_centre(
    folder: Path,
    database: Database,
    version: str,
    *,
    runs: bool = True,
    settings: Mapping[str, object] | None = None,
    teams: Sequence[str] = (),
) -> Iterator[Centre]:
    """Boot an Airflow.

    :param runs: whether it runs tasks; otherwise it has nothing but its API server
    :param settings: more of `[edge]`
    :param teams: those it has; in each somebody who is called like it may change things
    """
    venv = centre_of(version)
    config = {**EDGE_CONFIG, "edge": {**EDGE_CONFIG["edge"], **(settings or {})}, "core": {"multi_team": bool(teams)}}
    with ExitStack() as stack:
        airflow = Airflow(
            folder / "centre",
            database,
            venv=venv,
            dags=DAGS,
            executor=EDGE_EXECUTOR,
            config=config,
            users={**USERS, **{team: f"op:{team}" for team in teams}},
        )
        shutil.copy(HERE / "plugins" / "statements.py", airflow.folder / "plugins")
        stack.enter_context(airflow)
        for team in teams:
            airflow.cli("teams", "create", team)
        if runs:
            airflow.boot(triggerer=False)
        else:
            airflow.start_api_server()
        centre = Centre(airflow, version, folder, airflow.url)
        stack.callback(lambda: centre.client.close())
        yield centre
