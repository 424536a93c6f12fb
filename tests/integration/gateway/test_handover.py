"""Finished logs are handed over to the stock remote log that is configured at the centre: here Airflow's own for S3."""

from __future__ import annotations

import runpy
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from airflow_edge.gateway.loops.handover import LEASE, Handover, RemoteLog, configured_handler, takes_files
from airflow_edge.logs.task_log import EdgeTaskLog
from airflow_edge.store.tables import LogRow
from tests.integration.gateway.test_logs import line
from tests.integration.gateway.test_reading import reader, task, written  # noqa: F401 - fixtures
from tests.s3 import s3, s3_server  # noqa: F401 - fixtures

pytestmark = pytest.mark.one_database


@pytest.fixture
def bucket(s3, tmp_path, monkeypatch):  # noqa: F811
    """Airflow's settings for logs in S3, and what its own logging configuration makes of them."""
    from airflow.config_templates import airflow_local_settings
    from airflow.logging_config import _ActiveLoggingConfig

    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER", "s3://logs/airflow")
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID", "bucket")
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path / "centre's own"))
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", "aws://")
    handler = runpy.run_path(airflow_local_settings.__file__)["REMOTE_TASK_LOG"]
    assert type(handler).__name__ == "S3RemoteLogIO"
    monkeypatch.setattr(_ActiveLoggingConfig, "remote_task_log", EdgeTaskLog(handler))
    return s3


@pytest.fixture
def handover(centre):
    with centre.engine.begin() as connection:
        connection.execute(update(LogRow).values(handed_over_at=datetime.now(UTC)))
    return Handover(centre.store)


def in_s3(bucket, path: str) -> bytes:
    bucket.invalidate_cache()
    return bucket.cat_file(f"logs/airflow/{path}")


def row(centre, path: str) -> LogRow:
    with centre.sessions() as session:
        return session.scalars(select(LogRow).where(LogRow.path == path)).one()


def due_again(centre, path: str) -> None:
    with centre.engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(LogRow).where(LogRow.path == path).values(handover_at=past))


async def test_a_finished_log_is_handed_over_once(centre, task, bucket, handover, tmp_path):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    remote = RemoteLog(configured_handler())
    await task.write(line("line 1"))
    assert not handover.hand_over_one(remote)
    await task.end(line("line 2") + b"\xff\x00 is no text")
    with ThreadPoolExecutor(4) as threads:
        others = [Handover(centre.store) for _ in range(4)]
        handed = threads.map(lambda other: other.hand_over_one(RemoteLog(configured_handler())), others)
        assert sum(handed) == 1
    assert not handover.hand_over_one(remote)
    assert in_s3(bucket, path) == line("line 1") + line("line 2") + "\N{REPLACEMENT CHARACTER}\0 is no text\n".encode()
    assert row(centre, path).handed_over_at is not None
    assert not (tmp_path / "centre's own").exists()


async def test_what_the_remote_log_does_not_take_is_offered_again(centre, task, bucket, handover):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    remote = RemoteLog(configured_handler())
    await task.end(line("line 1"))
    bucket.rmdir("logs")
    assert handover.hand_over_one(remote)
    assert row(centre, path).handed_over_at is None
    assert not handover.hand_over_one(remote)
    bucket.mkdir("logs")
    due_again(centre, path)
    assert handover.hand_over_one(remote)
    assert in_s3(bucket, path) == line("line 1")
    assert row(centre, path).handed_over_at is not None


async def test_one_that_dies_after_the_upload_doubles_nothing(centre, task, bucket, handover):  # noqa: F811
    path = centre.job(task.offer.job_id).log_path
    await task.end(line("line 1"))
    now = datetime.now(UTC)
    due = centre.store.log_handovers.claim(now=now, until=now + LEASE)
    # Its process dies right after this.
    RemoteLog(configured_handler()).take(due.path, centre.store.logs.read(due.id), again=due.again)
    assert in_s3(bucket, path) == line("line 1")
    assert row(centre, path).handed_over_at is None
    due_again(centre, path)
    assert handover.hand_over_one(RemoteLog(configured_handler()))
    assert in_s3(bucket, path) == line("line 1")
    assert row(centre, path).handed_over_at is not None


async def test_a_log_is_read_here_as_long_as_it_is_here_and_then_from_the_remote_log(
    centre,
    task,  # noqa: F811
    bucket,
    handover,
):
    path = centre.job(task.offer.job_id).log_path
    await task.end(line("line 1"))
    assert handover.hand_over_one(RemoteLog(configured_handler()))
    page = await task.page.all()
    assert written(page) == ["line 1"]
    assert not any("s3://logs" in event for event in page)
    with centre.engine.begin() as connection:
        connection.execute(update(LogRow).where(LogRow.path == path).values(purged_at=datetime.now(UTC)))
    page = await task.page.all()
    assert written(page) == ["line 1"]
    assert any(f"s3://logs/airflow/{path}" in event for event in page)


@pytest.mark.parametrize("task", ["y" * 250, "ö" * 250, "語" * 250, "🙃" * 250], indirect=True)
async def test_a_log_whose_ids_are_no_names_for_files_is_handed_over_and_read_from_there(
    centre,
    task,  # noqa: F811
    bucket,
    handover,
):
    path = centre.job(task.offer.job_id).log_path
    await task.end(line("line 1"))
    assert handover.hand_over_one(RemoteLog(configured_handler()))
    assert row(centre, path).handed_over_at is not None
    with centre.engine.begin() as connection:
        connection.execute(update(LogRow).where(LogRow.path == path).values(purged_at=datetime.now(UTC)))
    assert written(await task.page.all()) == ["line 1"]


def test_only_a_log_that_takes_files_is_offered_some(bucket, tmp_path):
    from airflow.providers.amazon.aws.log.cloudwatch_task_handler import CloudWatchRemoteLogIO

    as_it_is_written = CloudWatchRemoteLogIO(
        remote_base="cloudwatch://logs",
        base_log_folder=tmp_path,
        delete_local_copy=False,
        log_group_arn="arn:aws:logs:us-east-1:123456789012:log-group:logs",
    )
    assert takes_files(configured_handler())
    assert not takes_files(as_it_is_written)
    assert not takes_files(object())
