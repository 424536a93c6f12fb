from __future__ import annotations

import json
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.logs import logdata, zstd
from airflow_edge.protocol.messages import LogChunk

JOB = "00000000-0000-4000-8000-000000000001"
WIDE = bytes.fromhex("28b52ffd0088290000") + b"plain"
"""A frame of five bytes, not compressed, for which whoever unpacks it sets 128 MiB aside."""


def pack(plain: bytes, dictionary: int = logdata.NO_DICTIONARY) -> LogChunk:
    return logdata.pack(JOB, 1, 5, plain, dictionary)


def test_what_wants_128_mib_to_be_unpacked_is_right_but_for_that() -> None:
    assert zstd.decompress(WIDE) == b"plain"


@given(st.binary(max_size=2_000), st.sampled_from([logdata.NO_DICTIONARY, *logdata.DICTIONARIES]))
def test_what_was_packed_is_unpacked(plain: bytes, dictionary: int) -> None:
    chunk = pack(plain, dictionary)
    assert (chunk.offset, chunk.size, chunk.dictionary) == (5, len(plain), dictionary)
    assert logdata.unpack(chunk) == plain


@pytest.mark.held("a chunk of a log that unpacks to far more, or wants a huge window")
@pytest.mark.parametrize(
    "damage",
    [
        {"crc32": 1},
        {"data": b"no zstd"},
        {"data": zstd.compress(bytes(64 * 1024 * 1024))},
        {"data": WIDE, "size": 5, "crc32": zlib.crc32(b"plain"), "dictionary": logdata.NO_DICTIONARY},
        {"size": 3},
        {"dictionary": 0},
        {"dictionary": 4711},
    ],
    ids=["checksum", "compression", "bomb", "window", "size", "other dictionary", "unknown dictionary"],
)
def test_a_damaged_chunk_is_empty(damage: dict[str, object]) -> None:
    chunk = pack(b'{"timestamp":"2026-01-01T00:00:00Z","level":"info"}\n', 1)
    assert logdata.unpack(msgspec.structs.replace(chunk, **damage)) == b""


@pytest.mark.parametrize("after", [b"x", zstd.compress(bytes(64 * 1024 * 1024))], ids=["garbage", "another frame"])
def test_nothing_may_follow_the_one_frame(after: bytes) -> None:
    for dictionary in (logdata.NO_DICTIONARY, *logdata.DICTIONARIES):
        chunk = pack(b"a line\n", dictionary)
        assert logdata.unpack(msgspec.structs.replace(chunk, data=chunk.data + after)) == b""
        assert logdata.unpack(msgspec.structs.replace(chunk, data=chunk.data[:-1])) == b""


def test_the_best_dictionary_that_both_know() -> None:
    assert logdata.best([1, 4711]) == 1
    assert logdata.best([]) == logdata.best([4711]) == logdata.NO_DICTIONARY


def test_a_line_of_a_task_is_short_with_it() -> None:
    line = b'{"timestamp":"2026-07-08T09:10:11.123456Z","level":"info","event":"some words","logger":"task.stdout"}'
    assert len(pack(line, 1).data) < 0.6 * len(pack(line).data)


@pytest.mark.parametrize("number", logdata.DICTIONARIES)
def test_a_dictionary_holds_lines_like_airflows(number: int) -> None:
    path = Path(logdata.__file__).with_name(f"log_dictionary_{number}.jsonl")
    lines = path.read_text().splitlines()
    assert lines
    for line in lines:
        assert {"timestamp", "level", "event", "logger"} <= json.loads(line).keys()
