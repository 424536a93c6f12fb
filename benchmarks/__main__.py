"""`python -m benchmarks`: boots each peer in turn, measures it, prints the table, writes the record."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.measures import Figures, measure
from benchmarks.peers import CONCURRENCY, PEERS, Ground
from harness.database import PostgresServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="which to measure, and in what order (%(default)s)")
    parser.add_argument("--runs", type=int, default=15, help="single tasks measured per peer (%(default)s)")
    parser.add_argument("--fan-outs", type=int, default=3, help="fan-outs measured per peer (%(default)s)")
    options = parser.parse_args()
    names = options.peers.split(",")
    if unknown := set(names) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")

    # So that everything is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    figures: dict[str, Figures] = {}
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        PostgresServer(durable=True).running() as postgres,
    ):
        for name in names:
            print(f"{name}: starting", flush=True)
            with PEERS[name](Ground(Path(folder), postgres)) as airflow:
                print(f"{name}: measuring", flush=True)
                figures[name] = measure(airflow, runs=options.runs, fan_outs=options.fan_outs)
    settings = {"runs": options.runs, "fan_outs": options.fan_outs, "concurrency": CONCURRENCY}
    record = report.write(
        figures, what="dispatch", command=f"python -m benchmarks {shlex.join(sys.argv[1:])}".strip(), settings=settings
    )
    print(
        f"\n{report.table(figures)}\n\nmedians; written in full to {record.relative_to(report.RESULTS.parent.parent)}"
    )


if __name__ == "__main__":
    main()
