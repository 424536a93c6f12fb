"""The operator's page in a real Airflow, for whoever works on it: no log-in, a worker, a task that waits for another.

    python -m tools.page [--airflow 3.4] [--bare]

Prints the address when all is up and stays until Ctrl-C. After a change in `ui/` run `python hatch_build.py`: the API
server is then started anew, since names of files change with what they hold.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from airflow_edge.page.bundle import BundleMissingError, read_bundle
from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow
from harness.database import SqliteFiles
from harness.site import Site

DAG = """
from airflow.sdk import dag, task


@dag(schedule=None)
def line_3():
    @task(queue="line")
    def press():
        import time
        for second in range(3600):
            print("second", second, flush=True)
            time.sleep(1)

    @task(queue="lathe")
    def turn(): ...

    press()
    turn()


line_3()
"""


def show(folder: Path, airflow: str, *, bare: bool) -> None:
    """Start all of it in `folder` and wait to be interrupted."""
    dags = folder / "dags"
    dags.mkdir()
    (dags / "line_3.py").write_text(DAG, encoding="ascii")
    venv = environments.centre() if airflow == "3.3" else environments.centre_of(airflow)
    centre = Airflow(
        folder / "centre",
        SqliteFiles(folder).create("airflow"),
        venv=venv,
        dags=dags,
        executor=EDGE_EXECUTOR,
        config=EDGE_CONFIG,
        environment={"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"},
    )
    site = Site(folder / "site", venv=venv, dags=dags)
    with site, centre:
        centre.migrate()
        centre.boot(triggerer=False)
        if not bare:
            site.enroll(centre.url, centre.enroll_token(queues=["line"]), name="press-7")
            site.start_worker(concurrency=4)
            with centre.client() as client:
                client.wait_for_dags(["line_3"])
                run = client.trigger("line_3")
            print(f"{centre.url}/dags/line_3/runs/{run.run_id}/tasks/turn/plugin/edge-why")
        print(f"{centre.url}/plugin/edge", flush=True)
        _keep_current(centre)


def _keep_current(centre: Airflow) -> None:
    built = read_bundle().entry
    server = centre.components[0]
    while True:
        time.sleep(1)
        with suppress(BundleMissingError):
            if (now := read_bundle().entry) != built:
                built = now
                server.stop()
                centre.components.remove(server)
                server = centre.start_api_server(url=centre.url)
                print(f"{built} is there", flush=True)


def main() -> int:
    """Read the command line and show the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.page", description=__doc__)
    parser.add_argument("--airflow", default="3.3", choices=["3.3", *environments.OTHER_AIRFLOWS])
    parser.add_argument("--bare", action="store_true", help="without a worker and a run")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="airflow-edge-page-", ignore_cleanup_errors=True) as folder:
        try:
            show(Path(folder), asked.airflow, bare=asked.bare)
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
