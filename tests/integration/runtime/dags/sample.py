"""Tasks for the runtime's tests. What they need to know is in their environment."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
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


def _spread(file, output=None):
    """Start a plain child, one in a session of its own, and a daemon; they hold the task's output open, or another."""
    plain = subprocess.Popen(["sleep", "1000"], stdin=output, stdout=output, stderr=output)
    session = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=output, stdout=output, stderr=output)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            if output is not None:
                os.closerange(0, 3)
            os.execvp("sleep", ["sleep", "1000"])
        os._exit(0)
    os.wait()
    daemon = int(os.read(reader, 20))
    new = file.with_suffix(".new")
    new.write_text(f"{plain.pid} {session.pid} {daemon}")
    new.rename(file)


def attempt(kind, what):
    """Try an attack; give "done", or the name of the error that it met."""
    try:
        match kind:
            case "read":
                Path(what).read_bytes()
            case "write":
                Path(what).open("ab").close()
            case "list":
                list(Path(what).iterdir())
            case "connect":
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(what)
            case "signal":
                os.kill(what, 0)
            case "trace":
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.ptrace(16, what, 0, 0) != 0:
                    raise OSError(ctypes.get_errno(), "ptrace")
            case "find":
                return "done" if _in_memory(what) else "nothing"
            case "be":
                os.setuid(what)
            case "tell":
                return {"uid": list(os.getresuid()), "gid": list(os.getresgid()), "groups": os.getgroups()}[what]
    except OSError as error:
        return type(error).__name__
    return "done"


def _in_memory(pattern):
    """Whether this process has it anywhere; the pattern must not match itself."""
    wanted = re.compile(pattern.encode())
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, *_ = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        if mode.startswith("rw") and wanted.search(ctypes.string_at(first, last - first)):
            return True
    return False


def try_attacks(run_id):
    """Try all that the test has written down, and give what came of each."""
    plan = json.loads((_folder(run_id) / "attack.json").read_text())
    return {f"{kind} {what}": attempt(kind, what) for kind, targets in plan.items() for what in targets}


def leave_children(run_id):
    """Leave a plain child, one in a session of its own, and a daemon."""
    _spread(_folder(run_id) / "left.pids")


def loop_with_a_child(run_id):
    """Be plain Python that knows nothing of signals, with a child in a session of its own."""
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    (_folder(run_id) / "loop.pids").write_text(f"{os.getpid()} {child.pid}")
    while True:
        time.sleep(0.01)


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
        loop_with_a_child(into)

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
    def leave_behind(into):
        leave_children(into)

    @task
    def leave_quietly(into):
        _spread(_folder(into) / "quiet.pids", subprocess.DEVNULL)

    @task
    def leave_behind_and_go_on(into):
        _spread(_folder(into) / "going.pids")
        while True:
            time.sleep(0.01)

    @task
    def attack(into):
        return try_attacks(into)

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
    leave_behind("{{ run_id }}")
    attack("{{ run_id }}")
    leave_quietly("{{ run_id }}")
    leave_behind_and_go_on("{{ run_id }}")
    look_around()
    Patient(task_id="patient")
    BashOperator(
        task_id="bash", bash_command="echo from bash; echo $$ >$SAMPLE_FOLDER/{{ run_id }}/bash.pid; sleep 1000"
    )
