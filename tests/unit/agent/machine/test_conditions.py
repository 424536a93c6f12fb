"""What is wrong with the machine, found out on a real one."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.errors import describe, who
from airflow_edge.agent.machine.conditions import bounded, look
from airflow_edge.protocol.frames import SiteFrame, decode_site_frame, encode
from airflow_edge.protocol.messages import Status, one_line
from airflow_edge.protocol.states import WorkerState

EXABYTE = 2**60


def test_nothing_is_wrong_with_a_folder_like_any_other(tmp_path: Path) -> None:
    assert look(tmp_path, 1) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_too_little_room_is_named_with_its_limit(tmp_path: Path) -> None:
    (condition,) = look(tmp_path, EXABYTE)
    assert str(tmp_path) in condition
    assert f"less than {EXABYTE // 2**20} MiB ([edge] min_free_disk)" in condition
    assert look(tmp_path, EXABYTE) == (condition,)


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (condition,) = look(tmp_path / "gone", 0)
    assert "No such file or directory" in condition


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        (condition,) = look(tmp_path, 0)
        assert "cannot be written to" in condition
    finally:
        tmp_path.chmod(0o700)


def test_that_no_descriptor_is_left_is_told_with_the_limit(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        (condition,) = look(tmp_path, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert f"({lowest_free}); raise the limit (LimitNOFILE=" in condition


@pytest.mark.parametrize(("number", "advice"), [(errno.ENFILE, "fs.file-max"), (errno.EACCES, f"give it to {who()}")])
def test_each_error_says_what_to_do(number: int, advice: str) -> None:
    assert advice in describe(OSError(number, os.strerror(number)))


@given(st.lists(st.text(max_size=1000), max_size=40))
def test_conditions_are_what_the_centre_takes_whatever_a_part_says(texts: list[str]) -> None:
    said = bounded(texts)
    status = Status(state=WorkerState.IDLE, alive=(), conditions=said)
    decoded = decode_site_frame(encode(SiteFrame(0, 0, status))).body
    assert isinstance(decoded, Status)
    assert decoded.conditions == said
    assert all(line and line.isprintable() for line in said)
    assert bool(said) == any(one_line(text) for text in texts)
