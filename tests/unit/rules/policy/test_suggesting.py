from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.policy.document import read_document, to_plain
from airflow_edge.rules.policy.grants import OF_DAGS, Grant, Need, Who
from airflow_edge.rules.policy.policy import Policy
from airflow_edge.rules.policy.suggesting import NOTED_LENGTH, Use, noted_name, suggest

NAMES = st.sampled_from(["a", "b", "a*", "[a]", "?", "ab"])
USES = st.builds(
    Use, team_name=st.none(), queue=NAMES, dag_id=NAMES, task_id=NAMES, grant=st.sampled_from(Grant), name=NAMES
)


def granted(policy: Policy, use: Use) -> bool:
    who = Who(team_name=None, queue=use.queue, worker="w", dag_id=use.dag_id, run_id="r", task_id=use.task_id)
    run = "another" if use.grant in OF_DAGS else None
    return policy.grants(who, Need(grant=use.grant, name=use.name, run_id=run), lambda: ())


@given(st.sets(USES, max_size=20), USES)
def test_all_that_was_used_is_granted_and_nothing_else(uses, another) -> None:
    document = suggest(uses)
    policy = Policy(read_document(to_plain(document)), "version 1")
    assert all(granted(policy, use) for use in uses)
    assert granted(policy, another) is (another in uses)


@pytest.mark.attack(25)
@pytest.mark.parametrize("name", ["@run", "@dag", "@upstream", "@x", "", "*", "@", "[@]run"])
@pytest.mark.parametrize("grant", [Grant.VARIABLES, Grant.XCOMS])
def test_a_task_that_asks_for_a_pattern_or_a_word_of_policies_makes_it_grant_no_more(name, grant) -> None:
    """Nor makes it one that cannot be set: `policy suggest` is written by what tasks have asked for."""
    noted = Need(grant=grant, name=name, run_id="r", task_id="t").noted(())
    document = suggest([Use(team_name=None, queue="q", dag_id="d", task_id="t", grant=grant, name=noted)])
    policy = Policy(read_document(to_plain(document)), "version 1")
    who = Who(team_name=None, queue="q", worker="w", dag_id="d", run_id="r", task_id="t")
    own = Need(grant=grant, name="d", run_id="another", task_id="t")
    assert not policy.grants(who, own, lambda: ())
    assert not policy.grants(who, Need(grant=grant, name="other", run_id="r", task_id="t"), lambda: ())


def test_what_a_callback_asked_for_is_granted_to_callbacks_and_to_no_task() -> None:
    document = suggest([Use(team_name=None, queue="q", dag_id="d", task_id="", grant=Grant.CONNECTIONS, name="db")])
    policy = Policy(read_document(to_plain(document)), "version 1")
    callback = Who(team_name=None, queue="q", worker="w", dag_id="d", run_id="", task_id="")
    need = Need(grant=Grant.CONNECTIONS, name="db")
    assert policy.grants(callback, need, lambda: ())
    assert not policy.grants(replace(callback, task_id="t"), need, lambda: ())


def test_tasks_that_need_the_same_share_a_rule() -> None:
    def use(task_id: str, name: str) -> Use:
        return Use(team_name=None, queue="plc", dag_id="press", task_id=task_id, grant=Grant.CONNECTIONS, name=name)

    document = suggest([use("read", "db"), use("write", "db"), use("log", "files"), use("read", "db")])
    assert msgspec.json.decode(msgspec.json.encode(document)) == {
        "rules": [
            {"who": {"queues": ["plc"], "dags": ["press"], "tasks": ["log"]}, "may": {"connections": ["files"]}},
            {"who": {"queues": ["plc"], "dags": ["press"], "tasks": ["read", "write"]}, "may": {"connections": ["db"]}},
        ]
    }


@given(st.text())
def test_what_is_noted_of_a_name_is_short_and_clean(name) -> None:
    noted = noted_name(name)
    assert len(noted) <= NOTED_LENGTH
    assert "\0" not in noted
    assert noted.encode().decode() == noted
    assert noted_name(noted) == noted


@given(st.text("a*?[]", min_size=NOTED_LENGTH - 2, max_size=NOTED_LENGTH + 2))
def test_a_name_that_was_cut_is_granted_all_the_same(name) -> None:
    use = Use(team_name=None, queue="q", dag_id="d", task_id="t", grant=Grant.ASSETS, name=noted_name(f"s3://{name}"))
    policy = Policy(read_document(to_plain(suggest([use]))), "version 1")
    who = Who(team_name=None, queue="q", worker="w", dag_id="d", run_id="r", task_id="t")
    assert policy.grants(who, Need(grant=Grant.ASSETS, name=f"s3://{name}"), lambda: ())
