from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.fleet.attention import (
    MOST_NAMED,
    MOST_QUEUES,
    Remedy,
    needs_a_person,
)
from airflow_edge.rules.fleet.choosing import WorkerFilter, choose
from airflow_edge.rules.fleet.closing import Closure
from airflow_edge.rules.fleet.queues import queues
from airflow_edge.rules.fleet.remarks import SEVERITIES, remark_on_queue, remarks
from airflow_edge.rules.processes import ALIVE_FOR, GatewaySigns
from airflow_edge.rules.versions import Rules, judge
from tests.unit.rules.fleet.glances import MINUTE, NOW, demand, demands, glance, glances, other

ALIVE = GatewaySigns(alive_at=NOW, seen_at=NOW)


def test_workers_of_a_kind_are_one_entry_that_leads_to_them():
    workers = [glance(name=f"w{n}", silent=True, last_seen_at=NOW - n * MINUTE, jobs=n // 6) for n in range(7)]
    [found] = needs_a_person(workers, [], ALIVE, None, NOW)
    assert (found.kind, found.severity, found.count) == ("out of reach", "error", 7)
    assert found.sentence == "7 workers are out of reach with 1 job."
    assert (found.workers, found.since) == (("w6", "w0", "w1", "w2", "w3"), NOW - 6 * MINUTE)
    assert found.action == Remedy(label="Show them", view="workers", params={"attention": "out of reach"})
    [alone] = needs_a_person([glance(conditions="the disk is full.")], [], ALIVE, None, NOW)
    assert (alone.sentence, alone.why) == ("Worker 'w' takes no job.", "the disk is full")
    assert alone.action == Remedy(label="Show the worker", view="worker", params={"name": "w"})


def test_what_the_owner_of_a_machine_wants_needs_nobody_while_no_job_waits_for_it():
    shut = glance(closed={"default": Closure("by its owner's site policy: until Mon 06:00", for_good=False)})
    assert needs_a_person([shut], queues([], [shut]), ALIVE, None, NOW) == []
    [waiting] = needs_a_person([shut], queues([demand()], [shut]), ALIVE, None, NOW)
    assert (waiting.kind, waiting.why) == (
        "queue without ready worker",
        "closed by its owner's site policy: until Mon 06:00",
    )


def test_what_most_of_them_say_stands_for_all():
    workers = [glance(conditions="full"), glance(conditions="full"), glance(conditions="no runtime")]
    [found] = needs_a_person(workers, [], ALIVE, None, NOW)
    assert (found.sentence, found.why) == ("3 workers take no job.", "full (2 of them; 1 for other reasons)")


def test_a_copied_key_says_which_machine_is_which_and_what_to_do_if_it_is_a_theft():
    [copied] = needs_a_person([glance(others=(other(),))], [], ALIVE, None, NOW)
    assert copied.sentence == "Worker 'w' has a key that another machine has, too."
    assert copied.why == (
        "'host' at 192.0.2.7 works with it; 'copy' at 192.0.2.8 is refused, last 2026-03-04 05:06 UTC"
    )
    assert "enrol that machine as a worker of its own" in copied.advice
    assert "revoke this worker" in copied.advice
    [several] = needs_a_person([glance(others=(other(), other()))], [], ALIVE, None, NOW)
    assert "'copy' at 192.0.2.8 and 1 more are refused" in several.why


def test_a_refused_version_says_what_why_and_with_which_command_it_is_mended():
    verdict = judge("0.0.9", "3.3.2", Rules(worker="0.1.0", airflow="3.3.2", minimum_worker="0.1.0"))
    [refused] = needs_a_person([glance(version_refused=verdict.refused)], [], ALIVE, None, NOW)
    assert refused.sentence == "Worker 'w' gets no job because of its version."
    assert refused.why == "airflow-edge 0.0.9 is older than 0.1.0 ([edge] minimum_worker_version)"
    assert refused.advice.startswith("At its site, run this")
    assert refused.command == "pip install --upgrade 'airflow-edge[worker]>=0.1.0'"
    [other_words] = needs_a_person([glance(version_refused="it has Airflow 2")], [], ALIVE, None, NOW)
    assert (other_words.why, other_words.command) == ("it has Airflow 2", None)


def test_jobs_of_one_that_is_out_of_reach_are_waited_for_until_a_time():
    until = NOW + 90 * MINUTE
    [alone] = needs_a_person([glance(silent=True, jobs=2, lost_after=until)], [], ALIVE, None, NOW)
    assert alone.sentence == "Worker 'w' is out of reach with 2 jobs."
    assert "unless it comes back, they count as lost 2026-03-04 06:36 UTC" in alone.why
    later = glance(silent=True, jobs=1, lost_after=until + MINUTE)
    [several] = needs_a_person([later, glance(silent=True, jobs=1, lost_after=until)], [], ALIVE, None, NOW)
    assert "the first of them count as lost 2026-03-04 06:36 UTC" in several.why
    [idle] = needs_a_person([glance(silent=True)], [], ALIVE, None, NOW)
    assert (idle.sentence, idle.why) == ("Worker 'w' is out of reach.", "no job is there")


def test_a_queue_that_waits_for_maintenance_leads_to_its_end():
    workers = [glance(state=WorkerState.MAINTENANCE_MODE)]
    [found] = needs_a_person(workers, queues([demand()], workers), ALIVE, None, NOW)
    assert found.action == Remedy(
        label="End the maintenance", view="workers", params={"queue": "default", "stance": "maintenance"}, act="exit"
    )
    assert found.why == ""


def test_of_many_queues_ten_are_named_and_the_others_counted():
    wanted = [demand(queue=f"q{n:02}", queued=n + 1, oldest_queued_at=NOW - n * MINUTE) for n in range(13)]
    found = needs_a_person([], queues(wanted, []), ALIVE, None, NOW)
    named, [rest] = [one for one in found if one.queue], [one for one in found if not one.queue]
    assert [one.queue for one in named] == [f"q{n:02}" for n in range(12, 2, -1)]
    assert (rest.sentence, rest.count, rest.since) == ("…and 3 more queues like that.", 6, NOW - 2 * MINUTE)
    assert rest.action.params == {"attention": "queue nobody serves"}
    assert named[0].action == Remedy(label="Add a worker", view="add", params={"queues": "q12"})


@pytest.mark.parametrize(
    "signs",
    [
        GatewaySigns(alive_at=None, seen_at=None),
        GatewaySigns(alive_at=None, seen_at=NOW),
        GatewaySigns(alive_at=NOW - ALIVE_FOR, seen_at=NOW - ALIVE_FOR),
    ],
)
def test_where_no_gateway_is_alive_what_comes_of_it_is_not_told_one_by_one(signs):
    workers = [
        glance(silent=True),
        glance(silent=True, queues=("gpu",)),
        glance(conditions="full"),
        glance(revoked_at=NOW),
    ]
    wanted = queues([demand(), demand(queue="gpu"), demand(queue="nobody")], workers)
    unserved, *others = needs_a_person(workers, wanted, signs, None, NOW)
    assert (unserved.kind, unserved.severity, unserved.count) == ("no gateway is alive", "error", 3)
    assert unserved.since == signs.seen_at
    assert unserved.command == "airflow api-server"
    assert "[edge] api_enabled = True" in unserved.advice
    assert {one.kind for one in others} == {"queue nobody serves", "held back"}
    served = needs_a_person(workers, wanted, ALIVE, None, NOW)
    assert {one.kind for one in served} == {
        "queue nobody serves",
        "held back",
        "out of reach",
        "queue without ready worker",
    }


def test_without_a_worker_no_gateway_is_missed():
    assert needs_a_person([glance(revoked_at=NOW)], [], GatewaySigns(alive_at=None, seen_at=None), None, NOW) == []


@given(st.lists(glances, max_size=12), st.lists(demands, max_size=12))
def test_what_needs_a_person_is_whole_and_in_order(workers, some):
    wanted = {(one.team_name, one.queue): one for one in some}
    views = queues(wanted.values(), workers)
    found = needs_a_person(workers, views, ALIVE, {"red"}, NOW)
    ranks = [(SEVERITIES.index(one.severity), -one.count) for one in found]
    assert ranks == sorted(ranks)
    of_workers = Counter(remark.kind for worker in workers for remark in remarks(worker, {"red"}, NOW))
    for one in found:
        assert one.sentence[-1] == "."
        assert ".." not in one.sentence
        assert one.why[-1:] != "."
        assert len(one.workers) <= MOST_NAMED
        if one.action.view == "workers" and "attention" in one.action.params:
            # Whoever follows it finds those that were counted.
            shown = choose(workers, WorkerFilter(attention=one.kind), known_teams={"red"}, now=NOW)
            assert len(shown) == one.count == of_workers[one.kind]
    troubled = [view for view in views if remark_on_queue(view, NOW)]
    assert sum(one.count for one in found if one.action.view in {"queues", "add"} or one.queue) == sum(
        view.queued for view in troubled
    )
    assert max(Counter(one.kind for one in found if one.queue).values(), default=0) <= MOST_QUEUES
