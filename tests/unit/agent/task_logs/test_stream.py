"""A log as a stream: whatever happens to file, link, agent and centre, the centre ends with the file."""

from __future__ import annotations

import hashlib
import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_edge.agent.task_logs.stream import Damage, Piece, Segment, Stream, cut_notice, next_segment

SIZES = st.integers(1, 40)
RARELY = st.integers(0, 4)
CUT = b"the rest stays here\n"


class World(RuleBasedStateMachine):
    """An agent without its I/O, a file, a link and a centre."""

    @initialize(most=st.none() | st.integers(0, 100))
    def begin(self, most: int | None) -> None:
        self.most = most
        """Of the file, that the machine's owner lets leave it."""
        self.file = bytearray()
        self.centre = bytearray()
        self.written = 0
        self.stream = Stream(Segment(), fresh=True, most=most)
        self.up: list[tuple[int, bytes]] = []
        """Chunks on their way."""
        self.down: list[int] = []
        """Acknowledgements on their way."""
        self.kept = b""
        """What the centre had when the segment began."""
        self.damages = 0

    # The task

    @rule(size=SIZES)
    def write(self, size: int) -> None:
        self.file += bytes((self.written + i) % 251 for i in range(size))
        self.written += size

    @rule(share=st.floats(0, 1))
    def truncate(self, share: float) -> None:
        del self.file[int(len(self.file) * share) :]
        self.damages += 1

    # The agent

    @rule()
    def look(self) -> None:
        stream = self.stream
        if len(self.file) < stream.seen_of_file:
            stream.damage(Damage.TRUNCATED)
        elif not stream.damaged:
            self.looked()
        if damage := stream.segment_due():
            self.kept = bytes(self.centre[: stream.acknowledged])
            stream.begin(next_segment(stream, damage, "now"))
            self.looked()

    def looked(self) -> None:
        self.stream.looked(len(self.file))
        if self.stream.cut_due:
            self.stream.cut(CUT)

    @rule(most=SIZES)
    def send(self, most: int) -> None:
        match self.stream.next(most):
            case Piece(offset, 0):
                self.up.append((offset, b""))
                self.stream.sent_up_to(offset)
            case Piece() as piece:
                data = piece.marker or bytes(self.file[piece.in_file : piece.in_file + piece.size])
                if data:
                    assert len(data) <= most
                    if self.most is not None and not piece.marker:
                        assert piece.offset + len(data) <= self.most
                    self.up.append((piece.offset, data))
                    self.stream.sent_up_to(piece.offset + len(data))

    @rule(count=st.integers(1, 5), most=SIZES, acknowledged=st.booleans())
    def go_on(self, count: int, most: int, acknowledged: bool) -> None:
        """All goes well for a while."""
        for _ in range(count):
            self.look()
            self.send(most)
            if self.up:
                self.arrive()
            if self.down and acknowledged:
                self.acknowledge()

    @rule(really=RARELY)
    def restart(self, really: int) -> None:
        if really:
            return
        self.up.clear()
        self.down.clear()
        closed = self.stream.closed
        self.stream = Stream(self.stream.segment, fresh=False, most=self.most)
        self.stream.closed = closed

    # The link and the centre

    @rule(really=RARELY)
    def lose_the_link(self, really: int) -> None:
        if really:
            return
        self.up.clear()
        self.down.clear()
        self.stream.ask()

    @precondition(lambda self: self.up)
    @rule()
    def arrive(self) -> None:
        offset, data = self.up.pop(0)
        if offset <= len(self.centre):
            self.centre += data[len(self.centre) - offset :]
        self.down.append(len(self.centre))

    @precondition(lambda self: self.down)
    @rule()
    def acknowledge(self) -> None:
        self.stream.answered(self.down.pop(0))

    @rule(share=st.floats(0, 1))
    def forget(self, share: float) -> None:
        """The centre goes back to an older state of its own, as after a restored backup, and says so."""
        del self.centre[int(len(self.centre) * share) :]
        self.down.append(len(self.centre))

    @invariant()
    def sane(self) -> None:
        assert 0 <= self.stream.acknowledged <= self.stream.sent

    def teardown(self) -> None:
        """The task ends, and nothing else goes wrong."""
        stream = self.stream
        stream.closed = True
        for _ in range(2_000):
            self.look()
            self.send(40)
            if self.up:
                self.arrive()
            while self.down:
                self.acknowledge()
            if stream.can_end:
                segment = stream.segment
                said = segment.marker + self.file[segment.skip : segment.in_file(stream.size)]
                # An agent that had not seen what was cut may find less than that.
                if segment.cut is not None and stream.size > segment.cut:
                    said += segment.notice
                assert stream.size == segment.start + len(said)
                if hashlib.sha256(self.centre[segment.start :]).digest() == hashlib.sha256(said).digest():
                    break
                # The centre begins the segment anew: a truncation had gone unnoticed.
                assert self.damages
                del self.centre[segment.start :]
                stream.end_sent = True
                stream.answered(segment.start)
        else:
            raise AssertionError("it does not end")
        assert bytes(self.centre[: segment.start]) == self.kept[: segment.start]
        assert len(self.kept) >= segment.start
        if not self.damages:
            assert segment.start == 0
            assert not segment.marker
            if self.most is None or len(self.file) <= self.most:
                assert self.centre == self.file
            else:
                assert self.centre == self.file[: self.most] + (b"\n" if self.most else b"") + CUT


