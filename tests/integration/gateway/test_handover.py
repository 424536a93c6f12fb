"""Finished logs are handed over to the stock remote log that is configured at the centre."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from sqlalchemy import select, update

from airflow_edge.gateway.handover import Handover, RemoteLog, configured_handler, takes_files
from airflow_edge.logs.task_log import EdgeTaskLog
from airflow_edge.store.tables import LogRow
from tests.integration.gateway.test_logs import line
from tests.integration.gateway.test_reading import reader, task, written  # noqa: F401 - fixtures


@attrs.define
class FolderLog:
    """A remote log with the manners of Airflow's own (S3, GCS, …): it appends, and deletes what it has uploaded."""

    remote_base: Path
    base_log_folder: Path = attrs.field(converter=Path)
    delete_local_copy: bool
    up: list[str] = attrs.field(factory=lambda: ["up"])

    processors: ClassVar[tuple[Any, ...]] = ()

    def upload(self, path, ti=None):
        local, remote = self.base_log_folder / path, self.remote_base / path
        if not self.up:
            return
        remote.parent.mkdir(parents=True, exist_ok=True)
        with remote.open("a", encoding="utf-8") as file:
            file.write(local.read_text(encoding="utf-8"))
        if self.delete_local_copy:
            shutil.rmtree(local.parent)
        if "crash after upload" in self.up:
            self.up.remove("crash after upload")
            raise ConnectionError("gone")

    def read(self, relative_path, ti):
        found = self.remote_base / relative_path
        return (["from the folder"], [found.read_text()]) if found.exists() else ([], None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from airflow.logging_config import _ActiveLoggingConfig

    log = FolderLog(tmp_path / "remote", tmp_path / "centre's own", False)
    monkeypatch.setattr(_ActiveLoggingConfig, "remote_task_log", EdgeTaskLog(log))
    return log


@pytest.fixture
def handover(centre):
    with centre.engine.begin() as connection:
        connection.execute(update(LogRow).values(handed_over_at=datetime.now(UTC)))
    return Handover(centre.store)


def row(centre, path: str) -> LogRow:
    with centre.sessions() as session:
        return session.scalars(select(LogRow).where(LogRow.path == path)).one()


def due_again(centre, path: str) -> None:
    with centre.engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(LogRow).where(LogRow.path == path).values(handover_at=past))


async def test_a_finished_log_is_handed_over_once(centre, task, folder, handover):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    remote = RemoteLog(configured_handler())
    await task.write(line("line 1"))
    assert not handover.hand_over_one(remote)
    await task.end(line("line 2") + b"\xff\x00 is no text")
    with ThreadPoolExecutor(4) as threads:
        others = [Handover(centre.store) for _ in range(4)]
        assert sum(threads.map(lambda other: other.hand_over_one(RemoteLog(folder)), others)) == 1
    assert not handover.hand_over_one(remote)
    kept = (folder.remote_base / path).read_bytes()
    assert kept == line("line 1") + line("line 2") + "\N{REPLACEMENT CHARACTER}\0 is no text\n".encode()
    assert row(centre, path).handed_over_at is not None
    assert not folder.base_log_folder.exists()


async def test_what_the_remote_log_does_not_take_is_offered_again(centre, task, folder, handover):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    remote = RemoteLog(folder)
    await task.end(line("line 1"))
    folder.up.clear()
    assert handover.hand_over_one(remote)
    assert row(centre, path).handed_over_at is None
    assert not handover.hand_over_one(remote)
    folder.up.append("up")
    due_again(centre, path)
    assert handover.hand_over_one(remote)
    assert (folder.remote_base / path).read_bytes() == line("line 1")
    assert row(centre, path).handed_over_at is not None


async def test_a_crash_after_the_upload_doubles_nothing(centre, task, folder, handover):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    await task.end(line("line 1"))
    folder.up.append("crash after upload")
    assert handover.hand_over_one(RemoteLog(folder))
    assert row(centre, path).handed_over_at is None
    due_again(centre, path)
    assert handover.hand_over_one(RemoteLog(folder))
    assert (folder.remote_base / path).read_bytes() == line("line 1")
    assert row(centre, path).handed_over_at is not None


async def test_a_log_is_read_here_as_long_as_it_is_here_and_then_from_the_remote_log(
    centre,
    task,  # noqa: F811
    folder,
    handover,
):
    path = centre.job(task.offer.job_id).log_path
    await task.end(line("line 1"))
    assert handover.hand_over_one(RemoteLog(folder))
    page = await task.page.all()
    assert written(page) == ["line 1"]
    assert "from the folder" not in page
    with centre.engine.begin() as connection:
        connection.execute(update(LogRow).where(LogRow.path == path).values(purged_at=datetime.now(UTC)))
    page = await task.page.all()
    assert written(page) == ["line 1"]
    assert "from the folder" in page


def test_only_a_log_that_takes_files_is_offered_some(tmp_path):
    @attrs.define
    class AsItIsWritten(FolderLog):
        processors: ClassVar[tuple[Any, ...]] = (print,)

    assert takes_files(FolderLog(tmp_path, tmp_path, False))
    assert not takes_files(AsItIsWritten(tmp_path, tmp_path, False))
    assert not takes_files(object())
