"""Collects the evidence: from the ledgers, from Airflow's tables, from ours, from the logs as Airflow shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any

from harness.client import Client, DagRun
from harness.database import Database
from tests.chaos.evidence import Assignment, Entry, Job, Log, TaskTry, Try

_LOG_LINE = re.compile(r"^chaos line (\d+) of (\d+)$")


def read_ledger(path: Path) -> list[Entry]:
    """Read a site's ledger. A line that was being written when its task was killed is no line."""
    entries = []
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    *whole, _ = text.split("\n")
    for line in whole:
        if line:
            fields = json.loads(line)
            entries.append(
                Entry(
                    Try(*fields["of"]),
                    fields["what"],
                    fields["worker"],
                    fields["time"],
                    fields["pid"],
                    fields.get("lines", 0),
                )
            )
    return entries


def read_tries(database: Database, dag_ids: Iterable[str]) -> list[TaskTry]:
    """Read every try of these Dags' task instances that Airflow knows, past ones included."""
    tries = []
    for table, latest in (("task_instance", True), ("task_instance_history", False)):
        columns = "dag_id, run_id, task_id, map_index, try_number, state"
        for row in _rows_of_dags(database, f"SELECT {columns} FROM {table}", dag_ids):
            of = Try(row["dag_id"], row["run_id"], row["task_id"], row["map_index"], row["try_number"])
            tries.append(TaskTry(of, row["state"], latest))
    return tries


def read_jobs(database: Database, dag_ids: Iterable[str]) -> list[Job]:
    """Read our jobs of these Dags, oldest first."""
    columns = (
        "job.dag_id, run_id, task_id, map_index, try_number, job.id, assignment, job.state, worker.name, reason,"
        " started_at, ended_at, booked_at, to_stop, log_complete, owner.id IS NOT NULL AS owned"
    )
    tables = (
        "airflow_edge_job AS job LEFT JOIN airflow_edge_worker AS worker ON worker.id = job.worker_id"
        " LEFT JOIN job AS owner ON owner.id = job.owner AND owner.state = 'running'"
    )
    rows = _rows_of_dags(database, f"SELECT job.queued_at, {columns} FROM {tables}", dag_ids, "job.dag_id")
    return [
        Job(
            Try(row["dag_id"], row["run_id"], row["task_id"], row["map_index"], row["try_number"]),
            Assignment(str(row["id"]), row["assignment"]),
            row["state"],
            row["name"],
            row["reason"] or "",
            row["started_at"] and row["started_at"].timestamp(),
            row["ended_at"] and row["ended_at"].timestamp(),
            row["booked_at"] is not None,
            bool(row["owned"]),
            bool(row["to_stop"]),
            bool(row["log_complete"]),
        )
        for row in sorted(rows, key=itemgetter("queued_at"))
    ]


def read_runs(database: Database, dag_ids: Iterable[str]) -> dict[str, str]:
    """Read the states of these Dags' runs, by run id."""
    return {
        row["run_id"]: row["state"] for row in _rows_of_dags(database, "SELECT run_id, state FROM dag_run", dag_ids)
    }


def read_logs(client: Client, entries: Iterable[Entry]) -> list[Log]:
    """Read the logs of all tries that began and had something to say, as a person sees who asks this API server."""
    entries = list(entries)
    lines = {entry.of: entry.lines for entry in entries if entry.lines}
    ended = {entry.of for entry in entries if entry.what == "end"}
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda of: _read_log(client, of, lines[of], whole=of in ended), lines))


def _read_log(client: Client, of: Try, expected: int, *, whole: bool) -> Log:
    run = DagRun(of.dag_id, of.run_id, "", None, None)
    messages = client.log(run, of.task_id, try_number=of.number, map_index=of.map_index)
    found = (_LOG_LINE.match(message) for message in messages)
    return Log(of, tuple(int(match[1]) for match in found if match), expected, whole)


def _rows_of_dags(
    database: Database, select: str, dag_ids: Iterable[str], column: str = "dag_id"
) -> Iterator[Mapping[str, Any]]:
    for dag_id in dag_ids:
        yield from database.rows(f"{select} WHERE {column} = :dag_id", dag_id=dag_id)
