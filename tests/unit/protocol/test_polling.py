from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_edge.protocol import polling
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import MAX_SITE_FRAME_BYTES, SiteFrame, decode_site_frame, encode
from airflow_edge.protocol.messages import Accepted, Ping
from airflow_edge.protocol.polling import (
    MAX_FRAMES,
    End,
    decode_frames,
    decode_reply,
    encode_frames,
    encode_reply,
)

LINK = "0123456789abcdef" * 2
FRAMES = [
    encode(SiteFrame(1, 0, Accepted(job_id="12345678-1234-1234-1234-123456789abc", assignment=3))),
    encode(SiteFrame(0, 7, Ping())),
]


def test_frames_arrive_as_they_were_and_in_order() -> None:
    assert decode_frames(encode_frames(FRAMES)) == FRAMES
    assert [decode_site_frame(frame).seq for frame in decode_frames(encode_frames(FRAMES))] == [1, 0]


def test_a_request_that_listens_needs_no_body() -> None:
    assert decode_frames(b"") == decode_frames(encode_frames([])) == []


@pytest.mark.parametrize("end", [None, End(4403, "revoked")])
def test_a_reply_arrives_as_it_was(end: End | None) -> None:
    reply = decode_reply(encode_reply(LINK, FRAMES, end))
    assert (reply.link, [bytes(frame) for frame in reply.frames], reply.end) == (LINK, FRAMES, end)


@pytest.mark.parametrize("link", ["", "../enroll", LINK.upper(), LINK + "0"])
def test_a_link_has_a_harmless_name(link: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_reply(encode_reply(link))


def test_more_frames_than_allowed_are_refused_unread() -> None:
    assert len(decode_frames(encode_frames([b"\xc0"] * MAX_FRAMES))) == MAX_FRAMES
    # The header alone says how many there are; none of them is there.
    with pytest.raises(RemoteProtocolError):
        decode_frames(b"\xdd" + (2**32 - 1).to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError):
        decode_frames(encode_frames([b"\xc0"] * (MAX_FRAMES + 1)))


@given(st.binary(max_size=300))
@settings(max_examples=1000)
def test_any_bytes_are_frames_or_the_other_sides_fault(data: bytes) -> None:
    for decode in (decode_frames, decode_reply):
        try:
            decode(data)
        except RemoteProtocolError:
            continue


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.lists(VALUES))
def test_any_message_pack_is_no_more_than_frames_to_be_read(values: list[object]) -> None:
    for frame in decode_frames(msgspec.msgpack.encode(values)):
        with pytest.raises(RemoteProtocolError):
            decode_site_frame(frame)


@pytest.mark.held("MessagePack that nests without end")
def test_deep_nesting_is_the_other_sides_fault() -> None:
    with pytest.raises(RemoteProtocolError):
        decode_frames(b"\x91" * 200_000)


def test_the_largest_frame_fits_into_a_body() -> None:
    assert len(encode_frames([bytes(MAX_SITE_FRAME_BYTES)])) < polling.MAX_BODY_BYTES
