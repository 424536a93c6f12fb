from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_edge import __version__
from airflow_edge.cli.site.main import build_parser, main

COMMANDS = ("enroll", "worker", "stop", "status", "logs")


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("words", [[], ["dance"], ["worker", "--dance"], ["worker", "press"]])
def test_what_is_not_a_command_has_status_2(words, capsys):
    assert main(words) == 2
    assert "usage: airflow-edge" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert "--state-dir" in capsys.readouterr().out


def test_the_worker_knows_the_flags_it_always_had():
    words = [
        "worker",
        "-c",
        "3",
        "-q",
        "a,b",
        "-H",
        "n",
        "--pid",
        "p",
        "-D",
        "--stdout",
        "o",
        "--stderr",
        "e",
        "-l",
        "log",
        "-u",
        "022",
        "-v",
    ]
    arguments = vars(build_parser().parse_args(words))
    del arguments["handler"]
    assert arguments == {
        "concurrency": "3",
        "queues": "a,b",
        "edge_hostname": "n",
        "pid": Path.cwd() / "p",
        "daemon": True,
        "stdout": Path.cwd() / "o",
        "stderr": Path.cwd() / "e",
        "log_file": Path.cwd() / "log",
        "umask": "022",
        "verbose": True,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "state_dir": None,
    }


def test_an_error_is_one_line_and_its_exit_status(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert main(["status"]) == 10
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("airflow-edge: no worker runs in")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_imports_airflow(command):
    program = (
        "import importlib, sys\n"
        "from airflow_edge.cli.site.main import build_parser\n"
        f"words = [{command!r}]\n"
        "handler = build_parser().parse_args(words).handler\n"
        "assert 'asyncio' not in sys.modules, 'the parser alone has to be cheap'\n"
        "importlib.import_module(handler.partition(':')[0])\n"
        "import airflow_edge.agent.agent\n"
        "bad = {name.partition('.')[0] for name in sys.modules} & {'airflow', 'sqlalchemy', 'fastapi', 'httpx'}\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
