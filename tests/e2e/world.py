"""A centre and its workers, as the end-to-end tests see them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow, MigratedDatabases
from harness.client import Client, DagRun
from harness.site import Site
from harness.waiting import wait_for

DAGS = Path(__file__).parent / "dags"
STARTUP = Path(__file__).parent / "startup"
EXECUTOR = os.environ.get("E2E_EXECUTOR", EDGE_EXECUTOR)
"""`E2E_EXECUTOR=LocalExecutor` runs the same tests with nothing of ours installed, in what `make env-edge3` makes: what
fails then too is not our fault."""
EXECUTORS = f"Site:{EDGE_EXECUTOR},Near:airflow.executors.local_executor.LocalExecutor"
"""What the centre has: the edge for whoever says nothing, and another one. Both by names that no site has heard of."""

_made = 0


def centre() -> Path:
    """The environment of the centre."""
    return environments.centre() if EXECUTOR == EDGE_EXECUTOR else environments.edge3()


@dataclass
class World:
    """A running deployment with its sites. `ledgers` is a folder for what tasks write down."""

    airflow: Airflow
    client: Client
    ledgers: Path
    sites: dict[str, Site] = field(default_factory=dict)

    @property
    def is_edge(self) -> bool:
        return bool(self.sites)

    def check(self) -> None:
        """Raise an error with the log of whatever ended that should be running."""
        self.airflow.check()
        for site in self.sites.values():
            if site.worker is not None:
                site.worker.check()

    @contextmanager
    def add_site(
        self, folder: Path, name: str, url: str, *, venv: Path | None = None, **options: Any
    ) -> Iterator[Site]:
        """Enrol one more worker at this API server, and have it run until the end."""
        with Site(folder / name, venv=venv or environments.worker(), dags=DAGS, **options) as site:
            self.sites[name] = site
            site.enroll(url, self.airflow.enroll_token(queues=["default", "plc"]), name=name)
            site.start_worker(concurrency=8)
            yield site
        del self.sites[name]

    def ledger(self, name: str) -> Ledger:
        return Ledger(self.ledgers / f"{name}.jsonl")

    def trigger(self, dag_id: str, *, name: str | None = None, **conf: object) -> DagRun:
        """Start a run whose tasks find the ledger `name`, or else one called like the Dag, in their params."""
        return self.client.trigger(dag_id, conf={"ledger": str(self.ledger(name or dag_id).path), **conf})


@dataclass(frozen=True)
class Ledger:
    """What tasks have written down with `dags/ledger.py`, in order."""

    path: Path

    def entries(self, what: str | None = None) -> list[Mapping[str, Any]]:
        if not self.path.exists():
            return []
        found = [json.loads(line) for line in filter(None, self.path.read_text(encoding="utf-8").split("\n"))]
        return [entry for entry in found if what in (None, entry["what"])]

    def wait_for(self, what: str, *, count: int = 1, timeout: float = 60) -> list[Mapping[str, Any]]:
        """Wait until there are `count` entries that say `what`."""

        def there() -> list[Mapping[str, Any]] | None:
            found = self.entries(what)
            return found if len(found) >= count else None

        return wait_for(there, f"{count} × {what!r} in {self.path.name}", timeout=timeout)

    def wait_for_silence(self, what: str, *, seconds: float, timeout: float) -> float:
        """Wait until the last entry that says `what` is `seconds` old; returns when that one was written."""

        def silent() -> float | None:
            last: float = self.entries(what)[-1]["time"]
            return last if time.time() - last >= seconds else None

        return wait_for(silent, f"no more {what!r} in {self.path.name}", timeout=timeout)


@contextmanager
def open_world(
    folder: Path,
    migrated: MigratedDatabases,
    *,
    worker_venv: Path | None = None,
    schedulers: int = 1,
    api_servers: int = 1,
    triggerer: bool = True,
) -> Iterator[World]:
    """Boot a centre, and for the EdgeExecutor an enrolled and linked worker."""
    global _made
    _made += 1
    config = EDGE_CONFIG if EXECUTOR == EDGE_EXECUTOR else {}
    database = migrated.create(f"world_{_made}")
    executor = EXECUTORS if EXECUTOR == EDGE_EXECUTOR else EXECUTOR
    with ExitStack() as stack:
        airflow = stack.enter_context(
            Airflow(
                folder / "centre",
                database,
                venv=migrated.venv,
                dags=DAGS,
                executor=executor,
                config=config,
                environment={"PYTHONPATH": str(STARTUP)},
            )
        )
        airflow.boot(schedulers=schedulers, api_servers=api_servers, triggerer=triggerer)
        client = stack.enter_context(airflow.client())
        client.wait_for_dags(["hello"])
        ledgers = folder / "ledgers"
        ledgers.mkdir()
        world = World(airflow, client, ledgers)
        if EXECUTOR == EDGE_EXECUTOR:
            site = world.add_site(folder, "worker-1", airflow.url, venv=worker_venv)
            stack.enter_context(site)
        yield world
