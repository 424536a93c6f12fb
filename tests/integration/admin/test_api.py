from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from airflow import settings
from fastapi.routing import APIRoute
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from airflow_edge.admin.audit import OrderOutcome, record
from airflow_edge.protocol.messages import Metrics
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.metrics import Recorder
from airflow_edge.rules.orders import Wish
from airflow_edge.store.workers.workers import Workers

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "rest-api-openapi.json"
CHANGES: dict[str, dict[str, Any]] = {
    "/workers/maintenance": {"workers": ["w"], "comment": "new disk"},
    "/workers/maintenance/comment": {"workers": ["w"], "comment": "new disk"},
    "/workers/maintenance/exit": {"workers": ["w"]},
    "/workers/shutdown": {"workers": ["w"]},
    "/workers/restart": {"workers": ["w"]},
    "/workers/concurrency": {"workers": ["w"], "concurrency": 3},
    "/workers/rename": {"worker": "w", "name": "x"},
    "/workers/queues/add": {"workers": ["w"], "queues": ["plc"]},
    "/workers/queues/remove": {"workers": ["w"], "queues": ["plc"]},
    "/workers/revoke": {"workers": ["w"]},
    "/workers/remove": {"workers": ["w"]},
    "/workers/disconnect-grace": {"workers": ["w"], "seconds": 43_200},
    "/workers/log": {"workers": ["w"], "lines": 20},
    "/workers/{name}/test": {},
    "/queues/pause": {"queues": ["plc"], "note": "the line is rebuilt"},
    "/queues/resume": {"queues": ["plc"]},
    "/enroll-tokens": {"queues": ["plc"], "api_url": "https://airflow.example.org"},
    "/enroll-tokens/{token_id}/revoke": {},
    "/policy": {"text": "modes: {plc: report}", "note": "to see what is used"},
}
OF_WORKERS = [path for path in CHANGES if path.startswith("/workers")]
READS = {
    "/overview": {},
    "/workers": {},
    "/workers/{name}": {},
    "/workers/{name}/log": {},
    "/workers/{name}/orders": {},
    "/workers/{name}/events": {},
    "/workers/{name}/metrics": {},
    "/orders/{order_id}": {},
    "/jobs": {},
    "/jobs/{job_id}": {},
    "/queues": {},
    "/queues/{queue}": {},
    "/explanation": {"dag_id": "d", "run_id": "r", "task_id": "t"},
}
OF_ONE_THAT_IS_NOT = ["/orders/{order_id}", "/jobs/{job_id}"]
READS_OF_WHO_CHANGES = {
    "/enroll-tokens": {},
    "/enroll-attempts": {},
    "/check": {},
    "/policy": {},
    "/policy/versions": {},
    "/policy/versions/{version}": {},
    "/policy/test": {"grant": "connections", "name": "db", "dag_id": "d"},
    "/policy/suggest": {},
    "/policy/uses": {},
}
READS_OF_ANYBODY = ["/permissions"]


def document():
    from airflow_edge.admin.rest.app import create_app

    return create_app().openapi()


def endpoints(api):
    paths = document()["paths"]
    assert paths
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def call(api, method, path, role):
    filled = path.format(name="w", order_id=uuid4(), token_id=uuid4(), queue="default", job_id=uuid4(), version=1)
    asked = {**READS, **READS_OF_WHO_CHANGES}.get(path) if method == "GET" else None
    return api.call(method, filled, role=role, json=CHANGES.get(path), params=asked)


def noted(api):
    """Give what the audit log has: what was wanted, who wanted it, and what is said of it."""
    return [(event.removeprefix("edge_worker."), owner, json.loads(extra)) for event, owner, extra in api.audit()]


@pytest.mark.held("who may what over the REST API")
def test_nobody_without_a_token_gets_anything(api):
    api.worker("w")
    for method, path in endpoints(api):
        answer = call(api, method, path, None)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path


