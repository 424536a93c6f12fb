"""The owner of the machine has the last word: the agent refuses what the site policy does not allow."""

from __future__ import annotations

import json
from functools import partial

import pytest

from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import LOG_FILE, SiteTerms
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.fleet.closing import Closure
from tests.integration.fleet.fleet import linked, workload
from tests.integration.gateway.world import wait_until

pytestmark = pytest.mark.one_database


def write(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.replace(path)


async def test_what_the_owner_bars_fails_with_the_sentence_and_what_he_closes_waits(centre, tmp_path):
    path = tmp_path / "policy.toml"
    write(path, 'dags = ["press_*"]')
    async with linked(centre, tmp_path, AIRFLOW__EDGE__SITE_POLICY=str(path)) as worker:
        queue = partial(centre.queue, worker.queue)
        barred = queue(workload=workload("oven", "run", "task"), dag_id="oven")
        allowed = queue(workload=workload("press_7", "run", "task"), dag_id="press_7", log_path="allowed.log")
        await centre.wait_for_state(str(barred.id), "failed")
        sentence = (
            f"worker '{worker.site.name}' refused it by its owner's site policy ({path} on that machine): "
            "Dag 'oven' is none of its dags"
        )
        assert centre.store.fleet.history_of(barred.id).job.reason == sentence
        assert centre.store.refusals.of_log(barred.log_path) == [sentence]
        await centre.wait_for_state(str(allowed.id), "running")
        await worker.finish(str(allowed.id))

        # It learns of it by itself.
        write(path, 'queues = ["other"]')
        why = f"by its owner's site policy ({path} on that machine): it is none of its queues"

        def glance():
            return centre.store.fleet.glance_at(worker.site.name)

        await wait_until(lambda: glance().closed, lambda closed: bool(closed), patience=30)
        assert glance().closed == {worker.queue: Closure(why, for_good=True)}
        shown = await worker.status()
        assert (shown["site_policy"], shown["closed_queues"]) == (f"{path}: queues other", {worker.queue: why})
        waiting = queue(workload=workload("press_7", "run", "task"), dag_id="press_7", log_path="waiting.log")

        # Something that it makes nothing of changes nothing, and both ends say so.
        write(path, "queues = [")
        await wait_until(lambda: glance().warnings, lambda said: "its last good version counts" in said, patience=30)
        assert glance().conditions == ""
        found = centre.store.fleet.history_of(waiting.id).job
        assert (found.state, found.assignment) == (JobState.QUEUED, 0)

        write(path, 'dags = ["press_*"]')
        await centre.wait_for_state(str(waiting.id), "running")
        await worker.finish(str(waiting.id))


async def test_no_more_of_a_log_leaves_than_its_owner_lets_and_the_centre_has_it_complete(centre, tmp_path):
    path = tmp_path / "policy.toml"
    write(path, 'users = ["report"]\nmax_log = "1 KiB"')
    async with linked(centre, tmp_path, AIRFLOW__EDGE__SITE_POLICY=str(path)) as worker:
        job = centre.queue(worker.queue, workload=workload("press_7", "run", "task"), log_path="long.log")
        await centre.wait_for_state(str(job.id), "running")
        key = AssignmentKey(str(job.id), 1)
        terms = SiteTerms(policy=str(path), users=("report",), max_log=1024)
        assert worker.runtime.jobs[key].terms == terms
        written = b"".join(b'{"event": "line %d"}\n' % number for number in range(1000))
        log = worker.runtime.folders[key] / LOG_FILE
        log.write_bytes(written)
        await worker.finish(str(job.id))

        [part] = await wait_until(
            lambda: centre.store.logs.parts(job.log_path), lambda parts: bool(parts) and parts[0].complete, patience=30
        )
        got = b"".join(centre.store.logs.read(part.id))
        assert got.startswith(written[:1024] + b"\n{")
        assert "policy.toml on that machine): no more than 1024 bytes" in json.loads(got[1025:])["event"]
        kept = worker.config.kept_logs_dir / str(key) / LOG_FILE
        assert await wait_until(lambda: kept.exists() and kept.read_bytes(), lambda there: bool(there)) == written
