"""Tasks that write everything a log page can show, for the edge and, where there is one, for another executor."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Connection, Variable, dag, task
from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

PATIENCE = 120.0

log = logging.getLogger("factory.press")


def secrets() -> list[tuple[str, str | None]]:
    mask_secret("registered-by-the-task")
    return [
        ("password", Connection.get("warehouse").password),
        ("variable", Variable.get("api_token")),
        ("registered", "registered-by-the-task"),
        ("harmless", Variable.get("city")),
    ]


def define(dag_id: str, executor: str | None) -> None:
    @dag(dag_id, schedule=None, default_args={"executor": executor})
    def logs() -> None:
        # Either logs or prints: these go separate ways in the Task SDK and may overtake each other.
        @task(retries=1, retry_delay=timedelta(seconds=1))
        def talk(ti: Any = None) -> None:
            log.info("::group::Measurements")
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                log.log(level, "pressure of %s is %d bar", "press-7", level)
            log.info("::endgroup::")
            log.info("see https://example.org/report?from=1&to=2 for more, größe 🙂")
            for name, secret in secrets():
                log.info("%s: %s", name, secret)
            if ti.try_number == 1:
                raise RuntimeError(f"no connection with {secrets()[0][1]}")

        @task
        def shout() -> None:
            for name, secret in secrets():
                print(f"{name}: {secret}")
            print("  indented, and\ttabbed, größe 🙂")

        @task
        def stray() -> None:
            print("progress 1\rprogress 2\rprogress 3")
            print("\x1b[31mred\x1b[0m, \0, \u2028, \u2029, \x85, \x0b, \x0c and \x1c end no line")
            sys.stdout.flush()
            os.write(1, b"of another encoding: gr\xf6\xdfe\n")
            subprocess.run(["sh", "-c", "echo from a child; echo in trouble >&2"], check=True)
            os.write(1, b"no line break at the end")

        @task
        def stopped() -> None:
            print("until somebody stops it")
            while True:
                time.sleep(0.1)

        talk()
        shout()
        stray()
        stopped()

    logs()


@dag("live_log", schedule=None, params={"go_on": ""})
def live_log() -> None:
    @task
    def wait(params: Any = None) -> None:
        print("line 1")
        deadline = time.monotonic() + PATIENCE
        while not Path(params["go_on"]).exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        print("line 2")

    wait()


define("logs_edge", None)
if "LocalExecutor" in conf.get("core", "executor"):
    define("logs_local", "LocalExecutor")
live_log()
