from __future__ import annotations

from collections.abc import Collection

import pytest

from airflow_edge.rules.policy.document import read_document
from airflow_edge.rules.policy.grants import Grant, Need, Who
from airflow_edge.rules.policy.policy import Policy, denial, denial_of_unknown

WHO = Who(team_name=None, queue="plc", worker="press-7", dag_id="press", run_id="r1", task_id="read")


def policy(*rules: dict[str, object], modes: dict[str, str] | None = None) -> Policy:
    return Policy(read_document({"rules": rules, "modes": modes or {}}), "version 3")


def never() -> Collection[str]:
    raise AssertionError("nobody needed it")


def may(policy: Policy, need: Need, who: Who = WHO, upstream: Collection[str] = ()) -> bool:
    return policy.grants(who, need, lambda: upstream)


def connection(name: str) -> Need:
    return Need(grant=Grant.CONNECTIONS, name=name)


def xcom(dag_id: str, run_id: str | None = "r1", task_id: str | None = "other", grant: Grant = Grant.XCOMS) -> Need:
    return Need(grant=grant, name=dag_id, run_id=run_id, task_id=task_id)


def test_what_no_rule_names_is_denied() -> None:
    assert not may(policy(), connection("a"))
    assert not may(policy({"may": {"variables": ["a"]}}), connection("a"))


def test_any_rule_grants() -> None:
    both = policy({"may": {"connections": ["a"]}}, {"may": {"connections": ["b*"]}})
    assert [may(both, connection(name)) for name in ("a", "b1", "c", "ab")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("who", "about"),
    [
        ({}, True),
        ({"queues": ["plc"]}, True),
        ({"queues": ["lab", "p*"], "dags": ["press"]}, True),
        ({"queues": ["plc"], "dags": ["pump"]}, False),
        ({"tasks": ["read"], "workers": ["press-?"]}, True),
        ({"workers": ["pump-*"]}, False),
        ({"teams": ["red"]}, False),
    ],
)
def test_all_that_a_rule_says_of_who_has_to_match(who, about) -> None:
    assert may(policy({"who": who, "may": {"connections": ["a"]}}), connection("a")) is about


@pytest.mark.parametrize(
    ("need", "narrowest"),
    [
        (xcom("press", task_id="before"), "@upstream"),
        (xcom("press", task_id="beside"), "@run"),
        (xcom("press", task_id=None), "@run"),
        (xcom("press", run_id="r0", task_id="before"), "@dag"),
        (xcom("press", run_id=None), "@dag"),
        (xcom("pump"), None),
    ],
)
def test_a_relation_grants_what_is_as_near_or_nearer(need, narrowest) -> None:
    relations = ["@upstream", "@run", "@dag"]
    for at, relation in enumerate(relations):
        granting = policy({"may": {"xcoms": [relation]}})
        expected = narrowest is not None and at >= relations.index(narrowest)
        assert may(granting, need, upstream={"before"}) is expected


def test_what_is_its_own_needs_no_rule() -> None:
    own = xcom("press", task_id="read", grant=Grant.SET_XCOMS)
    assert policy().grants(WHO, own, never)
    assert not may(policy(), xcom("press", run_id="r0", task_id="read"))


def test_nobody_looks_at_a_dag_where_that_does_not_matter() -> None:
    named = policy({"may": {"xcoms": ["press"], "trigger": ["@run"]}})
    assert named.grants(WHO, xcom("press"), never)
    assert not named.grants(WHO, connection("a"), never)
    assert not named.grants(WHO, xcom("pump", grant=Grant.TRIGGER), never)


def test_the_first_mode_that_matches_a_queue_counts() -> None:
    modes = policy(modes={"plc": "enforce", "p*": "off", "*": "report"})
    assert [modes.mode(queue) for queue in ("plc", "pump", "lab")] == ["enforce", "off", "report"]
    assert policy().mode("plc") == "off"


def test_a_denial_names_who_what_and_the_grant_that_is_missing() -> None:
    assert denial(WHO, connection("db"), "version 3") == (
        "Task press.read on queue plc may not read connection 'db': no rule of the centre's policy (version 3) grants "
        "it. It would take `connections: ['db']`"
    )


def test_a_denial_keeps_to_its_line_whatever_is_asked_for() -> None:
    who = Who(team_name=None, queue="p\x1b[2Jlc", worker="w", dag_id="press\n", run_id="r", task_id="")
    said = [
        denial(who, connection("a*\n\x1b\u202e\ud800"), "version 3", upstream_known=False),
        denial_of_unknown(who, "GET", "/new\r\n/\x1b", "version 3"),
    ]
    assert all(sentence.isprintable() for sentence in said)
    assert "@upstream grants nothing" in said[0]
    assert r"`connections: ['a[*]\n" in said[0]


def test_it_is_looked_upstream_only_for_others_of_the_own_run() -> None:
    needs = [xcom("press"), xcom("press", task_id="read"), xcom("press", task_id=None), xcom("press", "r0"), xcom("a")]
    assert [need.may_be_upstream(WHO) for need in needs] == [True, False, False, False, False]
    assert not connection("press").may_be_upstream(WHO)
