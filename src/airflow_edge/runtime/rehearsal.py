"""What every task does first, tried once in a process of its own: what fails there would fail each of them.

It loads what is a user's, of which nothing is there before the fork of a task.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Mapping

from airflow_edge.protocol.messages import one_line

PATIENCE = 15.0
"""Seconds that it may take."""
LONGEST_TEXT = 400


def trouble(steps: Mapping[str, Callable[[], object]]) -> str:
    """Say why no task can run, given what each does first, by what it is about; empty if nothing is known.

    :raises OSError: no process is to be had.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _try(steps, writer)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        # What takes long may still come to an end.
        said = answer.read() if answer in select.select([answer], [], [], PATIENCE)[0] else b""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return said.decode(errors="replace")


def bundles() -> None:
    """Have Airflow read which Dag bundles there are.

    :raises Exception: it cannot.
    """
    from airflow.dag_processing.bundles import manager

    vars(manager)["DagBundlesManager"]()


def _try(steps: Mapping[str, Callable[[], object]], writer: int) -> None:
    try:
        for about, step in steps.items():
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - it may be a user's code, with any error
                said = one_line(f"{about}: {type(error).__name__}: {error}", LONGEST_TEXT)
                os.write(writer, said.encode())
                break
    finally:
        os._exit(0)
