from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.messages import Metrics
from airflow_edge.rules.metrics import MINUTES_PER_CHUNK, MOST_SAID, SERIES, Chunk, Recorder, chart, unpack

WORKER = uuid4()
NOON = 29_000_000
FULL = Metrics(
    cpu_percent=12.5,
    load=0.75,
    memory_percent=43.2,
    disk_free=123 * 2**30,
    bytes_received=1500.0,
    bytes_sent=2.5e9,
    round_trip=0.0213,
    reconnects=1,
)


def shown(*chunks: Chunk, minutes: int = 5, resolution: int = 60) -> dict[str, tuple[float | None, ...]]:
    return dict(chart(chunks, since=NOON * 60, until=(NOON + minutes) * 60, resolution=resolution).series)


def test_what_was_said_in_a_minute_becomes_one_value_each() -> None:
    recorder = Recorder(WORKER)
    recorder.add(Metrics(cpu_percent=10.0, reconnects=1), 2, NOON)
    recorder.add(Metrics(cpu_percent=30.0, reconnects=2, load=float("inf")), 4, NOON)
    given = [recorder.due(NOON + number) for number in (0, 1, 2)]
    assert [chunk is None for chunk in given] == [True, False, True]
    series = shown(*filter(None, given), minutes=1)
    assert (series["jobs"], series["cpu_percent"], series["reconnects"], series["load"]) == ((3,), (20,), (3,), (None,))


def test_a_worker_that_never_stops_talking_takes_no_more_room() -> None:
    recorder = Recorder(WORKER)
    for number in range(3 * MOST_SAID):
        recorder.add(Metrics(cpu_percent=10.0 if number < MOST_SAID else 90.0), 0, NOON)
    chunk = recorder.due(NOON + 1)
    assert chunk is not None
    assert shown(chunk, minutes=1)["cpu_percent"] == (10,)


def test_values_survive_packing_with_three_digits() -> None:
    recorder = Recorder(WORKER)
    recorder.add(FULL, 7, NOON)
    chunk = recorder.due(NOON + 1)
    assert chunk is not None
    assert len(chunk.data) == 2 * len(SERIES)
    series = shown(chunk, minutes=1)
    assert list(series["jobs"]) == [7]
    for name in SERIES[1:]:
        assert series[name][0] == pytest.approx(getattr(FULL, name), rel=1e-3), name


def test_a_chunk_grows_minute_by_minute_and_another_begins_when_it_is_full() -> None:
    recorder = Recorder(WORKER)
    chunks = {}
    for minute in range(NOON, NOON + 2 * MINUTES_PER_CHUNK + 1):
        recorder.add(Metrics(load=float(minute - NOON)), 0, minute)
        chunk = recorder.due(minute + 1)
        assert chunk is not None
        chunks[chunk.minute] = chunk
    assert [(one.minute - NOON, one.size) for one in chunks.values()] == [
        (0, MINUTES_PER_CHUNK),
        (MINUTES_PER_CHUNK, MINUTES_PER_CHUNK),
        (2 * MINUTES_PER_CHUNK, 1),
    ]
    loads = shown(*chunks.values(), minutes=2 * MINUTES_PER_CHUNK + 1)["load"]
    assert loads == tuple(range(2 * MINUTES_PER_CHUNK + 1))


def test_a_minute_without_a_word_is_a_gap() -> None:
    recorder = Recorder(WORKER)
    for minute in (NOON, NOON + 2):
        recorder.add(Metrics(load=1.0), 0, minute)
        chunk = recorder.due(minute + 1)
    assert chunk is not None
    assert chunk.size == 3
    assert shown(chunk)["load"] == (1, None, 1, None, None)
    recorder.add(Metrics(load=2.0), 0, NOON + MINUTES_PER_CHUNK + 5)
    later = recorder.due(NOON + MINUTES_PER_CHUNK + 6)
    assert later is not None
    assert (later.minute, later.size) == (NOON + MINUTES_PER_CHUNK + 5, 1)


def test_a_longer_resolution_has_means_and_sums() -> None:
    recorder = Recorder(WORKER)
    for number in range(4):
        recorder.add(Metrics(load=float(number), reconnects=1), 0, NOON + number)
        chunk = recorder.due(NOON + number + 1)
    assert chunk is not None
    series = shown(chunk, minutes=6, resolution=120)
    assert (series["load"], series["reconnects"]) == ((0.5, 2.5, None), (2, 2, None))


def test_what_a_newer_gateway_has_goes_before_a_gap_of_the_older() -> None:
    old, new = Recorder(WORKER), Recorder(WORKER)
    for minute in (NOON, NOON + 2):
        old.add(Metrics(load=1.0), 0, minute)
        from_old = old.due(minute + 1)
    new.add(Metrics(load=2.0), 0, NOON + 1)
    from_new = new.due(NOON + 2)
    assert from_old is not None
    assert from_new is not None
    assert shown(from_new, from_old, minutes=3)["load"] == (1, 2, 1)


def test_a_chunk_of_an_older_release_lacks_the_newest_series() -> None:
    recorder = Recorder(WORKER)
    recorder.add(FULL, 7, NOON)
    chunk = recorder.due(NOON + 1)
    assert chunk is not None
    [(_, row)] = unpack(Chunk(WORKER, NOON, 1, chunk.data[:-2]))
    assert (row[0], row[-1]) == (7, None)


def test_the_clock_may_be_set_back() -> None:
    recorder = Recorder(WORKER)
    for minute in (NOON, NOON - 10):
        recorder.add(Metrics(load=1.0), 0, minute)
        chunk = recorder.due(minute + 1)
    assert chunk is not None
    assert (chunk.minute, chunk.size) == (NOON - 10, 1)


@given(st.lists(st.tuples(st.floats() | st.none(), st.integers(0, 40)), max_size=60))
def test_anything_can_be_said_at_any_time(said: list[tuple[float | None, int]]) -> None:
    recorder = Recorder(WORKER)
    for value, minute in said:
        recorder.add(Metrics(load=value, disk_free=value, bytes_sent=value), minute, NOON + minute)
        chunk = recorder.due(NOON + minute + 1)
        assert chunk is not None
        assert 1 <= chunk.size <= MINUTES_PER_CHUNK
        assert len(list(unpack(chunk))) == chunk.size
