"""Commands of `airflow edge` with real agents behind them; what each prints in which case is shown in `admin`."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from airflow_edge.agent.errors import RefusedError
from tests.integration.fleet.fleet import linked


@pytest.fixture
def command(airflow_database, monkeypatch):
    """Call a command as Airflow calls it; gives its exit status and what it printed."""
    from airflow.cli.cli_parser import get_parser

    # The tables were made without migrations.
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")

    def run(arguments: argparse.Namespace) -> tuple[int | str | None, str]:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(io.StringIO()):
            try:
                arguments.func(arguments)
            except SystemExit as end:
                return end.code, printed.getvalue()
        return 0, printed.getvalue()

    async def call(*words: str) -> tuple[int | str | None, Any]:
        status, printed = await asyncio.to_thread(run, get_parser().parse_args(["edge", *words]))
        return status, json.loads(printed) if "json" in words else printed.strip()

    return call


async def test_shutdown_all_workers(centre, tmp_path, command):
    async with linked(centre, tmp_path / "1") as resting, linked(centre, tmp_path / "2") as busy:
        # What other tests have killed counts as linked.
        for worker in busy.fleet.linked():
            if worker.id not in {resting.site.id, busy.site.id}:
                busy.fleet.revoke(worker)
        (job,) = await busy.run_jobs(1)
        status, rows = await command("shutdown-all-workers", "--yes", "--wait", "60", "-o", "json")
        assert status == 0
        assert {row["worker"]: row["result"] for row in rows} == {resting.site.name: "done", busy.site.name: "done"}
        assert await resting.agent.ended() == 0
        await resting.becomes("offline")
        await busy.becomes("terminating")
        await busy.finish(job)
        assert await busy.agent.ended() == 0
        await busy.becomes("offline")
        assert await command("shutdown-all-workers", "--yes") == ("No worker is linked.", "")


async def test_a_worker_its_queue_and_its_task_are_shown(centre, tmp_path, command):
    async with linked(centre, tmp_path) as worker:
        task = centre.task_instance(worker.queue)
        dag, run = centre.dag_of(task), "run"
        job = str(centre.queue(worker.queue, workload_id=task, dag_id=dag, run_id=run).id)
        await worker.runtime.until(lambda: job in worker.running, patience=30)
        await worker.becomes("running")
        await centre.wait_for_state(job, "running")
        _, (row,) = await command("list-workers", "-q", worker.queue, "-o", "json")
        assert (row["name"], row["state"], row["concurrency"]) == (worker.site.name, "running", 8)
        _, (row,) = await command("list-jobs", "--worker", worker.site.name, "-o", "json")
        assert (row["id"], row["dag_id"], row["state"], row["queue"]) == (job, dag, "running", worker.queue)
        _, rows = await command("list-queues", "-o", "json")
        (row,) = [row for row in rows if row["queue"] == worker.queue]
        assert (row["queued"], row["running"], row["workers"], row["ready_workers"]) == (0, 1, 1, 1)
        for state, said in [("queued", "Worker '{}' accepted it at "), ("running", "It runs on worker '{}' since ")]:
            centre.set_task_state(task, state)
            status, sentence = await command("explain-job", dag, run, "task")
            assert (status, sentence.startswith(said.format(worker.site.name))) == (0, True), sentence


async def test_a_worker_that_is_revoked_ends_and_is_forgotten(centre, tmp_path, command):
    async with linked(centre, tmp_path) as worker:
        status, (row,) = await command("remove-remote-edge-worker", worker.site.name, "-o", "json")
        assert (status, row["result"]) == (1, "refused")
        assert (await command("revoke-worker", worker.site.name))[0] == 0
        assert await worker.agent.ended() == RefusedError.exit_status
        assert "revoked" in worker.agent.log.read_text()
        assert (await command("remove-remote-edge-worker", worker.site.name))[0] == 0
        assert centre.store.workers.get(worker.site.id) is None
