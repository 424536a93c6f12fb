"""`python -m benchmarks.hostile`: what twenty honest workers notice of a hostile one.

One API server process on PostgreSQL. Jobs are queued at an even pace; each honest worker that is offered one has its
task run, read a variable and succeed, all by Airflow's Execution API. Now and then `benchmarks.attackers` is at it
besides, whose key is revoked every few seconds. Measured is how long after its COMMIT a job is offered, in turns
without the hostile worker and with it, and whatever honest workers were answered but what they should be.

The hostile worker's machine is this one, too. Like processes that keep each processor busy in all turns, it has the
time that nobody else wants: turns differ by what the centre does only, and not by what its machine is used for besides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec
import psutil
from sqlalchemy.orm import sessionmaker

from airflow_edge.protocol import tokens, urls
from airflow_edge.protocol.messages import Offer, Order, Stop, Void
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.tables import JobRow
from benchmarks import report
from benchmarks.measures import Series
from benchmarks.peers import Ground
from benchmarks.reconnect import enroll
from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.client import NO_CAS
from harness.database import PostgresServer
from harness.fleet import TakingWorker, WorkerKey
from harness.processes import Process
from harness.waiting import wait_for

HONEST: Final = 20
JOBS_A_SECOND: Final = 4.0
REVOKED_EVERY: Final = 5.0
"""Seconds."""
MOST_MIB: Final = 256.0
"""More than idle."""
LIMIT: Final = 2.0
"""How many times what it is without the hostile worker the 99th percentile may be."""

_PATIENCE: Final = 120.0
_SETTLING: Final = 5.0
"""Seconds before a turn counts: the hostile process starts on this machine, and would on its own."""
_HOARD: Final = 2_000
"""Jobs of the hostile worker's own queue."""

_TASKS: Final = """
from datetime import datetime, timezone
from uuid import uuid4
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import insert
now = datetime.now(timezone.utc)
version = uuid4()
with create_session() as session:
    session.execute(insert(DagBundleModel.__table__).values(name="bundle", active=True, version=None))
    session.execute(insert(DagModel.__table__).values(
        dag_id="honest", bundle_name="bundle", fileloc="dag.py", is_paused=False, is_stale=False,
        has_import_errors=False, has_task_concurrency_limits=False, max_active_tasks=16, max_active_runs=16,
        max_consecutive_failed_dag_runs=0, exceeds_max_non_backfill=False, fail_fast=False, timetable_type="x"))
    session.execute(insert(DagVersion.__table__).values(
        id=version, dag_id="honest", version_number=1, bundle_name="bundle", created_at=now, last_updated=now))
    session.execute(insert(DagRun.__table__).values(
        dag_id="honest", run_id="run", state="running", run_type="manual", run_after=now,
        created_dag_version_id=version, clear_number=0))
    session.execute(insert(TaskInstance.__table__), [dict(
        id=uuid4(), dag_id="honest", task_id="task", run_id="run", map_index=number, state="queued", hostname="",
        try_number=1, max_tries=0, pool="default_pool", pool_slots=1, queue="default", priority_weight=1,
        dag_version_id=version) for number in range(TASKS)])
    Variable.set("honest", "word", session=session)
"""


class HonestWorker(TakingWorker):
    """Runs what it is offered, as far as the centre can tell."""

    def __init__(self, gateway: str, key: WorkerKey, watch: Watch, http: httpx.AsyncClient) -> None:
        super().__init__(gateway, key)
        self._gateway = gateway
        self._watch = watch
        self._http = http

    def receive(self, message: Offer | Stop | Void | Order, done: Callable[[], None], /) -> None:
        if isinstance(message, Offer):
            self._watch.offered(message.job_id)
        super().receive(message, done)

    async def work(self, offer: Offer) -> None:
        job, task = f"{offer.job_id}:{offer.assignment}", f"/task-instances/{self._watch.task_of(offer.job_id)}"
        now = datetime.now(UTC).isoformat()
        run = {"state": "running", "hostname": "h", "unixname": "u", "pid": 1, "start_date": now}
        await self._call("PATCH", f"{task}/run", job, run)
        await self._call("GET", "/variables/honest", job)
        await self._call("PATCH", f"{task}/state", job, {"state": "success", "end_date": now})

    async def _call(self, method: str, path: str, job: str, body: object = None) -> None:
        path, content = urls.EXECUTION + path, msgspec.json.encode(body) if body is not None else b""
        token = self.identity.token(method, path, job=job, body=tokens.body_digest(content))
        headers = {"Authorization": f"Bearer {token}", urls.JOB_HEADER: job, "Content-Type": "application/json"}
        try:
            answer = await self._http.request(method, self._gateway + path, content=content, headers=headers)
        except httpx.HTTPError as error:
            self._watch.answered(f"{path.rpartition('/')[2]}: {type(error).__name__}")
        else:
            told = f"{path.rpartition('/')[2]}: {answer.status_code} {answer.text[:100]}"
            self._watch.answered(told if answer.is_error else "well")


