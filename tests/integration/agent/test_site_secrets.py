"""The agent's process at a site that keeps variables itself, over an agent's end and with rules that break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airflow_edge.protocol.messages import Accepted
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime

CONDITION = "[edge] site_secrets: "


async def test_a_site_answers_for_what_it_keeps_and_says_when_it_cannot(
    make_agent: Callable[[], Agent], runtime: Runtime, centre: Centre, tmp_path: Path
) -> None:
    folder, rules = tmp_path / "secrets", tmp_path / "rules.toml"
    for path in (folder, folder / "variables"):
        path.mkdir(mode=0o700)
    rules.touch(0o600)
    good = f'[source]\nfolder = "{folder}"\n[[allow]]\nvariables = ["*"]\ndags = ["press_*"]\n'
    rules.write_text(good)
    secret = folder / "variables" / "site_name"
    secret.touch(0o600)
    secret.write_text("hunter2")
    agent = make_agent()
    agent.environment["AIRFLOW__EDGE__SITE_SECRETS"] = str(rules)
    await agent.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    offer = await centre.offer(workload={"ti": {"dag_id": "press_check", "pool_slots": 1}})
    job = await runtime.started(offer.job_id)
    await centre.message(Accepted)

    async def says(words: str) -> None:
        """Wait until the centre is told a condition with these words, or with none of ours."""
        await centre.until(
            lambda: (
                words in "".join(centre.statuses[-1].conditions)
                and (bool(words) or CONDITION not in "".join(centre.statuses[-1].conditions))
            )
        )

    async with runtime.api(job) as api:
        assert (await api.get("variables/site_name")).json() == {"key": "site_name", "value": "hunter2"}
        assert (await api.put("variables/site_name", json={"value": "x"})).status_code == 403
        await api.get("variables/other")
        rules.write_text("rubbish")
        await says(CONDITION)
        assert (await api.get("variables/site_name")).status_code == 503
        # The next agent has never read them: whatever the name, the centre is not asked.
        await agent.kill()
        seen = len(centre.statuses)
        await agent.start()
        await centre.until(lambda: len(centre.statuses) > seen)
        await says(CONDITION)
        assert (await api.get("variables/other")).status_code == 503
        rules.write_text(good)
        await says("")
        assert (await api.get("variables/site_name")).json()["value"] == "hunter2"
    assert [call.path for call in centre.calls] == ["/variables/other"]
    assert "hunter2" not in agent.log.read_text()
