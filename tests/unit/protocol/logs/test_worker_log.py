from __future__ import annotations

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.logs.worker_log import (
    LEVELS,
    LONGEST_RECORD,
    Formatter,
    Record,
    continued,
    level_name,
    pack,
    read,
    unpack,
)


@pytest.mark.parametrize("level", LEVELS.values())
def test_what_is_written_can_be_read(level: int) -> None:
    written = logging.LogRecord("airflow_edge", level, "f.py", 1, "%d größe", (7,), None)
    written.created, written.msecs = 1_700_000_000.25, 250.0
    assert read(Formatter().format(written), "agent") == Record(1_700_000_000.25, level, "agent", "7 größe")


@pytest.mark.parametrize("line", ["", "Traceback", "2026-99-99T05:06:07.890Z INFO x", "2026-03-04 05:06:07 INFO x"])
def test_other_lines_begin_no_record(line: str) -> None:
    assert read(line, "runtime") is None


def test_a_record_has_an_end() -> None:
    record = Record(1.0, 20, "agent", "a")
    for _ in range(30):
        record = continued(record, "x" * 1000)
    assert len(record.text) == LONGEST_RECORD
    assert unpack(pack([record])) == (record,)


def test_a_level_has_a_name() -> None:
    assert [level_name(level) for level in (0, 10, 25, 30, 100)] == ["DEBUG", "DEBUG", "INFO", "WARNING", "CRITICAL"]


SCALARS = st.integers(-(2**63), 2**63) | st.text(max_size=9) | st.floats() | st.sampled_from(["agent", "runtime"])


@given(st.binary(max_size=200) | st.lists(st.lists(SCALARS, max_size=5), max_size=5).map(msgspec.msgpack.encode))
def test_any_bytes_are_a_batch_or_the_other_sides_fault(data: bytes) -> None:
    try:
        records = unpack(data)
    except RemoteProtocolError:
        return
    assert all(record.source in {"agent", "runtime"} for record in records)
