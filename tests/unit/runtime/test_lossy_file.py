"""A writer that goes on when there is no room. The kernel's limit for a file's size stands for the end of the disk."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_edge.runtime.lossy_file import LossyFile, task_log


def notice(lines: int, why: str) -> bytes:
    return f"lost {lines}: {why}\n".encode()


@pytest.fixture
def room() -> Iterator[Callable[[int], object]]:
    """Give a way to limit the size of files, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield limited
    signal.signal(signal.SIGXFSZ, ignored)


def test_what_finds_no_room_is_counted_and_said_when_there_is_some(tmp_path, room):
    path = tmp_path / "log"
    file = LossyFile(path, notice)
    file.write(b"one\n")
    with room(4):
        for line in (b"two\n", b"three\n"):
            assert file.write(line) == len(line)
    file.write(b"four\n")
    file.close()
    assert path.read_bytes() == b"one\nlost 2: File too large\nfour\n"


def test_a_line_that_was_begun_is_completed(tmp_path, room):
    path = tmp_path / "log"
    file = LossyFile(path, notice)
    with room(6):
        file.write(b"one\n")
        file.write(b"two\n")
        file.write(b"three\n")
        assert path.read_bytes() == b"one\ntw"
    file.write(b"four\n")
    file.close()
    assert path.read_bytes() == b"one\ntwo\nlost 1: File too large\nfour\n"


def test_what_was_lost_last_is_said_at_the_end(tmp_path, room):
    path = tmp_path / "log"
    file = LossyFile(path, notice)
    with room(0):
        file.write(b"one\n")
    file.close()
    file.close()
    assert path.read_bytes() == b"lost 1: File too large\n"


def test_a_file_that_cannot_be_made_yet_is_made_later(tmp_path):
    path = tmp_path / "folder" / "log"
    file = LossyFile(path, notice)
    file.write(b"one\n")
    path.parent.mkdir()
    file.write(b"two\n")
    file.close()
    assert path.read_bytes() == b"lost 1: No such file or directory\ntwo\n"


def test_a_tasks_log_says_it_in_its_own_form_and_what_to_do(tmp_path, room):
    path = tmp_path / "log"
    file = task_log(path)
    with room(0):
        file.write(b"{}\n")
    file.close()
    line = json.loads(path.read_text())
    assert (line["level"], line["logger"]) == ("warning", "airflow_edge")
    assert "1 line of this log" in line["event"]
    assert "[edge] state_dir" in line["event"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_process_may_print_where_nothing_can_be_written():
    program = (
        "import sys; from airflow_edge.runtime.lossy_file import make_output_lossy; make_output_lossy()\n"
        "print('x' * 100_000); sys.stdout.flush(); sys.stderr.write('y\\n'); print('done')"
    )
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run([sys.executable, "-c", program], stdout=full, stderr=full, check=False).returncode == 0
