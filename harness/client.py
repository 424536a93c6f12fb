"""A small client of Airflow's public REST API (v2), as a person's script would be."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx

from harness.waiting import wait_for

NO_CAS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For a client that asks http:// only: one of its own would read all the CAs of the machine, for 20 ms each time."""

_PAGE = 100
_ENDED = frozenset({"success", "failed"})


class ApiError(Exception):
    """Airflow refused a call; the message holds its answer."""


@dataclass(frozen=True)
class TaskInstance:
    """A task instance as the API reports it. Times are aware datetimes, or None if that moment has not come."""

    task_id: str
    map_index: int
    try_number: int
    state: str | None
    hostname: str | None
    queue: str | None
    queued_when: datetime | None
    start_date: datetime | None
    end_date: datetime | None

    @property
    def queued_to_started(self) -> float:
        """Seconds from the moment the scheduler queued it to the moment its process reported for work."""
        assert self.queued_when is not None
        assert self.start_date is not None
        return (self.start_date - self.queued_when).total_seconds()


@dataclass(frozen=True)
class DagRun:
    """A Dag run as the API reports it."""

    dag_id: str
    run_id: str
    state: str
    start_date: datetime | None
    end_date: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


class Client:
    """Talks to one API server as one user. Every method raises `ApiError` when Airflow says no."""

    def __init__(self, url: str, *, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=NO_CAS)
        answer = self._http.post("/auth/token", json={"username": username, "password": password})
        self._http.headers["Authorization"] = f"Bearer {_checked(answer).json()['access_token']}"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """Any call below `/api/v2`; returns the decoded JSON, or None for an empty answer."""
        answer = _checked(self._http.request(method, f"/api/v2{path}", json=body, params=query))
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """What any address of the server's gives, as JSON."""
        return _checked(self._http.get(path, params=query)).json()

    def post(self, path: str, body: object) -> Any:
        """What any address of the server's answers to this, as JSON."""
        return _checked(self._http.post(path, json=body)).json()

    def wait_for_dags(self, dag_ids: Collection[str], *, timeout: float = 60) -> None:
        """Wait until these Dags are known; raises `ApiError` at once if a Dag file does not import."""

        def known() -> bool:
            if errors := self.call("GET", "/importErrors")["import_errors"]:
                raise ApiError("\n".join(f"{error['filename']}\n{error['stack_trace']}" for error in errors))
            return set(dag_ids) <= {dag["dag_id"] for dag in self._pages("/dags", "dags")}

        wait_for(known, f"the Dags {', '.join(sorted(dag_ids))}", timeout=timeout)

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def trigger(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        logical_date: str | None = None,
    ) -> DagRun:
        """Start a run of a Dag, now."""
        body: dict[str, Any] = {"logical_date": logical_date, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return _dag_run(self.call("POST", f"/dags/{dag_id}/dagRuns", body))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        return _dag_run(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def dag_runs(self, dag_id: str) -> list[DagRun]:
        return [_dag_run(run) for run in self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs")]

    def wait_for_run(self, run: DagRun, *, timeout: float = 120, check: Callable[[], None] = lambda: None) -> DagRun:
        """Wait until a run has succeeded or failed; a `TimeoutError` lists the states its tasks are in.

        `check` is called while waiting, and raises what makes waiting pointless.
        """

        def ended() -> DagRun | None:
            check()
            now = self.dag_run(run.dag_id, run.run_id)
            return now if now.ended else None

        try:
            return wait_for(ended, f"the end of {run.dag_id} {run.run_id}", timeout=timeout, interval=0.2)
        except TimeoutError as error:
            states = [f"{ti.task_id}[{ti.map_index}] {ti.state} (try {ti.try_number})" for ti in self.tasks(run)]
            raise TimeoutError(f"{error}: {', '.join(states)}") from None

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        """All task instances of a run, in their latest try."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        return [_task_instance(found) for found in self._pages(path, "task_instances")]

    def task(self, run: DagRun, task_id: str, map_index: int = -1) -> TaskInstance:
        path = _task_path(run, task_id)
        return _task_instance(self.call("GET", path if map_index < 0 else f"{path}/{map_index}"))

    def wait_for_task(
        self, run: DagRun, task_id: str, states: Collection[str], *, timeout: float = 60, try_number: int | None = None
    ) -> TaskInstance:
        """Wait until a task instance is in one of `states`, and in the given try if one is given."""

        def reached() -> TaskInstance | None:
            now = self.task(run, task_id)
            return now if now.state in states and try_number in (None, now.try_number) else None

        return wait_for(reached, f"{run.dag_id}.{task_id} to be {' or '.join(states)}", timeout=timeout)

    def log(self, run: DagRun, task_id: str, *, try_number: int = 1, map_index: int = -1) -> list[str]:
        """The messages of a task's log in order: a line that was written each, and one for each exception logged."""
        messages: list[str] = []
        for entry in self.log_entries(run, task_id, try_number=try_number, map_index=map_index):
            messages.append(entry["event"])
            messages += [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
        return messages

    def log_entries(
        self, run: DagRun, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> list[dict[str, Any]]:
        """The lines of a task's log with all that is known of each: event, timestamp, level, logger, …"""
        answer = self._http.get(
            f"/api/v2{_task_path(run, task_id)}/logs/{try_number}",
            params={"full_content": True, "map_index": map_index},
            headers={"Accept": "application/x-ndjson"},
        )
        return [json.loads(line) for line in _checked(answer).text.split("\n") if line]

    def log_after(
        self, run: DagRun, task_id: str, token: str | None = None, *, try_number: int = 1
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The lines of a task's log beyond the place `token` stands for, and the token to go on with.

        It is None once nothing more is expected; without one, a log is given from its beginning.
        """
        query = {} if token is None else {"token": token}
        answer = self.call("GET", f"{_task_path(run, task_id)}/logs/{try_number}", **query)
        return answer["content"], answer.get("continuation_token")

    @contextmanager
    def log_stream(self, run: DagRun, task_id: str, *, try_number: int = 1) -> Iterator[Iterator[bytes]]:
        """The bytes of a task's log as they come, JSON lines, asked for as Airflow's log page does."""
        path = f"/api/v2{_task_path(run, task_id)}/logs/{try_number}"
        headers = {"Accept": "application/x-ndjson"}
        with self._http.stream("GET", path, params={"map_index": -1}, headers=headers) as answer:
            if answer.is_error:
                answer.read()
            yield _checked(answer).iter_bytes()

    def xcom(
        self, run: DagRun, task_id: str, key: str = "return_value", *, map_index: int = -1, **region: object
    ) -> Any:
        """The value of one XCom, as JSON has it; `region` says which pass of a loop (Airflow 3.4)."""
        path = f"{_task_path(run, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, map_index=map_index, stringify=False, **region)["value"]

    def left_by(self, run: DagRun) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """The task instances, XComs (with their values) and asset events of a run, as the API gives them."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        xcoms = self._pages(f"{path}/~/xcomEntries", "xcom_entries")
        for each in xcoms:
            where = {
                name: each[name] for name in ("map_index", "region_id", "region_index") if each.get(name) is not None
            }
            each["value"] = self.xcom(run, each["task_id"], each["key"], **where)
        events = self._pages("/assets/events", "asset_events", source_dag_id=run.dag_id, source_run_id=run.run_id)
        return self._pages(path, "task_instances"), xcoms, events

    def clear(self, run: DagRun, task_ids: Sequence[str]) -> None:
        """Clear tasks of a run in whatever state they are, so that they run again."""
        body = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": list(task_ids), "only_failed": False}
        self.call("POST", f"/dags/{run.dag_id}/clearTaskInstances", body)

    def mark(self, run: DagRun, task_id: str, state: str) -> None:
        """Set a task instance's state to success, failed or skipped, as the UI's buttons do."""
        self.call("PATCH", _task_path(run, task_id), {"new_state": state})

    def set_variable(self, key: str, value: str) -> None:
        self.call("POST", "/variables", {"key": key, "value": value})

    def add_connection(self, conn_id: str, conn_type: str, **fields: object) -> None:
        self.call("POST", "/connections", {"connection_id": conn_id, "conn_type": conn_type, **fields})

    def _pages(self, path: str, field: str, **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, limit=_PAGE, offset=len(found), **params)
            found += page[field]
            if not page[field] or len(found) >= page["total_entries"]:
                return found


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise ApiError(f"{answer.request.method} {answer.request.url} → {answer.status_code}: {answer.text[:2000]}")
    return answer


def _task_path(run: DagRun, task_id: str) -> str:
    return f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}"


def _dag_run(fields: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=fields["dag_id"],
        run_id=fields["dag_run_id"],
        state=fields["state"],
        start_date=_time(fields["start_date"]),
        end_date=_time(fields["end_date"]),
    )


def _task_instance(fields: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=fields["task_id"],
        map_index=fields["map_index"],
        try_number=fields["try_number"],
        state=fields["state"],
        hostname=fields["hostname"],
        queue=fields["queue"],
        queued_when=_time(fields["queued_when"]),
        start_date=_time(fields["start_date"]),
        end_date=_time(fields["end_date"]),
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
