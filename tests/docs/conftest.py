from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import environments
from harness.database import PostgresServer
from harness.pages import Block
from harness.ports import free_port
from tests.docs.shell import Shell

DAG = re.compile(r"^@dag\b.*?^def (?P<name>\w+)", re.DOTALL | re.MULTILINE)


@dataclass
class Machine:
    """The machine of a page, `/path/to/` being a folder of its own; its ports are not those of somebody else."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("bin", "dags", "home"):
            (self.folder / name).mkdir(parents=True)
        self.install("centre", environments.centre())
        self.port = free_port()
        (self.folder / "home" / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")

    def install(self, name: str, venv: Path) -> None:
        """Have an environment stand where the page made one."""
        (self.folder / name).mkdir()
        (self.folder / name / "venv").symlink_to(venv, target_is_directory=True)

    def shell(self, name: str) -> Shell:
        return Shell(self.folder / f"shell-{name}", self.env(), self.folder)

    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            # Each line at once, as in a terminal: into a file, `airflow standalone` writes late by minutes.
            "PYTHONUNBUFFERED": "1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }

    def save(self, block: Block) -> None:
        """Write a Dag where the page says."""
        named = DAG.search(block.text)
        if named:
            (self.folder / "dags" / f"{named['name']}.py").write_text(block.text)

    def stand_in(self, name: str, script: str) -> None:
        """Put a program on PATH that this machine has not."""
        program = self.folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """What is closed at the end of a module."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("docs"))
    # Of a registry nothing is fetched: `command_lines` has looked at what was asked for, which is installed.
    machine.stand_in("pip", "exit 0")
    return machine


@pytest.fixture(scope="module")
def postgres(stack):
    return stack.enter_context(PostgresServer().running())
