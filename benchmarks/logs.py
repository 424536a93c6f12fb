"""`python -m benchmarks.logs`: how long after a task has written a line Airflow's log API gives it to a reader.

A task writes a line with the time of day every second or two; a reader asks the log API again and again, with the
token of the answer before, and notes when each line is first there. Task and reader have the same clock.

- edge: two API servers; the reader asks the one that has no link to the worker.
- edge3: one API server, which the worker pushes to. With more, it keeps a log in parts, each on the disk of whichever
  got it, so that no reader has all lines. Intervals are at their defaults.
- local: LocalExecutor, which writes to the file that the API server reads: nothing lies between.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import report
from benchmarks.measures import Series
from benchmarks.peers import PEERS, Ground, edge_and_site
from harness.airflow import Airflow
from harness.client import Client, DagRun
from harness.database import PostgresServer

LIMIT = 1.0
"""Seconds, the most that edge's median may be."""
WARM_UP = 2
"""Lines that count for nobody: the first request pays for imports."""
POLL_INTERVAL = 0.05

_DAG = "steady_log"
_TASK = "write"
_LINE = re.compile(r"line (\d+) written at ([\d.]+)")
_LONGEST_LINE_PAUSE = 2.0
_PATIENCE = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.logs", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="which to measure, and in what order (%(default)s)")
    parser.add_argument("--lines", type=int, default=30, help="lines measured per peer (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    names = options.peers.split(",")
    if unknown := set(names) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")

    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    figures: dict[str, Series] = {}
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        PostgresServer(durable=True).running() as postgres,
    ):
        for name in names:
            print(f"{name}: starting", flush=True)
            with _peer(name, Ground(Path(folder), postgres)) as airflow:
                print(f"{name}: measuring {options.lines} lines", flush=True)
                figures[name] = measure(airflow, lines=options.lines)
    print(f"\n{table(figures)}")
    if options.record:
        record = report.save(
            "logs",
            command=f"python -m benchmarks.logs {shlex.join(sys.argv[1:])}".strip(),
            settings={"lines": options.lines, "warm_up": WARM_UP, "poll_interval": POLL_INTERVAL},
            peers=names,
            seconds={name: {"written_to_visible": series.as_json()} for name, series in figures.items()},
        )
        print(f"written to {record.relative_to(report.RESULTS.parent.parent)}")
    if "edge" not in figures:
        return 0
    met = figures["edge"].median <= LIMIT
    print(f"edge: a median of at most {LIMIT:g} s on a replica without a link: {'met' if met else 'NOT MET'}")
    return 0 if met else 1


def measure(airflow: Airflow, *, lines: int) -> Series:
    """Run the task and read its log at the last API server; give the seconds from written to visible."""
    with airflow.client(airflow.urls[-1]) as client:
        client.wait_for_dags([_DAG])
        run = client.trigger(_DAG, conf={"lines": WARM_UP + lines})
        client.wait_for_task(run, _TASK, {"running"}, timeout=_PATIENCE)
        delays = follow(client, run, lines=WARM_UP + lines)
        ended = client.wait_for_run(run, check=airflow.check)
    assert ended.state == "success", ended
    return Series(delays[WARM_UP:])


def follow(client: Client, run: DagRun, *, lines: int) -> list[float]:
    """Read a log while it is written, until all lines were seen; give for each how old it was when it first was."""
    seen: dict[int, float] = {}
    token: str | None = None
    deadline = time.monotonic() + lines * _LONGEST_LINE_PAUSE + _PATIENCE
    while len(seen) < lines:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(seen)} of {lines} lines of {run.dag_id} {run.run_id} were seen")
        time.sleep(POLL_INTERVAL)
        entries, token = client.log_after(run, _TASK, token)
        now = time.time()
        for entry in entries:
            if found := _LINE.fullmatch(entry["event"]):
                seen.setdefault(int(found[1]), now - float(found[2]))
    return [seen[number] for number in range(lines)]


def table(figures: Mapping[str, Series]) -> str:
    """A row for each peer, in seconds."""
    rows: list[tuple[str, ...]] = [("written → visible", "lines", "median", "p95", "max")]
    for name, series in figures.items():
        spread = (f"{value:.2f} s" for value in (series.median, series.p95, max(series.samples)))
        rows.append((name, str(len(series.samples)), *spread))
    return report.aligned(rows)


@contextmanager
def _peer(name: str, ground: Ground) -> Iterator[Airflow]:
    if name == "edge":
        with edge_and_site(ground, api_servers=2) as (airflow, _):
            yield airflow
    else:
        with PEERS[name](ground) as airflow:
            yield airflow


if __name__ == "__main__":
    sys.exit(main())
