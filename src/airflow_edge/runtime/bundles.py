"""Whether Airflow can read the Dag bundles that are configured at this site, without which no task runs at all."""

from __future__ import annotations

import os
import select
import signal

from airflow_edge.protocol.messages import one_line

PATIENCE = 10.0
"""Seconds that it may take."""
LONGEST_TEXT = 400


def trouble() -> str:
    """Say why the bundles cannot be set up; empty if they can, as far as that is seen without a task.

    In a process of its own: their classes may be a user's, of which nothing is loaded before the fork of a task.

    :raises OSError: no process is to be had.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _tell(writer)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        if answer in select.select([answer], [], [], PATIENCE)[0]:
            said = answer.read().decode(errors="replace")
        else:
            said = f"it takes longer than {PATIENCE:g} s to load them"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return said and f"the Dag bundles cannot be set up ([dag_processor] dag_bundle_config_list): {said}"


def _tell(writer: int) -> None:
    try:
        from airflow.dag_processing.bundles import manager

        vars(manager)["DagBundlesManager"]()
    except BaseException as error:  # noqa: BLE001 - it may be a user's class, with any error
        os.write(writer, one_line(f"{type(error).__name__}: {error}", LONGEST_TEXT).encode())
    finally:
        os._exit(0)
