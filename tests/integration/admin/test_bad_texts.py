"""A text that no database and no statement for all takes is refused in words at each door, and nothing is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import product

import pytest
from sqlalchemy import select

from airflow_edge.store.base import Base
from airflow_edge.store.tables import WorkerRow
from tests.integration.airflow_here import airflow_command

pytestmark = pytest.mark.one_database

NO_TEXTS = {"NUL": "a\0b", "half of a pair": "a\ud800b"}
NO_QUEUES = NO_TEXTS | {
    "empty": "",
    "a newline at its end": "a\n",
    "a tab": "a\tb",
    "an escape": "\x1b[2Jx",
    "delete": "a\x7f",
    "another's line end": "a\u2028b",
    "too long": "q" * 257,
}

QUEUE_DOORS = {
    "/workers/queues/add": lambda bad: {"workers": ["w"], "queues": ["plc", bad]},
    "/workers/queues/remove": lambda bad: {"workers": ["w"], "queues": [bad]},
    "/queues/pause": lambda bad: {"queues": [bad]},
    "/queues/resume": lambda bad: {"queues": [bad]},
    "/enroll-tokens": lambda bad: {"queues": [bad], "api_url": "https://a.example"},
}
TEXT_DOORS = [
    ("/workers/maintenance", lambda bad: {"workers": ["w"], "comment": bad}),
    ("/workers/maintenance/comment", lambda bad: {"workers": ["w"], "comment": bad}),
    ("/workers/rename", lambda bad: {"worker": "w", "name": bad}),
    ("/workers/rename", lambda bad: {"worker": bad, "name": "x"}),
    ("/workers/shutdown", lambda bad: {"workers": ["w", bad]}),
    ("/workers/shutdown", lambda bad: {"match": {"name": bad}}),
    ("/workers/shutdown", lambda bad: {"match": {"queue": bad}}),
    ("/queues/pause", lambda bad: {"queues": ["plc"], "note": bad}),
    ("/queues/pause", lambda bad: {"queues": ["plc"], "team": bad}),
    ("/enroll-tokens", lambda bad: {"team": bad, "api_url": "https://a.example"}),
    ("/enroll-tokens", lambda bad: {"name_pattern": bad, "api_url": "https://a.example"}),
    ("/enroll-tokens", lambda bad: {"api_url": f"https://{bad}.example"}),
    ("/policy", lambda bad: {"text": f"modes: {{{bad}: report}}"}),
]
COMMANDS = [
    ("add-worker-queues", "w", "--queues"),
    ("remove-worker-queues", "w", "--queues"),
    ("pause-queue",),
    ("resume-queue",),
    ("enroll-token", "create", "--api-url", "https://a.example", "--queues"),
]
TEXT_COMMANDS = [
    ("remote-edge-worker-request-maintenance", "w", "--comments"),
    ("restart-worker",),
    ("list-workers", "--queue"),
    ("list-jobs", "--queue"),
    ("pause-queue", "plc", "--note"),
    ("enroll-token", "create", "--api-url", "https://a.example", "--name-pattern"),
]


@pytest.fixture
def unchanged(api, monkeypatch):
    """Something that says whether what is written down of edge workers is as it was."""
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    api.worker("w", queues=("default",))

    def content():
        with api.sessions() as session:
            return {name: session.execute(select(table)).all() for name, table in Base.metadata.tables.items()}

    before = content()
    return lambda: content() == before


def test_attack_01_a_bad_text_is_refused_at_each_door_of_the_rest_api(api, unchanged):
    wishes = [*product(QUEUE_DOORS.items(), NO_QUEUES.items()), *product(TEXT_DOORS, NO_TEXTS.items())]
    headers = {**api.headers("op"), "Content-Type": "application/json"}
    for (path, body), (kind, bad) in wishes:
        answer = api.client.post(f"/edge_worker/api{path}", content=json.dumps(body(bad)), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "malformed"), (path, kind, answer.text)
        assert len(answer.json()["detail"]) > 20, (path, kind)
        assert unchanged(), (path, kind)


def test_attack_01_a_bad_text_is_refused_by_each_command(unchanged):
    # What a shell passes on as a name is without blanks around it.
    bad_queues = {kind: bad for kind, bad in NO_QUEUES.items() if kind != "a newline at its end"}
    calls = [*product(COMMANDS, bad_queues.items()), *product(TEXT_COMMANDS, NO_TEXTS.items())]
    for words, (kind, bad) in calls:
        ended = airflow_command("edge", *words, bad)
        assert ended.status not in {0, None}, (words, kind)
        assert "Traceback" not in ended.err, (words, kind)
        assert ended.err.strip() or ended.out.strip(), (words, kind)
        assert unchanged(), (words, kind)


def test_a_name_that_no_door_lets_in_today_goes_with_the_next_change(api):
    worker = api.worker("w", queues=("default",))
    with api.sessions() as session:
        session.get(WorkerRow, worker.id).queues = ["default", "a\0b"]
        session.commit()
    changed = api.store.workers.change_queues(worker.id, add=["plc"], now=datetime.now(UTC))
    assert changed.queues == ("default", "plc")
