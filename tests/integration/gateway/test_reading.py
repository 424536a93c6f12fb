"""A task's log as Airflow's own API gives it, however Airflow is set up to ask us for it."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, text, update

from airflow_edge.logs.handler import EdgeTaskHandler
from airflow_edge.logs.task_log import EdgeTaskLog
from airflow_edge.protocol.messages import Accepted, Ended, HeldJob, LogAck, Offer, Refused
from airflow_edge.protocol.states import WorkerState
from airflow_edge.store.logs.logs import TaskLogs
from airflow_edge.store.tables import WorkerRow
from tests.integration.airflow_here import airflow_command
from tests.integration.gateway.test_logs import PATH, chunk, end_of, line
from tests.integration.gateway.world import wait_until

LIVE = ["handler", "remote", "executor"]
"""Our whole logging configuration; our remote log under somebody else's; none of ours."""
ENDED = LIVE[:2]


@pytest.fixture(autouse=True)
def reader(request, tmp_path, monkeypatch):
    """Airflow's reading of logs, set up in one of these ways."""
    from airflow.logging_config import _ActiveLoggingConfig
    from airflow.utils.log.file_task_handler import FileTaskHandler

    how = getattr(request, "param", "handler")
    handler = (EdgeTaskHandler if how == "handler" else FileTaskHandler)(str(tmp_path))
    handler.name = "task"
    monkeypatch.setattr(logging.getLogger("airflow.task"), "handlers", [handler])
    monkeypatch.setattr(_ActiveLoggingConfig, "logging_config_loaded", True)
    monkeypatch.setattr(_ActiveLoggingConfig, "remote_task_log", None if how == "executor" else EdgeTaskLog())
    monkeypatch.setattr(FileTaskHandler, "executor_instances", {})
    return tmp_path


@dataclass
class Page:
    """What a reader has been given: everything there is each time, or what is new since the last time."""

    centre: Any
    dag_id: str
    token: str | None = None
    had: list[str] = field(default_factory=list)

    async def _get(self, accept: str, **query: str) -> httpx.Response:
        base = self.centre.gateway.removesuffix("/edge_worker")
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as client:
            key = (await client.get("/auth/token")).json()["access_token"]
            answer = await client.get(
                f"/api/v2/dags/{self.dag_id}/dagRuns/run/taskInstances/task/logs/1",
                params={"full_content": False, **query},
                headers={"Authorization": f"Bearer {key}", "Accept": accept},
            )
        assert answer.status_code == 200, answer.text
        return answer

    async def all(self) -> list[str]:
        answer = await self._get("application/x-ndjson")
        return [json.loads(text)["event"] for text in answer.text.split("\n") if text]

    async def new(self) -> list[str]:
        answer = (await self._get("application/json", **({"token": self.token} if self.token else {}))).json()
        self.token = answer["continuation_token"]
        new = [entry["event"] for entry in answer["content"]]
        self.had += new
        return new


def written(events):
    return [text for text in events if text.startswith("line ")]


def notices(events):
    """The lines about what is missing, outside of the folded group at the top."""
    end = events.index("::endgroup::") if "::endgroup::" in events else -1
    return [text for text in events[end + 1 :] if "arriv" in text]


class Task:
    """A running task of a linked site, and what has been sent of its log."""

    def __init__(self, centre, site, link, offer, task_id):
        self.centre, self.site, self.link, self.offer, self.task_id = centre, site, link, offer, task_id
        self.sent = b""
        self.page = Page(centre, centre.dag_of(task_id))

    async def write(self, data: bytes) -> None:
        await self.link.say(chunk(self.offer, len(self.sent), data))
        self.sent += data
        await self.link.until(LogAck, lambda ack: ack.offset == len(self.sent))

    async def end(self, rest: bytes | None = b"") -> None:
        """End it, and its log with these bytes; with None the log's end does not arrive."""
        await self.link.say(Ended(job_id=self.offer.job_id, assignment=self.offer.assignment, exit_code=0))
        await self.centre.wait_for_state(self.offer.job_id, "succeeded")
        self.centre.set_task_state(self.task_id, "success")
        if rest:
            await self.write(rest)
        if rest is not None:
            await self.link.say(end_of(self.offer, self.sent))
            await self.link.until(LogAck, lambda ack: ack.complete)

    async def worker_goes_away(self) -> None:
        """Have its worker out of reach since a moment in March. Nobody notes anything else meanwhile."""
        await self.link.connection.close()
        # Else its job would be lost by now.
        assert not self.centre.store.workers.set_disconnect_grace([self.site.name], timedelta(days=3650))
        with self.centre.engine.begin() as connection:
            away = {"state": WorkerState.UNKNOWN, "last_seen_at": datetime(2026, 3, 4, 14, 2, tzinfo=UTC)}
            connection.execute(update(WorkerRow).where(WorkerRow.name == self.site.name).values(**away))

    @asynccontextmanager
    async def worker_back(self):
        """Have it linked again."""
        held = HeldJob(job_id=self.offer.job_id, assignment=self.offer.assignment, phase="running")
        async with self.site.link(self.centre.gateway, jobs=(held,), state=WorkerState.RUNNING) as self.link:
            yield


