from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import (
    JOB_ENDED,
    JOB_HELD,
    JOB_OPEN,
    JOB_TRANSITIONS,
    WORKER_TRANSITIONS,
    JobEvent,
    JobState,
    WorkerEvent,
    WorkerState,
    job_sources,
    next_job_state,
    next_worker_state,
)


@pytest.mark.parametrize(("table", "states"), [(JOB_TRANSITIONS, JobState), (WORKER_TRANSITIONS, WorkerState)])
def test_the_table_names_every_state_and_leads_only_to_states(
    table: Mapping[StrEnum, Mapping[StrEnum, StrEnum]], states: type[StrEnum]
) -> None:
    assert set(table) == set(states)
    assert {target for steps in table.values() for target in steps.values()} <= set(states)


@given(st.sampled_from(JobState), st.sampled_from(JobEvent))
def test_a_step_is_in_the_table_or_refused_with_both_names(state: JobState, event: JobEvent) -> None:
    if event in JOB_TRANSITIONS[state]:
        assert next_job_state(state, event) is JOB_TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"'{event}'.*'{state}'"):
            next_job_state(state, event)


@given(st.sampled_from(WorkerState), st.sampled_from(WorkerEvent))
def test_a_workers_step_is_in_the_table_or_refused(state: WorkerState, event: WorkerEvent) -> None:
    if event in WORKER_TRANSITIONS[state]:
        assert next_worker_state(state, event) is WORKER_TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransitionError):
            next_worker_state(state, event)


@given(st.lists(st.sampled_from(JobEvent)))
def test_a_job_that_ended_stays_as_it_ended(events: list[JobEvent]) -> None:
    state = JobState.QUEUED
    for event in events:
        before = state
        try:
            state = next_job_state(state, event)
        except IllegalTransitionError:
            state = before
        if before in JOB_ENDED:
            assert state is before


def test_every_job_is_open_or_ended_and_only_open_ones_are_held() -> None:
    assert set(JobState) == JOB_OPEN | JOB_ENDED
    assert not JOB_OPEN & JOB_ENDED
    assert JOB_HELD < JOB_OPEN
    assert all(not JOB_TRANSITIONS[state] for state in JOB_ENDED)


def test_the_sources_of_an_event_are_the_states_that_know_it() -> None:
    assert job_sources(JobEvent.ACCEPT) == {JobState.LEASED, JobState.RUNNING}
    assert job_sources(JobEvent.CLAIM) == {JobState.QUEUED}


def test_every_state_of_a_worker_can_be_reached_from_starting() -> None:
    reached = {WorkerState.STARTING}
    while True:
        further = reached | {target for state in reached for target in WORKER_TRANSITIONS[state].values()}
        if further == reached:
            break
        reached = further
    assert reached == set(WorkerState)
