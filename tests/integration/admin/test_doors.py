"""What was only to be had at the command line: tokens, graces, workers' own logs, and all there is of a worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from airflow_edge.admin.tokens import verify_key
from airflow_edge.protocol.logs import zstd
from airflow_edge.protocol.logs.worker_log import Record, pack
from airflow_edge.protocol.messages import WorkerLog
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.worker import CONDITIONS, PYTHON
from airflow_edge.store.workers.attempts import EnrollAttempt
from tests.integration.airflow_here import airflow_command

TOKEN = {"queues": ["plc"], "api_url": "https://airflow.example.org/", "uses": 2, "disconnect_grace": 43_200}


@pytest.fixture
def teams(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")


def noted(api):
    return [(event.removeprefix("edge_worker."), owner, json.loads(extra)) for event, owner, extra in api.audit()]


def test_a_token_from_its_making_to_its_end(api):
    made = api.post("/enroll-tokens", TOKEN)
    assert made["command"] == f"airflow-edge enroll https://airflow.example.org {made['token']}"
    assert set(made["commands"]) == {"pip", "systemd"}
    assert all(made["command"] in text for text in made["commands"].values())
    assert (made["state"], made["uses"], made["uses_left"], made["created_by"]) == ("valid", 2, 2, "op")
    worker = api.store.enroll_tokens.enroll(verify_key(made["token"]), "press-7", b"k" * 32, now=datetime.now(UTC))
    assert (worker.queues, worker.disconnect_grace) == (("plc",), timedelta(hours=12))
    [listed] = api.get("/enroll-tokens", "op")
    assert listed == {name: made[name] for name in listed} | {"uses_left": 1}
    assert made["token"] not in api.call("GET", "/enroll-tokens").text
    assert api.post(f"/enroll-tokens/{made['id']}/revoke", {})["state"] == "revoked"
    (event, owner, created), (again, _, revoked) = noted(api)
    assert (event, owner, created["outcome"], created["token"]) == ("create enrolment token", "op", "done", made["id"])
    assert (again, revoked["outcome"], revoked["token"]) == ("revoke enrolment token", "done", made["id"])
    assert made["token"] not in str(api.audit())


def test_the_check_of_the_centre_is_the_same_at_both_doors(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    found = api.get("/check", "op")["findings"]
    words = {"ok": "OK", "warning": "NOTE", "error": "WRONG"}
    lines = [f"{words[one['status']]:<6} {one['text']}{'; ' if one['advice'] else ''}{one['advice']}" for one in found]
    assert lines == airflow_command("edge", "check").out.rstrip("\n").split("\n")
    assert {one["name"] for one in found} >= {"versions", "database"}
    assert any(one["advice"] for one in found if one["status"] == "error")


def test_attempts_to_enrol_are_seen_but_those_with_another_teams_token(api, teams):
    red = api.post("/enroll-tokens", {**TOKEN, "team": "red"}, role="red")
    began = datetime.now(UTC)
    for number, token in enumerate((UUID(red["id"]), None)):
        attempt = EnrollAttempt(
            at=began + timedelta(seconds=number), name="press-7", token_id=token, result="refused", text="why"
        )
        api.store.enroll_attempts.note(attempt)
    assert [one["token_id"] for one in api.get("/enroll-attempts", "red")] == [None, red["id"]]
    assert [one["token_id"] for one in api.get("/enroll-attempts", "blue")] == [None]
    later = (began + timedelta(seconds=1)).isoformat()
    assert [one["token_id"] for one in api.get("/enroll-attempts", "red", since=later)] == [None]


def test_a_token_that_there_is_not_and_a_wish_that_cannot_be_are_noted(api):
    answer = api.call("POST", f"/enroll-tokens/{uuid4()}/revoke", role="op")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "There is no enrolment token" in answer.json()["detail"]
    answer = api.call("POST", "/enroll-tokens", role="op", json={**TOKEN, "team": "red"})
    assert (answer.status_code, "multi_team" in answer.json()["detail"]) == (422, True)
    assert [said["outcome"].partition(":")[0] for _, _, said in noted(api)] == ["refused", "refused"]
    assert api.store.enroll_tokens.all() == []


def test_tokens_of_another_team_are_not_seen_made_or_revoked(api, teams):
    red = api.post("/enroll-tokens", {**TOKEN, "team": "red"}, role="red")
    none = api.post("/enroll-tokens", TOKEN, role="red")
    assert {token["id"] for token in api.get("/enroll-tokens", "blue")} == {none["id"]}
    assert {token["id"] for token in api.get("/enroll-tokens", "admin")} == {red["id"], none["id"]}
    answer = api.call("POST", "/enroll-tokens", role="blue", json={**TOKEN, "team": "red"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "It belongs to team 'red', you do not.")
    assert api.call("POST", f"/enroll-tokens/{red['id']}/revoke", role="blue").status_code == 404
    assert all(token.revoked_at is None for token in api.store.enroll_tokens.all())
    assert [owner for _, owner, said in noted(api) if said["outcome"].startswith("refused")] == ["blue", "blue"]


def test_a_grace_of_a_workers_own(api):
    worker = api.worker("press-7")
    wish = {"workers": ["press-*"], "seconds": 43_200}
    assert [one["result"] for one in api.post("/workers/disconnect-grace", wish)] == ["done"]
    assert api.store.workers.get(worker.id).disconnect_grace == timedelta(hours=12)
    assert api.get("/workers/press-7")["disconnect_grace"] == 43_200
    api.post("/workers/disconnect-grace", {**wish, "seconds": None})
    assert api.store.workers.get(worker.id).disconnect_grace is None
    assert [said["workers"]["press-7"] for _, _, said in noted(api)] == [
        "done: its jobs are waited for 12h",
        "done: its jobs are waited for as long as the settings say",
    ]


def test_a_workers_own_log_is_asked_for_and_read(api):
    worker = api.worker("press-7")
    [asked] = api.post("/workers/log", {"workers": ["press-7"], "lines": 7, "level": 30})
    request = api.store.workers.get(worker.id).log_request
    assert (request.id, request.lines, request.level) == (UUID(asked["order_id"]).hex, 7, 30)
    now, plain = (
        datetime.now(UTC),
        pack([Record(1_700_000_000.0, 30, "agent", "no disk"), Record(1.0, 20, "agent", "x")]),
    )
    batch = WorkerLog(run="r", first=0, size=len(plain), data=zstd.compress(plain), answers=request.id)
    assert api.store.worker_logs.append(worker.id, batch, quota=1_000_000, now=now)
    shown = api.get("/workers/press-7/log", level=30)
    [record] = shown["records"]
    assert (record["level"], record["source"], record["text"]) == ("WARNING", "agent", "no disk")
    assert (shown["answers"], shown["lost"]) == ([request.id], 0)
    assert api.get("/workers/press-7/log", after=shown["next"])["records"] == []


def test_what_is_shown_of_a_worker_is_the_same_at_both_doors(api, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    worker = api.worker("press-7")
    facts = {worker.id: {CONDITIONS: "no disk", PYTHON: "3.13.1"}}
    api.store.workers.seen({worker.id: WorkerState.IDLE}, facts, now=datetime.now(UTC) - timedelta(hours=1))
    item = api.get("/workers/press-7")
    assert (item["trouble"], item["conditions"], item["python_version"]) == ("no disk", "no disk", "3.13.1")
    [listed] = api.get("/workers")["items"]
    # A list is asked for again and again: what changes all the time without meaning anything is left out of it.
    assert {name: item[name] for name in set(listed) - {"last_seen_at"}} == {
        name: listed[name] for name in set(listed) - {"last_seen_at"}
    }
    (row,) = json.loads(airflow_command("edge", "list-workers", "-o", "json").out)
    assert set(row) - {"!"} <= set(item)
    same = set(row) - {"!", "last_seen_at", "other_instances"}
    assert {name: row[name] or None for name in same} == {name: item[name] or None for name in same}
    wide = airflow_command("edge", "list-workers", "-o", "wide").out
    assert "python_version" in wide
    assert "3.13.1" in wide


def test_workers_of_a_team_that_was_deleted_are_seen_by_who_may_and_marked(api, teams):
    api.worker("of-gone", team="gone")
    api.queue(team_name="gone", dag_id="orphaned", queue="plc")
    assert api.get("/workers", "blue")["items"] == []
    [item] = api.get("/workers", "admin")["items"]
    assert (item["name"], item["team"], item["team_deleted"]) == ("of-gone", "gone", True)
    assert "its team 'gone' was deleted" in item["trouble"]
    assert [job["dag_id"] for job in api.get("/jobs", "admin")["items"]] == ["orphaned"]
    assert api.get("/jobs", "blue")["items"] == []
    [outcome] = api.post("/workers/revoke", {"workers": ["of-gone"]}, role="admin")
    assert outcome["result"] == "done"


def test_whoever_goes_on_looking_at_a_log_is_noted_once(api, monkeypatch):
    worker, _ = api.worker("press-7"), api.worker("press-8")

    def look(name="press-7", role="op", **wish):
        [outcome] = api.post("/workers/log", {"workers": [name], "level": 20, **wish}, role=role)
        return outcome["order_id"]

    opening = look(lines=200)
    [(event, owner, said)] = noted(api)
    assert (event, owner, said["opening"]) == ("worker log", "op", UUID(opening).hex)
    on = {"lines": 0, "continues": opening}
    assert (look(**on), look(**on, level=30)) == (opening, opening)
    until = api.store.workers.get(worker.id).log_request.until
    assert timedelta(0) < until - datetime.now(UTC) <= timedelta(seconds=30)
    assert len(noted(api)) == 1
    # Whatever is not the same look is one of its own.
    others = [
        look(**on, name="press-8"),
        look(**on, role="admin"),
        look(**on, level=10),
        look(lines=5, continues=opening),
        look(lines=0, continues=str(uuid4())),
    ]
    assert opening not in others
    assert len({*others}) == 5
    assert [one["opening"] for _, _, one in noted(api)[1:]] == [UUID(other).hex for other in others]
    # It is no way around a refusal, which is noted each time.
    assert api.call("POST", "/workers/log", role="viewer", json={"workers": ["press-7"], **on}).status_code == 403
    assert api.call("POST", "/workers/log", role="op", json={"workers": ["press-9"], **on}).status_code == 404
    assert len(noted(api)) == 8
    monkeypatch.setattr("airflow_edge.admin.rest.changing.LOOK_LASTS", timedelta(0))
    assert look(**on) != opening
    api.store.workers.revoke("press-7", now=datetime.now(UTC))
    monkeypatch.undo()
    [refused] = api.post("/workers/log", {"workers": ["press-7"], "level": 20, **on})
    assert (refused["result"], len(noted(api))) == ("refused", 10)


def test_what_is_not_there_is_said_by_name(api):
    answer = api.call("GET", "/workers/nobody", role="viewer")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "There is no worker 'nobody'" in answer.json()["detail"]