World.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestWorld = World.TestCase


def stream_of(size: int, acknowledged: int) -> Stream:
    stream = Stream(Segment(file=(1, 2)), fresh=True)
    stream.looked(size)
    stream.sent_up_to(acknowledged)
    stream.answered(acknowledged)
    return stream


def test_the_marker_is_a_line_of_its_own_like_airflows() -> None:
    segment = next_segment(stream_of(10, 7), Damage.TRUNCATED, "2026-01-01T00:00:00+00:00")
    before, line, after = segment.marker.split(b"\n")
    assert (before, after) == (b"", b"")
    assert json.loads(line) == {
        "timestamp": "2026-01-01T00:00:00+00:00",
        "level": "warning",
        "event": Damage.TRUNCATED.value,
        "offset": 7,
        "logger": "airflow_edge",
    }
    assert (segment.start, segment.skip, segment.file) == (7, 0, None)
    assert next_segment(stream_of(0, 0), Damage.TRUNCATED, "now").marker.startswith(b"{")


def test_a_deleted_file_goes_on_where_it_was() -> None:
    segment = next_segment(stream_of(10, 7), Damage.DELETED, "now")
    assert (segment.start, segment.skip, segment.file) == (7, 7, (1, 2))
    stream = stream_of(10, 7)
    stream.begin(segment)
    stream.looked(10)
    assert stream.size == 7 + len(segment.marker) + 3
    assert segment.in_file(stream.size) == 10


def test_nothing_is_sent_of_a_damaged_file_before_the_centre_has_answered() -> None:
    stream = stream_of(10, 4)
    stream.sent_up_to(8)
    stream.damage(Damage.TRUNCATED)
    assert stream.next(100) is None
    assert stream.segment_due() is None
    stream.answered(8)
    assert stream.segment_due() is Damage.TRUNCATED


def test_a_log_that_is_cut_says_so_in_a_line_of_its_own_like_airflows() -> None:
    line = json.loads(cut_notice("/etc/policy.toml", 4, "2026-01-01T00:00:00+00:00"))
    assert line == {
        "timestamp": "2026-01-01T00:00:00+00:00",
        "level": "warning",
        "event": "The log is cut here by its owner's site policy (/etc/policy.toml on that machine): no more than 4 "
        "bytes of a task's log leave it (max_log)",
        "logger": "airflow_edge",
    }
    stream = Stream(Segment(), fresh=True, most=4)
    stream.looked(4)
    assert (stream.cut_due, stream.size) == (False, 4)
    stream.looked(5)
    assert stream.cut_due
    stream.cut(b"cut\n")
    assert (stream.cut_due, stream.size) == (False, 4 + len(b"\ncut\n"))
    assert stream.next(100) == Piece(0, 4)
    stream.sent_up_to(4)
    assert stream.next(3) == Piece(4, 3, marker=b"\ncu")
    # However much comes.
    stream.looked(1000)
    assert stream.size == 9


def test_what_becomes_of_the_rest_of_a_log_that_was_cut_is_nobodys_business() -> None:
    stream = Stream(Segment(), fresh=True, most=4)
    stream.looked(10)
    stream.cut(b"cut\n")
    stream.sent_up_to(6)
    stream.answered(6)
    stream.begin(next_segment(stream, Damage.TRUNCATED, "now"))
    stream.looked(500)
    assert not stream.cut_due
    assert (stream.segment.start, stream.segment.marker, stream.size) == (6, b"ut\n", 9)
    stream.sent_up_to(9)
    stream.answered(9)
    assert stream.next(100) is None


def test_a_centre_that_has_more_than_there_is_had_a_file_that_was_truncated() -> None:
    stream = Stream(Segment(), fresh=False)
    stream.looked(5)
    assert stream.next(100) == Piece(0, 0)
    stream.sent_up_to(0)
    assert stream.next(100) is None
    stream.answered(9)
    assert stream.segment_due() is Damage.TRUNCATED


def test_what_the_centre_has_says_nothing_about_a_file_that_was_not_looked_at() -> None:
    stream = Stream(Segment(file=(1, 2)), fresh=False)
    stream.answered(10)
    assert not stream.damaged
    assert stream.seen_of_file == 10


def test_a_centre_that_wants_what_was_before_the_damage_is_told_that_it_is_gone() -> None:
    stream = stream_of(10, 7)
    stream.begin(next_segment(stream, Damage.TRUNCATED, "now"))
    stream.answered(3)
    assert stream.segment_due() is Damage.FORGOTTEN
