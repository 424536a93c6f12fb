"""What is measured, from Airflow's own records."""

from __future__ import annotations

import math
import random
import statistics
import time
from dataclasses import asdict, dataclass

from harness.airflow import Airflow
from harness.client import Client

_LONGEST_PAUSE = 5.0
_RUN_TIMEOUT = 300.0


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one quantity, in seconds."""

    samples: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """What 95 % of them do not exceed: one of the samples (nearest rank)."""
        return sorted(self.samples)[math.ceil(0.95 * len(self.samples)) - 1]

    @property
    def p99(self) -> float:
        """What 99 % of them do not exceed: one of the samples (nearest rank)."""
        return sorted(self.samples)[math.ceil(0.99 * len(self.samples)) - 1]

    def as_json(self) -> dict[str, object]:
        rounded = [round(sample, 4) for sample in self.samples]
        return {
            "median": round(self.median, 4),
            "p95": round(self.p95, 4),
            "min": min(rounded),
            "max": max(rounded),
            "samples": rounded,
        }


@dataclass(frozen=True)
class Figures:
    """What one peer was measured at."""

    queued_to_started: Series
    """The scheduler queued a task, its process reported for work; the worker was idle."""
    fan_out: Series
    """Start to end of a Dag run of 40 mapped tasks."""

    def as_json(self) -> dict[str, object]:
        return {name: Series(**series).as_json() for name, series in asdict(self).items()}


def measure(airflow: Airflow, *, runs: int, fan_outs: int) -> Figures:
    """Measure a running deployment: `runs` single tasks one after the other, then `fan_outs` fan-outs."""
    with airflow.client() as client:
        client.wait_for_dags(["single", "fan_out"])
        # The first run of each pays for caches and first imports everywhere, and counts for nobody.
        _queued_to_started(client)
        waits = [_queued_to_started(client, pause=random.uniform(0, _LONGEST_PAUSE)) for _ in range(runs)]
        _fan_out(client)
        walls = [_fan_out(client) for _ in range(fan_outs)]
    return Figures(queued_to_started=Series(waits), fan_out=Series(walls))


def _queued_to_started(client: Client, *, pause: float = 0.0) -> float:
    # A worker that polls is met at a random moment of its interval, not always right after it has finished a job.
    time.sleep(pause)
    run = client.wait_for_run(client.trigger("single"), timeout=_RUN_TIMEOUT)
    assert run.state == "success", run
    return client.task(run, "work").queued_to_started


def _fan_out(client: Client) -> float:
    run = client.wait_for_run(client.trigger("fan_out"), timeout=_RUN_TIMEOUT)
    assert run.state == "success", run
    assert run.start_date is not None
    assert run.end_date is not None
    return (run.end_date - run.start_date).total_seconds()
