from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat

import pytest

from airflow_edge.agent.errors import AgentError, NotRunningError
from airflow_edge.agent.process.control import ask, controlled


def broken(_):
    raise ValueError("out of order")


@pytest.fixture
async def server(tmp_path):
    asked = []
    commands = {
        "status": lambda _: {"state": "idle", "queues": ("grün",)},
        "drain": lambda text: asked.append(text),
        "break": broken,
    }
    async with controlled(tmp_path / "control.sock", commands):
        yield asked


async def test_a_command_is_answered(server, tmp_path):
    path = tmp_path / "control.sock"
    assert await asyncio.to_thread(ask, path, "status") == {"state": "idle", "queues": ["grün"]}
    assert await asyncio.to_thread(ask, path, "drain", "grün") is None
    assert server == ["grün"]


async def test_a_command_is_answered_when_it_was_carried_out(tmp_path):
    path, written = tmp_path / "control.sock", asyncio.Event()

    async def drain(text):
        await written.wait()
        return text

    async with controlled(path, {"drain": drain, "status": lambda _: "here"}):
        waiting = asyncio.create_task(asyncio.to_thread(ask, path, "drain", "now"))
        assert await asyncio.to_thread(ask, path, "status") == "here"
        assert not waiting.done()
        written.set()
        assert await waiting == "now"


async def test_an_unknown_command_is_refused(server, tmp_path):
    with pytest.raises(AgentError, match="none of break, drain, status"):
        await asyncio.to_thread(ask, tmp_path / "control.sock", "dance")


async def test_a_command_that_fails_is_told_and_the_server_goes_on(server, tmp_path):
    with pytest.raises(AgentError, match="out of order"):
        await asyncio.to_thread(ask, tmp_path / "control.sock", "break")
    assert await asyncio.to_thread(ask, tmp_path / "control.sock", "status")


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b"[]\n", b'{"command": 1}\n'])
async def test_nonsense_is_answered_with_an_error(server, tmp_path, line):
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    writer.write(line + b'{"command": "status"}\n')
    assert not json.loads(await reader.readline())["ok"]
    assert json.loads(await reader.readline())["ok"]
    writer.close()


async def test_an_endless_line_is_cut_off(server, tmp_path):
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    writer.write(b"x" * 1_000_000)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.held("another user of the machine: no socket, file or folder")
async def test_only_this_user_may_connect(server, tmp_path):
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600


async def test_a_dead_workers_socket_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunningError):
        await asyncio.to_thread(ask, path, "status")
    async with controlled(path, {"status": lambda _: 1}):
        assert await asyncio.to_thread(ask, path, "status") == 1
    assert not path.exists()


def test_without_a_worker_the_error_says_what_to_do(tmp_path):
    with pytest.raises(NotRunningError, match="airflow-edge worker"):
        ask(tmp_path / "control.sock", "status")


def test_a_worker_that_hangs_is_not_waited_for_for_ever(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(AgentError, match="did not answer"):
            ask(path, "status", patience=0.05)
