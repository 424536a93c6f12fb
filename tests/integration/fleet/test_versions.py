"""Agent and gateway of different versions of the protocol: an agent in its own process, a gateway on a real socket."""

from __future__ import annotations

import pytest

from airflow_edge.gateway.links.reconcile import TOO_OLD
from airflow_edge.protocol import handshake
from tests.integration.fleet.fleet import enrolled, linked

PREVIOUS = handshake.ORDERS - 1
"""The version before orders."""


@pytest.fixture
def old_gateway(monkeypatch):
    """The gateways of this process speak an older version of the protocol, not the newest."""
    monkeypatch.setattr("airflow_edge.gateway.endpoints.link.NEWEST", PREVIOUS)


async def test_an_old_agent_works_and_refuses_orders_with_what_to_update(centre, tmp_path):
    async with enrolled(centre, tmp_path) as worker:
        worker.agent.arguments = ("--newest-protocol", str(PREVIOUS))
        await worker.start()
        await worker.becomes("idle")
        await worker.finish(*await worker.run_jobs(2))
        for wanted in ("maintenance", "restart", "shutdown"):
            assert await worker.order(wanted, "x") == ("refused", TOO_OLD)
        assert "update airflow-edge" in TOO_OLD
        await worker.becomes("idle")
        worker.fleet.change_queues(worker.row(), add=["another"])
        await worker.finish(*await worker.run_jobs(1))
        assert "misunderstand" not in worker.agent.log.read_text()


async def test_a_new_agent_works_with_an_old_gateway(centre, tmp_path, old_gateway):
    async with linked(centre, tmp_path) as worker:
        jobs = await worker.run_jobs(2)
        await worker.finish(jobs[0])
        await worker.ask("maintenance", "at the site")
        await worker.becomes("terminating")
        late = await worker.queue_jobs(1)
        await worker.finish(jobs[1])
        await worker.crash()
        await worker.becomes("unknown")
        await worker.start()
        await worker.becomes("terminating")
        assert (await worker.status())["state"] == "maintenance mode"
        assert {centre.job(job).assignment for job in late} == {0}
        await worker.ask("exit maintenance")
        await worker.becomes("running")
        await worker.runtime.until(lambda: worker.running == set(late), patience=30)
        await worker.finish(*late)


async def test_what_is_asked_of_an_old_agent_is_done_once_it_is_new(centre, tmp_path):
    async with enrolled(centre, tmp_path) as worker:
        worker.agent.arguments = ("--newest-protocol", str(PREVIOUS))
        await worker.start()
        await worker.becomes("idle")
        await worker.crash()
        await worker.becomes("unknown")
        asked = worker.wish("maintenance", "after the update")
        worker.agent.arguments = ()
        await worker.start()
        assert await worker.outcome(asked) == ("done", "")
        await worker.becomes("maintenance mode", "after the update")
