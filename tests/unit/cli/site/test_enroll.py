from __future__ import annotations

import argparse
import os
import shlex
from types import SimpleNamespace

import pytest

from airflow_edge.agent.errors import NotReadyError
from airflow_edge.cli.site import enroll

WHY = "the tables of airflow-edge are missing; run: airflow db migrate"


@pytest.fixture
def arguments(tmp_path):
    return argparse.Namespace(
        url="http://centre.example",
        token="t",
        name="press-7",
        queues=None,
        ca_file=None,
        client_cert=None,
        client_key=None,
        state_dir=str(tmp_path / "a folder"),
        shared_secret=False,
        force=False,
        insecure=False,
    )


def test_what_the_centre_waits_for_is_said_at_its_first_answer(monkeypatch, capsys, arguments):
    answers = iter([NotReadyError(WHY), NotReadyError(WHY), SimpleNamespace(name="press-7", queues=("plc",))])

    async def ask(*_, **__):
        answer = next(answers)
        if isinstance(answer, Exception):
            said.append(capsys.readouterr().err)
            raise answer
        return answer

    said: list[str] = []
    monkeypatch.setattr(enroll, "enroll_here", ask)
    monkeypatch.setattr(enroll, "_FIRST_WAIT", 0.01)
    assert enroll.enroll(arguments) == 0
    assert said[0] == ""
    assert WHY in said[1]
    assert "waiting for up to" in said[1]
    printed = capsys.readouterr()
    # Once, however often it is answered.
    assert printed.err == ""
    assert ("chown -R USER: " in printed.out) == (os.geteuid() == 0)
    start = printed.out.partition("`")[2].partition("`")[0]
    assert shlex.split(start) == ["airflow-edge", "worker", "--state-dir", arguments.state_dir]


def test_root_is_told_who_gets_the_folder_when_the_worker_starts(monkeypatch, capsys, arguments):
    async def answer(*_, **__):
        return SimpleNamespace(name="press-7", queues=("plc",))

    monkeypatch.setattr(enroll, "enroll_here", answer)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("AIRFLOW__EDGE__AGENT_USER", "airflow-edge")
    assert enroll.enroll(arguments) == 0
    said = capsys.readouterr().out
    assert "'airflow-edge' is given" in said
    assert "chown" not in said
