"""`airflow-edge logs` at the site, with or without a worker, and `airflow edge worker-logs` at the centre."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest

from airflow_edge.cli.centre.worker_logs import WorkerLogView
from airflow_edge.protocol.local import JOB_FILE, LOG_FILE, OUTCOME_FILE, SUPERVISOR_LOG_FILE, JobFile
from harness.waiting import wait_for
from tests.integration.site.machine import PROGRAM

LINE = b'{"timestamp":"2026-03-04T05:06:07Z","level":"info","event":"hello \xc3\xa4","logger":"task"}\n'
READABLE = "2026-03-04T05:06:07Z INFO     task hello ä\n"


def job_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def make_job(machine, number: int, *, kept: bool = False, log: bytes | None = LINE, **ti) -> Path:
    """A job's folder as the agent and the supervisor leave it."""
    folder = machine.state_dir / ("logs" if kept else "jobs") / f"{job_id(number)}.1"
    folder.mkdir(parents=True)
    facts = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1, "try_number": 1, **ti}
    if kept:
        (folder / "about.json").write_text(json.dumps(facts))
    else:
        job = JobFile(
            job_id=job_id(number),
            assignment=1,
            kind="task",
            worker_name="w",
            workload=json.dumps({"ti": facts}),
            api_socket="",
            secret="",
            log_path="",
        )
        (folder / JOB_FILE).write_bytes(msgspec.json.encode(job))
        (folder / SUPERVISOR_LOG_FILE).touch()
    if log is not None:
        (folder / LOG_FILE).write_bytes(log)
    return folder


def test_without_a_worker_all_logs_are_listed_running_ones_first(machine):
    make_job(machine, 1, kept=True, dag_id="old", log=LINE * 100)
    ended = make_job(machine, 2, dag_id="ended")
    (ended / OUTCOME_FILE).touch()
    make_job(machine, 3, dag_id="live", task_id="mapped", map_index=4, try_number=2)
    said = machine.type("logs")
    assert (said.status, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["STATE", "DAG", "RUN", "TASK", "TRY", "SIZE", "AGE", "JOB"]
    assert [row[0] for row in rows[1:]] == ["running", "delivering", "kept"]
    assert rows[1][1:5] == ["live", "run", "mapped[4]", "2"]
    assert rows[1][-1] == f"{job_id(3)}.1"
    assert rows[3][5:7] == ["8", "KiB"]


def test_a_log_is_printed_readably_or_as_it_is(machine):
    make_job(machine, 1, kept=True)
    make_job(machine, 2, kept=True, dag_id="b", log=b"other\n")
    said = machine.type("logs", "dag/*/task")
    assert (said.status, said.out) == (0, READABLE)
    assert machine.type("logs", "00000001", "--raw").out.encode() == LINE


def test_what_is_not_there_is_told_with_what_to_do(machine):
    assert "--state-dir" in machine.type("logs").out
    said = machine.type("logs", "nothing")
    assert said.status == 1
    assert "airflow-edge logs" in said.complaint
    make_job(machine, 1, kept=True, log=None)
    said = machine.type("logs", "00000001")
    assert said.status == 1
    assert "-f" in said.complaint


def test_odd_bytes_go_through_raw_and_harm_nothing_otherwise(machine):
    odd = b"\x00\xff\xc3 half\n{\x00}\n" + b"x" * 300_000 + b"\nno end"
    make_job(machine, 1, kept=True, log=odd)
    raw = subprocess.run(
        [PROGRAM, "logs", "0", "--raw"], env=machine.environment, cwd=machine.folder, capture_output=True, timeout=60
    )
    assert raw.stdout == odd
    assert machine.type("logs", "0").out.endswith("x\nno end\n")


@pytest.mark.parametrize("ends", ["outcome", "put away"])
def test_a_running_job_is_followed_to_its_end(machine, ends):
    folder = make_job(machine, 1, log=None)
    with subprocess.Popen(
        [PROGRAM, "logs", "-f", "dag"], env=machine.environment, cwd=machine.folder, stdout=subprocess.PIPE
    ) as following:
        assert following.stdout is not None
        try:
            with (folder / LOG_FILE).open("ab", buffering=0) as log:
                log.write(LINE)
                assert following.stdout.readline().decode() == READABLE
                log.write(b"second\n")
                assert following.stdout.readline() == b"second\n"
                assert following.poll() is None
                log.write(b"last\n")
            if ends == "outcome":
                (folder / OUTCOME_FILE).touch()
            else:
                (machine.state_dir / "logs").mkdir()
                folder.rename(machine.state_dir / "logs" / folder.name)
            assert following.stdout.read() == b"last\n"
            assert following.wait(30) == 0
        finally:
            following.kill()


class Reader:
    """Somebody who looks at a worker's log."""

    def __init__(self, centre, machine) -> None:
        (worker,) = [worker for worker in centre.store.workers.all() if worker.name == machine.name]
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.left = threading.Event()
        self.view = WorkerLogView(
            centre.store, worker, level=20, say=self.lines.append, note=self.notes.append, pause=self.pause
        )

    def pause(self, seconds: float) -> None:
        if self.left.wait(seconds):
            raise KeyboardInterrupt

    def follow(self) -> threading.Thread:
        def run() -> None:
            try:
                self.view.follow(50)
            except KeyboardInterrupt:
                return

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)


