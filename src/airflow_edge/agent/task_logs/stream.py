"""A job's log as a stream of bytes to the centre: what of it is where, and what is to be sent next. No I/O.

The stream is the log file, byte for byte, until a task damages that file. What the centre has acknowledged by then
stays. At that offset a new *segment* begins: a line that says what has happened, and then the file as it is now. Where
the machine's owner lets only so much of it leave, a line that says so comes in place of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from airflow_edge.protocol.local import by_owner


class Damage(Enum):
    """What a task can do to its log file; the value is what its log says then."""

    TRUNCATED = "The log file was truncated by the task; what follows is what was written to it since."
    DELETED = "The log file was deleted by the task; what is still written to it follows."
    REPLACED = "The log file was deleted or replaced by the task; what follows is what is in its place now."
    FORGOTTEN = "The centre has lost an earlier part of this log, which is not at the site any more."


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the stream in which its bytes are those of a file."""

    start: int = 0
    """Offset in the stream at which it begins: with the marker."""
    marker: bytes = b""
    skip: int = 0
    """Offset in the file of the byte after the marker."""
    file: tuple[int, int] | None = None
    """Device and inode of the file, once it was seen."""
    cut: int | None = None
    """Offset in the stream after which nothing more of the file comes, but `notice`; None while all of it comes."""
    notice: bytes = b""

    @property
    def body(self) -> int:
        """Offset in the stream of the byte after the marker."""
        return self.start + len(self.marker)

    def in_file(self, offset: int) -> int:
        """Give the place in the file of an offset in the stream."""
        end = offset if self.cut is None else min(offset, self.cut)
        return self.skip + max(end - self.body, 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the stream that may be sent: part of a line of ours, else so many bytes of the file from `in_file` on.

    One without bytes asks the centre how far it is.
    """

    offset: int
    size: int
    marker: bytes = b""
    in_file: int = 0


class Stream:
    """One log on its way."""

    def __init__(self, segment: Segment, *, fresh: bool, most: int | None = None) -> None:
        """:param segment: where the last agent was; :param fresh: nothing of it was ever sent
        :param most: bytes after which it is to be cut; None for no limit
        """
        self.segment = segment
        self._most = most
        self.acknowledged = 0
        self.sent = 0
        self.closed = False
        """It will not grow any more."""
        self.end_sent = False
        self._in_file = segment.skip
        self._looked = False
        self._asking = not fresh
        self._asked = False
        self._damage: Damage | None = None

    @property
    def size(self) -> int:
        """Bytes of the stream that are there."""
        whole, cut = self._whole, self.segment.cut
        return whole if cut is None or whole < cut else cut + len(self.segment.notice)

    @property
    def _whole(self) -> int:
        return self.segment.body + self._in_file - self.segment.skip

    @property
    def cut_due(self) -> bool:
        """Whether there is more than may be sent, and that is not said yet."""
        return self._most is not None and self.segment.cut is None and self._whole > max(self._most, self.segment.body)

    @property
    def seen_of_file(self) -> int:
        """How long the file was; one that is shorter was truncated."""
        return max(self.segment.in_file(self.sent), self._in_file)

    @property
    def damaged(self) -> bool:
        """Whether a new segment is to begin."""
        return self._damage is not None

    @property
    def under_way(self) -> bool:
        """Whether an answer of the centre is awaited."""
        return self._asked or self.end_sent or self.sent > self.acknowledged

    @property
    def can_end(self) -> bool:
        """Whether all of it is at the centre, and only its end is to be said."""
        return (
            self.closed
            and self._looked
            and not (self.end_sent or self._asking or self.damaged)
            and self.acknowledged == self.sent == self.size
        )

    def ask(self) -> None:
        """Nobody knows what became of what was under way."""
        self.sent = self.acknowledged
        self.end_sent = False
        self._asking = True
        self._asked = False

    def looked(self, size: int) -> None:
        """The file has so many bytes; what was sent of it is as it was."""
        self._in_file = size
        self._looked = True

    def see(self, file: tuple[int, int] | None) -> None:
        """This is the file of the segment."""
        self.segment = msgspec.structs.replace(self.segment, file=file)

    def cut(self, notice: bytes) -> None:
        """Send what may be sent, and this line in place of the rest: from now on it stays so."""
        cut = max(self._most or 0, self.segment.body)
        # What comes before may be cut off in the middle of a line.
        self.segment = msgspec.structs.replace(self.segment, cut=cut, notice=b"\n" + notice if cut else notice)

    def damage(self, damage: Damage) -> None:
        """The file is not what it was. Nothing more is sent before `segment_due`."""
        if self._damage is None:
            self._damage = damage

    def segment_due(self) -> Damage | None:
        """Say why the next segment is to begin now, when the centre has answered to all that was sent."""
        return None if self._asking or self.sent > self.acknowledged else self._damage

    def begin(self, segment: Segment) -> None:
        """Go on with a new segment, which starts at what is acknowledged."""
        self.segment = segment
        self._in_file = segment.skip
        self._damage = None

    def answered(self, offset: int) -> None:
        """The centre has it up to this offset, and wants what follows."""
        if self._asking or self.end_sent or not self.acknowledged <= offset <= self.sent:
            self.sent = offset
        self.acknowledged = offset
        self._asking = self._asked = self.end_sent = False
        if offset < self.segment.start:
            self.damage(Damage.FORGOTTEN)
        elif self._looked and offset > self.size:
            # The last agent had read what is not there any more. Before the first look that cannot be known.
            self.damage(Damage.TRUNCATED)

    def next(self, most: int) -> Piece | None:
        """Give what to send now, of at most so many bytes. A piece that is sent is noted with `sent_up_to`."""
        if self._asked:
            return None
        if self._asking:
            due = self.damaged or (self._looked and (self.closed or self.size > 0))
            return Piece(self.acknowledged, 0) if due else None
        if self.damaged or self.sent >= self.size:
            return None
        segment = self.segment
        if self.sent < segment.body:
            begun = self.sent - segment.start
            return _ours(self.sent, segment.marker[begun : begun + most])
        end = self.size
        if segment.cut is not None and segment.cut < end:
            if self.sent >= segment.cut:
                begun = self.sent - segment.cut
                return _ours(self.sent, segment.notice[begun : begun + most])
            end = segment.cut
        return Piece(self.sent, min(most, end - self.sent), in_file=segment.in_file(self.sent))

    def sent_up_to(self, offset: int) -> None:
        """These bytes, or the question, are on their way."""
        self.sent = offset
        self._asked = self._asking


def next_segment(stream: Stream, damage: Damage, timestamp: str) -> Segment:
    """Give the segment that begins at what the centre has, in the form of Airflow's task logs.

    :param timestamp: of the line, ISO 8601
    """
    start, before = stream.acknowledged, stream.segment
    if before.cut is not None and start >= before.cut:
        # Nothing more of it is sent, whatever becomes of it.
        rest = before.notice[start - before.cut :]
        return Segment(start=start, marker=rest, cut=start + len(rest))
    text = _line(timestamp, damage.value, offset=start)
    goes_on = damage is Damage.DELETED
    return Segment(
        start=start,
        # What came before may have been cut off in the middle of a line.
        marker=b"\n" + text if start else text,
        skip=before.in_file(start) if goes_on else 0,
        file=before.file if goes_on else None,
    )


def cut_notice(policy: str, most: int, timestamp: str) -> bytes:
    """Give the line that comes in place of the rest of a log that is cut, in the form of Airflow's task logs.

    :param policy: the file in which the machine's owner has said so
    :param timestamp: of the line, ISO 8601
    """
    why = by_owner(policy, f"no more than {most} bytes of a task's log leave it (max_log)")
    return _line(timestamp, f"The log is cut here {why}")


def _line(timestamp: str, event: str, **more: int) -> bytes:
    fields = {"timestamp": timestamp, "level": "warning", "event": event, **more, "logger": "airflow_edge"}
    return msgspec.json.encode(fields) + b"\n"


def _ours(offset: int, text: bytes) -> Piece:
    return Piece(offset, len(text), marker=text)
