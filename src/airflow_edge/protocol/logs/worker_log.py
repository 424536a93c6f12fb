"""The worker's own log: how agent and runtime write a record into their files, and how it travels to the centre.

In a file a record is `2026-03-04T05:06:07.890Z INFO     the message`, in UTC; lines that don't begin like this belong
to the record before. On the wire records go in batches (`messages.WorkerLog`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from airflow_edge.protocol.errors import decode_remote
from airflow_edge.texts import LineFormatter

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The levels by name; their numbers are those of `logging`."""

LONGEST_RECORD: Final = 16 * 1024
"""Characters of a record; what is longer is cut."""
MOST_RECORDS: Final = 2_000
"""Records in one batch."""

STAYS: Final = "[stays at this site] "
"""Begins a record that the centre never gets, whatever it asks for: it names what the site keeps to itself."""

Source: TypeAlias = Literal["agent", "runtime"]

_BEGINNING: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Z]+) +(.*)", re.DOTALL)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A record of a worker's own log."""

    time: Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
    """Seconds since the epoch, by the site's clock, to the millisecond."""
    level: Annotated[int, msgspec.Meta(ge=0, le=100)]
    source: Source
    text: Annotated[str, msgspec.Meta(max_length=LONGEST_RECORD)]
    """Without a line end at its end; may be several lines."""

    @property
    def stays(self) -> bool:
        """Whether it is none of the centre's business."""
        return self.text.startswith(STAYS)


class Formatter(LineFormatter):
    """Writes records in the form that `read` understands."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-8s %(message)s", "%Y-%m-%dT%H:%M:%S")

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Take UTC for what is written."""
        return time.gmtime(seconds)


def read(line: str, source: Source) -> Record | None:
    """Read a record's first line; None if it begins none."""
    found = _BEGINNING.fullmatch(line)
    if found is None:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Record(moment.timestamp(), LEVELS.get(found[2], LEVELS["INFO"]), source, found[3][:LONGEST_RECORD])


def continued(record: Record, line: str) -> Record:
    """Give the record with one more line."""
    text = f"{record.text}\n{line}"[:LONGEST_RECORD]
    return msgspec.structs.replace(record, text=text)


def level_name(level: int) -> str:
    """Give the name of the highest level that is not above this number."""
    return max((number, name) for name, number in LEVELS.items() if number <= max(level, LEVELS["DEBUG"]))[1]


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[tuple[Record, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Record, ...], msgspec.Meta(max_length=MOST_RECORDS)]
)


def pack(records: Iterable[Record]) -> bytes:
    """Give a batch's plain bytes."""
    return _encoder.encode(tuple(records))


def unpack(data: bytes) -> tuple[Record, ...]:
    """Read a batch's plain bytes.

    :raises RemoteProtocolError: they are no batch.
    """
    return decode_remote(_decoder, data, "a batch of log records")
