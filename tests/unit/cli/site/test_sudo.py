from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.checking.findings import Mark, as_line
from airflow_edge.cli.site import sudo
from airflow_edge.cli.site.sudo import third_users


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """In place of sudo, a program that does this."""

    def does(line):
        program = tmp_path / "sudo"
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return does


def test_a_sudo_that_does_not_answer_is_a_finding_and_keeps_nobody_waiting(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(sudo, "SUDO_PATIENCE", 0.2)
    stand_in(f"exec {shlex.quote(sys.executable)} -c 'import time; time.sleep(60)'")
    [silent] = third_users(Config(state_dir=tmp_path), "robot")
    said = as_line(silent)
    assert "sudo has not said within 0.2 s" in said
    assert "sudo -n -l" in said
    stand_in("exit 1")
    [refused] = third_users(Config(state_dir=tmp_path), "robot")
    assert "sudo does not allow" in as_line(refused)


def test_who_may_not_end_a_sudo_that_does_not_answer_leaves_it(tmp_path, stand_in, monkeypatch):
    # As the kernel answers who is not root: sudo is root's.
    def kill(process):
        left.append(process)
        raise PermissionError

    left: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(sudo, "SUDO_PATIENCE", 0.2)
    monkeypatch.setattr(subprocess.Popen, "kill", kill)
    stand_in(f"exec {shlex.quote(sys.executable)} -c 'import time; time.sleep(60)'")
    try:
        [silent] = third_users(Config(state_dir=tmp_path), "robot")
    finally:
        monkeypatch.undo()
        for process in left:
            process.kill()
            process.wait()
    assert "sudo has not said" in as_line(silent)


def test_of_the_users_that_the_policy_names_each_is_asked_for_but_patterns(tmp_path, stand_in):
    path = tmp_path / "policy.toml"
    path.write_text('users = ["report", "back*"]')
    path.chmod(0o644)
    config = Config(state_dir=tmp_path, site_policy=path)
    stand_in(f'echo "as: $*" >> {tmp_path}/asked; echo "sudo: a password is required" >&2; exit 1')
    [report, robot] = third_users(config, "robot")
    assert report.mark is Mark.WRONG
    assert f"tasks may ask to be 'report' (`users` of {path})" in report.text
    assert "(sudo: a password is required)" in report.text
    assert f"ALL=(report) NOPASSWD:SETENV: {os.path.dirname(sys.executable)}/python" in report.advice  # noqa: PTH120
    assert "[core] default_impersonation" in robot.text
    # As Airflow does, so that what is not allowed is not taken for allowed.
    assert all(line.startswith("as: -n -E -H -u ") for line in (tmp_path / "asked").read_text().splitlines())


def test_who_may_become_somebody_that_cannot_read_python_is_told_so(tmp_path, stand_in):
    stand_in('echo "sudo: unable to execute /x/python: Permission denied" >&2; exit 1')
    [found] = third_users(Config(state_dir=tmp_path), "robot")
    assert "who cannot start the worker's Python" in found.text
    assert "sudoers" not in found.advice
