from __future__ import annotations

import pytest

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.closing import Closure
from airflow_edge.rules.fleet.queues import queues
from airflow_edge.rules.fleet.remarks import remark_on_queue, remarks
from tests.unit.rules.fleet.glances import MINUTE, NOW, demand, glance, other

BY_POLICY = "by its owner's site policy (/p.toml on that machine)"
NIGHT = Closure(f"{BY_POLICY}: it has jobs taken again from Mon 06:00 CET on", for_good=False)
NEVER = Closure(f"{BY_POLICY}: it is none of its queues", for_good=True)


def said(fields, teams=None):
    return [(one.kind, one.severity) for one in remarks(glance(**fields), teams, NOW)]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, []),
        ({"silent": True}, [("out of reach", "warning")]),
        ({"silent": True, "jobs": 1}, [("out of reach", "error")]),
        ({"silent": True, "state": WorkerState.MAINTENANCE_REQUEST}, [("out of reach", "info")]),
        ({"state": WorkerState.OFFLINE, "has_link": False, "conditions": "full"}, []),
        ({"conditions": "the disk is full"}, [("held back", "warning")]),
        ({"conditions": "full", "state": WorkerState.MAINTENANCE_MODE}, [("held back", "info")]),
        ({"version_refused": "too old", "warnings": "x"}, [("version refused", "error"), ("warnings", "info")]),
        ({"version_warning": "newer"}, [("version warning", "info")]),
        ({"others": (other(),)}, [("copied key", "error")]),
        ({"others": (other(200),)}, []),
        ({"waiting_order_at": NOW - 2 * MINUTE}, [("order waiting", "info")]),
        ({"waiting_order_at": NOW - MINUTE / 2}, []),
        ({"waiting_order_at": NOW - 2 * MINUTE, "silent": True}, [("out of reach", "warning")]),
        ({"closed": {"plc": NIGHT}}, [("closed queues", "info")]),
        ({"closed": {"plc": NIGHT}, "silent": True}, [("out of reach", "warning")]),
        ({"revoked_at": NOW, "others": (other(),), "silent": True}, []),
    ],
)
def test_what_there_is_to_look_after_at_a_worker(fields, found):
    assert said(fields) == found


def test_the_queues_that_an_owner_has_closed_are_named_with_why_and_until_when():
    shut = {f"plc-{n}": NIGHT for n in range(7)} | {"gpu": NEVER}
    [found] = remarks(glance(closed=shut), None, NOW)
    assert found.sentence == "has queues that its owner has closed"
    assert found.why == (
        f"'gpu' is closed {NEVER.reason}; "
        f"'plc-0', 'plc-1', 'plc-2', 'plc-3', 'plc-4' and 2 more are closed {NIGHT.reason}"
    )


def test_a_queue_whose_workers_owners_have_closed_it_says_until_when():
    found = about(demand(), glance(closed={"default": NIGHT}), glance(closed={"default": NIGHT, "gpu": NEVER}))
    assert found is not None
    assert (found.kind, found.severity) == ("queue without ready worker", "info")
    assert found.sentence.endswith("and none of its 2 workers takes jobs: 2 closed by the owner.")
    assert found.why == f"closed {NIGHT.reason}"
    for_good = about(demand(), glance(closed={"default": NIGHT}), glance(closed={"default": NEVER}))
    assert for_good is not None
    assert for_good.severity == "error"
    assert about(demand(), glance(), glance(closed={"default": NEVER})) is None


def test_a_team_that_airflow_has_no_more_is_looked_after_where_there_are_teams():
    assert said({"team_name": "gone"}, {"red"}) == [("team deleted", "error")]
    assert said({"team_name": "red"}, {"red"}) == said({"team_name": "gone"}, None) == []


def about(demanded, *workers):
    view = next(view for view in queues([demanded], workers) if view.queued)
    return remark_on_queue(view, NOW)


def test_a_queue_that_nobody_serves_says_the_command_that_mends_it():
    found = about(demand(queue="gpu node", queued=1), glance())
    assert found is not None
    assert (found.kind, found.severity) == ("queue nobody serves", "error")
    assert found.sentence == "1 job waits in queue 'gpu node', which no worker serves."
    assert found.command == "airflow edge enroll-token create --queues 'gpu node'"
    of_team = about(demand(team_name="red"), glance())
    assert of_team is not None
    assert "whose workers belong to no team and not to red" in of_team.sentence
    assert str(of_team.command).endswith("--team red")


def test_a_queue_with_no_ready_worker_says_what_hinders_them():
    away = glance(silent=True)
    resting = glance(state=WorkerState.MAINTENANCE_MODE)
    found = about(demand(), away, resting, glance(version_refused="too old"))
    assert found is not None
    assert (found.kind, found.severity) == ("queue without ready worker", "error")
    assert found.sentence == (
        "3 jobs wait in queue 'default', and none of its 3 workers takes jobs: 1 in maintenance, 1 out of reach, "
        "1 held back."
    )
    only = about(demand(), resting)
    assert only is not None
    assert only.sentence.endswith("and its only worker does not take jobs: 1 in maintenance.")


@pytest.mark.parametrize(("waits", "severity"), [(4 * MINUTE, "info"), (6 * MINUTE, "warning")])
def test_a_full_site_is_worth_a_look_after_a_while(waits, severity):
    full = glance(jobs=4, taken_slots=4)
    found = about(demand(oldest_queued_at=NOW - waits), full)
    assert found is not None
    assert (found.kind, found.severity) == ("queue full", severity)
    assert found.sentence == "3 jobs wait in queue 'default': all 4 slots of its 1 ready worker are taken."


def test_a_queue_with_room_or_without_jobs_needs_nobody():
    assert about(demand(), glance(taken_slots=3, jobs=1)) is None
    [idle] = queues([demand(queued=0, oldest_queued_at=None)], [])
    assert remark_on_queue(idle, NOW) is None


def test_a_queue_that_waits_for_maintenance_says_whose_it_is_and_until_when():
    resting = {"state": WorkerState.MAINTENANCE_MODE, "maintenance_by": "kim", "maintenance_until": NOW}
    some = [glance(**resting, maintenance_comment=f"press {n}") for n in (1, 1, 2, 3, 4)]
    found = about(demand(), *some)
    assert found is not None
    assert found.why.startswith("in maintenance by kim, ending 2026-03-04 05:06 UTC: 'press 1'; in maintenance by kim")
    assert found.why.endswith("; and 1 more")