@pytest.mark.held("who may what over the REST API")
@pytest.mark.parametrize("role", ["viewer", "user"])
def test_who_may_only_read_reads_and_changes_nothing_and_each_attempt_is_noted(api, role):
    worker = api.worker("w")
    attempts = []
    for method, path in endpoints(api):
        answer = call(api, method, path, role)
        if method == "GET" and path in [*READS, *READS_OF_ANYBODY]:
            assert answer.status_code == (404 if path in OF_ONE_THAT_IS_NOT else 200), path
            continue
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
        assert "lacks the permission to edit pools" in answer.json()["detail"]
        attempts += [path] if method == "POST" else []
    assert api.store.orders.newest(worker.id, limit=1) == []
    assert api.store.enroll_tokens.all() == []
    found = noted(api)
    assert len(found) == len(attempts) == len(CHANGES)
    for event, owner, said in found:
        assert (owner, said["outcome"].startswith("refused: User")) == (role, True), event
    assert ("maintenance", role) in {found_here[:2] for found_here in found}
    assert next(said for event, _, said in found if event == "revoke")["asked"] == ["w"]


def test_each_change_has_a_name_of_its_own_in_the_audit_log(api):
    from airflow_edge.admin.rest.changing import changing
    from airflow_edge.admin.rest.enrolling import enrolling
    from airflow_edge.admin.rest.policy.routes import policy

    routes = [route for route in [*changing.routes, *enrolling.routes, *policy.routes] if isinstance(route, APIRoute)]
    names = [route.name for route in routes if "POST" in route.methods]
    assert len(set(names)) == len(names) == len(CHANGES)
    assert max(len(f"edge_worker.{name}") for name in names) <= 60


def test_the_document_in_the_docs_is_current(api):
    kept = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    made = document()
    assert kept["servers"] == [{"url": "/edge_worker/api"}]
    assert (kept["paths"], kept["components"]) == (made["paths"], made["components"]), "run: make docs"


def test_every_change_is_known_to_these_tests(api):
    assert {path for method, path in endpoints(api) if method == "POST"} == set(CHANGES)
    assert {path for method, path in endpoints(api) if method == "GET"} == {
        *READS,
        *READS_OF_WHO_CHANGES,
        *READS_OF_ANYBODY,
    }


@pytest.mark.parametrize("path", OF_WORKERS)
def test_each_change_leaves_an_entry_in_the_audit_log(api, path):
    state = WorkerState.MAINTENANCE_MODE if path.startswith("/workers/maintenance/") else WorkerState.IDLE
    api.worker("w", state, queues=("default", "plc"))
    [outcome] = api.post(path.format(name="w"), CHANGES[path])
    [(event, owner, extra)] = api.audit()
    assert owner == "op"
    assert event.startswith("edge_worker.")
    assert json.loads(extra)["workers"]["w"].startswith(outcome["result"])


def test_maintenance_from_the_wish_to_the_answer(api):
    api.worker("a1")
    api.worker("a2", WorkerState.OFFLINE)
    api.worker("b")
    first, second = api.post("/workers/maintenance", {"workers": ["a*"], "comment": "new disk"})
    assert (first["worker"], first["result"], second["worker"], second["result"]) == ("a1", "waiting", "a2", "waiting")
    shown = {item["name"]: (item["state"], item["maintenance_comment"]) for item in api.get("/workers")["items"]}
    assert shown == {
        "a1": ("maintenance request", "new disk"),
        "a2": ("offline maintenance", "new disk"),
        "b": ("idle", ""),
    }
    worker = api.store.orders.newest(api.store.workers.all()[0].id, limit=1)[0]
    api.store.orders.obeyed(
        worker.worker_id, UUID(first["order_id"]), WorkerState.MAINTENANCE_MODE, done=True, detail="", now=now()
    )
    assert api.get(f"/orders/{first['order_id']}")["result"] == "done"
    [order] = api.get("/workers/a1/orders")
    assert (order["state"], order["asked_by"], order["text"]) == ("done", "op", "new disk")
    [again] = api.post("/workers/maintenance", {"workers": ["a1"], "comment": "again"})
    assert again["result"] == "waiting"
    [new, _] = api.get("/workers/a1/orders")
    assert (new["kind"], new["text"]) == ("maintenance comment", "again")
    [same] = api.post("/workers/maintenance", {"workers": ["a1"], "comment": "again"})
    assert (same["result"], same["detail"]) == ("done", "it is in maintenance already")


@pytest.mark.parametrize("path", OF_WORKERS)
def test_a_change_of_a_worker_that_there_is_not_is_noted(api, path):
    answer = api.call("POST", path.format(name="w"), role="op", json=CHANGES[path])
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "There is no worker 'w'" in answer.json()["detail"]
    [(_, owner, said)] = noted(api)
    assert (owner, said["asked"], said["outcome"]) == ("op", ["w"], f"refused: {answer.json()['detail']}")


