"""A centre and its sites with a misbehaving network between them, every process of which may be killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy.exc import DBAPIError

from airflow_edge.agent.task_logs.file import SEGMENT_FILE
from airflow_edge.protocol.local import LOG_FILE, OUTCOME_FILE, SUPERVISOR_LOG_FILE
from harness import environments
from harness.airflow import Airflow, Config, MigratedDatabases
from harness.client import ApiError, Client
from harness.database import PostgresServer
from harness.disk import CAN_MOUNT, fill, small_disk
from harness.faults import FaultProxy
from harness.middlebox import Decision, Interference, Middlebox, Moment, said_by_chance
from harness.processes import Process, kill_processes
from harness.site import Site
from harness.waiting import wait_for
from tests.chaos.damage import damage
from tests.chaos.evidence import Assignment, Entry, FullDisk, Kill
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
SMALL_DISK = {"AIRFLOW__EDGE__MIN_FREE_DISK": "8", "AIRFLOW__EDGE__LOCAL_LOG_MIN_FREE": "16"}
"""What a site sets whose state folder is on a disk of a few megabytes."""


@dataclass
class Place:
    """A site, the network between it and the centre, and what its tasks have written down."""

    name: str
    site: Site
    proxy: FaultProxy
    boxes: Mapping[str, Middlebox]
    """What may answer in place of an API server, by its URL."""
    ledger: Path
    kills: list[Kill] = field(default_factory=list)
    spoiled_logs: set[Assignment] = field(default_factory=set)
    full_disks: list[FullDisk] = field(default_factory=list)
    has_disk: bool = False
    """Its state folder is on a small disk of its own."""
    copies: list[Site] = field(default_factory=list)
    """Machines with a copy of the state folder, as it was when each was started."""

    @property
    def agent(self) -> Process:
        assert self.site.worker is not None
        return self.site.worker

    def let_others_answer(self, seed: float) -> None:
        """Have half of all requests answered by somebody who is not the centre, with whatever he likes to say."""
        for number, box in enumerate(self.boxes.values()):
            box.interfere(_by_chance(random.Random(f"{seed} {number}")))
        self.proxy.route([box.url for box in self.boxes.values()])
        self.proxy.reset()

    def let_the_centre_answer(self) -> None:
        """End that."""
        self.proxy.route(list(self.boxes))
        self.proxy.reset()

    def entries(self) -> list[Entry]:
        return read_ledger(self.ledger)

    def runtimes(self) -> list[psutil.Process]:
        """The warm process; for a moment there may be two, or none."""
        found = self._titled("airflow-edge runtime")
        # What a runtime has forked just now is called like itself for a moment.
        return [process for process in found if _parent(process) not in {other.pid for other in found}]

    def supervisors(self) -> list[psutil.Process]:
        """One process for each task that runs here, whoever its parent is by now."""
        return self._titled("airflow-edge supervisor")

    def pids(self) -> list[int]:
        """The pids of all that runs at the site."""
        return [process.pid for process in self.site.processes()]

    def has_begun(self) -> bool:
        """Whether the agent has come so far that it can be asked how it is."""
        with socket.socket(socket.AF_UNIX) as control:
            try:
                control.connect(os.fspath(self.site.state_dir / "control.sock"))
            except OSError:
                return False
        return True

    def kill_runtime(self) -> None:
        """SIGKILL for the warm process alone: it excuses no task's death."""
        kill_processes(self.runtimes())

    def kill_a_task(self, share: float) -> bool:
        """SIGKILL for a task or, every other time, for its supervisor, as out of memory; False if there is none.

        :param share: between 0 and 1, to choose by
        """
        supervisors = sorted(self.supervisors(), key=lambda process: process.pid)
        if not supervisors:
            return False
        chosen, rest = divmod(share * len(supervisors), 1.0)
        supervisor = supervisors[int(chosen)]
        job_id = _title(supervisor).split()[-1]
        mine = {assignment for assignment in self._at_work() if assignment.job_id == job_id}
        try:
            victims = [supervisor] if rest < 0.5 else supervisor.children()
        except psutil.NoSuchProcess:
            return False
        if not mine or not victims:
            return False
        self.kills.append(Kill(self.name, time.time(), frozenset(mine)))
        kill_processes(victims)
        return True

    def cut_power(self) -> None:
        """SIGKILL for everything at the site at once."""
        everything: dict[int, psutil.Process] = {}
        # Stopped first, so that nobody sees another one die and reports it; and until nobody is left who forks.
        while fresh := [process for process in self.site.processes() if process.pid not in everything]:
            for process in fresh:
                everything[process.pid] = process
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
        self.kills.append(Kill(self.name, time.time(), frozenset(self._at_work())))
        kill_processes(everything.values())

    def start_copy(self) -> Site:
        """Start another machine with a copy of the state folder, as whoever makes machines of an image."""
        mine = self.site
        folder = mine.folder.with_name(f"{mine.folder.name}-copy-{len(self.copies) + 1}")
        environment = {name: text for name, text in mine.env.items() if name.startswith("CHAOS_")}
        copy = Site(folder, venv=mine.venv, dags=DAGS, environment=environment)
        # What goes away meanwhile is not there then.
        subprocess.run(["cp", "-a", mine.state_dir, copy.state_dir], check=False)
        self.copies.append(copy)
        copy.start_worker(linked=False)
        return copy

    def end_copy(self) -> None:
        """Tell the last copy to end; should it have become the worker, its tasks end with it."""
        copy = self.copies[-1]
        self.kills.append(Kill(self.name, time.time(), frozenset(self._at_work(copy))))
        if copy.worker is not None and copy.worker.exit_status is None:
            copy.worker.send_signal(signal.SIGTERM)

    def damage_state(self, share: float) -> str:
        """Damage some of its files, while no agent runs; say which, and how."""
        state = self.site.state_dir
        done = damage(state, random.Random(f"{share}"))
        harmed = {path: self._assignment(path.parent.name) for path in done if path.parent.parent.name == "jobs"}
        of_log = {key for path, key in harmed.items() if path.name in {LOG_FILE, SEGMENT_FILE}}
        # Each costs at most the job whose file it is.
        self.spoiled_logs |= of_log
        self.kills.append(Kill(self.name, time.time(), frozenset(harmed.values()) - of_log))
        return ", ".join(f"{path} {harm}" for path, harm in done.items())

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room on it; give what makes room again."""
        begin = time.time()
        filler = fill(self.site.state_dir)

        def empty() -> None:
            filler.unlink(missing_ok=True)
            # A line that was lost is told of when the next one finds room.
            self.full_disks.append(FullDisk(self.name, begin, time.time()))

        return empty

    def close_copies(self) -> None:
        """End what is left of them."""
        for copy in self.copies:
            copy.close()

    def _at_work(self, site: Site | None = None) -> Iterator[Assignment]:
        """What has been started here and has not left an outcome yet.

        :param site: another machine, with a copy of the state folder
        """
        for folder in ((site or self.site).state_dir / "jobs").iterdir():
            if (folder / SUPERVISOR_LOG_FILE).exists() and not (folder / OUTCOME_FILE).exists():
                yield self._assignment(folder.name)

    def _assignment(self, name: str) -> Assignment:
        job_id, _, number = name.rpartition(".")
        return Assignment(job_id, int(number))

    def _titled(self, title: str) -> list[psutil.Process]:
        return [process for process in self.site.processes() if _title(process).startswith(title)]


class Deployment:
    """A booted centre on PostgreSQL, and its places."""

    def __init__(self, airflow: Airflow, postgres: PostgresServer, places: dict[str, Place]) -> None:
        self.airflow = airflow
        self.postgres = postgres
        self.places = places

    def components(self, kind: str) -> list[Process]:
        """The centre's processes of one kind: `api-server`, `scheduler`, `dag-processor`."""
        return [process for process in self.airflow.components if process.name.startswith(kind)]

    def all_listen(self) -> bool:
        """Whether every API server has come up."""
        for url in self.airflow.urls:
            address = httpx.URL(url)
            with socket.socket() as probe:
                if probe.connect_ex((address.host, address.port or 80)) != 0:
                    return False
        return True

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
    disks: bool = False,
) -> Iterator[Deployment]:
    """Boot two API servers and all the rest, and link a site for each of `places`.

    All serve `queues`, and with `own_queues` each another one called like itself. `dags` are Dags to wait for, `edge`
    more settings of `[edge]` at the centre. With `disks` each site's state has a small disk of its own, where that is
    to be had.
    """
    disks = disks and CAN_MOUNT
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
            boxes = {url: stack.enter_context(Middlebox(url)) for url in airflow.urls}
            ledger = folder / f"{name}.ledger"
            environment = {"CHAOS_LEDGER": str(ledger), "CHAOS_SITE": name}
            if disks:
                environment |= SMALL_DISK
                stack.enter_context(small_disk(folder / name / "state", size="96m"))
            venv = worker_venv or environments.worker()
            site = stack.enter_context(Site(folder / name, venv=venv, dags=DAGS, environment=environment))
            site.enroll(proxy.url, token, name=name)
            site.start_worker(concurrency=concurrency, linked=False)
            deployment.places[name] = place = Place(name, site, proxy, boxes, ledger, has_disk=disks)
            stack.callback(place.close_copies)
        deployment.wait_until_linked()
        yield deployment


def _by_chance(dice: random.Random) -> Decision:
    moments = list(Moment)
    return lambda request: Interference(dice.choice(moments), said_by_chance(dice)) if dice.random() < 0.5 else None


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None
