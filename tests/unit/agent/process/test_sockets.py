from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process import sockets
from airflow_edge.agent.process.sockets import doorway, socket_path


@pytest.fixture
def short_tmp(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def long(folder: Path) -> Path:
    return folder / ("x" * 120)


def test_a_socket_lies_in_the_state_folder():
    assert socket_path(Path("/s"), "a.sock") == Path("/s/a.sock")


def test_a_long_path_is_replaced_by_one_that_can_be_bound(short_tmp, tmp_path):
    path = socket_path(long(tmp_path), "agent.sock")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def test_each_state_folder_has_its_own_place_and_always_the_same(short_tmp, tmp_path):
    first, second = long(tmp_path / "a"), long(tmp_path / "b")
    assert socket_path(first, "agent.sock") == socket_path(first, "agent.sock")
    assert socket_path(first, "agent.sock") != socket_path(second, "agent.sock")
    assert socket_path(first, "agent.sock") != socket_path(first, "control.sock")


@pytest.mark.held("a folder for sockets that is another's, a link, or open to all")
def test_a_place_that_others_can_enter_is_not_used(short_tmp, tmp_path):
    folder = socket_path(long(tmp_path), "agent.sock").parent
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="state_dir"):
        socket_path(long(tmp_path), "agent.sock")


@pytest.mark.held("a folder for sockets that is another's, a link, or open to all")
def test_a_link_in_its_place_is_not_followed(short_tmp, tmp_path):
    folder = socket_path(long(tmp_path), "agent.sock").parent
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(ConfigError):
        socket_path(long(tmp_path), "agent.sock")


class Echo(asyncio.Protocol):
    """Gives back what comes."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def listen(listener):
    return asyncio.get_running_loop().create_unix_server(Echo, sock=listener)


async def echoes(reader, writer):
    writer.write(b"x")
    return await reader.readexactly(1) == b"x"


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(sockets, "LOOK_INTERVAL", 0.01)


@pytest.mark.parametrize("by", ["removed", "replaced", "tidied away with its folder"])
async def test_a_socket_that_is_gone_is_made_anew_and_who_was_connected_stays(short_tmp, tmp_path, quick_looks, by):
    path = socket_path(long(tmp_path), "agent.sock")
    async with doorway(path, listen) as door, asyncio.timeout(30):
        before = await asyncio.open_unix_connection(path)
        guard = asyncio.create_task(door.guard())
        path.unlink()
        if by == "replaced":
            path.touch()
        elif by != "removed":
            path.parent.rmdir()
        while True:
            try:
                after = await asyncio.open_unix_connection(path)
                break
            except OSError:
                await asyncio.sleep(0.01)
        assert await echoes(*before)
        assert await echoes(*after)
        assert path.stat().st_mode & 0o777 == 0o600
        guard.cancel()
        for _, writer in (before, after):
            writer.close()
    assert not path.exists()


async def test_one_that_cannot_be_made_anew_now_is_an_error_and_can_be_tried_again(tmp_path, quick_looks):
    folder = tmp_path / "state"
    folder.mkdir()
    async with doorway(folder / "a.sock", listen) as door:
        (folder / "a.sock").unlink()
        folder.rmdir()
        with pytest.raises(OSError, match="No such file"):
            await door.guard()
        folder.mkdir()
        guard = asyncio.create_task(door.guard())
        async with asyncio.timeout(30):
            while not (folder / "a.sock").exists():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        guard.cancel()
