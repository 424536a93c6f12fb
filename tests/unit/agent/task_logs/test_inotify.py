from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from airflow_edge.agent.task_logs import inotify
from airflow_edge.agent.task_logs.inotify import Watch
from harness.processes import without_descriptors


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "RETRY_INTERVAL", 0.01)


async def until_told(watch: Watch) -> None:
    async with asyncio.timeout(10):
        while not watch.told:
            await watch.wait()


async def test_what_could_not_be_watched_is_watched_when_it_can(tmp_path: Path) -> None:
    watch = Watch()
    watch.start()
    with without_descriptors():
        watch.add(tmp_path)
        assert not watch.told
    await until_told(watch)
    watch.close()


async def test_a_folder_that_was_not_there_is_watched_when_it_is(tmp_path: Path) -> None:
    watch = Watch()
    watch.start()
    watch.add(tmp_path / "later")
    assert not watch.told
    (tmp_path / "later").mkdir()
    await until_told(watch)
    watch.close()


async def test_what_cannot_be_heard_of_any_more_is_listened_to_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    watch.start()
    watch.add(tmp_path)
    read = os.read

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", fails)
        watch._told(watch._descriptor or 0)
        assert not watch.told
    assert os.read is read
    await until_told(watch)
    watch.close()
