"""A real task asks for a connection that its site keeps: the site's answer, and what the centre hears of it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.site_secrets import reader as reading
from airflow_edge.agent.site_secrets.secrets import SiteSecrets
from airflow_edge.agent.task_api.execution_api import ExecutionApi as AgentsApi
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.agent.task_api.local_server import served
from airflow_edge.agent.threads import Loop
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JOB_FILE, JobFile
from tests.integration.runtime.agent import AgentSide, Job
from tests.integration.runtime.execution_api import Call, ExecutionApi

RULES = """
[[allow]]
connections = ["plc_*"]
dags = ["site_secrets_*", "another_*"]

[[allow]]
variables = ["site_*"]
dags = ["site_secrets_*"]
"""
FOLDER = "[source]\nfolder = '{folder}'\n" + RULES
BACKEND = (
    "[source]\nbackend = 'airflow.secrets.local_filesystem.LocalFilesystemBackend'\n"
    "backend_kwargs = {{connections_file_path = '{folder}/connections.json', variables_file_path = "
    "'{folder}/variables.json'}}\n" + RULES
)


class Centre(Forwarder):
    """The way to the centre, which is `api`."""

    def __init__(self, api: ExecutionApi) -> None:
        self.api = api

    async def forward(self, key: AssignmentKey, request: Request, waiting: Callable[[], None]) -> Response:
        body = json.loads(request.body) if request.body else None
        answer = self.api.note(Call(time.monotonic(), request.method, request.path, "", body))
        assert answer is not None
        status, content = answer
        return Response(
            status, {"content-type": "application/json"}, b"" if content is None else json.dumps(content).encode()
        )


def secret_of(job: Job) -> str:
    """What opens the agent's API for a job."""
    return f"the secret of {job.job_id}"


@contextmanager
def agents_api(path: Path, centre: ExecutionApi, rules: Path, jobs: Sequence[Job]) -> Iterator[None]:
    """What the agent serves to these jobs."""
    ready: Future[Callable[[], object]] = Future()

    async def serve() -> None:
        secrets = SiteSecrets(rules)
        over = asyncio.Event()
        folders = {AssignmentKey(job.job_id, 1): job.folder for job in jobs}
        api = AgentsApi(Centre(centre), lambda _: None, secrets, folders.__getitem__)
        for job in jobs:
            read = msgspec.json.decode((job.folder / JOB_FILE).read_bytes(), type=JobFile)
            api.admit(secret_of(job), read.key, read)
        loop = asyncio.get_running_loop()
        looking = asyncio.create_task(secrets.run())
        async with served(path, api, api.refusal):
            ready.set_result(lambda: loop.call_soon_threadsafe(over.set))
            await over.wait()
        looking.cancel()
        await asyncio.wait({looking})

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    end = ready.result(30)
    try:
        yield
    finally:
        end()
        thread.join(30)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with secrets, as files and as Airflow's own backend wants them."""
    folder = tmp_path / "secrets"
    for inner in ("", "connections", "variables"):
        (folder / inner).mkdir(mode=0o700)
    uri = "postgres://u:hunter2@h:5432/s"
    for name, text in {
        "connections/plc_db": uri,
        "variables/site_name": "Hall 7\n",
        "connections.json": json.dumps({"plc_db": uri}),
        "variables.json": '{"site_name": "Hall 7"}',
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder


def centre_has(call: Call) -> tuple[int, object] | str:
    if call.path == "/connections/centre_db":
        missing = dict.fromkeys(("schema", "login", "password", "port", "extra"))
        return 200, {"conn_id": "centre_db", "conn_type": "http", "host": "centre", **missing}
    return "as usual"


def prepared(agent: AgentSide, door: Path, dag: str) -> Job:
    """A job of one of the two Dags, which are in one file."""
    job = agent.task("read", door, dag=dag)
    file = job.folder / JOB_FILE
    told = json.loads(file.read_text())
    told["workload"] = json.dumps(json.loads(told["workload"]) | {"dag_rel_path": "site_secrets_sample.py"})
    file.write_text(json.dumps(told | {"secret": f"the secret of {dag}"}))
    return job


def test_a_task_gets_from_its_site_what_its_dag_may_have(
    agent: AgentSide,
    api: ExecutionApi,
    python: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(reading, "COMMAND", (str(python), *reading.COMMAND[1:]))
    caplog.set_level(logging.DEBUG, "airflow_edge")
    api.overrule = centre_has
    rules, door = place / "rules.toml", place / "door.sock"
    jobs = [prepared(agent, door, dag) for dag in ("site_secrets_sample", "another_sample")]
    rules.touch(0o600)
    results = []
    with agents_api(door, api, rules, jobs):
        for job, source in zip(jobs, (FOLDER, BACKEND), strict=True):
            rules.write_text(source.format(folder=place))
            assert agent.run(job, secret_of(job)).exit_code == 0
            results.append(json.loads((agent.folder / "found.json").read_text()))
            assert f"job {job.job_id}.1 was given the connection 'plc_db' from this site" in caplog.text
    for found in results:
        assert found["site"] == "postgres://u:hunter2@h:5432/s"
        assert found["centre"] == "http://centre"
    assert results[0]["site variable"] == "Hall 7"
    assert "Hall 7" not in json.dumps(results[1])
    # What Airflow itself says to the task names neither.
    refusal = "its rules do not let the Dag another_sample have it"
    assert [refusal in str(job.log) for job in jobs] == [False, True]
    assert caplog.text.count("no task may change it") == 2
    assert (place / "variables" / "site_name").read_text() == "Hall 7\n"
    # Neither the secret nor that anybody wanted it.
    asked = {call.path for call in api.calls}
    assert "/connections/centre_db" in asked
    assert not {path for path in asked if "plc_db" in path or "site_name" in path}
    assert "hunter2" not in str(api.calls) + caplog.text
