"""A program whose output nobody reads any more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from airflow_edge.cli.pipes import while_somebody_reads
import sys
with while_somebody_reads():
    {body}
"""


def run(body: str, *, read: bool) -> tuple[int, str]:
    """Run it with a pipe that nobody reads from its beginning on, or with one that is read."""
    reader, writer = os.pipe()
    if not read:
        os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    if read:
        os.close(reader)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("body", ["print('one')", "print('one', flush=True)", "print('one\\n' * 100_000)"])
def test_it_ends_without_a_word(body: str) -> None:
    assert run(body, read=False) == (141, "")


def test_what_is_read_ends_as_ever() -> None:
    assert run("print('one')", read=True) == (0, "")
    assert run("sys.exit(3)", read=True) == (3, "")


def test_a_connection_that_breaks_is_told() -> None:
    status, said = run("raise BrokenPipeError('the agent has gone')", read=True)
    assert status == 1
    assert "the agent has gone" in said
