from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.messages import Closed
from airflow_edge.rules.fleet.closing import MOST_BYTES, Closure, closures, read_closures, write_closures

QUEUES = st.lists(st.text(min_size=1, max_size=256), max_size=40, unique=True).map(tuple)
SAID = st.lists(st.builds(Closed, queues=QUEUES, reason=st.text(max_size=600), for_good=st.booleans()), max_size=3)


def test_what_a_site_says_is_cleaned():
    said = closures([Closed(queues=("plc", "gpu"), reason="shut\n\x1b[31mFORGED", for_good=True)])
    assert said == dict.fromkeys(("plc", "gpu"), Closure("shut FORGED", for_good=True))


@given(SAID)
def test_it_is_kept_as_it_is_as_far_as_there_is_room(said):
    known = closures(said)
    written = write_closures(known)
    assert len(written.encode()) <= MOST_BYTES
    kept = read_closures(written)
    assert kept.items() <= known.items()
    if sum(len(queue.encode()) * 6 for queue in known) < MOST_BYTES // 4:
        assert kept == known


def test_there_is_room_for_many_and_what_is_too_much_is_left_out():
    many = closures([Closed(queues=tuple(f"{n:0250}" for n in range(1000)), reason="shut")])
    written = write_closures(many)
    assert MOST_BYTES * 0.9 < len(written) <= MOST_BYTES
    assert read_closures(written).items() < many.items()


@given(st.text() | st.none() | st.sampled_from(["[]", "[1]", "{}", '[["a"]]']))
def test_what_is_none_of_it_closes_nothing(text):
    assert read_closures(text) == {}


def test_none_is_kept_as_nothing():
    assert (write_closures({}), read_closures("")) == ("", {})
