"""An API with callers, and what they find there."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.log import Log
from airflow.models.team import Team
from fastapi import FastAPI
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.processes import CentreProcess
from airflow_edge.rules.worker import Worker
from airflow_edge.store import queueing
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base, JobRow, WorkerRow
from airflow_edge.store.workers.workers import LinkFacts

TEAMS = ("red", "blue")

_names = count()


def add_teams(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(Team(name=name) for name in TEAMS)
        session.commit()


class Api:
    """Calls the API as somebody; makes workers and jobs for it to show."""

    def __init__(self, app: FastAPI, engine: Engine, roles: tuple[str, ...]) -> None:
        self.app = app
        self.sessions = sessionmaker(engine, autoflush=False, expire_on_commit=False)
        self.store = Store(self.sessions)
        self._roles = roles
        self._stack = ExitStack()

    def __enter__(self) -> Api:
        self.client = self._stack.enter_context(TestClient(self.app, base_url="http://centre"))
        self._tokens = {
            role: get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))
            for role in self._roles
        }
        # Named like their teams.
        self._tokens |= {
            team: get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=team, role="op", teams=[team]))
            for team in TEAMS
        }
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def headers(self, role: str | None) -> dict[str, str]:
        return {} if role is None else {"Authorization": f"Bearer {self._tokens[role]}"}

    def call(self, method: str, path: str, *, role: str | None = "admin", **options: Any) -> Any:
        return self.client.request(method, f"/edge_worker/api{path}", headers=self.headers(role), **options)

    def get(self, path: str, role: str = "viewer", **query: Any) -> Any:
        answer = self.call("GET", path, role=role, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], role: str = "op") -> Any:
        answer = self.call("POST", path, role=role, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def worker(self, name: str | None = None, state: WorkerState = WorkerState.IDLE, **fields: Any) -> Worker:
        """A worker that is linked, as far as the database knows."""
        name = name or f"worker-{next(_names)}"
        queues, team = fields.pop("queues", ("default",)), fields.pop("team", None)
        key = hashlib.sha256(uuid4().bytes).digest()
        worker = self.store.enroll_tokens.enroll_trusted(name, key, queues, now=datetime.now(UTC))
        facts = {
            "link_id": uuid4(),
            "gateway_id": "g",
            "transport": "WebSocket",
            "boot_id": "b",
            "agent_version": "1",
            "airflow_version": "3",
            "concurrency": 8,
        }
        if team is not None:
            with self.sessions() as session:
                session.execute(update(WorkerRow).where(WorkerRow.id == worker.id).values(team_name=team))
                session.commit()
        self.store.workers.link({worker.id: LinkFacts(**{**facts, "state": state, **fields})}, now=datetime.now(UTC))
        return worker

    def queue(self, **fields: Any) -> UUID:
        job = JobRow(
            **{
                "id": uuid4(),
                "kind": "task",
                "workload_id": uuid4(),
                "dag_id": "dag",
                "task_id": "task",
                "run_id": "run",
                "map_index": -1,
                "try_number": 1,
                "queue": "default",
                "team_name": None,
                "priority_weight": 1,
                "slots": 1,
                # Of no scheduler: the gateway in this process takes back what is one's that does not run.
                "owner": None,
                "log_path": "dag/run/task/1.log",
                "workload": "{}",
                **fields,
            }
        )
        with self.sessions() as session:
            queueing.add_job(session, job, now=datetime.now(UTC))
            session.commit()
        return job.id

    def audit(self) -> list[tuple[str, str | None, str | None]]:
        with self.sessions() as session:
            entries = session.scalars(select(Log).where(Log.event.like("edge_worker.%")).order_by(Log.id))
            return [(entry.event, entry.owner, entry.extra) for entry in entries]

    def gateway(self) -> None:
        """Have a gateway have left a mark just now."""
        seen = datetime.now(UTC)
        mark = CentreProcess(
            id=uuid4(), kind="gateway", host="centre", pid=7, version="1", executors="", started_at=seen, seen_at=seen
        )
        self.store.processes.mark(mark)

    def clear(self) -> None:
        with self.sessions() as session:
            for table in Base.metadata.sorted_tables:
                session.execute(table.delete())
            session.execute(delete(Log))
            session.commit()
