from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.logs.lines import lines


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
