"""The bytes of a log as they are in a `LogChunk`: compressed with zstd, on their own, so that any of them may be lost.

A piece of a log is often a few lines. Alone they compress badly, so both sides have a dictionary of such lines. Each
dictionary is a file here, and is never changed once it was released: its number says for ever what it is.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_edge.protocol.messages import JobId, LogChunk

if TYPE_CHECKING:
    # Loaded with the first chunk: a worker without tasks never needs it.
    from airflow_edge.protocol.logs import zstd


NO_DICTIONARY: Final = 0
DICTIONARIES: Final = (1,)
"""Numbers of the dictionaries there are; the last is the best."""

_LINES: Final = {
    number: Path(__file__).with_name(f"log_dictionary_{number}.jsonl").read_bytes() for number in DICTIONARIES
}
"""Read now: while they are wanted, an upgrade may have taken the files away."""

SMALL = 32 * 1024
"""Bytes that are compressed better, because it takes no time anyway."""
LEVEL = 3
LEVEL_FOR_SMALL = 9

_LARGEST_WINDOW = 23
"""A frame that wants more than 8 MiB to be unpacked is no honest one."""


def best(known: Collection[int]) -> int:
    """Give the best dictionary that the other side knows, too."""
    return max((number for number in DICTIONARIES if number in known), default=NO_DICTIONARY)


def pack(job_id: JobId, assignment: int, offset: int, plain: bytes, dictionary: int) -> LogChunk:
    """Make a chunk of these bytes."""
    from airflow_edge.protocol.logs import zstd

    level = LEVEL_FOR_SMALL if len(plain) <= SMALL else LEVEL
    return LogChunk(
        job_id=job_id,
        assignment=assignment,
        offset=offset,
        size=len(plain),
        crc32=zlib.crc32(plain),
        dictionary=dictionary,
        data=zstd.compress(plain, level, zstd_dict=_dictionary(dictionary)),
    )


def unpack(chunk: LogChunk) -> bytes:
    """Give the plain bytes; none if the chunk is not what it says it is.

    It never unpacks more than the chunk's size.
    """
    from airflow_edge.protocol.logs import zstd

    if chunk.dictionary not in {NO_DICTIONARY, *DICTIONARIES}:
        return b""
    options = {int(zstd.DecompressionParameter.window_log_max): _LARGEST_WINDOW}
    decompressor = zstd.ZstdDecompressor(zstd_dict=_dictionary(chunk.dictionary), options=options)
    try:
        plain = decompressor.decompress(chunk.data, max_length=chunk.size + 1)
    except zstd.ZstdError:
        return b""
    # What comes after the one frame would be unpacked by whoever reads the stored bytes.
    whole = decompressor.eof and not decompressor.unused_data
    return plain if whole and len(plain) == chunk.size and zlib.crc32(plain) == chunk.crc32 else b""


@functools.cache
def _dictionary(number: int) -> zstd.ZstdDict | None:
    from airflow_edge.protocol.logs import zstd

    return zstd.ZstdDict(_LINES[number], is_raw=True) if number != NO_DICTIONARY else None
