"""What is wrong with the machine, found out on a real one."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from airflow_edge.agent.errors import describe
from airflow_edge.agent.machine.conditions import look

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


@pytest.mark.parametrize(("number", "advice"), [(errno.ENFILE, "fs.file-max"), (errno.EACCES, "give it to this user")])
def test_each_error_says_what_to_do(number: int, advice: str) -> None:
    assert advice in describe(OSError(number, os.strerror(number)))