def test_a_workers_log_is_seen_at_the_centre_and_what_was_seen_is_there_when_it_is_away(centre, enrolled):
    reader = Reader(centre, enrolled)
    reader.view.show(10)
    assert "away" in reader.notes[0]
    worker = enrolled.start_worker()
    enrolled.wait_linked()

    reader = Reader(centre, enrolled)
    following = reader.follow()
    try:
        wait_for(lambda: reader.has("linked to"), "the worker's past", timeout=60)
        log = enrolled.state_dir / "runtime.log"
        wait_for(log.exists, "the runtime's log", timeout=60)
        with log.open("a") as runtime_log:
            runtime_log.write("2036-03-04T05:06:07.890Z ERROR    \x1b[31mred\x1b[0m\n")
        wait_for(lambda: reader.has("ERROR    runtime \\x1b[31mred"), "the news", timeout=60)
        assert reader.notes == []
        assert len(set(reader.lines)) == len(reader.lines)
    finally:
        reader.left.set()
        following.join(60)

    shown = Reader(centre, enrolled)
    shown.view.show(2)
    assert len(shown.lines) == 2
    assert enrolled.type("stop", "--wait").status == 0
    assert worker.wait(20) == 0
    away = Reader(centre, enrolled)
    away.view.show(10)
    assert "is away (offline) and was last seen" in away.notes[0]
    assert away.has("linked to")
    assert away.has("red")


def test_the_workers_own_files_begin_anew(enrolled):
    (enrolled.state_dir / "agent.log").write_text("2026-03-04T05:06:07.890Z INFO     before\n" * 25)
    worker = enrolled.start_worker(
        "-v", AIRFLOW__EDGE__WORKER_LOG_MAX_SIZE="0.001", AIRFLOW__EDGE__WORKER_LOG_BACKUPS="2"
    )
    enrolled.wait_linked()
    assert enrolled.type("stop", "--wait").status == 0
    assert worker.wait(20) == 0
    older, log = enrolled.state_dir / "agent.log.1", enrolled.state_dir / "agent.log"
    assert older.read_text().startswith("2026-03-04T05:06:07.890Z INFO     before\n")
    assert log.stat().st_mode & 0o777 == 0o600
    said = worker.log.read_text()
    for line in log.read_text().splitlines():
        assert line.split(maxsplit=2)[2] in said


def test_a_setting_of_the_logs_that_makes_no_sense_is_named(enrolled):
    for name, value in (("WORKER_LOG_LEVEL", "loud"), ("LOCAL_LOG_MAX_AGE", "-1"), ("WORKER_LOG_BACKUPS", "x")):
        said = enrolled.type("worker", **{f"AIRFLOW__EDGE__{name}": value})
        assert said.status == 2
        assert f"AIRFLOW__EDGE__{name}" in said.complaint
    assert [path.name for path in enrolled.state_dir.iterdir()] == ["worker.json"]
