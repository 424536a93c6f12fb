from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from airflow_edge.agent import threads
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.threads import LOOKUPS, Loop, Threads


def none_left(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_at_the_limit_of_processes_everything_that_takes_its_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> int:
        monkeypatch.setattr(threading.Thread, "start", none_left)
        found = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        return await asyncio.to_thread(len, found)

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(work()) > 0


def test_where_no_thread_is_to_be_had_at_the_start_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", none_left)
    with pytest.raises(AgentError, match="TasksMax"):
        Threads(1, "one")


def test_what_is_raised_in_a_thread_is_raised_where_it_is_waited_for_and_ends_no_thread() -> None:
    pool = Threads(1, "one")
    for error in (KeyError("a"), SystemExit(3), MemoryError()):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            pool.submit(fail).result(10)
    assert pool.submit(len, "abc").result(10) == 3
    given_up = pool.submit(len, "a")
    given_up.cancel()
    assert pool.submit(len, "abcd").result(10) == 4


def test_a_silent_name_server_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    asked: list[str] = []

    def silent(host: str, port: int, **_: int) -> Any:
        asked.append(host)
        answers.wait(20)
        return [host]

    monkeypatch.setattr(socket, "getaddrinfo", silent)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        calls = [asyncio.create_task(loop.getaddrinfo(f"centre-{n % 4}", 443)) for n in range(64)]
        await asyncio.sleep(0)
        # Who does not wait any longer takes the answer from nobody.
        calls[0].cancel()
        assert await asyncio.to_thread(len, "abc") == 3
        answers.set()
        found: list[Any] = [await call for call in calls[4:8]]
        assert found == [[f"centre-{n}"] for n in range(4)]
        await asyncio.gather(*calls, return_exceptions=True)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(work())
    assert len(asked) == 4 > LOOKUPS
    assert threads.OTHERS > 1


def test_a_process_ends_though_a_thread_is_still_at_something() -> None:
    code = """
import asyncio, socket, threading, time
from airflow_edge.agent.threads import Loop
begun = threading.Event()
def silent(*_, **__):
    begun.set()
    time.sleep(600)
socket.getaddrinfo = silent
async def work():
    asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo("centre", 443))
    await asyncio.to_thread(begun.wait)
with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(work())
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, env=dict(os.environ), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