@pytest.fixture
async def task(request, centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    # Long names may be used by one test only: they are as long as ids may be.
    task_id = centre.task_instance(queue, hostname=site.name, dag_id=getattr(request, "param", None))
    async with site.link(centre.gateway) as link:
        dag_id = centre.dag_of(task_id)
        centre.queue(queue, workload_id=task_id, dag_id=dag_id, log_path=PATH.format(dag=dag_id))
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await centre.wait_for_state(offer.job_id, "running")
        centre.set_task_state(task_id, "running")
        yield Task(centre, site, link, offer, task_id)


@pytest.mark.parametrize("reader", LIVE, indirect=True)
async def test_a_running_tasks_lines_are_each_shown_once(task):
    await task.write(line("line 1") + line("line 2")[:9])
    assert written(await task.page.all()) == ["line 1"]
    assert written(await task.page.new()) == ["line 1"]
    await task.write(line("line 2")[9:] + line("line 3") + line("line 4")[:9])
    assert written(await task.page.all()) == ["line 1", "line 2", "line 3"]
    assert await task.page.new() == ["line 2", "line 3"]
    assert await task.page.new() == []


@pytest.mark.parametrize("task", ["x" * 250, "ü" * 250, "測" * 250, "🙂" * 250], indirect=True)
async def test_a_log_is_read_whose_ids_are_no_names_for_files(task):
    await task.write(line("line 1"))
    assert written(await task.page.new()) == ["line 1"]
    await task.end(line("line 2"))
    assert written(await task.page.all()) == ["line 1", "line 2"]


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_a_reader_who_goes_on_beyond_the_end_has_each_line_once(task):
    await task.write(line("line 1"))
    await task.page.new()
    await task.end(line("line 2") + line("line 3").rstrip())
    await task.page.new()
    assert written(task.page.had) == ["line 1", "line 2", "line 3"]
    assert task.page.token is None
    page = await task.page.all()
    assert written(page) == ["line 1", "line 2", "line 3"]
    assert f"From edge worker '{task.site.name}': {len(task.sent)} bytes, complete" in page
    assert notices(page) == []


@pytest.mark.parametrize("reader", LIVE, indirect=True)
async def test_nothing_is_counted_that_the_task_has_not_written(task):
    await task.write(line("line 1"))
    await task.page.new()
    await task.worker_goes_away()
    await task.page.new()
    await task.page.new()
    async with task.worker_back():
        await task.write(line("line 2") + line("line 3"))
        await task.page.new()
    assert written(task.page.had) == ["line 1", "line 2", "line 3"]
    assert len(notices(task.page.had)) <= 1


async def test_who_waits_is_told_once_that_the_worker_is_out_of_reach_and_no_longer_when_it_is_back(task):
    await task.write(line("line 1"))
    assert notices(await task.page.new()) == notices(await task.page.all()) == []
    await task.worker_goes_away()
    notice = (
        f"Worker '{task.site.name}' unreachable since 2026-03-04 14:02 UTC, "
        f"{len(task.sent)} bytes of its log have arrived"
    )
    assert (await task.page.all())[-1] == notice
    assert await task.page.new() == [notice]
    assert await task.page.new() == []
    async with task.worker_back():
        assert await task.page.new() == []
        assert notices(await task.page.all()) == []


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_a_log_that_is_not_whole_after_the_end_says_so_until_it_is(task):
    await task.write(line("line 1") + b"line 2 is beg")
    await task.end(None)
    page = await task.page.all()
    assert any("The rest of this log is still arriving" in text for text in page)
    await task.write(b"un")
    await task.link.say(end_of(task.offer, task.sent))
    await task.link.until(LogAck, lambda ack: ack.complete)
    page = await task.page.all()
    assert written(page) == ["line 1", "line 2 is begun"]
    assert not any("still arriving" in text for text in page)


async def test_what_there_is_of_an_unfinished_line_is_shown_when_the_task_has_ended(task):
    await task.write(line("line 1") + b"line 2 is beg")
    await task.end(None)
    page = await task.page.all()
    assert written(page) == ["line 1", "line 2 is beg"]
    assert page[-1].startswith("The rest of this log is still arriving")


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_a_task_of_which_nothing_has_arrived_says_why(task):
    task.centre.set_task_state(task.task_id, "failed")
    assert any("Nothing of this log has arrived from worker" in text for text in await task.page.all())
    await task.worker_goes_away()
    assert any("unreachable since 2026-03-04 14:02 UTC" in text for text in await task.page.all())


@pytest.mark.held("a host name in /run that the centre would call")
@pytest.mark.parametrize("reader", LIVE, indirect=True)
async def test_the_worker_is_not_called_for_its_log(task, monkeypatch):
    from airflow.utils.log.file_task_handler import FileTaskHandler

    def called(*_):
        raise AssertionError("Airflow would wait for the worker's machine")

    monkeypatch.setattr(FileTaskHandler, "_read_from_logs_server", called)
    await task.page.all()
    await task.write(line("line 1"))
    await task.page.all()


@pytest.mark.parametrize("reader", LIVE, indirect=True)
async def test_several_assignments_of_one_try_are_one_log(task, centre):
    await task.write(line("line 1"))
    again = centre.queue(
        centre.job(task.offer.job_id).queue,
        workload_id=task.task_id,
        log_path=PATH.format(dag=task.page.dag_id),
    )
    offer = await task.link.get(Offer)
    assert offer.job_id == str(again.id)
    await task.link.say(Accepted(job_id=offer.job_id, assignment=1))
    second = Task(centre, task.site, task.link, offer, task.task_id)
    await second.write(line("line 2"))
    await task.write(line("line 3"))
    assert sorted(written(await task.page.all())) == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_a_task_of_another_executor_on_a_machine_called_like_a_worker_is_airflows(task, reader, monkeypatch):
    monkeypatch.setattr("airflow_edge.logs.finding._is_edge_executor", lambda executor: False)
    own = reader / PATH.format(dag=task.page.dag_id)
    own.parent.mkdir(parents=True)
    own.write_bytes(line("line 1"))
    task.centre.set_task_state(task.task_id, "success")
    page = await task.page.all()
    assert written(page) == ["line 1"]
    assert not any("edge" in text or "arrived" in text for text in page)


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_other_tasks_logs_are_read_while_our_tables_are_not_up_to_date(task, reader, monkeypatch):
    def fail(store, path):
        return store._transactions.read(lambda session: session.execute(text("SELECT * FROM of_another_version")))

    monkeypatch.setattr(TaskLogs, "parts", fail)
    own = reader / PATH.format(dag=task.page.dag_id)
    own.parent.mkdir(parents=True)
    own.write_bytes(line("line 1"))
    task.centre.set_task_state(task.task_id, "success")
    assert written(await task.page.all()) == ["line 1"]


async def test_the_triggerers_lines_are_among_the_tasks_also_after_its_end(task, reader):
    at = '{"timestamp": "2026-01-01T00:00:0%d.000000Z", "event": "line %d"}\n'
    await task.write((at % (1, 1)).encode())
    triggered = reader / f"{PATH.format(dag=task.page.dag_id)}.trigger.3.log"
    triggered.parent.mkdir(parents=True)
    triggered.write_text(at % (2, 2) + (at % (4, 4))[:5])
    assert written(await task.page.new()) == ["line 1", "line 2"]
    triggered.write_text(at % (2, 2) + at % (4, 4))
    await task.end((at % (3, 3)).encode())
    assert written(await task.page.new()) == ["line 3", "line 4"]
    assert written(await task.page.all()) == ["line 1", "line 2", "line 3", "line 4"]


async def test_a_file_elsewhere_is_no_log(task, reader, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_bytes(line("line 0"))
    own = reader / f"{PATH.format(dag=task.page.dag_id)}.trigger.3.log"
    own.parent.mkdir(parents=True)
    own.symlink_to(secret)
    await task.write(line("line 1"))
    assert written(await task.page.all()) == ["line 1"]


async def test_the_first_line_of_a_long_log_does_not_wait_for_the_last(task, centre, reader):
    from airflow.models.taskinstance import TaskInstance

    lines, pieces = 2_000, 40
    for number in range(pieces):
        await task.write((f"line {number:03d} " + "x" * 90 + "\n").encode() * lines)
    await task.end()
    with centre.sessions() as session:
        ti = session.get(TaskInstance, task.task_id)
        statements: list[str] = []
        event.listen(centre.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        stream, _ = await asyncio.to_thread(EdgeTaskHandler(str(reader))._read, ti, 1)
        page = iter(stream)
        first = next(message.event for message in page if message.event.startswith("line "))
        assert first.startswith("line 000")
        until_first = len(statements)
        assert sum(1 for _ in page) == lines * pieces - 1
    assert len(statements) > until_first


@pytest.mark.parametrize("reader", ENDED, indirect=True)
async def test_a_task_that_a_machines_owner_does_not_allow_says_so_in_its_log(centre):
    queue = centre.queue_name()
    site = await centre.site(queue)
    task_id = centre.task_instance(queue)
    async with site.link(centre.gateway) as link:
        centre.queue(queue, workload_id=task_id, log_path=PATH.format(dag=centre.dag_of(task_id)))
        offer = await link.get(Offer)
        reason = "by its owner's site policy (/p.toml on that machine): Dag 'oven' is none of its dags\n\x1b[31m"
        await link.say(Refused(job_id=offer.job_id, assignment=offer.assignment, reason=reason, denied=True))
        await centre.wait_for_state(offer.job_id, "failed")
    centre.set_task_state(task_id, "failed")
    sentence = (
        f"This task was not run there: worker '{site.name}' refused it by its owner's site policy (/p.toml on that "
        "machine): Dag 'oven' is none of its dags"
    )
    assert sentence in await Page(centre, centre.dag_of(task_id)).all()


@pytest.mark.one_database
@pytest.mark.parametrize("reader", LIVE, indirect=True)
async def test_what_a_task_was_denied_is_told_wherever_a_person_looks_and_no_value_with_it(task, monkeypatch):
    # The command looks for them, and the tables were made without.
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    centre, dag_id, job = task.centre, task.page.dag_id, task.centre.job(task.offer.job_id)
    centre.store.job_authority.begin(job.id, 1, now=datetime.now(UTC))
    policy = f"modes: {{'{job.queue}': enforce}}"
    centre.store.policies.add(policy, "", by="ann", now=datetime.now(UTC))
    async with asyncio.timeout(30):
        while True:
            call = task.site.call(centre.gateway, "PUT", "/variables/db", f"{job.id}:1", json={"val": "hunter2"})
            if (answer := await call).status_code == 403:
                break
            # Until the gateway has looked for the policy, Airflow takes it.
            assert answer.status_code == 201
            await asyncio.sleep(0.2)
    said = answer.json()["detail"]
    sentence = said["message"]
    assert said["reason"] == "edge_policy"
    assert sentence.endswith("It would take `set_variables: ['db']`")

    def noted():
        from airflow.models.log import Log

        with centre.sessions() as session:
            query = select(Log.owner, Log.try_number, Log.extra).where(
                Log.dag_id == dag_id, Log.event == "edge_worker.denied"
            )
            return session.execute(query).all()

    ((by, try_number, extra),) = await wait_until(noted, bool)
    assert (by, try_number, json.loads(extra)["outcome"]) == (f"worker {task.site.name}", 1, f"refused: {sentence}")
    page = await task.page.all()
    assert f"{sentence}." in page
    explained = await asyncio.to_thread(airflow_command, "edge", "explain-job", dag_id, "run", "task")
    assert f": {sentence}." in explained.out
    assert not any("hunter2" in told for told in (extra, explained.out, *page))
