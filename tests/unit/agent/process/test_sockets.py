from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process.sockets import socket_path


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


def test_a_place_that_others_can_enter_is_not_used(short_tmp, tmp_path):
    folder = socket_path(long(tmp_path), "agent.sock").parent
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="state_dir"):
        socket_path(long(tmp_path), "agent.sock")


def test_a_link_in_its_place_is_not_followed(short_tmp, tmp_path):
    folder = socket_path(long(tmp_path), "agent.sock").parent
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(ConfigError):
        socket_path(long(tmp_path), "agent.sock")
