from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.choosing import WORKER_ORDERS, WorkerFilter, choose, fits
from airflow_edge.rules.fleet.standing import Load, Reach, Stance
from tests.unit.rules.fleet.glances import NOW, glance, glances

FLEET = [
    glance(name="press-1", host_name="Halle7", jobs=1, taken_slots=4),
    glance(name="press-2", address="192.0.2.99", state=WorkerState.MAINTENANCE_MODE, queues=("plc",)),
    glance(name="lab[1]", silent=True, team_name="red", jobs=2, taken_slots=2),
    glance(name="old", revoked_at=NOW, agent_version=None),
    glance(name="held", conditions="the disk is full", last_seen_at=NOW - timedelta(hours=1)),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["held", "lab[1]", "old", "press-1", "press-2"]),
        ({"search": "PRESS"}, ["press-1", "press-2"]),
        ({"search": "halle"}, ["press-1"]),
        ({"search": "2.99"}, ["press-2"]),
        ({"search": "pres?-1"}, ["press-1"]),
        ({"search": "ress-?"}, []),
        ({"search": "[1]"}, ["lab[1]"]),
        ({"name_pattern": "press*"}, ["press-1", "press-2"]),
        ({"name_pattern": "Press*"}, []),
        ({"name_pattern": "lab[1]"}, ["lab[1]"]),
        ({"states": frozenset({WorkerState.MAINTENANCE_MODE})}, ["press-2"]),
        ({"links": frozenset({Reach.OUT_OF_REACH, Reach.REVOKED})}, ["lab[1]", "old"]),
        ({"stances": frozenset({Stance.HELD_BACK})}, ["held"]),
        ({"loads": frozenset({Load.FULL})}, ["press-1"]),
        ({"attention": "out of reach"}, ["lab[1]"]),
        ({"attention": "held back"}, ["held"]),
        ({"attention": "team deleted"}, ["lab[1]"]),
        ({"queue": "plc"}, ["press-2"]),
        ({"team_name": "red"}, ["lab[1]"]),
        ({"teams": frozenset({"blue"})}, ["held", "old", "press-1", "press-2"]),
        ({"revoked": False}, ["held", "lab[1]", "press-1", "press-2"]),
    ],
)
def test_who_is_wanted(wanted, names):
    found = choose(FLEET, WorkerFilter(**wanted), known_teams=set(), now=NOW)
    assert [worker.name for worker in found] == names


def test_what_is_not_known_comes_last_either_way():
    last = {worker.id: 10.0 * number for number, worker in enumerate(FLEET) if worker.name != "held"}
    for order, names in (
        ("cpu", ["press-1", "press-2", "lab[1]", "old", "held"]),
        ("-cpu", ["old", "lab[1]", "press-2", "press-1", "held"]),
        ("-agent_version", ["held", "lab[1]", "press-1", "press-2", "old"]),
        ("-load", ["press-1", "lab[1]", "held", "old", "press-2"]),
    ):
        found = choose(FLEET, WorkerFilter(), order=order, measured=last, now=NOW)
        assert [worker.name for worker in found] == names, order
    with pytest.raises(KeyError):
        choose(FLEET, WorkerFilter(), order="public_key", now=NOW)


@given(
    st.lists(glances, max_size=12),
    st.sampled_from(sorted(WORKER_ORDERS)),
    st.booleans(),
    st.sets(st.sampled_from(Reach)),
)
def test_an_order_keeps_whoever_is_wanted(workers, order, backwards, links):
    wanted = WorkerFilter(links=frozenset(links))
    found = choose(workers, wanted, order=f"-{order}" if backwards else order, now=NOW)
    assert {one.id for one in found} == {one.id for one in workers if fits(one, wanted, None, NOW)}
    assert len(found) == len({one.id for one in found})
