"""The bytes of a log as they are in a `LogChunk`: compressed with zstd, on their own, so that any of them may be lost.

A piece of a log is often a few lines. Alone they compress badly, so both sides have a dictionary of such lines. Each
dictionary is a file here, and is never changed once it was released: its number says for ever what it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from airflow_edge.protocol import zstd
from airflow_edge.protocol.messages import JobId, LogChunk


def _load(number: int) -> zstd.ZstdDict:
    path = Path(__file__).with_name(f"log_dictionary_{number}.jsonl")
    return zstd.ZstdDict(path.read_bytes(), is_raw=True)


NO_DICTIONARY: Final = 0
DICTIONARIES: Final = (1,)
"""Numbers of the dictionaries there are; the last is the best."""

_LOADED: Final = {number: _load(number) for number in DICTIONARIES}
"""Read now: while they are wanted, an upgrade may have taken the files away."""

SMALL = 32 * 1024
"""Bytes that are compressed better, because it takes no time anyway."""
LEVEL = 3
LEVEL_FOR_SMALL = 9

_UNPACKING = {int(zstd.DecompressionParameter.window_log_max): 23}
"""A frame that wants more than 8 MiB to be unpacked is no honest one."""


def best(known: Collection[int]) -> int:
    """Give the best dictionary that the other side knows, too."""
    return max((number for number in DICTIONARIES if number in known), default=NO_DICTIONARY)


def pack(job_id: JobId, assignment: int, offset: int, plain: bytes, dictionary: int) -> LogChunk:
    """Make a chunk of these bytes."""
    level = LEVEL_FOR_SMALL if len(plain) <= SMALL else LEVEL
    return LogChunk(
        job_id=job_id,
        assignment=assignment,
        offset=offset,
        size=len(plain),
        crc32=zlib.crc32(plain),
        dictionary=dictionary,
        data=zstd.compress(plain, level, zstd_dict=_LOADED.get(dictionary)),
    )


def unpack(chunk: LogChunk) -> bytes:
    """Give the plain bytes; none if the chunk is not what it says it is.

    It never unpacks more than the chunk's size.
    """
    if chunk.dictionary != NO_DICTIONARY and chunk.dictionary not in _LOADED:
        return b""
    decompressor = zstd.ZstdDecompressor(zstd_dict=_LOADED.get(chunk.dictionary), options=_UNPACKING)
    try:
        plain = decompressor.decompress(chunk.data, max_length=chunk.size + 1)
    except zstd.ZstdError:
        return b""
    # What comes after the one frame would be unpacked by whoever reads the stored bytes.
    whole = decompressor.eof and not decompressor.unused_data
    return plain if whole and len(plain) == chunk.size and zlib.crc32(plain) == chunk.crc32 else b""
