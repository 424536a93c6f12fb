from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.logs.lines import first_bytes, line_start, lines, position


@given(st.text().map(str.encode), st.lists(st.integers(0, 100)))
def test_the_cuts_between_pieces_leave_no_trace(data, cuts):
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    expected = data.decode().split("\n")
    assert list(lines(pieces, complete=True)) == (expected if expected[-1] else expected[:-1])


def test_a_line_that_may_go_on_is_held_back():
    assert list(lines([b"one\ntw", b"o\nthr"], complete=False)) == ["one", "two"]
    assert list(lines([b"one\ntw", b"o\nthr"], complete=True)) == ["one", "two", "thr"]


def test_bytes_that_are_no_text_do_no_harm():
    assert list(lines([b"\xff\xc3", b"\xa4\n"], complete=False)) == ["\N{REPLACEMENT CHARACTER}ä"]


def test_pieces_are_asked_for_as_they_are_needed():
    def pieces():
        yield b"one\n"
        raise AssertionError("asked too early")

    assert next(iter(lines(pieces(), complete=True))) == "one"


@given(
    st.lists(st.sampled_from([b"a", b"\n", "ü".encode(), b"long line"])), st.lists(st.integers(0, 60)), st.booleans()
)
def test_who_reads_on_from_a_place_has_every_line_once(letters, looks, ends_whole):
    whole = b"".join(letters)
    had: list[str] = []
    place = 0
    for size in [*sorted(min(look, len(whole)) for look in looks), len(whole)]:
        last = size == len(whole) and ends_whole
        at = min(place, size)
        start = line_start(whole[:at], at)
        pieces = first_bytes([whole[start : start + 3], whole[start + 3 :]], size - start)
        had += lines(pieces, complete=last, start=start, after=place)
        place = position(size, complete=last)
    assert had == list(lines([whole], complete=ends_whole))


def test_the_beginning_of_a_line_that_is_out_of_sight_is_the_beginning_of_everything():
    assert line_start(b"two\nthr", 4711) == 4708
    assert line_start(b"two\n", 4711) == 4711
    assert line_start(b"two", 4711) == 0
