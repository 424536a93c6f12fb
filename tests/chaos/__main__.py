"""`python -m tests.chaos`: break everything for a while, and see whether anything was lost, doubled or stuck."""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from harness.processes import let_children_hear_signals
from tests.chaos.storm import CONCURRENCY, PLACES, RUNS_AT_ONCE, SCHEDULERS, TASKS_PER_RUN, Outcome, storm

_SHOWN = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long the faults go on (%(default)s)")
    parser.add_argument("--seed", type=int, help="which faults come when (default: another one each time)")
    parser.add_argument(
        "--worker-venv",
        type=lambda text: Path(text).absolute(),
        help="what is installed at the sites (default: the wheel)",
    )
    parser.add_argument("--record", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    let_children_hear_signals()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    command = f"python -m tests.chaos {shlex.join(sys.argv[1:])}".strip()
    print(f"chaos: {options.minutes:g} min, seed {seed}", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"chaos: in {folder}", flush=True)
    outcome = storm(
        folder,
        seconds=60 * options.minutes,
        seed=seed,
        say=lambda line: print(line, flush=True),
        worker_venv=options.worker_venv,
    )
    for finding in outcome.findings[:_SHOWN]:
        print(finding)
    if len(outcome.findings) > _SHOWN:
        print(f"… and {len(outcome.findings) - _SHOWN} more")
    if options.record:
        print(f"written to {_write(outcome, command=command, options=options, seed=seed)}")
    if outcome.findings:
        print(f"everything is kept in {folder}")
    else:
        shutil.rmtree(folder)
    print(f"seed {seed}")
    print(outcome.line, flush=True)
    return 1 if outcome.findings else 0


def _write(outcome: Outcome, *, command: str, options: argparse.Namespace, seed: int) -> Path:
    now = datetime.now(UTC)
    record = {
        "what": "chaos",
        "when": now.isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "settings": {
            "minutes": options.minutes,
            "sites": len(PLACES),
            "installed_at_the_sites": str(options.worker_venv or "the wheel"),
            "concurrency": CONCURRENCY,
            "schedulers": SCHEDULERS,
            "api_servers": 2,
            "runs_at_once": RUNS_AT_ONCE,
            "tasks_per_run": TASKS_PER_RUN,
        },
        "machine": report.machine(),
        "versions": report.versions("edge"),
        "result": outcome.line,
        "jobs": outcome.jobs,
        "faults": dict(sorted(outcome.faults.items())),
        "seconds_to_drain": round(outcome.drained_after, 1),
        "logs_compared": outcome.logs,
        "tries_killed_on_purpose": outcome.killed,
        "processes_that_ended_by_themselves": dict(
            Counter(f"{ended.name}, status {ended.status}" for ended in outcome.exits)
        ),
        "findings": [str(finding) for finding in outcome.findings],
    }
    report.RESULTS.mkdir(exist_ok=True)
    path = report.RESULTS / f"{now:%Y-%m-%d}-chaos.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
