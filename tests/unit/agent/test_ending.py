from __future__ import annotations

import asyncio

import pytest

from airflow_edge.agent import ending
from airflow_edge.agent.ending import closing, deliver, say_what_is_left
from airflow_edge.agent.net.http import HttpClient


class Gone(HttpClient):
    """One whose library was removed with the installation."""

    def __init__(self) -> None:
        pass

    async def aclose(self) -> None:
        raise ModuleNotFoundError("anyio._core")


async def test_an_installation_that_is_gone_keeps_no_agent_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    async with closing(Gone()):
        pass
    assert "anyio._core" in caplog.text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.2)
    monkeypatch.setattr(ending, "LOOK_INTERVAL", 0.001)


async def test_a_worker_waits_for_as_long_as_the_centre_takes_something(
    impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    taken = 0

    def progress() -> int:
        nonlocal taken
        taken += 1
        return taken

    async with asyncio.timeout(10):
        await deliver(lambda: max(0, 1000 - taken), progress, lambda: False)
    assert taken >= 1000
    say_what_is_left(0)
    assert caplog.text == ""


async def test_where_nothing_moves_it_goes_and_says_what_is_left(
    impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(10):
        await deliver(lambda: 2, lambda: 0, lambda: False)
    say_what_is_left(2)
    assert "of 2 jobs are not completely at the centre" in caplog.text


async def test_one_that_was_terminated_goes_though_something_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "HURRIED_PATIENCE", 0.05)
    steps = iter(range(10**9))
    async with asyncio.timeout(10):
        await deliver(lambda: 1, lambda: next(steps), lambda: True)
