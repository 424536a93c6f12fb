"""Large logs of many tasks at once, over a link that breaks every few seconds, from an agent that dies."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.waiting import wait_for
from tests.chaos.deployment import open_deployment
from tests.chaos.stage import START_TIMEOUT, Stage

pytestmark = pytest.mark.chaos

TASKS = 20
LINES = int(os.environ.get("LOG_LINES", "50000"))
"""Lines of each task, of a hundred bytes or so; the default is 5 MB."""
BETWEEN_CUTS = 3.0
PATIENCE = 1200.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with open_deployment(
        tmp_path_factory.mktemp("logs"),
        places=["site-1"],
        dags=["work_at_site-1"],
        queues=["anywhere"],
        own_queues=True,
        concurrency=TASKS,
    ) as deployment:
        yield deployment


def test_every_line_arrives_once_whatever_breaks(deployment, tmp_path):
    stage = Stage(deployment)
    place = stage.place("site-1")
    works = [stage.work_at("site-1", lines=LINES) for _ in range(TASKS)]
    works[0].waits_for("start")
    crashes = [TASKS // 4, TASKS // 2]
    """So many logs are at the centre when the agent is killed."""
    deadline = time.monotonic() + PATIENCE
    next_cut = time.monotonic() + BETWEEN_CUTS
    while (complete := sum(_complete(deployment).values())) < TASKS:
        assert time.monotonic() < deadline
        keep_logs(place.site.state_dir, tmp_path)
        if time.monotonic() >= next_cut:
            place.proxy.cut()
            next_cut = time.monotonic() + BETWEEN_CUTS
        if crashes and complete >= crashes[0]:
            crashes.pop(0)
            place.site.crash()
            place.site.start_worker(concurrency=TASKS, linked=False)
        time.sleep(0.05)
    assert not crashes
    stage.heal()
    stored = _digests(deployment)
    written = {
        path.name.partition(".")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()
    }
    assert stored == written
    for work in works:
        work.succeeds(timeout=START_TIMEOUT)
        work.is_well()


def keep_logs(state_dir: Path, kept: Path) -> None:
    """Give the log of every job a second name, under which it outlives its job's folder."""
    for log in state_dir.glob("jobs/*/task.log"):
        with suppress(FileExistsError, FileNotFoundError):
            (kept / log.parent.name).hardlink_to(log)


def _complete(deployment) -> dict[str, bool]:
    found = wait_for(
        lambda: deployment.rows("SELECT job_id, complete FROM airflow_edge_log UNION SELECT NULL, false"),
        "the database",
        timeout=START_TIMEOUT,
    )
    return {str(row["job_id"]): bool(row["complete"]) for row in found}


def _digests(deployment) -> dict[str, str]:
    """What the centre has checked its logs against."""
    rows = deployment.rows("SELECT job_id, sha256 FROM airflow_edge_log WHERE sha256_from = 0")
    return {str(row["job_id"]): row["sha256"] for row in rows or []}
