"""A site that cannot work says so, with the last words of what failed, takes no jobs, and costs none of them a try."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.protocol.local import Alive
from airflow_edge.protocol.messages import Accepted, Ended, Refused
from harness.limits import CAN_LIMIT_PROCESSES, most_processes
from harness.processes import kill_processes, processes_in
from tests.integration.agent.centre import Centre
from tests.integration.agent.conftest import Agent
from tests.integration.agent.runtime import Runtime, state_body
from tests.integration.agent.test_real_runtime import DAGS, execution_api, offer

WARM_UP = 90.0
"""Seconds: the runtime imports Airflow, on a machine that may be busy."""


def conditions(centre: Centre) -> tuple[str, ...]:
    return centre.statuses[-1].conditions if centre.statuses else ()


async def refused_for(centre: Centre, words: str) -> str:
    """See that a job that is offered now is given back, with the reason."""
    before = sum(isinstance(message, Refused) for message in centre.messages)
    offered = await centre.offer()
    refused = await centre.message(Refused, count=before + 1)
    assert refused.job_id == offered.job_id
    assert words in refused.reason
    return refused.reason


# No process to be had


async def test_a_job_for_which_there_is_no_process_waits_and_no_other_is_taken(
    agent: Agent, centre: Centre, runtime: Runtime
) -> None:
    runtime.no_process = "no process can be started (Resource temporarily unavailable): raise the limit"
    offered = await centre.offer()
    await centre.message(Accepted)
    await centre.until(lambda: conditions(centre))
    assert conditions(centre) == (runtime.no_process,)
    assert (await agent.status())["conditions"] == [runtime.no_process]
    await refused_for(centre, "raise the limit")

    runtime.no_process = ""
    job = await runtime.started(offered.job_id)
    await centre.until(lambda: not conditions(centre))
    # Nothing was said of its end meanwhile: that would have cost the task a try.
    assert not any(isinstance(message, Ended) for message in centre.messages)
    async with runtime.api(job) as api:
        assert (await api.patch("task-instances/ti-1/state", content=state_body("success"))).status_code == 200
    runtime.exit(offered.job_id)
    assert (await centre.message(Ended)).exit_code == 0


# A runtime that hangs


async def test_a_runtime_that_does_not_answer_is_told_and_takes_no_job(
    agent: Agent, centre: Centre, runtime: Runtime
) -> None:
    runtime.answers = False
    await centre.until(lambda: conditions(centre), patience=20)
    assert "does not answer" in conditions(centre)[0]
    await refused_for(centre, "does not answer")
    runtime.answers = True
    # It answers late, as one does that was stopped and goes on.
    runtime.say(Alive())
    await centre.until(lambda: not conditions(centre))
    await centre.offer()
    await centre.message(Accepted)


async def test_a_runtime_that_never_greets_is_told(
    make_agent: Callable[[], Agent], centre: Centre, config: Config
) -> None:
    runtime = Runtime(config.runtime_socket)
    runtime.ready.clear()
    config.state_dir.mkdir(exist_ok=True)
    await runtime.start()
    agent = make_agent()
    await agent.start()
    await centre.until(lambda: conditions(centre), patience=30)
    assert "does not answer" in conditions(centre)[0]
    runtime.ready.set()
    await centre.until(lambda: not conditions(centre) and centre.statuses[-1].state == "idle")
    await runtime.stop()


async def test_an_older_runtime_that_knows_no_probes_is_left_alone(
    make_agent: Callable[[], Agent], centre: Centre, runtime: Runtime
) -> None:
    runtime.knows_probes = runtime.answers = False
    await make_agent().start()
    await centre.until(lambda: len(centre.statuses) > 20)
    assert not any(type(order).__name__ == "Probe" for order in runtime.orders)


# Sockets that somebody removes


async def test_sockets_that_were_removed_are_made_anew(agent: Agent, centre: Centre, runtime: Runtime) -> None:
    for socket in (agent.config.api_socket, agent.config.control_socket):
        socket.unlink()
    async with asyncio.timeout(15):
        while not (agent.config.api_socket.exists() and agent.config.control_socket.exists()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await agent.status())["state"] == "idle"
    offered = await centre.offer()
    async with runtime.api(await runtime.started(offered.job_id)) as api:
        assert (await api.patch("task-instances/ti-1/state", content=state_body("success"))).status_code == 200
    assert not any(conditions for conditions in (status.conditions for status in centre.statuses))


# Dags


async def test_a_site_without_dags_says_so_and_takes_no_job_until_there_are_some(
    make_agent: Callable[[], Agent], centre: Centre, runtime: Runtime, tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    agent = make_agent()
    await agent.start(AIRFLOW__CORE__DAGS_FOLDER=str(dags))
    await centre.until(lambda: conditions(centre))
    assert f"the Dags folder {dags} is not there" in conditions(centre)[0]
    await refused_for(centre, "put the Dags there")
    dags.mkdir()
    await centre.until(lambda: "has no Dag in it" in "".join(conditions(centre)))
    (dags / "press.py").touch()
    await centre.until(lambda: not conditions(centre))
    await centre.offer()
    await centre.message(Accepted)


async def test_a_folder_without_dags_beside_bundles_that_are_elsewhere_is_a_warning_only(
    make_agent: Callable[[], Agent], centre: Centre, runtime: Runtime, tmp_path: Path
) -> None:
    bundles = [
        {"name": "here", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
        {"name": "git", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {}},
    ]
    agent = make_agent()
    await agent.start(
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(bundles),
    )
    await centre.until(lambda: centre.statuses and centre.statuses[-1].system["warnings"])
    (warning,) = (await agent.status())["warnings"]
    assert warning == centre.statuses[-1].system["warnings"]
    assert warning.startswith("tasks of the bundle 'here' cannot run here: the Dags folder")
    await centre.offer()
    await centre.message(Accepted)


async def test_what_may_harm_tasks_in_the_runtime_is_a_warning_at_both_ends(
    agent: Agent, centre: Centre, runtime: Runtime
) -> None:
    runtime.warnings = ("threads run in the process from which tasks are forked: 'metrics'",)
    runtime.hang_up()
    await centre.until(lambda: centre.statuses and centre.statuses[-1].system["warnings"] == runtime.warnings[0])
    assert (await agent.status())["warnings"] == [*runtime.warnings]
    await centre.offer()
    await centre.message(Accepted)


# The real runtime


@pytest.fixture
async def site(centre: Centre, make_agent: Callable[[], Agent]) -> AsyncIterator[Agent]:
    """An agent with the real runtime, not started."""
    agent = make_agent()
    yield agent
    if agent.was_started:
        await agent.kill()
    kill_processes(processes_in(agent.config.state_dir.parent))


async def test_a_runtime_that_cannot_start_says_why_until_it_can(site: Agent, centre: Centre) -> None:
    configuration = site.config.state_dir.parent / "airflow.cfg"
    configuration.write_text("[core]\nparallelism = 4\nparallelism = 5\n")
    await site.start(AIRFLOW_CONFIG=str(configuration))
    await centre.until(lambda: conditions(centre), patience=WARM_UP)
    (condition,) = conditions(centre)
    assert re.match(r"the runtime ended (once|\d+ times): ", condition)
    assert "option 'parallelism' in section 'core' already exists" in condition
    assert (await site.status())["conditions"][0].endswith(condition.partition(": ")[2])
    await refused_for(centre, "already exists")
    # How often it has ended is looked at now and then.
    await centre.until(lambda: re.search(r"ended \d+ times", "".join(conditions(centre))), patience=WARM_UP)
    # Its last words stand in the log once, whole, and without those of the attempts before.
    assert site.log.read_text().count("ERROR airflow_edge.agent.supervisors.runtime_process") == 1

    configuration.write_text("")
    await centre.until(lambda: centre.statuses[-1].state == "idle", patience=WARM_UP)
    await centre.until(lambda: not conditions(centre))


@pytest.mark.skipif(not CAN_LIMIT_PROCESSES, reason="needs a control group to limit processes")
@pytest.mark.parametrize("left", [0, 1], ids=["none is left", "one is left, and the supervisor has it"])
async def test_at_the_limit_of_processes_a_task_waits_and_is_run_once_when_there_is_room(
    site: Agent, centre: Centre, left: int
) -> None:
    centre.answer = execution_api
    folder = site.config.state_dir.parent
    (folder / "run").mkdir()
    site.environment |= {
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "PYTHONPATH": str(DAGS),
        "SAMPLE_FOLDER": str(folder),
    }
    await site.start()
    await centre.until(lambda: centre.statuses and centre.statuses[-1].state == "idle", patience=WARM_UP)
    runtime = (await site.status())["runtime"]["pid"]
    with most_processes(lambda: [runtime], left) as limit:
        job = await offer(centre, "succeed")
        await centre.until(lambda: conditions(centre))
        assert "Resource temporarily unavailable" in conditions(centre)[0]
        assert "TasksMax=" in conditions(centre)[0]
        await refused_for(centre, "TasksMax=")
        assert not any(isinstance(message, Ended) for message in centre.messages)
        limit.write_text("max")
        ended = await centre.message(Ended)
    assert (ended.job_id, ended.exit_code, ended.reason) == (job.job_id, 0, "")
    assert sum(call.path.endswith("/run") for call in centre.calls) == 1
    await centre.until(lambda: not conditions(centre))


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        (
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
            '[{"name": "shop", "classpath": "not_installed.bundles.ShopBundle", "kwargs": {}}]',
            "dag_bundle_config_list",
        ),
        ("AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS", "not_installed.LOGGING", "settings"),
        ("AIRFLOW__CORE__XCOM_BACKEND", "not_installed.Backend", "xcom_backend"),
    ],
)
async def test_what_would_fail_each_task_is_told_and_no_job_is_taken(
    site: Agent, centre: Centre, name: str, value: str, setting: str
) -> None:
    await site.start(**{name: value})
    # Before it a busy machine may have said that the runtime takes long.
    await centre.until(lambda: "not_installed" in "".join(conditions(centre)), patience=WARM_UP)
    await refused_for(centre, setting)


async def test_a_real_runtime_that_is_stopped_is_told_and_goes_on(site: Agent, centre: Centre) -> None:
    await site.start()
    await centre.until(lambda: centre.statuses and centre.statuses[-1].state == "idle", patience=WARM_UP)
    runtime = (await site.status())["runtime"]["pid"]
    os.kill(runtime, signal.SIGSTOP)
    try:
        await centre.until(lambda: conditions(centre), patience=20)
        await refused_for(centre, f"kill -9 {runtime}")
    finally:
        os.kill(runtime, signal.SIGCONT)
    await centre.until(lambda: not conditions(centre))
    # Nor is its own socket lost for good.
    socket = site.config.runtime_socket
    socket.unlink()
    async with asyncio.timeout(30):
        while not socket.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)
    assert (await site.status())["runtime"]["pid"] == runtime