@pytest.mark.parametrize("path", [path for path in CHANGES if "workers" in CHANGES[path]])
def test_a_user_of_one_team_changes_nothing_of_another(api, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    state = WorkerState.MAINTENANCE_MODE if path.startswith("/workers/maintenance/") else WorkerState.IDLE
    red = api.worker("of-red", state, queues=("default", "plc"), team="red")
    api.worker("of-blue", state, queues=("default", "plc"), team="blue")
    before = api.store.workers.get(red.id)
    outcomes = api.post(path, {**CHANGES[path], "workers": ["*"]}, role="blue")
    assert [one["worker"] for one in outcomes] == ["of-blue"]
    assert (api.store.workers.get(red.id), api.store.orders.newest(red.id, limit=1)) == (before, [])
    [(_, owner, extra)] = api.audit()
    assert owner == "blue"
    assert set(json.loads(extra)["workers"]) == {"of-blue"}


@pytest.mark.parametrize("path", [path for path in CHANGES if "workers" in CHANGES[path]])
@pytest.mark.parametrize("dry_run", ["false", "true"])
def test_attack_18_what_is_wanted_of_all_workers_tells_nothing_of_another_teams(api, monkeypatch, path, dry_run):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    api.worker("secret-press", queues=("default", "plc"), team="red")
    api.worker("of-blue", queues=("default", "plc"), team="blue")

    def said(*meant, match=None):
        body = {**CHANGES[path], "workers": list(meant), "match": match}
        return api.call("POST", path, role="blue", json=body, params={"dry_run": dry_run})

    for meant in (["*"], ["*", "secret-*"], ["of-*", "?*"]):
        text = said(*meant).text
        assert ("of-blue" in text, "red" in text, "secret-press" in text) == (True, False, False), meant
    assert "secret-press" not in said(match={}).text
    # What it names it knows already: it learns no more of it than of what there is not.
    there, none = said("of-blue", "secret-press").json(), said("of-blue", "secret-nobody").json()
    assert [one["detail"] for one in there if one["worker"] != "of-blue"] == [
        one["detail"] for one in none if one["worker"] != "of-blue"
    ]
    there, none = said("secret-press"), said("secret-nobody")
    assert there.status_code == none.status_code == 404
    assert there.json()["detail"].replace("press", "nobody") == none.json()["detail"]


@pytest.mark.parametrize("dry_run", ["false", "true"])
def test_attack_18_a_rename_does_not_say_who_has_the_name(api, monkeypatch, dry_run):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    api.worker("secret-press", team="red")
    api.worker("second", team="blue")
    api.worker("of-blue", team="blue")

    def rename(name, role):
        asked = {"worker": "of-blue", "name": name}
        [outcome] = api.call("POST", "/workers/rename", role=role, json=asked, params={"dry_run": dry_run}).json()
        return outcome["result"], outcome["detail"]

    assert rename("secret-press", "blue") == ("refused", "this name is not to be had; choose another one")
    for name, role in (("second", "blue"), ("secret-press", "admin")):
        result, detail = rename(name, role)
        assert (result, f"another worker is called '{name}'" in detail) == ("refused", True)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc"])
def test_attack_21_what_the_api_says_of_itself_is_for_who_may_read_by_it(api, path):
    answer = api.call("GET", path, role=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    shown = api.call("GET", path, role="viewer")
    assert shown.status_code == 200
    if path == "/openapi.json":
        assert set(shown.json()["paths"]) == set(document()["paths"])
        assert shown.json()["servers"] == [{"url": "/edge_worker/api"}]
    else:
        assert "/edge_worker/api/openapi.json" in shown.text


@pytest.mark.held("what belongs to another team")
@pytest.mark.parametrize("path", READS)
def test_a_user_of_one_team_sees_nothing_of_another(api, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    orders, jobs = {}, {}
    for team in ("red", "blue", None):
        name = f"of-{team}"
        worker = api.worker(name, queues=(f"queue-{team}",), team=team)
        jobs[name] = api.queue(team_name=team, dag_id=name, queue=f"queue-{team}")
        order = api.store.orders.give(worker.id, Wish("maintenance", "why"), by="x", now=now())
        assert order is not None
        orders[name] = order.id

    def seen(name, role):
        queue = name.replace("of", "queue")
        filled = path.format(name=name, order_id=orders[name], job_id=jobs[name], queue=queue)
        whose = {"team": name.removeprefix("of-")} if "{queue}" in path and name != "of-None" else {}
        answer = api.call("GET", filled, role=role, params={"limit": "100", **READS[path], **whose})
        return answer.status_code, queue if path in {"/queues", "/overview"} else name, answer.text

    for role in ("blue", "admin"):
        for name in orders:
            status, shown, text = seen(name, role)
            hidden = role == "blue" and name == "of-red"
            if "{" in path:
                assert status == (404 if hidden else 200), (role, name)
            elif path != "/explanation":
                assert (shown in text) is not hidden, (role, name)


def test_what_belongs_to_one_team(api):
    api.worker("of-red", team="red")
    api.worker("nobodys")
    api.queue(team_name="red", dag_id="reds")
    api.queue()
    assert [worker["name"] for worker in api.get("/workers", team="red")["items"]] == ["of-red"]
    assert [job["dag_id"] for job in api.get("/jobs", team="red")["items"]] == ["reds"]


def test_measurements_for_a_chart(api):
    worker = api.worker("w")
    minute = 29_000_000
    recorder = Recorder(worker.id)
    for number in range(3):
        recorder.add(Metrics(cpu_percent=10.0 * number, reconnects=1), 2, minute + number)
        chunk = recorder.due(minute + number + 1)
        assert chunk is not None
        api.store.metrics.write([chunk])
    since = datetime.fromtimestamp(minute * 60, UTC)
    asked = {"since": since.isoformat(), "until": (since + timedelta(minutes=4)).isoformat()}
    shown = api.get("/workers/w/metrics", **asked)
    assert (shown["resolution"], shown["times"]) == (60, [(minute + number) * 60 for number in range(4)])
    assert shown["series"]["cpu_percent"] == [0, 10, 20, None]
    coarse = api.get("/workers/w/metrics", resolution=120, **asked)["series"]
    assert (coarse["cpu_percent"], coarse["reconnects"], coarse["jobs"]) == ([5, 20], [2, 1], [2, 2])
    assert set(api.get("/workers/w/metrics")["series"]["load"]) == {None}


@pytest.mark.parametrize(
    "query",
    [
        {"resolution": "90"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-01-01T00:00:00Z"},
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"until": "0001-01-01T00:00:00Z"},
    ],
)
def test_a_time_that_makes_no_chart_is_a_problem(api, query):
    api.worker("w")
    answer = api.call("GET", "/workers/w/metrics", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")


def test_queues_take_effect_at_once(api):
    api.worker("w", queues=("default",))
    api.post("/workers/queues/add", {"workers": ["w"], "queues": ["plc", "default"]})
    assert api.get("/workers", queue="plc")["items"][0]["queues"] == ["default", "plc"]
    api.post("/workers/queues/remove", {"workers": ["w"], "queues": ["default"]})
    [outcome] = api.post("/workers/queues/remove", {"workers": ["w"], "queues": ["plc"]})
    assert outcome["result"] == "refused"
    assert api.get("/workers")["items"][0]["queues"] == ["plc"]


def test_only_one_that_is_gone_is_removed(api):
    api.worker("here")
    api.worker("gone", WorkerState.OFFLINE)
    outcomes = {one["worker"]: one for one in api.post("/workers/remove", {"workers": ["*"]})}
    assert (outcomes["here"]["result"], outcomes["gone"]["result"]) == ("refused", "done")
    assert "revoke-worker" in outcomes["here"]["detail"]
    assert [item["name"] for item in api.get("/workers")["items"]] == ["here"]


def test_jobs_and_queues(api):
    api.worker("w", queues=("default",))
    api.queue(dag_id="etl")
    api.queue(dag_id="ml", queue="gpu")
    jobs = api.get("/jobs", dag_id="etl", state="queued")
    assert (jobs["total"], jobs["items"][0]["queue"], jobs["items"][0]["state"]) == (1, "default", "queued")
    queues = {one["queue"]: (one["queued"], one["workers"], one["free_slots"]) for one in api.get("/queues")["items"]}
    assert queues == {"default": (1, 1, 8), "gpu": (1, 0, 0)}


@pytest.mark.held("order_by, NUL, surrogates, huge numbers, unknown fields")
def test_what_makes_no_sense_is_a_problem_that_says_where(api):
    for method, path, options in (
        ("POST", "/workers/maintenance", {"json": {"workers": [], "comment": "x"}}),
        ("POST", "/workers/maintenance", {"json": {"workers": ["w"]}}),
        ("POST", "/workers/concurrency", {"json": {"workers": ["w"], "concurrency": 0}}),
        ("POST", "/workers/rename", {"json": {"worker": "w", "name": "../x"}}),
        ("POST", "/workers/shutdown", {"content": b"{"}),
        ("GET", "/workers", {"params": {"limit": "0"}}),
        ("GET", "/workers", {"params": {"order_by": "public_key"}}),
        ("GET", "/orders/none", {}),
        ("POST", "/workers/disconnect-grace", {"json": {"workers": ["w"], "seconds": -1}}),
        ("POST", "/enroll-tokens", {"json": {"uses": 0}}),
        ("POST", "/enroll-tokens", {"json": {"queues": [""]}}),
        ("POST", "/enroll-tokens", {"json": {"api_url": "airflow.example.org"}}),
        ("POST", "/enroll-tokens", {"json": {"api_url": "https://a.example", "team": "nobodys"}}),
        ("POST", "/enroll-tokens/none/revoke", {}),
    ):
        answer = api.call(method, path, **options)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "malformed"
    answer = api.call("POST", "/workers/shutdown", json={"workers": ["nobody"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "list-workers" in answer.json()["detail"]
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/workers", 405, "method_not_allowed"),
    ):
        answer = api.call(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert answer.json()["code"] == code
    assert "GET /edge_worker/api/nothing" in api.call("GET", "/nothing").json()["detail"]


@pytest.mark.held("order_by, NUL, surrogates, huge numbers, unknown fields")
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/workers", {"name": "\0"}),
        ("/workers", {"queue": "\0"}),
        ("/workers", {"team": "\0"}),
        ("/workers/%00", {}),
        ("/workers/%00/log", {}),
        ("/workers/w/log", {"after": str(2**63)}),
        ("/workers/%00/orders", {}),
        ("/workers/%00/metrics", {}),
        ("/jobs", {"dag_id": "\0"}),
        ("/jobs", {"worker": "\0"}),
        ("/explanation", {"dag_id": "d", "run_id": "r", "task_id": "\0"}),
        ("/explanation", {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": str(2**40)}),
    ],
)
def test_what_a_database_cannot_hold_is_a_problem(api, path, query):
    answer = api.call("GET", path, params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")


def test_a_database_that_fails_is_a_problem_that_says_so(api, monkeypatch, tmp_path):
    nowhere = create_engine(f"sqlite:///{tmp_path}/no/such/folder/file")
    monkeypatch.setattr(settings, "NonScopedSession", sessionmaker(nowhere))
    for method, path in endpoints(api):
        if path not in {"/check", *OF_ONE_THAT_IS_NOT, *READS_OF_ANYBODY}:
            answer = call(api, method, path, "admin")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), path


def test_what_was_done_before_something_failed_is_in_the_audit_log(api, monkeypatch):
    api.worker("a")
    api.worker("b")
    revoke = Workers.revoke

    def revoke_but_b(desk, name, *, now):
        if name == "b":
            raise OperationalError("UPDATE", {}, Exception("the connection was lost"))
        return revoke(desk, name, now=now)

    monkeypatch.setattr(Workers, "revoke", revoke_but_b)
    answer = api.call("POST", "/workers/revoke", role="op", json={"workers": ["*"]})
    assert answer.status_code == 503
    [(event, _, extra)] = api.audit()
    assert (event, json.loads(extra)["workers"]) == ("edge_worker.revoke", {"a": "done"})


def test_an_entry_in_the_audit_log_has_a_limit_and_the_log_has_none(api):
    outcomes = [OrderOutcome(worker=f"w{number}", result="refused", detail="x" * 4000) for number in range(120)]
    with api.sessions() as session:
        record(session, "shutdown", by="op", wish={"text": "y" * 4000}, outcomes=outcomes)
    entries = [extra for _, _, extra in api.audit()]
    assert max(len(extra) for extra in entries) < 2**16
    noted = [worker for extra in entries for worker in json.loads(extra)["workers"]]
    assert noted == [outcome.worker for outcome in outcomes]


def test_a_task_that_airflow_does_not_know_is_explained_too(api):
    explanation = api.get("/explanation", dag_id="d", run_id="r", task_id="t")
    assert explanation["cause"] == "no-such-task"


def now():
    return datetime.now(UTC)
