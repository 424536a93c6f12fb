"""Each in a process of its own, which has inherited something unusual."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SETTLED = """
import json, os, resource, signal, sys
from airflow_edge.site.inherited import give_back_files, settle, take_more_files
settle()
before = take_more_files()
more = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
give_back_files(before)
os.write({out}, json.dumps({{
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "ignored": [int(n) for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN],
    "umask": os.umask(0),
    "cwd": os.getcwd(),
    "standard": [os.path.exists(f"/proc/self/fd/{{n}}") for n in range(3)],
    "files": [before, more, resource.getrlimit(resource.RLIMIT_NOFILE)[0]],
}}).encode())
"""


def settled(prepare: Callable[[], object], cwd: Path) -> dict[str, object]:
    reader, writer = os.pipe()
    with os.fdopen(reader) as answers:
        process = subprocess.Popen(
            [sys.executable, "-c", SETTLED.format(out=writer)],
            preexec_fn=prepare,
            pass_fds=[writer],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
        )
        os.close(writer)
        answer: dict[str, object] = json.load(answers)
        assert process.wait(30) == 0
    return answer


def test_blocked_and_ignored_signals_are_told(tmp_path: Path) -> None:
    def prepare() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})

    answer = settled(prepare, tmp_path)
    assert answer["blocked"] == []
    assert set(answer["ignored"]) & {signal.SIGCHLD, signal.SIGTERM} == set()  # type: ignore[call-overload]
    # By nohup, which means it.
    assert signal.SIGHUP in answer["ignored"]  # type: ignore[operator]


@pytest.mark.parametrize(("inherited", "expected"), [(0o777, 0o077), (0o022, 0o022), (0, 0)])
def test_a_umask_leaves_its_own_files_to_their_user(tmp_path: Path, inherited: int, expected: int) -> None:
    assert settled(lambda: os.umask(inherited), tmp_path)["umask"] == expected


def test_a_removed_folder_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    assert settled(folder.rmdir, folder)["cwd"] == "/"
    assert settled(lambda: None, tmp_path)["cwd"] == str(tmp_path)


def test_something_is_at_the_standard_descriptors(tmp_path: Path) -> None:
    assert settled(lambda: os.closerange(0, 3), tmp_path)["standard"] == [True] * 3


def test_it_may_have_more_files_open_than_a_task(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    answer = settled(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard)), tmp_path)
    assert answer["files"] == [200, min(hard, 65_536) if hard > 0 else 65_536, 200]
