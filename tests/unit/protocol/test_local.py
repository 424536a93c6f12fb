from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import (
    JobExited,
    LocalJob,
    Retire,
    RuntimeHello,
    SiteTerms,
    StartJob,
    ToRuntime,
    decode_for_agent,
    decode_for_runtime,
    encode_local,
    split_frames,
)


@given(st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_whole_however_the_bytes_arrive(cuts: list[int]) -> None:
    sent: list[ToRuntime] = [
        StartJob(job_id="a", assignment=1, folder="/x"),
        Retire(),
        StartJob(job_id="b", assignment=2, folder="/y" * 30),
    ]
    stream = b"".join(encode_local(message) for message in sent)
    buffer, got = bytearray(), list[bytes]()
    while stream:
        step = cuts[len(got) % len(cuts)]
        buffer += stream[:step]
        stream = stream[step:]
        got += split_frames(buffer)
    assert [decode_for_runtime(frame) for frame in got] == sent
    assert not buffer


def test_what_the_runtime_says_arrives_as_it_was() -> None:
    for message in (
        RuntimeHello(pid=1, airflow_version="3.3.2", jobs=(LocalJob(job_id="a", assignment=1, pid=2),)),
        JobExited(job_id="a", assignment=1, signal=9),
    ):
        (frame,) = split_frames(bytearray(encode_local(message)))
        assert decode_for_agent(frame) == message


def test_the_owners_users_are_globs_and_none_are_none() -> None:
    terms = SiteTerms(policy="/etc/policy.toml", users=("report", "press-[0-9]"))
    assert [terms.against_user(name) for name in ("report", "press-7")] == ["", ""]
    assert SiteTerms(policy="/etc/policy.toml").against_user("root") == ""
    said = "by its owner's site policy (/etc/policy.toml on that machine): user '{}' is none of its users"
    for name in ("root", "Report", "press-77", ""):
        assert terms.against_user(name) == said.format(name)
    assert SiteTerms(policy="/etc/policy.toml", users=()).against_user("x\ny") == said.format("x y")


def test_a_frame_of_absurd_length_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        split_frames(bytearray(b"\xff\xff\xff\xff"))
