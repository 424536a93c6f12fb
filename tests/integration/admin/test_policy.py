"""The policy is shown, set, asked about and suggested at both doors, whichever kind of database it is in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from airflow_edge.admin.policy_text import read_policy
from airflow_edge.rules.policy.document import to_plain
from airflow_edge.store.policy.uses import NotedUse, Times
from tests.integration.admin.test_api import noted
from tests.integration.airflow_here import airflow_command

POLICY = """
# who may what
modes: {plc: enforce, lab: report}
rules:
- note: the press and its PLC
  who: {dags: [press]}
  may: {connections: [plc_*], xcoms: ['@upstream']}
- may: {variables: [public_*], connections: [plc_7]}
"""
TODAY = datetime.now(UTC).date()


def use(kind: str, name: str, **fields: str) -> NotedUse:
    return NotedUse(
        **{"team_name": "", "queue": "plc", "dag_id": "press", "task_id": "read", "kind": kind, "name": name, **fields}
    )


def ask(api, **question: str):
    return api.get("/policy/test", role="op", **{"grant": "connections", "dag_id": "press", "queue": "plc", **question})


@pytest.fixture
def commands(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")


def test_without_one_there_is_nothing_to_see(api):
    shown = api.get("/policy", role="op")
    assert (shown["version"], shown["text"], shown["at"], shown["modes"], shown["error"]) == (0, "", None, {}, "")
    assert api.get("/policy/versions", role="op") == []
    answer = ask(api, name="db")
    assert (answer["granted"], answer["mode"], answer["rules"]) == (False, "off", [])
    assert "the policy is off on this queue" in answer["sentence"]
    missing = api.call("GET", "/policy/versions/1")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_it_is_set_shown_and_noted_with_who_and_why(api):
    done = api.post("/policy", {"text": POLICY, "note": "why"})
    assert (done["result"], done["version"], done["rules"], len(done["granting"])) == ("done", 1, 2, 2)
    assert api.post("/policy", {"text": "modes: {}", "after": 1}, role="admin")["version"] == 2
    shown = api.get("/policy/versions/1", role="op")
    assert (shown["text"], shown["note"], shown["by"], shown["rules"]) == (POLICY, "why", "op", 2)
    assert shown["modes"] == {"plc": "enforce", "lab": "report"}
    assert [(one["version"], one["by"]) for one in api.get("/policy/versions", role="op")] == [(2, "admin"), (1, "op")]
    assert [one["version"] for one in api.get("/policy/versions", role="op", before=2)] == [1]
    assert api.get("/policy", role="op")["version"] == 2
    assert noted(api) == [
        ("set policy", "op", {"note": "why", "outcome": "done"}),
        ("set policy", "admin", {"after": 1, "outcome": "done"}),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": "rules: ["}, "neither JSON nor TOML"),
        ({"text": "rules: [{may: {connection: [a]}}]"}, "connection"),
        ({"text": "modes: {}", "after": 7}, "version 0 is in force, and this one was made from version 7"),
        ({"text": "a\0"}, "text"),
        ({"text": '{"rules": [{"may": {"connections": ["\\ud800"]}}]}'}, "half a character"),
        ({}, "text"),
        *[({"text": text}, "says nothing") for text in ("", "# modes: {plc: enforce}\n", "---", "null", "{}")],
    ],
)
def test_what_cannot_be_set_is_refused_in_words(api, body, says):
    answer = api.call("POST", "/policy", role="op", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert says in answer.json()["detail"]
    assert api.store.policies.newest() == 0


def test_a_dry_run_only_says_whether_it_could_be_set(api):
    would = api.call("POST", "/policy", role="op", json={"text": POLICY}, params={"dry_run": "true"})
    said = would.json()
    assert (said["result"], said["version"], said["rules"]) == ("would", None, 2)
    assert said["granting"][0]["may"] == {"connections": ["plc_*"], "xcoms": ["@upstream"]}
    wrong = api.call("POST", "/policy", role="op", json={"text": "rules: 3"}, params={"dry_run": "true"})
    assert wrong.status_code == 422
    assert (api.store.policies.newest(), api.audit()) == (0, [])


@pytest.mark.parametrize(
    ("question", "rules"),
    [
        ({"name": "plc_7"}, [1, 2]),
        ({"name": "plc_8"}, [1]),
        ({"name": "plc_8", "dag_id": "pump"}, []),
        ({"name": "public_a", "grant": "variables", "dag_id": "pump"}, [2]),
        ({"name": "@upstream", "grant": "xcoms"}, [1]),
        ({"name": "@run", "grant": "xcoms"}, []),
        ({"name": "press", "grant": "xcoms"}, []),
    ],
)
def test_which_rule_grants_what(api, question, rules):
    api.post("/policy", {"text": POLICY})
    answer = ask(api, **question)
    assert ([rule["number"] for rule in answer["rules"]], answer["granted"]) == (rules, bool(rules))
    assert answer["mode"] == "enforce"
    assert ("It may: " if rules else "may not") in answer["sentence"]
    wrong = api.call("GET", "/policy/test", role="op", params={"grant": "connections", "name": "@run", "dag_id": "d"})
    assert (wrong.status_code, "@upstream" in wrong.json()["detail"]) == (422, True)


def seen(api, **query) -> Iterable[tuple[str, int, int]]:
    return [(one["name"], one["allowed"], one["denied"]) for one in api.get("/policy/uses", role="op", **query)]


def test_a_policy_is_suggested_from_what_was_used_and_can_be_set(api):
    uses = {
        use("connections", "plc_7"): Times(1, 2),
        use("xcoms", "@upstream", task_id="write"): Times(1, 0),
        use("route", "GET /new"): Times(0, 1),
        # Whoever was denied it may have asked for it in bad faith.
        use("variables", "db_password"): Times(0, 9),
        # Where it is only reported on, it was given.
        use("variables", "unit", queue="lab"): Times(0, 3),
    }
    api.store.policy_uses.note(TODAY, uses)
    api.store.policy_uses.note(TODAY - timedelta(days=9), {use("connections", "old"): Times(1, 0)})
    api.post("/policy", {"text": POLICY})
    found = api.get("/policy/suggest", role="op")
    assert (found["uses"], found["unknown"], found["left_out"]) == (5, ["GET /new"], 1)
    assert to_plain(read_policy(found["text"])) == {
        "modes": {"plc": "enforce", "lab": "report"},
        "rules": [
            {"who": {"queues": ["lab"], "dags": ["press"], "tasks": ["read"]}, "may": {"variables": ["unit"]}},
            {"who": {"queues": ["plc"], "dags": ["press"], "tasks": ["read"]}, "may": {"connections": ["plc_7"]}},
            {"who": {"queues": ["plc"], "dags": ["press"], "tasks": ["write"]}, "may": {"xcoms": ["@upstream"]}},
        ],
    }
    with_denied = api.get("/policy/suggest", role="op", with_denied="true")
    assert ("db_password" in with_denied["text"], with_denied["left_out"]) == (True, 0)
    assert "old" in api.get("/policy/suggest", role="op", days=30)["text"]
    assert api.post("/policy", {"text": found["text"]})["version"] == 2
    denied = [("GET /new", 0, 1), ("db_password", 0, 9), ("plc_7", 1, 2), ("unit", 0, 3)]
    assert sorted(seen(api, denied="true")) == denied
    assert len(list(seen(api, limit=1, offset=4))) == 1
    assert seen(api, dag_id="pump") == []


@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
def test_what_was_denied_is_not_suggested_whatever_the_mode_is_by_now(api, mode):
    uses = {
        use("variables", "db_password"): Times(0, 9, 9),
        # It has been denied, and granted since.
        use("connections", "plc_7"): Times(1, 2, 2),
    }
    api.store.policy_uses.note(TODAY, uses)
    api.post("/policy", {"text": f"modes: {{'*': {mode}}}"})
    found = api.get("/policy/suggest", role="op")
    assert ("db_password" in found["text"], "plc_7" in found["text"], found["left_out"]) == (False, True, 1)
    assert "db_password" in api.get("/policy/suggest", role="op", with_denied="true")["text"]
    assert [one["refused"] for one in api.get("/policy/uses", role="op")] == [2, 9]


def test_who_belongs_to_one_team_may_not_say_what_all_may(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    answer = api.call("POST", "/policy", role="red", json={"text": POLICY})
    assert (answer.status_code, "all teams" in answer.json()["detail"]) == (403, True)
    assert api.call("GET", "/policy", role="red").status_code == 403
    assert api.store.policies.newest() == 0
    [(event, owner, said)] = noted(api)
    assert (event, owner, said["outcome"].startswith("refused")) == ("set policy", "red", True)


def test_where_a_file_says_it_nobody_else_does(api, commands, monkeypatch, tmp_path):
    file = tmp_path / "policy.yaml"
    monkeypatch.setenv("AIRFLOW__EDGE__POLICY_FILE", str(file))
    shown = api.get("/policy", role="op")
    assert (shown["file"], "No such file" in shown["error"]) == (str(file), True)
    assert (
        api.call(
            "GET", "/policy/test", role="op", params={"grant": "connections", "name": "a", "dag_id": "d"}
        ).status_code
        == 422
    )
    file.write_text(POLICY)
    shown = api.get("/policy", role="op")
    assert (shown["text"], shown["error"], shown["version"]) == (POLICY, "", 0)
    assert ask(api, name="plc_8")["granted"]
    refused = api.call("POST", "/policy", role="op", json={"text": POLICY})
    assert (refused.status_code, str(file) in refused.json()["detail"]) == (422, True)
    assert api.store.policies.newest() == 0
    done = airflow_command("edge", "policy", "set", str(file))
    assert (done.status, str(file) in done.err) == (1, True)


def test_by_command_it_is_the_same(api, commands, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text("[[rules]]\nmay = { connections = ['plc_*'] }\n[modes]\n'*' = 'enforce'\n")
    assert "There is no policy" in airflow_command("edge", "policy", "show").err
    dry = airflow_command("edge", "policy", "set", str(file), "--dry-run")
    assert (dry.status, dry.out, api.store.policies.newest()) == (
        0,
        "It could be set: 1 rule; *: enforce.\n*: off → enforce\n",
        0,
    )
    done = airflow_command("edge", "policy", "set", str(file), "--note", "why")
    assert (done.status, done.out) == (0, "Version 1 of the policy is in force: 1 rule.\n*: off → enforce\n")
    shown = airflow_command("edge", "policy", "show")
    assert (shown.out, "Version 1, set by " in shown.err) == (file.read_text(), True)
    [version] = json.loads(airflow_command("edge", "policy", "show", "--versions", "-o", "json").out)
    assert (version["version"], version["note"]) == (1, "why")
    api.store.policy_uses.note(TODAY, {use("connections", "plc_7"): Times(0, 2)})
    [used] = json.loads(airflow_command("edge", "policy", "show", "--uses", "--denied", "-o", "json").out)
    assert [used[key] for key in ("name", "granted", "not_granted", "not_granted_is")] == ["plc_7", 0, 2, "denied"]
    without = airflow_command("edge", "policy", "suggest")
    assert ("plc_7" in without.out, "Left out: 1 use" in without.err) == (False, True)
    assert "plc_7" in airflow_command("edge", "policy", "suggest", "--with-denied").out
    may = airflow_command("edge", "policy", "test", "connections", "plc_7", "--dag-id", "press", "--queue", "plc")
    assert (may.status, "rule 1 grants it" in may.out) == (0, True)
    may_not = airflow_command("edge", "policy", "test", "connections", "db", "--dag-id", "press", "--queue", "plc")
    assert (may_not.status, "may not read connection 'db'" in may_not.out) == (1, True)
    assert airflow_command("edge", "policy", "test", "connection", "db", "--dag-id", "press").status == 1
    assert airflow_command("edge", "policy", "show", "--version", "9").status == 1
    file.write_text("rules: [")
    wrong = airflow_command("edge", "policy", "set", str(file))
    assert (wrong.status, "neither JSON" in wrong.err) == (1, True)


def test_a_queue_that_is_mistyped_takes_no_protection_away_unnoticed(api, commands, tmp_path):
    api.post("/policy", {"text": "modes: {plc: enforce}"})
    file = tmp_path / "policy.yaml"
    file.write_text(
        "modes: {pcl: enforce}\nrules: [{who: {dags: [pres], workers: ['oven-*']}, may: {xcoms: ['@run']}}]"
    )
    weaker = "plc: enforce → off: tasks may whatever Airflow lets them there, and nobody looks\npcl: off → enforce\n"
    nothing = (
        "Note: modes: no worker serves queue 'pcl', and no job of it is known",
        "Note: rule 1: there is no worker 'oven-*'",
        "Note: rule 1: there is no Dag 'pres'",
    )
    would = api.call("POST", "/policy", role="op", json={"text": file.read_text()}, params={"dry_run": "true"}).json()
    assert would["changes"] == [
        {"queue": "plc", "before": "enforce", "after": "off"},
        {"queue": "pcl", "before": "off", "after": "enforce"},
    ]
    assert [f"Note: {one}" for one in would["unmatched"]] == list(nothing)
    for options in (["--dry-run"], []):
        done = airflow_command("edge", "policy", "set", str(file), *options)
        assert (done.status, done.out.endswith(weaker)) == (0, True)
        assert all(one in done.err for one in nothing)
    again = api.post("/policy", {"text": file.read_text()})
    assert (again["changes"], again["unmatched"]) == ([], would["unmatched"])
    from airflow_edge.checking.centre import look_at_centre

    said = [found.text for about, found in look_at_centre("") if about == "policy"]
    assert len(said) == 1 + len(nothing)
    assert all(any(one.removeprefix("Note: ") in text for text in said) for one in nothing)


def test_what_is_asked_about_and_is_not_there_is_remarked_on(api, commands):
    answer = ask(api, name="db", dag_id="pres", queue="pcl", team="blu", worker="oven")
    assert len(answer["remarks"]) == 5
    said = airflow_command("edge", "policy", "test", "connections", "db", "--dag-id", "pres", "--task-id", "t")
    assert ("there is no Dag 'pres'" in said.err, "callbacks" in said.err) == (True, False)
    assert "callbacks" in airflow_command("edge", "policy", "test", "connections", "db", "--dag-id", "pres").err


@pytest.mark.parametrize(
    "options", [["--denied"], ["--days", "3"], ["--versions", "--uses"], ["--version", "1", "--uses"]]
)
def test_no_flag_is_passed_over_in_silence(api, commands, options):
    said = airflow_command("edge", "policy", "show", *options)
    assert (said.status, "--uses" in said.err) == (1, True)


def test_workers_that_are_revoked_are_not_counted_as_enrolled(api):
    from airflow_edge.checking.centre import look_at_centre

    def enrolled() -> list[str]:
        return [found.text for _, found in look_at_centre("http://localhost:1") if "enrolled" in found.text]

    gone = [api.worker(name) for name in ("press-1", "press-2")][1].name
    before = enrolled()
    assert api.store.workers.revoke(gone, now=datetime.now(UTC))
    assert (before, enrolled()) == (["2 workers enrolled"], ["1 worker enrolled"])


def test_airflow_says_which_tasks_are_before_one(api, task):
    from airflow.models import TaskInstance
    from sqlalchemy import select

    from airflow_edge.admin.airflow_facts import upstream_of, version_of_task
    from tests.integration.admin.explained import DAG_ID, NEIGHBOUR, TASK_ID

    of_dag = select(TaskInstance.task_id, TaskInstance.id).where(TaskInstance.dag_id == DAG_ID)
    with api.sessions() as session:
        versions = {task_id: version_of_task(session, id_) for task_id, id_ in session.execute(of_dag)}
        found = versions[TASK_ID]
        assert found is not None
        version, task_id = found
        assert task_id == TASK_ID
        assert upstream_of(session, version, TASK_ID) == frozenset({NEIGHBOUR})
        assert upstream_of(session, version, NEIGHBOUR) == frozenset()
        assert upstream_of(session, version, "no such task") is None
        assert upstream_of(session, uuid4(), TASK_ID) is None
        assert version_of_task(session, uuid4()) is None
