"""Which calls are answered at the site, and how; the centre is a forwarder that notes what it is asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.own_log.file import RotatingFile
from airflow_edge.agent.own_log.reader import Follower, tail
from airflow_edge.agent.site_secrets.secrets import Decision, Given, SiteSecrets, Withheld
from airflow_edge.agent.task_api.execution_api import ExecutionApi
from airflow_edge.agent.task_api.forwarder import Forwarder, Request
from airflow_edge.agent.task_api.site_secrets import MOST_SAID
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import LOG_FILE, JobFile, SecretKind

JOB = JobFile(
    job_id="00000000-0000-4000-8000-000000000001",
    assignment=1,
    kind="task",
    worker_name="press-7",
    workload=json.dumps({"type": "ExecuteTask", "ti": {"dag_id": "press_check", "task_id": "temperature"}}),
    api_socket="/run/agent.sock",
    secret="secret",
    log_path="/var/log/task.log",
)


class Centre(Forwarder):
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def forward(self, key: AssignmentKey, request: Request, waiting: Callable[[], None]) -> Response:
        self.asked.append(request.path)
        return Response(404)


class Kept(SiteSecrets):
    """Keeps `plc_db` for `press_check`."""

    def __init__(self) -> None:
        super().__init__(Path("/secrets.toml"))
        self.asked: list[tuple[str, str, str, bool]] = []
        self.passing = False
        self.withhold_all = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def ask(self, kind: SecretKind, name: str, dag_id: str, *, write: bool = False) -> Decision:
        self.asked.append((kind, name, dag_id, write))
        self.meanwhile()
        if self.withhold_all:
            return Withheld(f"whether the site has {name} cannot be known now", passing=True)
        if name != "plc_db":
            return None
        if dag_id != "press_check" or write or self.passing:
            return Withheld("the site has it", self.passing, why="the rules in /secrets.toml")
        return Given(b'{"hunter2": 1}')


class Site:
    def __init__(self, job: JobFile = JOB, folder: Path = Path("/nowhere")) -> None:
        self.centre = Centre()
        self.kept = Kept()
        self.api = ExecutionApi(self.centre, lambda _: None, self.kept, lambda _: folder)
        self.api.admit(job.secret, job.key, job)

    async def call(self, path: str, method: str = "GET") -> Response:
        return await self.api(Request(method, path, "", {"authorization": "Bearer secret"}, b""))


@pytest.mark.parametrize("path", ["/connections/plc_db", "/variables/plc_db", "/%63onnections/plc%5Fdb"])
async def test_what_the_site_has_is_answered_here(path: str, caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with caplog.at_level(logging.DEBUG):
        response = await site.call(path)
    assert (response.status, response.body) == (200, b'{"hunter2": 1}')
    assert response.headers["content-type"] == "application/json"
    assert site.centre.asked == []
    assert "plc_db" in caplog.text
    assert "hunter2" not in caplog.text + repr(site.kept)


@pytest.mark.parametrize(
    "path",
    [
        "/connections/centre_db",
        "/variables/other",
        "/connections",
        "/connections/",
        "/xcoms/a/b/c/plc_db",
        "/x/variables/y",
    ],
)
async def test_everything_else_is_the_centres(path: str) -> None:
    site = Site()
    assert (await site.call(path)).status == 404
    assert site.centre.asked == [path]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "HEAD"])
async def test_no_task_changes_what_the_site_has(method: str) -> None:
    site = Site()
    assert (await site.call("/variables/plc_db", method)).status == 403
    assert site.kept.asked == [("variable", "plc_db", "press_check", True)]
    assert site.centre.asked == []


@pytest.mark.parametrize(
    ("method", "dag_id", "says"),
    [
        ("GET", "mill", "was not given the"),
        ("PUT", "press_check", "let change the"),
        ("DELETE", "mill", "let delete the"),
    ],
)
async def test_the_workers_log_says_what_a_task_was_refused(method: str, dag_id: str, says: str, caplog) -> None:
    workload = json.dumps({"type": "ExecuteTask", "ti": {"dag_id": dag_id, "task_id": "temperature"}})
    assert (await Site(msgspec.structs.replace(JOB, workload=workload)).call("/variables/plc_db", method)).status == 403
    assert f"{says} variable 'plc_db': the site has it (the rules in /secrets.toml)" in caplog.text


@pytest.mark.parametrize("dag_id", ["press_check", "mill"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nothing_that_the_centre_gets_of_the_workers_log_names_what_a_site_keeps(
    dag_id: str, method: str, tmp_path: Path
) -> None:
    path = tmp_path / "agent.log"
    path.touch()
    follower = Follower(path, "agent")
    follower.skip()
    logger = logging.getLogger("airflow_edge")
    handler = RotatingFile(path, max_size=10_000_000, backups=2)
    workload = json.dumps({"type": "ExecuteTask", "ti": {"dag_id": dag_id, "task_id": "temperature"}})
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        await Site(msgspec.structs.replace(JOB, workload=workload)).call("/variables/plc_db", method)
        logger.info("what is everybody's business")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert "variable 'plc_db'" in path.read_text()
    for got in (follower.read(), tail(path, "agent", 100, 0)):
        assert [record.text for record in got] == ["what is everybody's business"]


async def test_a_refusal_has_the_form_of_airflows_own_and_stands_in_the_tasks_log(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).touch()
    site = Site(msgspec.structs.replace(JOB, workload='{"ti": {"dag_id": "mill"}}'), tmp_path)
    await site.call("/connections/plc_db")
    response = await site.call("/connections/plc_db")
    (line,) = (tmp_path / LOG_FILE).read_text().split("\n")[:-1]
    assert json.loads(line)["event"] == "the site has it"
    assert response.status == 403
    assert json.loads(response.body) == {"detail": {"reason": "site_secrets", "message": "the site has it"}}
    assert site.centre.asked == []


async def test_what_may_pass_is_worth_another_attempt() -> None:
    site = Site()
    site.kept.passing = True
    assert (await site.call("/connections/plc_db")).status == 503


@pytest.mark.parametrize("workload", ["{}", '{"type": "ExecuteCallback", "callback": {}}', "rubbish", '{"ti": 1}'])
async def test_the_dag_of_a_callback_or_of_a_damaged_job_is_not_known(workload: str) -> None:
    site = Site(msgspec.structs.replace(JOB, workload=workload))
    assert (await site.call("/connections/plc_db")).status == 403
    assert site.kept.asked == [("connection", "plc_db", "", False)]


async def test_a_job_that_has_ended_meanwhile_gets_nothing() -> None:
    site = Site()
    site.kept.meanwhile = lambda: site.api.close(JOB.key)
    response = await site.call("/connections/plc_db")
    assert response.status == 401
    assert b"hunter2" not in response.body


async def test_without_a_secret_nobody_is_asked() -> None:
    site = Site()
    request = Request("GET", "/connections/plc_db", "", {}, b"")
    assert (await site.api(request)).status == 401
    assert (await site.api(replace(request, headers={"authorization": "Bearer other"}))).status == 401
    assert site.kept.asked == []
    assert site.centre.asked == []


async def test_a_task_that_asks_without_end_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await site.call("/connections/plc_db")
            await site.call("/variables/plc_db", "PUT")
        assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
        site.kept.withhold_all = True
        for number in range(2 * MOST_SAID):
            await site.call(f"/connections/{number}")
    assert len(caplog.records) == MOST_SAID
