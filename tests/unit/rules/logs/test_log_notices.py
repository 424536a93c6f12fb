from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.rules.logs.log_notices import LogPart, missing, nothing_yet, origin
from tests.workers import enrolled_worker

SEEN = datetime(2026, 3, 4, 14, 2, 59, tzinfo=UTC)


def part(**fields) -> LogPart:
    return LogPart(
        **{
            "id": UUID(int=1),
            "worker_name": "press-7",
            "worker_state": WorkerState.RUNNING,
            "last_seen_at": SEEN,
            "revoked": False,
            "job_state": JobState.RUNNING,
            "created_at": SEEN,
            "changed_at": SEEN,
            "size": 12 * 1024,
            "expected_size": None,
            "complete": False,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, None),
        ({"complete": True, "worker_state": WorkerState.UNKNOWN}, None),
        (
            {"worker_state": WorkerState.UNKNOWN},
            "Worker 'press-7' unreachable since 2026-03-04 14:02 UTC, 12 KiB of its log have arrived",
        ),
        (
            {"worker_state": WorkerState.OFFLINE, "size": 0, "last_seen_at": None},
            "Worker 'press-7' unreachable, nothing of its log has arrived",
        ),
        (
            {"job_state": JobState.SUCCEEDED, "expected_size": 3 * 1024 * 1024},
            "The rest of this log is still arriving from worker 'press-7': 12 KiB of 3.0 MiB so far",
        ),
        (
            {"job_state": None, "size": 1},
            "The rest of this log is still arriving from worker 'press-7': 1 byte so far",
        ),
        ({"job_state": None, "size": 0, "worker_state": WorkerState.UNKNOWN}, None),
        (
            {"worker_state": WorkerState.UNKNOWN, "given_up_at": SEEN},
            "This log is incomplete: worker 'press-7' unreachable since 2026-03-04 14:02 UTC, "
            "12 KiB of its log have arrived",
        ),
        (
            {"given_up_at": SEEN, "job_state": JobState.LOST},
            "This log is incomplete: worker 'press-7' did not send the rest, 12 KiB of its log have arrived",
        ),
        (
            {"revoked": True},
            "This log is incomplete: worker 'press-7' was revoked, 12 KiB of its log have arrived",
        ),
        (
            {"worker_state": None},
            "This log is incomplete: worker 'press-7' is forgotten, 12 KiB of its log have arrived",
        ),
        ({"purged_at": SEEN}, "This log was deleted at 2026-03-04 14:02 UTC, after [edge] log_retention"),
    ],
)
def test_a_reader_is_told_what_is_missing_and_why(fields, text):
    assert missing(part(**fields)) == text


@given(
    st.builds(
        part,
        worker_state=st.none() | st.sampled_from(WorkerState),
        last_seen_at=st.none() | st.just(SEEN),
        job_state=st.none() | st.sampled_from(JobState),
        size=st.integers(0, 1 << 40),
        expected_size=st.none() | st.integers(0, 1 << 40),
        revoked=st.booleans(),
        given_up_at=st.none() | st.just(SEEN),
    )
)
def test_a_log_that_is_not_all_there_never_passes_for_one(some):
    goes_on = some.job_state is JobState.RUNNING and some.expected_size is None
    was_taken_elsewhere = some.job_state is None and some.size == 0
    text = missing(some)
    assert text or goes_on or was_taken_elsewhere
    assert text is None or re.fullmatch(r"[A-Z].* (arrived|so far)", text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"complete": True}, "From edge worker 'press-7': 12 KiB, complete"),
        ({"complete": True, "purged_at": SEEN}, "From edge worker 'press-7'"),
        ({"size": 1}, "From edge worker 'press-7': 1 byte, so far"),
        ({"size": 1023}, "From edge worker 'press-7': 1023 bytes, so far"),
    ],
)
def test_where_a_log_is_from(fields, text):
    assert origin(part(**fields)) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Nothing of this log has arrived from worker 'press-7' yet"),
        (
            {"state": WorkerState.UNKNOWN},
            "Worker 'press-7' unreachable since 2026-03-04 14:02 UTC, nothing of its log has arrived",
        ),
        (
            {"revoked_at": SEEN},
            "There is no log: worker 'press-7' was revoked before anything of it had arrived",
        ),
    ],
)
def test_a_log_of_which_nothing_has_arrived(fields, text):
    there = {"name": "press-7", "state": WorkerState.RUNNING, "last_seen_at": SEEN}
    worker = enrolled_worker(**there | fields)
    assert nothing_yet(worker) == text
