from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.frames import CentreFrame, decode_centre_frame
from airflow_edge.protocol.messages import Offer, Order, Ping, Signed, Stop, Void
from airflow_edge.protocol.signatures import (
    FINGERPRINT_LENGTH,
    ORDERS,
    LinkContext,
    content,
    fingerprint,
    introduction,
    seal,
)

JOB: dict[str, Any] = {"job_id": "00000000-0000-4000-8000-000000000001", "assignment": 1}
ACTS = [
    Offer(**JOB, kind="task", queue="q", slots=1, lease=1, workload=b"{}"),
    Stop(**JOB, reason="r"),
    Void(**JOB, reason="r"),
    Order(order_id=JOB["job_id"], kind="restart"),
]
PLACES = st.tuples(st.text(), st.text(), st.text())


@pytest.mark.parametrize("message", ACTS)
def test_what_makes_a_site_act_is_sealed_and_comes_out_as_it_went_in(message) -> None:
    where = LinkContext("w", "n", "s")
    said: list[bytes] = []

    def sign(text: bytes) -> bytes:
        said.append(text)
        return b"x" * 64

    data = seal(CentreFrame(3, 2, message), where, sign)
    frame = decode_centre_frame(data)
    assert isinstance(frame.body, Signed)
    assert (frame.seq, frame.ack, frame.body.signature, content(frame.body)) == (3, 2, b"x" * 64, message)
    assert said == [where.statement(3, frame.body.data)]


def test_what_only_tells_something_is_not() -> None:
    assert decode_centre_frame(seal(CentreFrame(0, 0, Ping()), LinkContext("w", "n", "s"), bytes)).body == Ping()


@given(PLACES, PLACES, st.integers(0, 9), st.integers(0, 9), st.binary(max_size=3), st.binary(max_size=3))
def test_what_is_signed_holds_in_one_place_only(one, other, number, another, said, else_) -> None:
    same = (one, number, said) == (other, another, else_)
    assert (LinkContext(*one).statement(number, said) == LinkContext(*other).statement(another, else_)) == same


FIELDS = st.dictionaries(
    st.sampled_from(["type", *Offer.__struct_fields__, *Order.__struct_fields__]),
    st.sampled_from(["Offer", "Stop", "Void", "Order", JOB["job_id"], "task"])
    | st.integers(0, 9)
    | st.binary(max_size=9),
)


@given(st.binary(max_size=60) | FIELDS.map(msgspec.msgpack.encode))
def test_whatever_was_signed_is_a_message_or_none(data) -> None:
    """A centre of another version may sign what this one does not know, too: that is one kind of error."""
    with suppress(msgspec.MsgspecError):
        assert isinstance(content(Signed(data=data, signature=b"x" * 64)), ORDERS)


@given(st.binary(), st.binary())
def test_two_keys_have_two_fingerprints(one: bytes, other: bytes) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (introduction(one) == introduction(other)) == (one == other)
    assert len(fingerprint(one)) == FINGERPRINT_LENGTH
