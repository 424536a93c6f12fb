"""Tasks for the runtime's tests. What they need to know is in their environment."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, task


def _folder(run_id):
    return Path(os.environ["SAMPLE_FOLDER"], run_id)


def _wait_for(file):
    while not file.exists():
        time.sleep(0.02)


class Patient(BaseOperator):
    """Runs until it is told to stop."""

    def execute(self, context):
        self.stopped = False
        self.folder = _folder(context["run_id"])
        (self.folder / "patient.pid").write_text(str(os.getpid()))
        while not self.stopped:
            time.sleep(0.01)

    def on_kill(self):
        self.stopped = True
        (self.folder / "on_kill").touch()


with DAG("sample", schedule=None):

    @task
    def succeed():
        print("grüße aus der Ferne")
        sys.stderr.write("to stderr\n")
        return {"answer": 42}

    @task
    def fail():
        raise ValueError("this task fails")

    @task
    def loop(into):
        """Plain Python that knows nothing of signals, with a child in a session of its own."""
        import subprocess

        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        (_folder(into) / "loop.pids").write_text(f"{os.getpid()} {child.pid}")
        while True:
            time.sleep(0.01)

    @task
    def talk(into):
        """Says something, then a lot when its disk is full, then something again if there is room."""
        folder = _folder(into)
        print("before")
        (folder / "talks").touch()
        _wait_for(folder / "full")
        for number in range(100):
            print(f"while it is full: {number}")
        (folder / "talked").touch()
        _wait_for(folder / "go on")
        print("after")

    @task
    def eat(into):
        """Takes all the memory there is, once it may."""
        folder = _folder(into)
        (folder / "eat.pid").write_text(str(os.getpid()))
        _wait_for(folder / "go on")
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * 1_000_000))

    @task
    def kill_itself():
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def look_around():
        from airflow.sdk.api.client import get_hostname

        return {"environ": dict(os.environ), "hostname": get_hostname(), "modules": sorted(sys.modules)}

    succeed()
    fail()
    loop("{{ run_id }}")
    talk("{{ run_id }}")
    eat("{{ run_id }}")
    kill_itself()
    look_around()
    Patient(task_id="patient")
    BashOperator(
        task_id="bash", bash_command="echo from bash; echo $$ >$SAMPLE_FOLDER/{{ run_id }}/bash.pid; sleep 1000"
    )
