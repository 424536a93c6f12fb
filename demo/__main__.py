"""`make demo`: start everything on free ports, run the Dag at the site, tell what happened, stay up until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import environments
from harness.airflow import Airflow
from harness.client import Client, DagRun, TaskInstance
from harness.database import SqliteFiles
from harness.processes import ProcessFailedError
from harness.site import Site
from harness.waiting import wait_for

DAG_ID = "edge_tour"
WORKER = "demo-worker"
QUEUE = "site"
RUN_TIMEOUT = 300.0
"""Seconds for the whole run; it takes about ten on an idle machine."""

READY_TIMEOUT = 60.0
"""Seconds in which a worker has imported Airflow, however slow the machine."""
MARK = "tour: "
"""What each task puts before the line that the table shows."""


@dataclass(frozen=True)
class Row:
    """One task in the table at the end."""

    name: str
    worker: str
    queued_to_started: str
    state: str
    line: str


def say(text: str) -> None:
    print(text, flush=True)


def follow(client: Client, run: DagRun) -> DagRun:
    """Print each change of a task's state until the run has ended."""
    seen: dict[str, str | None] = {}
    deadline = time.monotonic() + RUN_TIMEOUT
    while time.monotonic() < deadline:
        now = client.dag_run(run.dag_id, run.run_id)
        for ti in client.tasks(run):
            name = title(ti)
            if ti.state is not None and seen.get(name) != ti.state:
                seen[name] = ti.state
                where = f" on {ti.hostname}" if ti.hostname else ""
                say(f"  {name:<20} {ti.state}{where}")
        if now.ended:
            return now
        time.sleep(0.2)
    raise TimeoutError(f"the run has not ended after {RUN_TIMEOUT:g} s")


def title(ti: TaskInstance) -> str:
    return ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def told(client: Client, run: DagRun, ti: TaskInstance) -> str:
    """Give the line that the task itself printed, from its log as Airflow shows it."""
    for line in reversed(client.log(run, ti.task_id, try_number=ti.try_number, map_index=ti.map_index)):
        if line.startswith(MARK):
            return line.removeprefix(MARK)
    return "(no line of its own)"


def tell(client: Client, run: DagRun, site: Site) -> list[str]:
    """Print a line a task, and give what is wrong with the run, if anything."""
    rows, wrong = [], []
    for ti in sorted(client.tasks(run), key=lambda ti: (ti.start_date is None, ti.start_date)):
        ran = ti.state != "skipped"
        line = told(client, run, ti) if ran else ""
        delay = f"{ti.queued_to_started:.2f} s" if ran and ti.queued_when and ti.start_date else "-"
        rows.append(Row(title(ti), ti.hostname or "-", delay, ti.state or "-", line))
        if ran and (ti.state != "success" or ti.hostname != WORKER or line.startswith("(no")):
            wrong.append(f"{title(ti)} is {ti.state} on {ti.hostname or 'no host'}: {line}")
    say(f"\n{'task':<20} {'worker':<12} {'queued → started':<17} {'state':<9} its log says")
    for row in rows:
        say(f"{row.name:<20} {row.worker:<12} {row.queued_to_started:<17} {row.state:<9} {row.line}")
    home = client.xcom(run, "where_am_i")
    if home != str(site.folder / "home"):
        wrong.append(f"where_am_i ran in {home}, not at the site")
    return wrong


def show(folder: Path, stay: bool) -> int:
    """Run the whole of it in `folder`; gives the exit status."""
    dags = Path(__file__).parent / "dags"
    database = SqliteFiles(folder).create("airflow")
    centre = Airflow(
        folder / "centre",
        database,
        venv=environments.centre(),
        dags=dags,
        executor="airflow_edge.executor.EdgeExecutor",
        config={
            "edge": {"api_enabled": True},
            "logging": {"logging_config_class": "airflow_edge.logs.LOGGING_CONFIG"},
        },
    )
    site = Site(folder / "site", venv=environments.worker(), dags=dags)
    with site, centre:
        say("1. Airflow: making its database")
        centre.migrate()
        say("2. Airflow: starting scheduler, API server, Dag processor and triggerer")
        centre.boot()
        say(f"3. Site: enrolling the worker {WORKER} with a one-time token")
        site.enroll(centre.url, centre.enroll_token(queues=[QUEUE]), name=WORKER)
        say("4. Site: starting the worker, in an environment of its own and without access to the database")
        site.start_worker()
        wait_for(lambda: site.status()["state"] == "idle", "the worker to be ready", timeout=READY_TIMEOUT)
        with centre.client() as client:
            client.wait_for_dags([DAG_ID])
            say(f"5. Running the Dag {DAG_ID} there\n")
            run = follow(client, client.trigger(DAG_ID))
            wrong = tell(client, run, site)
            if run.state != "success":
                wrong.append(f"the run is {run.state}")
            count = sum(ti.state == "success" for ti in client.tasks(run))
        say(f"\nAirflow's page: {centre.url} (user admin, password {centre.password})")
        say(f"Everything of this demo is in {folder}")
        if stay:
            say("Press Ctrl-C to end it.")
            threading.Event().wait()
    if wrong:
        say("\n".join(wrong))
        say(f"demo: failed, {len(wrong)} things are not as they should be")
        return 1
    say(f"demo: success, {count} tasks ran on {WORKER}")
    return 0


def main() -> int:
    """Read the command line, run the demo, and clean up."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the run")
    once = parser.parse_args().once or os.environ.get("ONCE", "") not in ("", "0")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="airflow-edge-demo-"))
    try:
        status = show(folder, stay=not once)
    except KeyboardInterrupt:
        say("\ndemo: ended")
        status = 0
    except (ProcessFailedError, TimeoutError) as error:
        say(f"{error}\ndemo: failed; everything that was written is in {folder}")
        return 1
    if status == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
