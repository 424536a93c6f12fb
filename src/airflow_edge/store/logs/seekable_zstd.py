"""Objects of zstd frames that can be read from the middle: the zstd seekable format.

`zstdcat` reads such an object as it is. After the frames with the data stands one that decompressors skip: the sizes
of the others, and a footer. Source: `contrib/seekable_format/zstd_seekable_compression_format.md` of zstd.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from airflow_edge.protocol.logs import zstd

PIECE: Final = 256 * 1024
"""Plain bytes that are unpacked at once."""

_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_HEADER: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")


class Frame(NamedTuple):
    """A frame's place: in the object (`begin`, `length`) and in the plain bytes (`offset`, `size`)."""

    begin: int
    length: int
    offset: int
    size: int


def frames(plain: Iterable[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """Pack bytes into frames of this many plain bytes; the last one may have fewer. Give each with its plain size."""
    buffer = bytearray()
    for piece in plain:
        buffer += piece
        while len(buffer) >= size:
            yield zstd.compress(buffer[:size]), size
            del buffer[:size]
    if buffer:
        yield zstd.compress(buffer), len(buffer)


def table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """Give what stands after the frames, from their sizes: packed and plain."""
    entries = b"".join(_ENTRY.pack(*entry) for entry in sizes)
    footer = _FOOTER.pack(len(sizes), 0, _SEEKABLE)
    return _HEADER.pack(_SKIPPABLE, len(entries) + len(footer)) + entries + footer


def table_length(tail: bytes) -> int:
    """Say how long the table is, from the object's last bytes.

    :raises ValueError: they are not those of such an object.
    """
    count, descriptor, magic = _FOOTER.unpack(tail[-_FOOTER.size :].rjust(_FOOTER.size, b"\0"))
    if magic != _SEEKABLE or descriptor:
        raise ValueError("it is not one of our objects, or not all of it")
    return _HEADER.size + int(count) * _ENTRY.size + _FOOTER.size


def read_table(tail: bytes) -> list[Frame]:
    """Give the frames' places from the last bytes of the object, the whole table at least.

    :raises ValueError: they are not those of such an object.
    """
    entries = tail[len(tail) - table_length(tail) + _HEADER.size : -_FOOTER.size]
    found: list[Frame] = []
    begin = offset = 0
    for length, size in _ENTRY.iter_unpack(entries):
        found.append(Frame(begin, length, offset, size))
        begin += length
        offset += size
    return found


def pieces(frame: bytes) -> Iterator[bytes]:
    """Unpack a frame, at most `PIECE` bytes at once."""
    decompressor = zstd.ZstdDecompressor()
    piece = decompressor.decompress(frame, max_length=PIECE)
    while piece:
        yield piece
        piece = b"" if decompressor.eof else decompressor.decompress(b"", max_length=PIECE)


def cut(parts: Iterable[bytes], begin: int, end: int | None = None) -> Iterator[bytes]:
    """Give those bytes of the parts that are in this range, counted from the first part's begin."""
    position = 0
    for part in parts:
        wanted = part[max(0, begin - position) : None if end is None else max(0, end - position)]
        if wanted:
            yield wanted
        position += len(part)
        if end is not None and position >= end:
            return
