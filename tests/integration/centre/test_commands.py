from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from airflow_edge.admin.tokens import verify_key
from airflow_edge.protocol.states import WorkerState
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.workers.workers import LinkFacts
from harness import environments
from harness.airflow import Airflow, MigratedDatabases
from harness.database import SqliteFiles
from tests.contract.world import accepted, capacity, new_job
from tests.integration.airflow_here import airflow_command, airflow_configured


@pytest.fixture(scope="module")
def airflow(tmp_path_factory) -> Iterator[Airflow]:
    """A centre whose commands can be run in this process, too."""
    folder = tmp_path_factory.mktemp("commands")
    database = MigratedDatabases(SqliteFiles(folder), folder, venv=environments.centre()).create("commands")
    airflow = Airflow(folder / "airflow", database, venv=environments.centre(), dags=folder)
    with airflow_configured(
        {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
            "AIRFLOW__API__BASE_URL": airflow.url,
            "AIRFLOW__CORE__FERNET_KEY": airflow.fernet_key,
        }
    ):
        yield airflow


def edge(*words: str) -> str:
    """Run a command that succeeds; gives what it printed."""
    done = airflow_command("edge", *words)
    assert done.status == 0, done.err
    return done.out


@pytest.fixture
def store(airflow: Airflow) -> Store:
    from sqlalchemy.orm import sessionmaker

    return Store(sessionmaker(airflow.database.engine(), expire_on_commit=False))


def audit(airflow: Airflow) -> list[tuple[str, str]]:
    return [(row["event"], row["extra"]) for row in airflow.database.rows("SELECT event, extra FROM log ORDER BY id")]


def test_a_token_is_made_shown_once_and_opens_what_it_says(airflow: Airflow, store: Store) -> None:
    words = ["-q", "gpu, größe", "--ttl", "7d", "--uses", "2", "-n", "factory-7"]
    words += ["--disconnect-grace", "12h", "-o", "json"]
    made = json.loads(airflow.cli("edge", "enroll-token", "create", *words))
    assert re.fullmatch(r"edge_[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{22}", made["token"])
    assert made["command"] == f"airflow-edge enroll {airflow.url} {made['token']} --name factory-7"
    (token,) = [token for token in store.enroll_tokens.all() if str(token.id) == made["id"]]
    assert (token.queues, token.team_name, token.uses_left) == (("gpu", "größe"), None, 2)
    assert abs(token.expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=2)
    worker = store.enroll_tokens.enroll(verify_key(made["token"]), "factory-7", b"k" * 32, now=datetime.now(UTC))
    assert worker.disconnect_grace == timedelta(hours=12)
    assert made["token"] not in str(airflow.database.rows("SELECT * FROM airflow_edge_enroll_token"))
    assert made["token"] not in str(airflow.database.rows("SELECT * FROM log"))
    assert any("enroll" in event and "create" in event for event, _ in audit(airflow))


def test_a_team_that_no_task_can_belong_to_is_refused(airflow: Airflow, store: Store) -> None:
    before = len(store.enroll_tokens.all())
    done = airflow_command("edge", "enroll-token", "create", "--team", "red")
    assert done.status != 0
    assert "multi_team" in done.err
    assert len(store.enroll_tokens.all()) == before


def test_the_command_for_the_site_can_be_pasted(airflow: Airflow) -> None:
    text = edge("enroll-token", "create", "--api-url", "https://a.example/air flow/")
    (command,) = [line.strip() for line in text.splitlines() if line.strip().startswith("airflow-edge enroll")]
    words = shlex.split(command)
    assert words[:3] == ["airflow-edge", "enroll", "https://a.example/air flow"]
    assert words[3].startswith("edge_")
    assert len(words) == 4
    assert "default" in text


