"""What a worker has inherited or lost on the way, and what it is told all the same."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from harness.processes import Process
from harness.waiting import wait_for
from tests.integration.site.machine import PROGRAM, Machine

BLOCKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP})
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
SILENT = """
import socket, time
_ask = socket.getaddrinfo
def _silent(host, *more, **named):
    if host == "silent.example":
        time.sleep(600)
    return _ask(host, *more, **named)
socket.getaddrinfo = _silent
"""


def test_a_worker_and_its_runtime_hear_signals_that_they_were_started_without(enrolled: Machine) -> None:
    worker = Process(
        "worker",
        [sys.executable, "-c", BLOCKED, PROGRAM, "worker"],
        env=enrolled.environment,
        cwd=enrolled.folder,
        log=enrolled.folder / "worker.log",
    )
    wait_for(lambda: enrolled.status().get("runtime", {}).get("pid"), "the runtime", timeout=120)
    for pid in (worker.pid, enrolled.status()["runtime"]["pid"]):
        facts = dict(
            line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert int(facts["SigBlk"], 16) == 0
        assert not int(facts["SigIgn"], 16) & 1 << (signal.SIGCHLD - 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_a_worker_ends_at_once_though_a_name_server_does_not_answer(enrolled: Machine) -> None:
    place = enrolled.folder / "silent"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SILENT)
    worker = enrolled.start_worker(PYTHONPATH=str(place), AIRFLOW__EDGE__API_URL="https://silent.example:8080")
    wait_for(lambda: enrolled.status()["link"]["state"] == "connecting", "the worker", timeout=60)
    worker.send_signal(signal.SIGTERM)
    # Longer than it waits for anything else, and much shorter than the name server takes.
    assert worker.wait(60) == 0
