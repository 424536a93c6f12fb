"""Measurements of workers over time: one a minute, packed into chunks of some minutes.

A chunk is a row of half-precision numbers for each minute (IEEE 754 binary16, little-endian): three digits are enough
for a chart. What is not known is NaN.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from airflow_edge.protocol.messages import Metrics

RESOLUTION: Final = 60
"""Seconds."""
MINUTES_PER_CHUNK: Final = 15
MOST_SAID: Final = 120
"""Messages of one worker in a minute that count."""

COUNTED: Final = frozenset({"reconnects"})
"""Series of which a longer time has the sum; of the others it has the mean."""
SERIES: Final[tuple[str, ...]] = ("jobs", *Metrics.__struct_fields__)
"""What is kept, in the order of a chunk. New ones are added at the end: older chunks are shorter."""

_UNITS: Final = {"disk_free": 2**30, "bytes_received": 2**20, "bytes_sent": 2**20, "round_trip": 1e-3}
"""What is kept of a series is in these, so that it fits into a half-precision number."""
_MOST: Final = 65504.0
_ROW: Final = struct.Struct(f"<{len(SERIES)}e")

Row = tuple[float | None, ...]
"""The values of `SERIES` in one minute."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is known of a worker from a minute (since 1970) on; `size` minutes, each packed."""

    worker_id: UUID
    minute: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Series with one value each for every time; None where nothing is known."""

    resolution: int
    times: tuple[int, ...]
    """When each of them begins, in seconds since 1970."""
    series: Mapping[str, tuple[float | None, ...]]


class Recorder:
    """Collects what one worker says, and packs it minute by minute."""

    def __init__(self, worker_id: UUID) -> None:
        self._worker_id = worker_id
        self._minute: int | None = None
        self._said: list[Row] = []
        self._first = 0
        self._rows: list[bytes] = []

    def add(self, metrics: Metrics, jobs: int, minute: int) -> None:
        """Take in what the worker said in this minute; if it says a lot, only the first of it."""
        if minute != self._minute:
            self._close()
            self._minute = minute
        if len(self._said) < MOST_SAID:
            self._said.append((float(jobs), *(_finite(getattr(metrics, name)) for name in SERIES[1:])))

    def due(self, minute: int) -> Chunk | None:
        """Give the chunk that has grown by a minute that is over, to be put in the place of the one before."""
        if self._minute is None or self._minute >= minute:
            return None
        self._close()
        return Chunk(self._worker_id, self._first, len(self._rows), b"".join(self._rows))

    def _close(self) -> None:
        if self._minute is None:
            return
        gap = self._minute - self._first - len(self._rows)
        if not self._rows or gap < 0 or len(self._rows) + gap >= MINUTES_PER_CHUNK:
            self._first, self._rows, gap = self._minute, [], 0
        nothing = _pack((None,) * len(SERIES))
        self._rows += [nothing] * gap + [_pack(merge(self._said))]
        self._minute, self._said = None, []


def minute_of(now: float) -> int:
    """Give the minute since 1970 in which this second is."""
    return int(now // RESOLUTION)


def merge(rows: Sequence[Row]) -> Row:
    """Make one row of several: their mean, or their sum where things are counted."""
    return tuple(_merge(name, [row[i] for row in rows]) for i, name in enumerate(SERIES))


def unpack(chunk: Chunk) -> Iterable[tuple[int, Row]]:
    """Give the minutes of a chunk with their rows."""
    width = len(chunk.data) // chunk.size
    padding = _pack((None,) * len(SERIES))[width:]
    for number in range(chunk.size):
        packed = chunk.data[number * width : (number + 1) * width] + padding
        values = _ROW.unpack(packed[: _ROW.size])
        yield (
            chunk.minute + number,
            tuple(
                None if math.isnan(value) else value * _UNITS.get(name, 1)
                for name, value in zip(SERIES, values, strict=True)
            ),
        )


def chart(chunks: Iterable[Chunk], *, since: int, until: int, resolution: int = RESOLUTION) -> Chart:
    """Lay chunks out over a time.

    :param since: seconds since 1970; the first value begins there, or up to a `resolution` before
    :param until: the last one begins before this
    :param resolution: seconds, a multiple of `RESOLUTION`
    """
    minutes: dict[int, Row] = {}
    for chunk in sorted(chunks, key=lambda chunk: chunk.minute):
        minutes.update((minute, row) for minute, row in unpack(chunk) if any(value is not None for value in row))
    times = tuple(range(since - since % resolution, until, resolution))
    step = resolution // RESOLUTION
    spans = [range(time // RESOLUTION, time // RESOLUTION + step) for time in times]
    rows = [merge([minutes[minute] for minute in span if minute in minutes]) for span in spans]
    return Chart(
        resolution=resolution,
        times=times,
        series={name: tuple(row[i] for row in rows) for i, name in enumerate(SERIES)},
    )


def _merge(name: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sum(known) if name in COUNTED else sum(known) / len(known)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _pack(row: Row) -> bytes:
    return _ROW.pack(
        *(
            math.nan if value is None else max(-_MOST, min(_MOST, value / _UNITS.get(name, 1)))
            for name, value in zip(SERIES, row, strict=True)
        )
    )
