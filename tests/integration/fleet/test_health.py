"""How a worker's machine is doing, and what follows from it; which versions are let work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_edge import __version__
from airflow_edge.agent.machine.system_info import ERROR
from airflow_edge.gateway.links import link
from airflow_edge.rules.metrics import SERIES, unpack
from airflow_edge.rules.versions import Rules
from tests.integration.fleet.fleet import HEARTBEAT, enrolled, linked
from tests.integration.gateway.world import wait_until

FUNCTION = """
import json, pathlib

async def info():
    return json.loads(pathlib.Path(__file__).with_name("said.json").read_text())
"""


class Health:
    """What the function of a site's own says."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said.json"
        (folder / "health_of_the_site.py").write_text(FUNCTION)
        self.says(status=20)
        self.environment = {
            "PYTHONPATH": str(folder),
            "AIRFLOW__EDGE__EXTENDED_SYSTEM_INFO_FUNCTION": "health_of_the_site.info",
            "AIRFLOW__EDGE__AUTOMATIC_MAINTENANCE_ON": "Error",
            "AIRFLOW__EDGE__AUTOMATIC_MAINTENANCE_EXIT": "Info",
        }

    def says(self, **facts: object) -> None:
        new = self._said.with_name("new")
        new.write_text(json.dumps(facts))
        new.replace(self._said)


async def hears(worker, name, value):
    await wait_until(lambda: worker.row().system.get(name), lambda seen: seen == value, patience=30)


async def test_into_maintenance_by_itself_and_out_of_it_across_a_restart_but_never_out_of_a_persons(centre, tmp_path):
    health = Health(tmp_path)
    async with linked(centre, tmp_path, **health.environment) as worker:
        [job] = await worker.run_jobs(1)
        health.says(status=40, status_text="the fan stands still", fan=0)
        await worker.becomes("maintenance pending", "the status is error: the fan stands still")
        assert worker.row().maintenance_cause == "system"
        await hears(worker, "fan", 0)
        status = await worker.status()
        assert (status["maintenance_cause"], status["system"]["fan"]) == ("system", 0)
        await worker.crash()
        health.says(status=20)
        await worker.start()
        await worker.becomes("running")
        assert worker.row().maintenance_cause is None
        await worker.finish(job)
        assert await worker.order("maintenance", "new fan") == ("done", "")
        for level in (40, 20):
            health.says(status=level)
            await hears(worker, "status", level)
        assert (worker.row().state, worker.row().maintenance_cause) == ("maintenance mode", "admin")
        assert await worker.order("exit maintenance") == ("done", "")
        await worker.becomes("idle")


async def test_a_function_that_fails_is_shown_and_stops_nothing(centre, tmp_path):
    health = Health(tmp_path)
    health.says(status="bad")
    async with linked(centre, tmp_path, **health.environment) as worker:
        shown = await wait_until(lambda: worker.row().system.get(ERROR), bool, patience=30)
        assert "its status is 'bad'" in str(shown)
        await worker.finish(*await worker.run_jobs(1))


async def test_measurements_are_kept_minute_by_minute(centre, tmp_path, monkeypatch):
    # A minute that a test can wait for.
    monkeypatch.setattr(link, "minute_of", int)
    with centre.gateway_for_links(heartbeat_interval=HEARTBEAT, metrics_retention=timedelta(hours=1)) as gateway:
        async with enrolled(centre, tmp_path) as worker:
            worker.identity.api_url = gateway.url
            worker.identity.save(worker.config.identity_file)
            await worker.start()
            await worker.becomes("idle")
            chunks = await wait_until(
                lambda: centre.store.metrics.read(worker.row().id, since=0, until=2**31 - 1), bool, patience=30
            )
    [(_, row), *_] = unpack(chunks[0])
    values = dict(zip(SERIES, row, strict=True))
    assert values["jobs"] == 0
    for name in ("cpu_percent", "load", "memory_percent", "disk_free", "reconnects"):
        assert values[name] is not None, name


async def test_one_below_the_minimum_finishes_its_jobs_gets_no_others_and_says_what_to_install(centre, tmp_path):
    versions = Rules(worker=__version__, airflow="9.9", minimum_airflow="9.9")
    with centre.gateway_for_links(heartbeat_interval=HEARTBEAT, versions=versions) as strict:
        async with linked(centre, tmp_path) as worker:
            assert worker.row().version_refused == ""
            [job] = await worker.run_jobs(1)
            await worker.crash()
            worker.identity.api_url = strict.url
            worker.identity.save(worker.config.identity_file)
            await worker.start()
            status = await worker.shows(lambda shown: shown["version_refused"])
            assert "pip install" in status["version_refused"]
            assert worker.row().version_refused == status["version_refused"]
            await worker.finish(job)
            await worker.becomes("idle")
            [glance] = [one for one in centre.store.fleet.glances() if one.id == worker.row().id]
            assert glance.free_slots == 0
            [late] = await worker.queue_jobs(1)
            since = worker.row().last_seen_at
            await wait_until(
                lambda: worker.row().last_seen_at, lambda seen: seen - since > timedelta(seconds=6 * HEARTBEAT)
            )
            assert (centre.job(late).state, centre.job(late).assignment) == ("queued", 0)
            await worker.crash()
            worker.identity.api_url = centre.gateway
            worker.identity.save(worker.config.identity_file)
            await worker.start()
            await worker.runtime.until(lambda: worker.running == {late}, patience=30)
            await worker.finish(late)
            assert worker.row().version_refused == ""


@pytest.mark.parametrize("own", ["0.0.1", "9.9.9"])
async def test_one_of_another_version_works_and_is_warned_of(centre, tmp_path, own):
    versions = Rules(worker=own, airflow="9.9")
    with centre.gateway_for_links(heartbeat_interval=HEARTBEAT, versions=versions) as gateway:
        async with enrolled(centre, tmp_path) as worker:
            worker.identity.api_url = gateway.url
            worker.identity.save(worker.config.identity_file)
            await worker.start()
            await worker.becomes("idle")
            assert f"airflow-edge {__version__}, the centre {own}" in worker.row().version_warning
            warning = worker.row().version_warning
            await worker.shows(lambda status: status["version_warning"] == warning)
            await worker.finish(*await worker.run_jobs(1))
