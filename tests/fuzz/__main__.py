"""`python -m tests.fuzz`: new examples for every property and state machine, round after round, until the time is up.

An example that fails is written to `tests/examples`, and is part of every run of the tests from then on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.processes import let_children_hear_signals

REPOSITORY = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-p", "tests.fuzz.plugin", "-m", "hypothesis", "-q")
# Of pytest: all passed, some failed, stopped before the end, and nothing left to run.
_ENDED_AS_IT_SHOULD = {0, 1, 2, 5}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (%(default)s)")
    parser.add_argument("--rounds", type=int, help="this many, however long they take")
    parser.add_argument(
        "--seed", type=int, help="of the first round; the next has the next (default: another each time)"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="rounds at a time (%(default)s)")
    parser.add_argument("tests", nargs="*", default=["tests"], help="where to look for properties (%(default)s)")
    options = parser.parse_args()
    let_children_hear_signals()
    seed = random.randrange(1_000_000_000) if options.seed is None else options.seed
    how_long = f"{options.minutes:g} min" if options.rounds is None else f"{options.rounds} rounds"
    print(f"fuzz: {how_long}, {options.processes} at a time, first seed {seed}", flush=True)
    until = time.time() + 60 * options.minutes if options.rounds is None else math.inf
    fuzz = Fuzz(_parts(options.tests), seed, until=until, rounds=options.rounds)
    with ThreadPoolExecutor(options.processes) as pool:
        for rounds in [pool.submit(fuzz.run) for _ in range(options.processes)]:
            rounds.result()
    print(f"fuzz: {fuzz.examples} examples, {len(fuzz.failed)} failures", flush=True)
    return 1 if fuzz.failed else 0


class Fuzz:
    """Rounds, in as many threads as `run` is called in; each is a process with a seed of its own."""

    def __init__(self, parts: dict[str, list[str]], seed: int, *, until: float, rounds: int | None) -> None:
        self.examples = 0
        self.failed: set[str] = set()
        """Tests that failed. They are left out afterwards: they would fail again, and others wait for their turn."""
        self._until = until
        self._rounds = itertools.islice(zip(itertools.count(seed), itertools.cycle(parts), strict=False), rounds)
        self._parts = parts
        self._lock = threading.Lock()

    def run(self) -> None:
        while time.time() < self._until:
            with self._lock:
                seed, part = next(self._rounds, (0, None))
                if part is None:
                    return
                deselected = [f"--deselect={test}" for test in sorted(self.failed)]
            self._round(seed, part, deselected)

    def _round(self, seed: int, part: str, deselected: list[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            result = Path(folder) / "result.json"
            ended = subprocess.run(
                [
                    *PYTEST,
                    f"--fuzz-seed={seed}",
                    f"--fuzz-until={self._until}",
                    f"--fuzz-result={result}",
                    *deselected,
                    *self._parts[part],
                ],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.returncode not in _ENDED_AS_IT_SHOULD or not result.exists():
                print(ended.stdout + ended.stderr, flush=True)
                outcome = {"examples": 0, "failures": [{"test": part, "says": ["the process died"], "files": []}]}
            else:
                outcome = json.loads(result.read_text())
        with self._lock:
            self._note(seed, part, outcome)

    def _note(self, seed: int, part: str, outcome: dict[str, Any]) -> None:
        self.examples += outcome["examples"]
        print(f"seed {seed}: {part}, {outcome['examples']} examples", flush=True)
        for failure in outcome["failures"]:
            self.failed.add(failure["test"])
            print(f"seed {seed}: {failure['test']} FAILED", *failure["says"], sep="\n  ")
            for file in failure["files"]:
                print(f"  kept in {file}")
            again = f"-p tests.fuzz.plugin --fuzz-seed={seed} '{failure['test']}'"
            print(f"  again: .venv/bin/python -m pytest {again}", flush=True)


def _parts(paths: list[str]) -> dict[str, list[str]]:
    """Files with properties, together where they share what is costly to set up."""
    collected = subprocess.run(
        [*PYTEST, "--collect-only", *paths],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if collected.returncode != 0:
        raise SystemExit(collected.stdout + collected.stderr)
    parts: dict[str, list[str]] = {}
    for file in dict.fromkeys(line.partition("::")[0] for line in collected.stdout.splitlines() if "::" in line):
        name = "/".join(file.split("/")[:-1][: 2 if "/unit/" in file else 3])
        parts.setdefault(name, []).append(file)
    return parts


if __name__ == "__main__":
    sys.exit(main())