def test_a_token_is_listed_and_revoked(airflow: Airflow) -> None:
    made = json.loads(edge("enroll-token", "create", "-o", "json"))

    def states() -> dict[str, str]:
        tokens = json.loads(edge("enroll-token", "list", "-o", "json"))
        return {token["id"]: token["state"] for token in tokens}

    assert states()[made["id"]] == "valid"
    edge("enroll-token", "revoke", made["id"])
    assert states()[made["id"]] == "revoked"
    assert any("revoke" in event and made["id"] in extra for event, extra in audit(airflow))


def test_workers_are_listed_and_revoked(airflow: Airflow, store: Store) -> None:
    store.enroll_tokens.enroll_trusted("wörker", b"w" * 32, ["a", "b"], now=datetime.now(UTC))

    def listed() -> dict[str, dict[str, object]]:
        return {one["name"]: one for one in json.loads(edge("list-workers", "-o", "json"))}

    worker = listed()["wörker"]
    assert (worker["state"], worker["queues"]) == ("offline", ["a", "b"])
    assert "a,b" in edge("list-workers")
    edge("revoke-worker", "wörker")
    assert listed()["wörker"]["state"] == "revoked"
    assert any("revoke_worker" in event for event, _ in audit(airflow))


def test_a_worker_out_of_reach_is_shown_with_its_grace(airflow: Airflow, store: Store) -> None:
    away = store.enroll_tokens.enroll_trusted("away", b"a" * 32, ["q"], now=datetime.now(UTC))
    seen = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    link = LinkFacts(
        link_id=uuid4(),
        gateway_id="",
        transport="",
        boot_id="",
        agent_version="",
        airflow_version="",
        concurrency=1,
        state=WorkerState.UNKNOWN,
    )
    store.workers.link({away.id: link}, now=seen)
    with Session(airflow.database.engine()) as session:
        queueing.add_job(session, new_job(queue="q"), now=seen)
        session.commit()
    (job,) = store.queue.claim([capacity(away.id, "q")], lease_until=seen + timedelta(days=1), now=seen).jobs
    store.jobs.settle(away.id, [accepted(job)], now=seen)

    def shown() -> tuple[object, ...]:
        (row,) = [row for row in json.loads(edge("list-workers", "-o", "json")) if row["name"] == "away"]
        return row["unreachable_since"], row["running_jobs_lost_after"], row["disconnect_grace"]

    def time(hours: float) -> str:
        return (seen + timedelta(hours=hours)).isoformat(timespec="seconds")

    said = edge("set-disconnect-grace", "away", "36h")
    assert "'away' are waited for 36h" in said
    assert shown() == (time(0), time(36), "36h")
    edge("set-disconnect-grace", "away", "default")
    assert shown() == (time(0), time(0.25), "")
    assert any("set_disconnect_grace" in event for event, _ in audit(airflow))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["set-disconnect-grace", "nobody", "12h"], "list-workers"),
        (["set-disconnect-grace", "nobody", "soon"], "12h or 2d"),
        (["revoke-worker", "nobody"], "list-workers"),
        (["enroll-token", "revoke", "42"], "enroll-token list"),
        (["enroll-token", "create", "--ttl", "soon"], "7d"),
        (["enroll-token", "create", "-q", ","], "--queues default,gpu"),
        (["enroll-token", "create", "--api-url", "airflow.example"], "--api-url https://"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(airflow: Airflow, words: list[str], hint: str) -> None:
    done = airflow_command("edge", *words)
    assert done.status != 0
    assert hint in done.err
    assert "Traceback" not in done.err


def test_the_sites_commands_are_passed_on_as_they_are(tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def run(*command: str | Path) -> tuple[int, str]:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )
        return result.returncode, result.stdout.replace("airflow edge", "airflow-edge")

    venv = environments.centre()
    for words in (["worker", "--help"], ["stop", "--wait"], ["status"], ["worker", "--no-such-option", "-x", "1"]):
        assert run(venv / "bin" / "airflow", "edge", *words) == run(venv / "bin" / "airflow-edge", *words)