class Watch:
    """When each job was queued and offered, and what honest workers were answered."""

    def __init__(self) -> None:
        self.waits: dict[bool, list[float]] = {False: [], True: []}
        """Seconds from COMMIT to offer, by whether the hostile worker was at it."""
        self.answers: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        self.hostile = False
        self._queued: dict[str, tuple[float, bool, UUID]] = {}
        self._offered: set[str] = set()

    def queued(self, job: JobRow) -> None:
        self._queued[str(job.id)] = time.monotonic(), self.hostile, job.workload_id

    def offered(self, job_id: str) -> None:
        at, hostile, _ = self._queued[job_id]
        # One that is offered once more has waited for what its first worker did.
        if job_id not in self._offered:
            self._offered.add(job_id)
            self.waits[hostile].append(time.monotonic() - at)

    def answered(self, what: str) -> None:
        self.answers[self.hostile][what] += 1

    def task_of(self, job_id: str) -> UUID:
        return self._queued[job_id][2]


class Yard:
    """The centre, and what is done to its database."""

    def __init__(self, airflow: Airflow, folder: Path, hostile: tuple[str, str]) -> None:
        """:param hostile: how many hostile workers there are, and what they do"""
        self._hostile = hostile
        self.gateway = airflow.url + urls.PREFIX
        self._airflow = airflow
        self._folder = folder
        self._engine = airflow.database.engine()
        self._sessions = sessionmaker(self._engine, autoflush=False, expire_on_commit=False)
        self.store = Store(self._sessions)
        self._hostile_token = airflow.enroll_token(queues=("hostile",), uses=100_000)

    def tasks(self, count: int) -> Iterator[UUID]:
        """Make task instances that Airflow has queued; give them one by one."""
        self._airflow.python(_TASKS.replace("TASKS", str(count)))
        rows = self._airflow.database.rows("SELECT id FROM task_instance ORDER BY map_index")
        return iter([UUID(str(row["id"])) for row in rows])

    def queue(self, queue: str, workload_id: UUID, note: Callable[[JobRow], None] = lambda job: None) -> None:
        job = JobRow(
            id=uuid4(),
            kind="task",
            workload_id=workload_id,
            dag_id="honest",
            task_id="task",
            run_id="run",
            map_index=-1,
            try_number=1,
            queue=queue,
            team_name=None,
            priority_weight=1,
            slots=1,
            owner=None,
            log_path=f"{uuid4().hex}/attempt=1.log",
            workload='{"token":""}',
        )
        note(job)
        with self._sessions() as session:
            queueing.add_job(session, job, now=datetime.now(UTC))
            session.commit()

    def left(self) -> dict[str, int]:
        """How many jobs of the honest are in each state."""
        rows = self._airflow.database.rows(
            "SELECT state, count(*) AS n FROM airflow_edge_job WHERE queue = 'default' GROUP BY 1"
        )
        return {str(row["state"]): int(row["n"]) for row in rows}

    def revoke_hostile(self) -> None:
        for worker in self.store.workers.all():
            if worker.name.startswith("hostile-") and worker.revoked_at is None:
                self.store.workers.revoke(worker.name, now=datetime.now(UTC))

    @contextmanager
    def hostile_worker(self) -> Iterator[list[Mapping[str, int]]]:
        """One is at it until the block ends; what it was answered is given then."""
        process = Process(
            "hostile",
            [
                environments.centre() / "bin" / "python",
                "-m",
                "benchmarks.attackers",
                self.gateway,
                self._hostile_token,
                *self._hostile,
            ],
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            cwd=Path(__file__).parent.parent,
            log=self._folder / "hostile.log",
        )
        seen: list[Mapping[str, int]] = []
        try:
            yield seen
        finally:
            process.check()
            process.stop()
            seen.append(json.loads(process.log.read_text().rstrip().rpartition("\n")[2]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="with the hostile worker (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="of without and with it (%(default)s)")
    parser.add_argument("--hostile", type=int, default=1, help="hostile workers (%(default)s)")
    parser.add_argument("--only", default="", help="what the hostile worker does, as in 'lies' (default: everything)")
    parser.add_argument("--record", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    logging.getLogger("airflow_edge").setLevel(logging.ERROR)
    figures = measure(options.minutes * 60, options.turns, (str(options.hostile), options.only))
    print(json.dumps(figures, indent=2))
    if options.record:
        command = f"python -m benchmarks.hostile {shlex.join(sys.argv[1:])}".strip()
        record = report.save("hostile", command=command, settings=vars(options), peers=["edge"], figures=figures)
        print(f"written to {record.relative_to(report.RESULTS.parent.parent)}")
    return 0 if figures["held"] else 1


def measure(seconds: float, turns: int, hostile: tuple[str, str]) -> dict[str, Any]:
    """Watch honest workers, as long without the hostile one as with it, in so many turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ground = Ground(folder, stack.enter_context(PostgresServer(durable=True).running()))
        airflow = stack.enter_context(
            ground.airflow("edge", venv=environments.centre(), executor=EDGE_EXECUTOR, config=EDGE_CONFIG)
        )
        print("starting", flush=True)
        server = airflow.start_api_server()
        stack.enter_context(_busy_machine(folder))
        yard = Yard(airflow, folder, hostile)
        for _ in range(_HOARD):
            yard.queue("hostile", uuid4())
        watch = Watch()
        keys = enroll(airflow.database, HONEST)
        return asyncio.run(_watch(yard, watch, keys, psutil.Process(server.pid), seconds / turns, turns))


async def _watch(
    yard: Yard, watch: Watch, keys: list[WorkerKey], server: psutil.Process, seconds: float, turns: int
) -> dict[str, Any]:
    tasks = yard.tasks(int(2 * turns * seconds * JOBS_A_SECOND) + 10)
    limits = httpx.Limits(max_connections=100)
    seen: Counter[str] = Counter()
    memory = {"idle": _megabytes(server), **dict.fromkeys(_NAMES, 0.0)}
    async with httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=60, limits=limits) as http:
        workers = [HonestWorker(yard.gateway, key, watch, http) for key in keys]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        await asyncio.to_thread(wait_for, lambda: all(one.welcomes for one in workers), "links", timeout=_PATIENCE)
        # The first calls pay for caches, and count for nobody.
        for _ in range(5):
            yard.queue("default", next(tasks), watch.queued)
            await asyncio.sleep(1)
        watch.waits[False].clear()
        for turn in range(turns):
            for hostile in (False, True):
                watch.hostile = hostile
                with ExitStack() as stack:
                    said = stack.enter_context(yard.hostile_worker()) if hostile else [{}]
                    await asyncio.sleep(_SETTLING)
                    most = await _queue_jobs(yard, watch, tasks, seconds, server)
                name = "with" if hostile else "without"
                memory[name] = max(memory[name], most)
                seen.update(said[0])
                middle = {
                    name: round(Series(watch.waits[with_]).p99 * 1000, 1)
                    for name, with_ in _NAMES.items()
                    if watch.waits[with_]
                }
                print(f"turn {turn + 1}, {'with' if hostile else 'without'}: p99 so far, ms: {middle}", flush=True)
        lost = await asyncio.to_thread(_wait_for_ends, yard)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, *(worker.end() for worker in workers), return_exceptions=True)
    return {"links_begun_anew": sum(worker.welcomes - 1 for worker in workers), **_figures(watch, lost, seen, memory)}


@contextmanager
def _busy_machine(folder: Path) -> Iterator[None]:
    program = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    with ExitStack() as stack:
        for number in range(os.cpu_count() or 1):
            name = f"busy-{number}"
            process = Process(name, [sys.executable, "-c", program], env={}, cwd=folder, log=folder / f"{name}.log")
            stack.callback(process.stop)
        yield


_NAMES: Final = {"without": False, "with": True}


async def _queue_jobs(yard: Yard, watch: Watch, tasks: Iterator[UUID], seconds: float, server: psutil.Process) -> float:
    """Queue jobs for so long; give the most memory that the server took meanwhile, in MiB."""
    clock = asyncio.get_running_loop().time
    began = revoked = clock()
    due, most = began, 0.0
    while clock() - began < seconds:
        await asyncio.to_thread(yard.queue, "default", next(tasks), watch.queued)
        if watch.hostile and clock() - revoked > REVOKED_EVERY:
            await asyncio.to_thread(yard.revoke_hostile)
            revoked = clock()
        most = max(most, _megabytes(server))
        due += 1 / JOBS_A_SECOND
        await asyncio.sleep(max(0.0, due - clock()))
    return most


def _wait_for_ends(yard: Yard) -> int:
    """Wait until all jobs of the honest have ended well; give how many have not."""
    try:
        wait_for(lambda: set(yard.left()) <= {"succeeded"}, "the ends of all jobs", timeout=30.0, interval=1.0)
    except TimeoutError:
        print(f"left: {yard.left()}", flush=True)
    return sum(count for state, count in yard.left().items() if state != "succeeded")


def _figures(watch: Watch, lost: int, seen: Mapping[str, int], memory: Mapping[str, float]) -> dict[str, Any]:
    waits = {name: Series(watch.waits[hostile]) for name, hostile in _NAMES.items()}
    ratio = waits["with"].p99 / waits["without"].p99
    answers = watch.answers[False] + watch.answers[True]
    badly = {what: count for what, count in answers.items() if what != "well"}
    return {
        "milliseconds": {
            name: {
                "median": round(found.median * 1000, 1),
                "p99": round(found.p99 * 1000, 1),
                "jobs": len(found.samples),
            }
            for name, found in waits.items()
        },
        "p99_ratio": round(ratio, 2),
        "calls_of_the_honest": sum(answers.values()),
        "answered_badly": badly,
        "jobs_lost": lost,
        "server_mib": {name: round(most) for name, most in memory.items()},
        "hostile_was_answered": dict(seen),
        "held": ratio <= LIMIT and not badly and not lost and memory["with"] - memory["idle"] <= MOST_MIB,
    }


def _megabytes(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in family)) / 2**20


if __name__ == "__main__":
    sys.exit(main())
