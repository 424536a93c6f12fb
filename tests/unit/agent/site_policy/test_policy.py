from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.site_policy.hours import read_hours
from airflow_edge.agent.site_policy.policy import Asked, SitePolicy, asked_by
from airflow_edge.protocol.messages import Closed, JobKind, Offer

SUNDAY = datetime(2026, 3, 29, 12, tzinfo=UTC)
MONDAY = datetime(2026, 3, 30, 12, tzinfo=UTC)
TASK = Asked(kind="task", queue="plc", dag_id="press", bundle="factory")
SHIFT = SitePolicy(hours=(read_hours("Mon-Fri 06:00-22:00"),), time_zone=ZoneInfo("Europe/Vienna"))


def offer(kind: JobKind, workload: object) -> Offer:
    return Offer(
        job_id="00000000-0000-4000-8000-000000000001",
        assignment=1,
        kind=kind,
        queue="plc",
        slots=1,
        lease=10.0,
        workload=workload if isinstance(workload, bytes) else json.dumps(workload).encode(),
    )


@pytest.mark.parametrize(
    ("policy", "asked", "reason", "for_good"),
    [
        (SitePolicy(queues=("gpu-*",)), TASK, "queue 'plc' is none of its queues", False),
        (SitePolicy(dags=("Press", "oven_*")), TASK, "Dag 'press' is none of its dags", True),
        (SitePolicy(dags=()), TASK, "Dag 'press' is none of its dags", True),
        (SitePolicy(bundles=("other",)), TASK, "bundle 'factory' is none of its bundles", True),
        (SitePolicy(callbacks=False), Asked(kind="callback", queue="plc"), "it allows no callbacks", True),
        (SitePolicy(dags=("*",)), Asked(kind="task", queue="plc"), "Dag (it names none) is none of its dags", True),
        (SHIFT, TASK, "it has jobs taken again from Mon 06:00 CEST on", False),
        (SitePolicy(hours=()), TASK, "it has no job taken at any time", False),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_reason(policy, asked, reason, for_good):
    denial = policy.judge(asked, now=SUNDAY)
    assert denial is not None
    assert (denial.reason, denial.for_good) == (reason, for_good)


@pytest.mark.parametrize(
    ("policy", "now"),
    [
        (SitePolicy(), SUNDAY),
        (SitePolicy(queues=("gpu", "p?c"), dags=("pre*",), bundles=("factory",), callbacks=False), SUNDAY),
        (SHIFT, MONDAY),
    ],
)
def test_what_is_allowed_is_taken(policy, now):
    assert policy.judge(TASK, now=now) is None


def test_a_test_job_runs_nothing_of_anybodys_and_is_taken_at_all_times():
    barred = SitePolicy(queues=(), dags=(), bundles=(), hours=(), callbacks=False)
    assert barred.judge(Asked(kind="test", queue=""), now=SUNDAY) is None


def test_queues_are_closed_in_advance_for_good_or_for_a_time():
    policy = SitePolicy(queues=("plc",), hours=SHIFT.hours, time_zone=SHIFT.time_zone)
    assert policy.closed(("gpu", "plc"), now=SUNDAY) == (
        Closed(queues=("gpu",), reason="it is none of its queues", for_good=True),
        Closed(queues=("plc",), reason="it has jobs taken again from Mon 06:00 CEST on"),
    )
    assert [one.queues for one in policy.closed(("gpu", "plc"), now=MONDAY)] == [("gpu",)]
    assert SitePolicy().closed(("gpu", "plc"), now=SUNDAY) == ()


def test_what_an_offer_asks_for():
    task = {"ti": {"dag_id": "press"}, "bundle_info": {"name": "factory"}}
    assert asked_by(offer("task", task)) == TASK
    callback = {"callback": {"data": {"dag_id": "press"}}, "bundle_info": {"name": "factory"}, "ti": {"dag_id": "x"}}
    assert asked_by(offer("callback", callback)).dag_id == "press"


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(["ti", "dag_id", "bundle_info"]), some),
    max_leaves=6,
)


@given(st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_an_offer_holds_is_judged_and_what_is_not_known_is_not_allowed(workload):
    asked = asked_by(offer("task", workload))
    if not asked.dag_id:
        assert SitePolicy(dags=("*",)).judge(asked, now=SUNDAY) is not None


def test_it_is_told_in_a_line():
    assert SitePolicy().summary() == "anything"
    whole = SitePolicy(queues=("plc", "gpu-*"), dags=(), callbacks=False, hours=SHIFT.hours)
    assert whole.summary() == "queues plc, gpu-*; Dags none; no callbacks; hours Mon-Fri 06:00-22:00"
    assert SHIFT.summary() == "hours Mon-Fri 06:00-22:00 (Europe/Vienna)"
    assert SitePolicy(hours=()).summary() == "hours none"
    rest = SitePolicy(users=("report", "press-*"), max_log=10_000)
    assert rest.summary() == "run_as_user report, press-*; logs up to 10000 bytes"
    assert SitePolicy(users=(), max_log=0).summary() == "run_as_user none; logs up to 0 bytes"
