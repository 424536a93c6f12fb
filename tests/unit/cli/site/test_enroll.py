from __future__ import annotations

import argparse
import os
import secrets
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nacl.signing import SigningKey

from airflow_edge.agent.errors import ConfigError, NotReadyError
from airflow_edge.cli.site import enroll
from airflow_edge.protocol.enrolment import SEED_BYTES, read_token, write_token
from airflow_edge.protocol.signatures import fingerprint

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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a command line is not everybody's, or not to be changed")
def test_who_looks_at_command_lines_reads_no_enrolment_token(tmp_path: Path) -> None:
    token = write_token(secrets.token_bytes(SEED_BYTES), fingerprint(bytes(32)))
    seed = SigningKey(read_token(token).seed)
    with socket.create_server(("127.0.0.1", 0)) as centre:
        url = f"http://127.0.0.1:{centre.getsockname()[1]}"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "airflow_edge.cli.site.main",
            "enroll",
            url,
            token,
            "--state-dir",
            tmp_path / "s",
        ]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                centre.settimeout(30)
                asking, _ = centre.accept()
                with asking:
                    asking.settimeout(30)
                    said = b""
                    while b'"token_key"' not in said:
                        part = asking.recv(65536)
                        assert part, said
                        said += part
                    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
                    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            finally:
                process.kill()
    assert bytes(seed.verify_key).hex().encode() in said
    assert token.encode() not in b" ".join(shown) + environment
    assert shown[shown.index(url.encode()) + 1] == b"-"


def test_queues_beside_a_token_are_refused_before_anything_is_sent_or_made(monkeypatch, tmp_path, arguments):
    async def ask(*_, **__):
        raise AssertionError("asked")

    monkeypatch.setattr(enroll, "enroll_here", ask)
    arguments.queues = "other,more"
    with pytest.raises(ConfigError, match=r"-q goes with --shared-secret.*enroll-token create --queues other,more"):
        enroll.enroll(arguments)
    assert list(tmp_path.iterdir()) == []
