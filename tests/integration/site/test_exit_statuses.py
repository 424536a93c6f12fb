"""Which exit status a site's failure has: only where waiting cannot help is it one that systemd does not restart."""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.disk import CAN_MOUNT, fill, small_disk
from tests.integration.site.machine import PROGRAM, Machine, Said

NOT_RESTARTED = {
    int(status)
    for line in (Path(__file__).parents[3] / "docs/how-to/run-as-a-service.md").read_text().splitlines()
    if (found := re.fullmatch(r"RestartPreventExitStatus=(.*)", line))
    for status in found[1].split()
}
needs_root = pytest.mark.skipif(not CAN_MOUNT, reason="only root may mount what this needs")
NOBODY = pwd.getpwnam("nobody").pw_uid
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 1, 2, 3


def settled(said: Said, *, restarted: bool) -> str:
    """See that it was said in one line, with such a status; give the line."""
    assert "Traceback" not in said.err, said.err
    assert (said.status not in NOT_RESTARTED) == restarted, said
    return said.err.splitlines()[-1]


@pytest.fixture
def on_a_disk(machine: Machine, enrolled: Machine) -> Iterator[Machine]:
    """A worker whose state folder is on a disk of its own."""
    kept = machine.folder / "kept"
    shutil.move(machine.state_dir, kept)
    with small_disk(machine.state_dir) as disk:
        for file in kept.iterdir():
            shutil.copy2(file, disk)
        disk.chmod(0o700)
        yield machine


@needs_root
def test_a_disk_that_is_mounted_read_only_is_waited_for(on_a_disk: Machine) -> None:
    subprocess.run(["mount", "--bind", on_a_disk.state_dir, on_a_disk.state_dir], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", on_a_disk.state_dir], check=True)
        assert "mount its disk for writing" in settled(on_a_disk.type("worker"), restarted=True)
    finally:
        subprocess.run(["umount", on_a_disk.state_dir], check=True)


@needs_root
def test_a_worker_begins_on_a_full_disk_without_a_reserve(on_a_disk: Machine) -> None:
    worker = on_a_disk.start_worker()
    on_a_disk.wait_linked()
    worker.kill_alone()
    (on_a_disk.state_dir / "reserve").unlink()
    fill(on_a_disk.state_dir)
    on_a_disk.start_worker()
    on_a_disk.wait_linked()
    assert on_a_disk.status()["conditions"]


def test_a_disk_that_is_not_mounted_yet_is_waited_for(enrolled: Machine) -> None:
    shutil.rmtree(enrolled.state_dir)
    assert "mount it" in settled(enrolled.type("worker"), restarted=True)
    # What is mounted later finds nothing in its way.
    assert not enrolled.state_dir.exists()
    enrolled.state_dir.mkdir(mode=0o700)
    assert "mount it" in settled(enrolled.type("worker"), restarted=True)


def test_a_locked_journal_is_waited_for(enrolled: Machine) -> None:
    with closing(sqlite3.connect(enrolled.state_dir / "journal.sqlite", isolation_level=None)) as journal:
        journal.execute("CREATE TABLE t (x)")
        journal.execute("BEGIN EXCLUSIVE")
        assert "locked by another process" in settled(enrolled.type("worker"), restarted=True)


def test_too_few_descriptors_are_waited_for(enrolled: Machine) -> None:
    said = as_limited(enrolled, "ulimit -n 12")
    assert "LimitNOFILE" in settled(said, restarted=True) or "Too many open files" in said.err


def as_limited(machine: Machine, limit: str) -> Said:
    done = subprocess.run(
        ["sh", "-c", f"{limit}; exec {PROGRAM} worker"],
        env=machine.environment,
        cwd=machine.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def whole(state: Path) -> None:
    os.chown(state, NOBODY, NOBODY)


def identity(state: Path) -> None:
    os.chown(state / "worker.json", NOBODY, NOBODY)


def jobs(state: Path) -> None:
    (state / "jobs").mkdir(mode=0o700)
    os.chown(state / "jobs", NOBODY, NOBODY)


def journal(state: Path) -> None:
    _private(state, "journal.sqlite")


def pid_file(state: Path) -> None:
    _private(state, "agent.pid")


def log(state: Path) -> None:
    _private(state, "agent.log")


def _private(state: Path, name: str) -> None:
    (state / name).touch(mode=0o600)
    os.chown(state / name, NOBODY, NOBODY)


def _as_any_other_user() -> None:
    """Take from this process what lets root into everybody's files."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER):
        assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="only root may give files to others")
@pytest.mark.parametrize("whose", [whole, identity, jobs, journal, pid_file, log], ids=lambda one: one.__name__)
@pytest.mark.parametrize("command", ["worker", "status", "logs", "stop", "maintenance"])
def test_another_users_files_are_named_with_their_owner(
    enrolled: Machine, whose: Callable[[Path], None], command: str
) -> None:
    whose(enrolled.state_dir)
    done = subprocess.run(
        [PROGRAM, command, *(["off"] if command == "maintenance" else [])],
        env=enrolled.environment,
        cwd=enrolled.folder,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_as_any_other_user,
    )
    said = Said(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in said.err, said.err
    if command == "worker" or whose is whole or (command == "logs" and whose is jobs):
        assert said.status == 3, said
        assert "'nobody'" in said.err.splitlines()[-1]
    else:
        assert said.status in {0, 10}, said
