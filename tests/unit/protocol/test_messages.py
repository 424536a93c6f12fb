from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_edge.protocol import messages
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import (
    MAX_SITE_FRAME_BYTES,
    CentreFrame,
    SiteFrame,
    decode_centre_frame,
    decode_site_frame,
    encode,
)
from airflow_edge.protocol.messages import MAX_TEXT, MOST_JOBS, MOST_SLOTS, HeldJob, Hello, Status, one_line
from airflow_edge.protocol.states import WorkerState

JOB = "12345678-1234-1234-1234-123456789abc"


@given(st.binary(max_size=300))
@settings(max_examples=1000)
def test_any_bytes_are_a_frame_or_the_other_sides_fault(data: bytes) -> None:
    for decode in (decode_site_frame, decode_centre_frame):
        try:
            decode(data)
        except RemoteProtocolError:
            continue


@pytest.mark.held("MessagePack that nests without end")
@pytest.mark.parametrize("before", [b"", b"\x93\x00\x00"], ids=["all of it", "the message"])
@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1a"], ids=["lists", "maps"])
def test_what_nests_a_million_deep_is_the_other_sides_fault(before: bytes, level: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_site_frame(before + level * (1_000_000 // len(level)))


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_message_pack_is_a_frame_or_the_other_sides_fault(value: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_site_frame(msgspec.msgpack.encode(["seq", 0, value]))


@pytest.mark.parametrize(
    "body",
    [
        messages.Accepted(job_id=JOB, assignment=3),
        messages.Ended(job_id=JOB, assignment=3, signal=9, reason="out of memory"),
        messages.LogChunk(job_id=JOB, assignment=1, offset=5, size=3, crc32=7, data=b"\x00\xff"),
        messages.LogEnd(job_id=JOB, assignment=1, size=3, sha256="0" * 64),
        messages.Goodbye(reason="drained"),
    ],
)
def test_what_a_site_says_arrives_as_it_was(body: messages.SiteMessage) -> None:
    assert decode_site_frame(encode(SiteFrame(4, 2, body))) == SiteFrame(4, 2, body)


def test_a_status_arrives_with_what_was_measured_and_takes_few_bytes() -> None:
    metrics = messages.Metrics(cpu_percent=12.5, load=0.5, disk_free=1e12, round_trip=0.02, reconnects=0.0)
    status = messages.Status(state=WorkerState.MAINTENANCE_MODE, alive=(), cause="system", metrics=metrics)
    frame = encode(SiteFrame(0, 2, status))
    assert decode_site_frame(frame).body == status
    assert len(frame) < 250


def test_a_site_cannot_speak_for_the_centre() -> None:
    frame = encode(CentreFrame(1, 0, messages.Stop(job_id=JOB, assignment=1, reason="x")))
    with pytest.raises(RemoteProtocolError, match="not a frame"):
        decode_site_frame(frame)


@pytest.mark.parametrize(
    ("job_id", "assignment"),
    [("", 1), ("../../etc/passwd", 1), (JOB.upper(), 1), (JOB, 0), (JOB, -1), (JOB, 2**31)],
)
def test_a_job_is_named_by_a_uuid_and_a_positive_number(job_id: str, assignment: int) -> None:
    frame = encode(SiteFrame(1, 0, messages.Accepted(job_id=job_id, assignment=assignment)))
    with pytest.raises(RemoteProtocolError):
        decode_site_frame(frame)


def test_a_frame_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match="longer"):
        decode_site_frame(b"\x00" * (MAX_SITE_FRAME_BYTES + 1))


def test_the_longest_hello_and_the_longest_status_fit_into_a_frame_of_a_site() -> None:
    jobs = tuple(HeldJob(job_id=str(uuid4()), assignment=2**31 - 1, phase="accepted") for _ in range(MOST_JOBS))
    hello = Hello(
        oldest_protocol=1,
        newest_protocol=2,
        session_id="0" * 32,
        received=2**63 - 1,
        boot_id="0" * 36,
        agent_version="1.2.3",
        airflow_version="3.3.2",
        python_version="3.14.0",
        platform="x" * 200,
        concurrency=MOST_SLOTS,
        queues=tuple(f"queue-{number}" for number in range(1000)),
        state=WorkerState.RUNNING,
        jobs=jobs,
    )
    status = Status(
        state=WorkerState.RUNNING,
        alive=tuple(job.job_id for job in jobs),
        conditions=("é" * MAX_TEXT,) * 20,
        comment="é" * MAX_TEXT,
    )
    for message in (hello, status):
        assert decode_site_frame(encode(SiteFrame(0, 0, message))).body == message


@pytest.mark.attack(12)
@given(st.text(), st.integers(1, 100))
def test_whatever_a_text_for_people_holds_it_is_one_line_of_what_can_be_printed(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert line.isprintable()
    assert line == one_line(line, most)
    assert len(line.splitlines()) <= 1


def test_colours_and_other_escapes_of_terminals_leave_nothing_behind() -> None:
    assert one_line("\x1b[1;31mERROR\x1b[0m\r\n  it \x1b]0;title\x07failed") == "ERROR it failed"
