from __future__ import annotations

from airflow_edge.protocol.logs.worker_log import Record
from airflow_edge.rules.logs.worker_log import Lost, WorkerLogBatch, WorkerLogReader


def record(number: int, level: int = 20) -> Record:
    return Record(float(number), level, "agent", f"number {number}")


def batch(number: int, first: int, *numbers: int, run: str = "a") -> WorkerLogBatch:
    return WorkerLogBatch(number=number, run=run, first=first, answers="", records=tuple(map(record, numbers)))


def test_each_record_is_given_once_and_a_gap_is_told() -> None:
    reader = WorkerLogReader()
    assert list(reader.read([batch(1, 10, 1, 2), batch(2, 12, 3)])) == [record(1), record(2), record(3)]
    # Three were sent that did not come; then the last two once more, because somebody else asked.
    assert list(reader.read([batch(5, 16, 7)])) == [Lost(3), record(7)]
    assert list(reader.read([batch(6, 17, 3, 7, 8)])) == [record(8)]
    assert reader.after == 6
    # Another process of the agent counts for itself.
    assert list(reader.read([batch(7, 500, 9, run="b")])) == [record(9)]


def test_what_is_below_the_level_is_left_out() -> None:
    reader = WorkerLogReader(30)
    low, high = record(1), record(2, 30)
    assert list(reader.read([WorkerLogBatch(number=1, run="a", first=0, answers="", records=(low, high))])) == [high]
