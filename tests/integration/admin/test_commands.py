"""The commands of `airflow edge` about many workers, called as Airflow calls them, on a real database.

The worker's part, to obey and to answer, is played by a thread; `tests/integration/fleet` has real agents do it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from airflow_edge.admin.tokens import verify_key
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.liveness import Silence
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import JobFilter
from airflow_edge.rules.worker import OtherInstance
from airflow_edge.store.workers.workers import Workers
from tests.integration.airflow_here import airflow_command

PATIENT = ("--wait", "30")


@pytest.fixture
def command(api, monkeypatch):
    """Call a command; gives its exit status, what it printed as JSON (or as text), and what it said to people."""
    # The tables were made without migrations.
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")

    def call(*words, typed=None, output="json"):
        done = airflow_command("edge", *words, *(["-o", output] if output else []), typed=typed)
        return done.status, json.loads(done.out) if output == "json" and done.out.strip() else done.out, done.err

    return call


@contextmanager
def obedient(api, *workers, state=WorkerState.IDLE, refusing="") -> Iterator[list]:
    """Workers that do what they are asked within a moment; gives the orders that they have had."""
    over, had = threading.Event(), []

    def obey():
        while not over.wait(0.02):
            for order in api.store.orders.waiting([worker.id for worker in workers]):
                had.append(order)
                api.store.orders.obeyed(
                    order.worker_id, order.id, state, done=not refusing, detail=refusing, now=datetime.now(UTC)
                )

    thread = threading.Thread(target=obey)
    thread.start()
    try:
        yield had
    finally:
        over.set()
        thread.join()


def results(rows):
    return {row["worker"]: (row["result"], row["detail"]) for row in rows}


@pytest.mark.parametrize(
    ("words", "before", "after", "asked"),
    [
        (
            ("remote-edge-worker-request-maintenance", "-c", "new disk"),
            WorkerState.RUNNING,
            WorkerState.MAINTENANCE_PENDING,
            ("maintenance", "new disk", None),
        ),
        (
            ("remote-edge-worker-update-maintenance-comment", "-c", "still at it"),
            WorkerState.MAINTENANCE_MODE,
            WorkerState.MAINTENANCE_MODE,
            ("maintenance comment", "still at it", None),
        ),
        (
            ("remote-edge-worker-exit-maintenance",),
            WorkerState.MAINTENANCE_MODE,
            WorkerState.IDLE,
            ("exit maintenance", "", None),
        ),
        (
            ("shutdown-remote-edge-worker",),
            WorkerState.RUNNING,
            WorkerState.TERMINATING,
            ("shutdown", "", None),
        ),
        (("restart-worker",), WorkerState.IDLE, WorkerState.IDLE, ("restart", "", None)),
        (("set-worker-concurrency", "-c", "3"), WorkerState.IDLE, WorkerState.IDLE, ("concurrency", "", 3)),
    ],
)
def test_an_order_to_several_workers_and_their_answers(api, command, words, before, after, asked):
    first, second, other = (api.worker(name, state=before) for name in ("plant-1", "plant-2", "office"))
    with obedient(api, first, second, other, state=after) as had:
        status, rows, said = command(words[0], "plant-*", *words[1:], *PATIENT)
    assert status == 0
    assert results(rows) == {"plant-1": ("done", ""), "plant-2": ("done", "")}
    assert "2 workers (plant-1, plant-2)" in said
    assert {order.worker_id for order in had} == {first.id, second.id}
    assert {(order.kind, order.text, order.number) for order in had} == {asked}
    assert api.store.workers.get(first.id).state is after
    ((event, _, extra),) = api.audit()
    assert event == f"edge_worker.{asked[0]}"
    assert json.loads(extra)["workers"] == {"plant-1": "done", "plant-2": "done"}


def test_a_maintenance_with_an_end_is_the_same_from_both_doors(api, command):
    api.worker("plant-1")
    status, _, _ = command(
        "remote-edge-worker-request-maintenance", "plant-1", "-c", "new disk", "--until", "2h", "--wait", "0"
    )
    assert status == 0
    item = api.get("/workers/plant-1")
    until = datetime.fromisoformat(item["maintenance_until"])
    assert timedelta(minutes=119) < until - datetime.now(UTC) <= timedelta(hours=2)
    (row,) = command("list-workers")[1]
    assert row["maintenance_until"] == until.isoformat(timespec="seconds")
    later = until + timedelta(hours=1)
    wish = {"workers": ["plant-1"], "comment": "new disk", "until": later.isoformat()}
    api.post("/workers/maintenance", wish)
    item = api.get("/workers/plant-1")
    assert (datetime.fromisoformat(item["maintenance_until"]), item["maintenance_by"]) == (later, "op")
    first, second = (json.loads(extra) for _, _, extra in api.audit())
    assert first["until"] == until.isoformat(timespec="seconds")
    assert second["until"] == later.isoformat(timespec="seconds")
    past = api.call("POST", "/workers/maintenance", json={**wish, "until": "2020-01-01T00:00:00Z"})
    assert (past.status_code, "in the future" in past.json()["detail"]) == (422, True)


def test_a_worker_is_renamed(api, command):
    worker = api.worker("plant-1")
    with obedient(api, worker) as had:
        status, rows, _ = command("rename-worker", "plant-1", "press-1", *PATIENT)
    assert (status, [row["result"] for row in rows]) == (0, ["done"])
    assert [(order.kind, order.text) for order in had] == [("rename", "press-1")]


def test_an_unlinked_worker_is_told_when_it_comes_back(api, command):
    api.store.enroll_tokens.enroll_trusted("away", b"a" * 32, ["default"], now=datetime.now(UTC))
    status, rows, _ = command("set-worker-concurrency", "away", "-c", "3", "--wait", "0.1")
    assert status == 0
    assert results(rows) == {"away": ("waiting", "it will be told as soon as it is linked")}
    assert rows[0]["order"]


def test_what_a_worker_refuses_makes_the_command_fail(api, command):
    worker = api.worker("plant-1")
    with obedient(api, worker, refusing="the disk is being checked"):
        status, rows, _ = command("restart-worker", "-H", "plant-1", *PATIENT)
    assert status == 1
    assert results(rows) == {"plant-1": ("refused", "the disk is being checked")}


def test_what_is_so_already_is_done(api, command):
    api.worker("plant-1")
    resting = api.worker("plant-2", state=WorkerState.MAINTENANCE_MODE)
    api.worker("plant-3", state=WorkerState.OFFLINE)
    with obedient(api, resting):
        status, rows, _ = command("remote-edge-worker-exit-maintenance", "plant-*", *PATIENT)
    assert status == 0
    assert results(rows) == {
        "plant-1": ("done", "it is not in maintenance"),
        "plant-2": ("done", ""),
        "plant-3": ("done", "it is not in maintenance"),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("remote-edge-worker-request-maintenance", "-c", "new disk"),
        ("remote-edge-worker-exit-maintenance",),
        ("shutdown-remote-edge-worker",),
        ("revoke-worker",),
        ("add-worker-queues", "-q", "gpu"),
        ("set-worker-concurrency", "-c", "3"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_can_be_given_twice(api, command, words):
    api.worker("plant-1", state=WorkerState.IDLE)
    patience = () if words[0] in {"revoke-worker", "add-worker-queues"} else ("--wait", "0")
    first = command(words[0], "plant-*", *words[1:], *patience)
    second = command(words[0], "plant-*", *words[1:], *patience)
    assert (first[0], second[0]) == (0, 0)
    assert second[1][0]["result"] == first[1][0]["result"]


def test_another_comment_on_a_maintenance_that_is_there(api, command):
    worker = api.worker("plant-1", state=WorkerState.MAINTENANCE_MODE)
    with obedient(api, worker, state=WorkerState.MAINTENANCE_MODE) as had:
        status, rows, _ = command("remote-edge-worker-request-maintenance", "plant-1", "-c", "new fan", *PATIENT)
    assert (status, [row["result"] for row in rows]) == (0, ["done"])
    assert [(order.kind, order.text) for order in had] == [("maintenance comment", "new fan")]
    assert api.store.workers.get(worker.id).maintenance_comment == "new fan"


def test_what_makes_no_sense_is_refused_in_plain_words_and_the_others_do_it(api, command):
    api.worker("ends", state=WorkerState.TERMINATING)
    stays = api.worker("stays")
    with obedient(api, stays):
        status, rows, _ = command("restart-worker", "ends", "stays", *PATIENT)
    assert status == 1
    assert results(rows) == {"ends": ("refused", "it is shutting down"), "stays": ("done", "")}


@pytest.mark.parametrize("workers", [(), ("nobody",), ("plant-*",)])
def test_without_a_worker_nothing_is_done(api, command, workers):
    api.worker("office")
    status, _, said = command("restart-worker", *workers)
    assert status == 1
    assert "airflow edge list-workers" in said
    assert [json.loads(extra)["outcome"].partition(":")[0] for _, _, extra in api.audit()] == ["refused"] * len(workers)


def test_queues_are_added_and_removed_but_the_last(api, command):
    api.worker("plant-1", queues=("default",))
    assert command("add-worker-queues", "plant-1", "-q", "plc, gpu")[0] == 0
    status, (row,), _ = command("remove-worker-queues", "plant-1", "-q", "default")
    assert (status, row["result"]) == (0, "done")
    assert set(row["detail"].removeprefix("serves ").split(", ")) == {"plc", "gpu"}
    status, (row,), _ = command("remove-worker-queues", "plant-1", "-q", "plc,gpu")
    assert (status, row["result"]) == (1, "refused")
    assert "at least one queue" in row["detail"]
    events = [event for event, _, _ in api.audit()]
    assert events == ["edge_worker.add queues", "edge_worker.remove queues", "edge_worker.remove queues"]


def test_a_worker_is_revoked_and_removed(api, command):
    worker = api.worker("stolen")
    status, (row,), _ = command("remove-remote-edge-worker", "stolen")
    assert (status, row["result"]) == (1, "refused")
    assert command("revoke-worker", "stolen")[0] == 0
    assert api.store.workers.get(worker.id).revoked_at is not None
    assert command("remove-remote-edge-worker", "stolen")[0] == 0
    assert api.store.workers.get(worker.id) is None


@pytest.mark.attack(5)
def test_who_revokes_a_worker_hears_whether_its_token_still_opens(api, command):
    _, once, _ = command("enroll-token", "create", "--api-url", "https://a.example")
    _, shared, _ = command("enroll-token", "create", "--api-url", "https://a.example", "--uses", "3")
    for made, name in ((once, "alone"), (shared, "one-of-three")):
        api.store.enroll_tokens.enroll(verify_key(made["token"]), name, name.encode().ljust(32), now=datetime.now(UTC))
    said = results(command("revoke-worker", "*")[1])
    assert said["alone"] == ("done", "")
    assert said["one-of-three"][0] == "done"
    assert re.search(
        rf"token that it came with is good for 2 more until .*: airflow edge enroll-token revoke {shared['id']}",
        said["one-of-three"][1],
    )
    command("enroll-token", "revoke", shared["id"], output=None)
    assert "token" not in results(command("revoke-worker", "one-of-three")[1])["one-of-three"][1]


# All of them


def test_shutting_down_all_workers_asks_first(api, command):
    linked = api.worker("plant-1")
    api.store.enroll_tokens.enroll_trusted("away", b"a" * 32, ["default"], now=datetime.now(UTC))
    for typed in ("", "n", "maybe"):
        status, shown, said = command("shutdown-all-workers", typed=typed)
        assert (status, shown) == (1, "")
        assert "1 worker (plant-1)" in said
        assert "Nothing was done." in said
    assert api.store.orders.waiting([linked.id]) == []
    with obedient(api, linked, state=WorkerState.TERMINATING) as had:
        status, rows, said = command("shutdown-all-workers", *PATIENT, typed="y")
    assert (status, results(rows)) == (0, {"plant-1": ("done", "")})
    assert "?" in said
    assert [order.kind for order in had] == ["shutdown"]


def test_with_yes_it_does_not_ask(api, command):
    workers = [api.worker("plant-1"), api.worker("plant-2", state=WorkerState.RUNNING)]
    with obedient(api, *workers, state=WorkerState.TERMINATING) as had:
        status, rows, said = command("shutdown-all-workers", "--yes", *PATIENT)
    assert status == 0
    assert "?" not in said
    assert {row["result"] for row in rows} == {"done"}
    assert {order.worker_id for order in had} == {worker.id for worker in workers}


def test_where_nobody_can_be_asked_nothing_is_shut_down(api, command):
    worker = api.worker("plant-1")
    status, _, said = command("shutdown-all-workers")
    assert status == 1
    assert "--yes" in said
    assert api.store.orders.waiting([worker.id]) == []


def test_those_out_of_reach_are_not_waited_for(api, command):
    here, silent, asked = api.worker("here"), api.worker("silent"), api.worker("asked")
    api.store.orders.give(asked.id, Wish("maintenance", "where is it?"), by="ada", now=datetime.now(UTC))
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    api.store.workers.seen({silent.id: WorkerState.UNKNOWN, asked.id: WorkerState.UNKNOWN}, {}, now=long_ago)
    assert api.store.workers.get(asked.id).state is WorkerState.MAINTENANCE_REQUEST
    with obedient(api, here, state=WorkerState.TERMINATING):
        status, rows, _ = command("shutdown-all-workers", "--yes", *PATIENT)
    assert (status, results(rows)) == (0, {"here": ("done", "")})


@pytest.mark.parametrize(
    ("words", "event"),
    [
        (("revoke-worker", "nobody"), "revoke"),
        (("remote-edge-worker-request-maintenance", "nobody", "-c", "why"), "maintenance"),
        (("set-disconnect-grace", "nobody", "12h"), "disconnect grace"),
        (("enroll-token", "revoke", "1f0c6f0e-5d8b-4c55-9a55-0d6f3f0c8a4e"), "revoke enrolment token"),
        (("enroll-token", "create", "--team", "red"), "create enrolment token"),
    ],
)
def test_what_was_wanted_of_what_there_is_not_is_noted(api, command, words, event):
    assert command(*words, output=None)[0] == 1
    ((noted, _, extra),) = api.audit()
    assert noted == f"edge_worker.{event}"
    assert json.loads(extra)["outcome"].startswith("refused: There is no" if "create" not in words else "refused: This")


def test_one_that_is_gone_does_not_keep_the_others_from_it(api, command):
    api.worker("plant-1")
    status, rows, said = command("revoke-worker", "gone", "plant-1")
    assert (status, "revoke: 1 worker (plant-1)" in said) == (1, True)
    gone = ("refused", "it is not there any more; see: airflow edge list-workers")
    assert results(rows) == {"gone": gone, "plant-1": ("done", "")}
    status, out, said = command("set-disconnect-grace", "gone", "plant-1", "12h", output=None)
    assert (status, "Jobs of 'plant-1' are waited for 12h" in out) == (1, True)
    assert "'gone': it is not there any more" in said
    assert set(results(command("restart-worker", "gone", "away")[1])) == {"gone", "away"}


def test_graces_and_tokens_are_noted_with_their_outcome(api, command):
    api.worker("plant-1")
    command("set-disconnect-grace", "plant-1", "12h", output=None)
    _, made, _ = command("enroll-token", "create", "--api-url", "https://a.example")
    command("enroll-token", "revoke", made["id"], output=None)
    entries = [(event.removeprefix("edge_worker."), json.loads(extra)) for event, _, extra in api.audit()]
    assert entries[0] == (
        "disconnect grace",
        {"asked": ["plant-1"], "grace": "12h", "workers": {"plant-1": "done: its jobs are waited for 12h"}},
    )
    assert [(event, said["token"], said["outcome"]) for event, said in entries[1:]] == [
        ("create enrolment token", made["id"], "done"),
        ("revoke enrolment token", made["id"], "done"),
    ]


def test_where_no_worker_is_linked_there_is_nothing_to_ask(api, command):
    status, _, said = command("shutdown-all-workers", "--yes")
    assert (status, said.strip()) == (1, "No worker is linked.")


# What they show


def test_lists_say_what_fits(api, command):
    api.worker("plant-1", queues=("plc",))
    api.worker("plant-2", queues=("plc",), state=WorkerState.MAINTENANCE_MODE)
    api.worker("office", queues=("default",))
    for _ in range(3):
        api.queue(queue="plc")
    api.queue(queue="default", dag_id="other")

    _, rows, _ = command("list-workers", "-q", "plc", "-s", "idle")
    assert [row["name"] for row in rows] == ["plant-1"]
    _, rows, _ = command("list-queues")
    found = {row["queue"]: (row["queued"], row["running"], row["workers"], row["ready_workers"]) for row in rows}
    assert found == {"plc": (3, 0, 2, 1), "default": (1, 0, 1, 1)}
    _, rows, said = command("list-jobs", "-q", "plc", "--limit", "2")
    assert {(row["queue"], row["state"]) for row in rows} == {("plc", "queued")}
    assert "newest 2 of 3" in said
    _, rows, _ = command("list-jobs", "--dag-id", "other")
    assert [row["dag_id"] for row in rows] == ["other"]
    for output in ("table", "plain", "yaml"):
        _, text, _ = command("list-workers", output=output)
        assert "plant-2" in text
    status, _, said = command("list-workers", "-s", "asleep")
    assert status == 1
    assert "maintenance mode" in said


def test_a_list_for_people_is_short_and_marks_trouble(api, command, monkeypatch):
    # The API of these tests is one with a gateway, which leaves a mark now and then: none counts as alive here.
    monkeypatch.setattr("airflow_edge.rules.processes.ALIVE_FOR", timedelta(days=-1))
    api.worker("plant-1", queues=tuple(f"queue-{number}" for number in range(30)))
    troubled = api.worker("plant-2")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    api.store.workers.seen({troubled.id: WorkerState.UNKNOWN}, {}, now=long_ago)
    job_id = api.queue(queue="plc", run_id="manual__2026-11-28T10:00:00+00:00_AbCdEfGh", dag_id="a" * 60)
    for name in ("list-workers", "list-jobs", "list-queues"):
        status, text, said = command(name, output="table")
        assert status == 0
        assert max(map(len, text.splitlines())) <= 120, text
        assert "No API server that serves edge workers has been alive" in said
        _, wide, _ = command(name, output="wide")
        assert max(map(len, wide.splitlines())) >= max(map(len, text.splitlines()))
    _, text, said = command("list-workers", output="table")
    (row,) = [line for line in text.splitlines() if "plant-2" in line]
    assert row.split("|")[0].strip() == "!"
    assert "5 min ago" in row
    assert "2 workers: 1 idle, 1 unknown; 1 in trouble." in said
    _, text, _ = command("list-jobs", output="table")
    assert str(job_id)[:8] in text
    _, text, _ = command("list-queues", output="table")
    assert "! nobody serves it" in text


def test_a_job_is_explained_by_the_beginning_of_its_id(api, command):
    job_id = api.queue()
    assert "no such task instance" in command("explain-job", str(job_id)[:8], output=None)[1]
    assert "no such task instance" in command("explain-job", str(job_id), output=None)[1]
    status, _, said = command("explain-job", "0000" if str(job_id)[0] != "0" else "ffff", output=None)
    assert (status, "list-jobs" in said) == (1, True)
    status, _, said = command("explain-job", "a-dag", output=None)
    assert (status, "DAG RUN TASK" in said) == (1, True)


def test_other_machines_with_a_workers_key_are_shown_until_they_stop(api, command):
    worker = api.worker("press-7", host_name="pi-1", address="10.0.0.7")
    now = datetime.now(UTC)
    for number, ago in enumerate((0, 30, 600)):
        other = OtherInstance(
            instance=str(number),
            host_name=f"copy-{number}",
            address=f"10.0.0.{number}",
            last_tried_at=now - timedelta(seconds=ago),
        )
        api.store.instances.note_other(worker.id, other)
    (row,) = command("list-workers")[1]
    assert row["other_instances"].startswith("2 other machines try to use this worker's key, last 'copy-0' at 10.0.0.0")
    (item,) = api.get("/workers")["items"]
    assert (item["host_name"], item["address"]) == ("pi-1", "10.0.0.7")
    assert [one["host_name"] for one in item["other_instances"]] == ["copy-0", "copy-1"]


def test_one_that_is_out_of_reach_is_shown_so_whatever_was_asked_of_it(api, command):
    here, away = api.worker("here"), api.worker("away")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    api.store.workers.seen({away.id: WorkerState.IDLE}, {}, now=long_ago)
    for worker in (here, away):
        api.store.orders.give(worker.id, Wish("maintenance", "moved"), by="ada", now=datetime.now(UTC))
    # Nobody has noticed yet, whatever the clock of whoever asks may say.
    assert {row["unreachable_since"] for row in command("list-workers")[1]} == {""}
    api.store.workers.mark_unreachable({away.id: Silence(long_ago, datetime.now(UTC))})
    _, rows, _ = command("list-workers")
    shown = {row["name"]: (row["state"], row["unreachable_since"]) for row in rows}
    since = long_ago.isoformat(timespec="seconds")
    assert shown == {"here": ("maintenance request", ""), "away": ("maintenance request", since)}


def test_the_oldest_of_a_queue_is_shown(api, command):
    before = datetime.now(UTC) - timedelta(seconds=1)
    api.queue(queue="plc")
    ((row,),) = (command("list-queues")[1],)
    (job,) = api.store.fleet.find_jobs(JobFilter(), limit=1).items
    assert row["oldest_queued_at"] == job.queued_at.isoformat(timespec="seconds")
    assert datetime.fromisoformat(row["oldest_queued_at"]) >= before.replace(microsecond=0)


def test_a_task_is_explained_in_one_sentence(api, command):
    status, text, _ = command("explain-job", "no-dag", "run", "task", output=None)
    assert status == 0
    assert text.strip().startswith("Airflow has no such task instance")
    assert len(text.strip().splitlines()) == 1


def test_what_was_done_before_something_failed_is_in_the_audit_log(api, command, monkeypatch):
    api.worker("a")
    api.worker("b")
    revoke = Workers.revoke

    def revoke_but_b(desk, name, *, now):
        if name == "b":
            raise OperationalError("UPDATE", {}, Exception("the connection was lost"))
        return revoke(desk, name, now=now)

    monkeypatch.setattr(Workers, "revoke", revoke_but_b)
    status, _, said = command("revoke-worker", "*")
    assert status == 3
    assert "the connection was lost" in said
    [(event, _, extra)] = api.audit()
    assert (event, json.loads(extra)["workers"]) == ("edge_worker.revoke", {"a": "done"})
