from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from airflow_edge.agent.machine import metrics
from airflow_edge.agent.machine.metrics import Meter
from airflow_edge.protocol.messages import Metrics


class FixedMeter(Meter):
    calls = 0

    def measure(self) -> Metrics:
        self.calls += 1
        if self.calls == 1:
            raise NotImplementedError("this operating system does not say")
        return Metrics(load=1.5)


async def measured(watch: Meter, times_linked: int) -> Metrics:
    async with asyncio.timeout(30):
        while (found := watch.take(0.02, times_linked)) is None:  # noqa: ASYNC110 - a thread measures
            await asyncio.sleep(0.01)
    return found


def test_this_machine_is_measured(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    first, second = meter.measure(), meter.measure()
    assert (first.bytes_received, first.bytes_sent) == (None, None)
    for found in (first, second):
        assert found.cpu_percent is not None
        assert 0 <= found.cpu_percent <= 100
        assert found.memory_percent is not None
        assert 0 < found.memory_percent < 100
        assert found.disk_free is not None
        assert found.disk_free > 0
    assert second.bytes_received is not None
    assert math.isfinite(second.bytes_received)


def test_a_folder_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert Meter(tmp_path / "gone").measure().disk_free is None


def test_rates_are_of_the_time_between_and_unknown_when_the_counters_began_anew(tmp_path: Path) -> None:
    class Counters:
        def __init__(self, received: int, sent: int) -> None:
            self.bytes_recv, self.bytes_sent = received, sent

    meter = Meter(tmp_path)
    assert meter._rates(10.0, Counters(1000, 100)) == (None, None)
    assert meter._rates(15.0, Counters(2000, 100)) == (200.0, 0.0)
    assert meter._rates(20.0, Counters(10, 10)) == (None, None)
    assert meter._rates(30.0, Counters(20, 30)) == (1.0, 2.0)
    assert meter._rates(31.0, None) == (None, None)


async def test_each_measurement_is_told_once_with_the_reconnects_since_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "INTERVAL", 0.02)
    watch = FixedMeter(Path())
    assert watch.take(0.02, 1) is None
    running = asyncio.create_task(watch.run())
    try:
        assert await measured(watch, 1) == Metrics(load=1.5, round_trip=0.02, reconnects=0)
        assert (await measured(watch, 4)).reconnects == 3
        assert (await measured(watch, 4)).reconnects == 0
    finally:
        running.cancel()
