"""What is kept of runtimes that end: how often, and the last words of the last of them."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.site_secrets.reader import COMMAND
from airflow_edge.agent.supervisors.runtime_process import LONGEST_WORDS, MANY, RuntimeProcess, runtime_command


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state_dir=tmp_path)


def runtime(config: Config, monkeypatch: pytest.MonkeyPatch, script: str) -> RuntimeProcess:
    """Have a program in the runtime's place."""
    program = config.state_dir / "program"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    return RuntimeProcess(config, config.runtime_socket)


def end(process: RuntimeProcess, environment: dict[str, str] | None = None) -> None:
    assert process.start(environment or {})
    deadline = time.monotonic() + 30
    while process.running(retiring=False):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_its_last_words_are_those_of_this_start(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config.runtime_log.write_text("words of a runtime of yesterday\n" * 1000)
    process = runtime(config, monkeypatch, "print('something'); print('\\x1b[31mthe cause\\x1b[0m\\n'); exit(7)")
    assert process.condition == ""
    end(process)
    assert process.condition == "the runtime ended once: the cause (status 7)"
    end(process)
    assert process.condition == "the runtime ended 2 times: the cause (status 7)"
    assert process.failed


def test_it_is_logged_once_with_whole_lines_and_anew_when_it_is_another(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = runtime(config, monkeypatch, "for i in range(2000): print('line', i)\nexit(1)")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            end(process)
    (record,) = caplog.records
    _, first, *_, last = record.getMessage().splitlines()
    assert first.startswith("line ")
    assert last == "line 1999"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "it said nothing (signal 9, SIGKILL)"),
        ("pass", "it said nothing (status 0)"),
        ("print('x' * 100_000); exit(1)", "…"),
    ],
)
def test_whatever_it_ends_with_is_a_line(
    config: Config, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    process = runtime(config, monkeypatch, script)
    end(process)
    assert words in process.condition
    assert len(process.condition) < LONGEST_WORDS + 100
    assert process.condition.isprintable()


def test_another_runtime_at_its_place_is_no_failure_and_told_once(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = runtime(config, monkeypatch, "exit(4)")
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            end(process)
    assert [record.getMessage() for record in caplog.records].count(
        "another runtime is starting already; it is waited for"
    ) == 1
    assert process.condition == ""


def test_one_that_works_makes_up_for_those_before_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    process = runtime(config, monkeypatch, "exit(1)")
    seen = [process.ended_often]
    for _ in range(MANY):
        end(process)
        seen.append(process.ended_often)
    process.works()
    assert seen == [False] * MANY + [True]
    assert (process.ended_often, process.condition) == (False, "")


def test_that_no_process_is_to_be_had_is_told_with_what_to_do(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    process = RuntimeProcess(config, config.runtime_socket)

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    assert not process.start({})
    assert "TasksMax=" in process.condition


def test_attack_10_a_runtime_is_started_without_the_centres_secrets(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a process was started with stays in /proc for its forks, whatever they make of it later."""
    seen = tmp_path / "environ"
    process = runtime(
        config, monkeypatch, f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(str(dict(os.environ)))"
    )
    names = ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
    ours = dict.fromkeys(names, "the secret of the centre")
    end(process, ours | {"OTHER": "all that else there is"})
    assert "all that else there is" in seen.read_text()
    assert "the secret of the centre" not in seen.read_text()


@pytest.mark.attack(27)
def test_a_runtime_loads_nothing_from_the_folder_that_it_is_started_in(tmp_path: Path) -> None:
    """With two users it begins as root: a task that writes there would be root otherwise."""
    taken = tmp_path / "taken"
    for name in ("argparse", "msgspec", "airflow_edge"):
        (tmp_path / f"{name}.py").write_text(f"open({str(taken)!r}, 'w')\n")
    for command in (runtime_command(Config(state_dir=tmp_path)), COMMAND):
        ended = subprocess.run([*command, "--help"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True)
        assert not taken.exists()
        assert ended.returncode == 0, ended.stderr
