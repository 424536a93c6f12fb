"""A copied state folder: a key is one machine's, whoever else has it; and what is one machine stays one."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from contextlib import asynccontextmanager

from airflow_edge.agent.machine.place import look_around
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime
from tests.integration.fleet.fleet import FleetWorker, linked
from tests.integration.gateway.world import wait_until

IMPATIENT = ("--refused-wait", "0.4")


def copied(worker: FleetWorker, folder, *, is_told: bool = True) -> FleetWorker:
    """A machine with a copy of a worker's state folder, that was not started yet.

    :param is_told: it can be told from the other machine by what is known of machines
    """
    copy = object.__new__(FleetWorker)
    copy.__dict__.update(worker.__dict__)
    state = folder / "state"
    sockets = shutil.ignore_patterns("*.sock")
    shutil.copytree(worker.config.state_dir, state, ignore=sockets)
    copy.config = type(worker.config)(state_dir=state, concurrency=8)
    copy.runtime = Runtime(copy.config.runtime_socket)
    copy.agent = Agent(copy.config, worker.agent.environment | {"AIRFLOW__EDGE__STATE_DIR": str(state)})
    copy.agent.arguments = IMPATIENT
    if not is_told:
        stored = json.loads(copy.config.instance_file.read_bytes())
        here = look_around(state)
        stored["place"] |= {"folder": here.folder, "inode": here.inode}
        copy.config.instance_file.write_text(json.dumps(stored))
    return copy


@asynccontextmanager
async def running(copy: FleetWorker):
    await copy.runtime.start()
    await copy.start()
    try:
        yield copy
    finally:
        with contextlib.suppress(ProcessLookupError):
            copy.agent.signal(signal.SIGCONT)
        await copy.agent.kill()
        print(copy.agent.log.read_text())
        await copy.runtime.stop()


def refused(status) -> bool:
    return status["link"]["state"] == "refused" and "another machine uses this worker's key" in status["link"]["reason"]


def instance_of(worker: FleetWorker) -> str:
    return json.loads(worker.config.instance_file.read_bytes())["id"]


async def test_a_copy_is_refused_as_long_as_the_first_lives_and_takes_over_when_it_has_gone(centre, tmp_path):
    async with linked(centre, tmp_path / "first") as first:
        (job,) = await first.run_jobs(1)
        async with running(copied(first, tmp_path / "copy")) as copy:
            status = await copy.shows(refused)
            assert "enrol this one by itself" in status["link"]["reason"]
            await copy.shows(lambda status: any("another machine uses" in one for one in status["conditions"]))
            row = await wait_until(first.row, lambda row: bool(row.other_instances))
            (other,) = row.other_instances
            assert (other.instance, other.address) == (instance_of(copy), "127.0.0.1")
            # It tries again and again, and the one that has the key has no trouble by it.
            await wait_until(first.row, lambda row: row.other_instances[0].last_tried_at > other.last_tried_at)
            assert (first.row().link_id, first.row().state) == (row.link_id, "running")
            assert centre.job(job).state == "running"
            await first.finish(job)
            first.agent.signal(signal.SIGTERM)
            await first.agent.ended()
            await copy.shows(lambda status: status["link"]["state"] == "linked")
            await copy.becomes("idle")
            (another,) = await copy.run_jobs(1)
            await copy.finish(another)


async def test_a_copy_leaves_the_tasks_of_a_machine_that_is_out_of_reach_to_it(centre, tmp_path):
    async with linked(centre, tmp_path / "first", PYTHONUNBUFFERED="1") as first:
        (job,) = await first.run_jobs(1)
        first.agent.arguments = IMPATIENT
        copy = copied(first, tmp_path / "copy")
        with first.unreachable():
            await first.becomes("unknown")
            async with running(copy):
                await copy.becomes("idle")
                assert (await copy.status())["jobs"] == []
                assert centre.job(job).state == "running"
                assert str(centre.job(job).instance) == instance_of(first)
                (another,) = await copy.run_jobs(1)
                # The first is back: it is refused in its turn, and its task runs on.
                first.agent.signal(signal.SIGCONT)
                status = await first.shows(refused)
                assert [one["job_id"] for one in status["jobs"]] == [job]
                await copy.finish(another)
                assert (centre.job(job).state, first.running) == ("running", {job})
                copy.agent.signal(signal.SIGTERM)
                await copy.agent.ended()
        await first.shows(lambda status: status["link"]["state"] == "linked")
        await first.finish(job)
        assert centre.job(job).instance is None


async def test_a_copy_that_nothing_tells_from_the_first_is_told_by_who_lives(centre, tmp_path):
    async with linked(centre, tmp_path / "first") as first:
        (job,) = await first.run_jobs(1)
        copy = copied(first, tmp_path / "copy", is_told=False)
        assert instance_of(copy) == instance_of(first)
        async with running(copy):
            # It has found out that it is the copy, and begins a life of its own, without the jobs that it has not.
            await wait_until(lambda: instance_of(copy), lambda one: one != instance_of(first))
            status = await copy.shows(lambda status: refused(status) and status["instance"] == instance_of(copy))
            assert status["jobs"] == []
            assert centre.job(job).state == "running"
            await first.finish(job)


async def test_a_restart_is_the_same_instance_and_is_not_made_to_wait(centre, tmp_path):
    async with linked(centre, tmp_path) as worker:
        (job,) = await worker.run_jobs(1)
        before, row = instance_of(worker), worker.row()
        await worker.crash()
        await worker.start()
        await wait_until(worker.row, lambda now: now.link_id != row.link_id)
        assert (instance_of(worker), worker.row().other_instances) == (before, ())
        assert centre.job(job).state == "running"
        await worker.finish(job)


async def test_a_key_without_the_rest_of_its_state_folder_is_another_instance(centre, tmp_path):
    async with linked(centre, tmp_path / "first") as first:
        (job,) = await first.run_jobs(1)
        copy = copied(first, tmp_path / "copy")
        for path in copy.config.state_dir.iterdir():
            if path != copy.config.identity_file:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        async with running(copy):
            await copy.shows(refused)
            await first.finish(job)
