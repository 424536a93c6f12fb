"""What a power cut, a disk or a person does to the state folder: it costs at most the job whose file it is."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from airflow_edge.agent.agent import Agent
from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import DesiredState, JobRecord
from airflow_edge.agent.errors import NotEnrolledError
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.agent.journal.recovery import recover
from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.task_api.forwarder import Request
from airflow_edge.agent.task_logs.stream import Segment
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, Outcome

KEYS = [AssignmentKey(f"00000000-0000-4000-8000-00000000000{number}", 1) for number in range(3)]
KEY = KEYS[0]
OTHERS = set(KEYS[1:])
IDENTITY = Identity(
    worker_id="w-1",
    name="site-1",
    api_url="http://127.0.0.1:9",
    queues=("default",),
    private_key="07" * 32,
    centre_key="08" * 32,
)
DESIRED = DesiredState(maintenance="new disk", cause="admin")


def record(key: AssignmentKey) -> JobRecord:
    return JobRecord(key=key, kind="task", slots=1, phase="running")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The state folder of an agent that was killed, with three jobs that run."""
    config = Config(state_dir=tmp_path / "state", concurrency=4)
    IDENTITY.save(config.identity_file)
    folders = JobFolders(config.jobs_dir)
    for key in KEYS:
        folders.write(
            JobFile(
                **key._asdict(),
                kind="task",
                worker_name="site-1",
                workload='{"ti": {"pool_slots": 1}}',
                api_socket=str(config.api_socket),
                secret=IDENTITY.job_secret(key),
                log_path=str(folders.log_file(key)),
            )
        )
        folders.supervisor_log(key).touch()
        folders.log_file(key).write_bytes(b"a line\n")
        (folders.folder(key) / "log.json").write_bytes(msgspec.json.encode(Segment(file=(1, 2))))
    outcome = Outcome(**KEY._asdict(), exit_code=3, reason="it failed")
    (folders.folder(KEY) / "outcome.json").write_bytes(msgspec.json.encode(outcome))
    with closing(Journal(config.journal_file)) as journal:
        journal.write([record(key) for key in KEYS], DESIRED)
    return config


@contextmanager
def started(config: Config) -> Iterator[Agent]:
    agent = Agent(config, Identity.load(config.identity_file))
    try:
        yield agent
    finally:
        agent._journal.close()


def _lose_the_wal(config: Config) -> None:
    """As if the tables were all that had got into the file itself."""
    config.journal_file.unlink()
    Journal(config.journal_file).close()


def _older_copy(config: Config) -> None:
    config.journal_file.unlink()
    with closing(Journal(config.journal_file)) as journal:
        journal.write([record(KEYS[2])])


def _make_a_folder_of_it(config: Config) -> None:
    config.journal_file.unlink()
    config.journal_file.mkdir()


def _make_a_link_of_it(config: Config) -> None:
    config.journal_file.unlink()
    config.journal_file.symlink_to(config.journal_file)


LOST: dict[str, Callable[[Config], object]] = {
    "removed": lambda config: config.journal_file.unlink(),
    "zero-length": lambda config: config.journal_file.write_bytes(b""),
    "its log lost": _lose_the_wal,
    "an older copy": _older_copy,
    "no journal": lambda config: config.journal_file.write_bytes(b"what is no journal" * 1000),
    "a folder": _make_a_folder_of_it,
    "a link to itself": _make_a_link_of_it,
    "its log is a folder": lambda config: config.journal_file.with_name("journal.sqlite-wal").mkdir(),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_lost_journal_costs_no_job(config: Config, lost: str, caplog: pytest.LogCaptureFixture) -> None:
    LOST[lost](config)
    for _ in range(2):
        with started(config) as agent:
            assert {key for key, job in agent._core.jobs.items() if job.live} == set(KEYS)
            assert set(agent._folders.present()) == set(KEYS)
    assert "recovered from" in caplog.text


async def test_a_job_whose_file_cannot_be_read_still_has_its_supervisor_let_in(config: Config) -> None:
    (config.jobs_dir / str(KEY) / "job.json").write_bytes(b"{")
    with started(config) as agent:
        heartbeat = Request(
            "PUT", "/task-instances/1/heartbeat", "", {"authorization": f"Bearer {IDENTITY.job_secret(KEY)}"}, b""
        )
        assert (await agent._api(heartbeat)).status == 204


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "zeroes": lambda content: bytes(len(content)),
    "half": lambda content: content[: len(content) // 2],
    "not UTF-8": lambda content: content.replace(b':"', b':"\xff', 1),
    "not UTF-8 anywhere": lambda content: b"\xff" * len(content),
    "another type": lambda content: b"[1, {}, null]",
    "a null": lambda content: b"null",
    "nested": lambda content: b"[" * 100_000,
    "a lone surrogate": lambda content: content.replace(b':"', b':"\\ud800', 1),
    "a number as long as the file": lambda content: b"9" * 10_000,
}
FILES = [f"jobs/{KEY}/{name}" for name in ("job.json", "outcome.json", "log.json", "supervisor.log", "task.log")]
FILES += ["reserve", "agent.pid"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_costs_at_most_its_own_job(config: Config, file: str, damage: str) -> None:
    path = config.state_dir / file
    path.write_bytes(DAMAGES[damage](path.read_bytes() if path.exists() else b""))
    with started(config) as agent:
        assert set(agent._core.jobs) == set(KEYS)
        assert agent._core.worker.desired == DESIRED
        # What the runtime is asked for next.
        agent._folders.outcome(KEY)
        agent._folders.was_started(KEY)
    assert path.exists()


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)], ids=["dir", "pipe", "loop"]
)
@pytest.mark.parametrize("file", [*FILES, "instance.json", "linked", "jobs", f"jobs/{KEY}", "logs"])
def test_something_else_in_the_place_of_a_file_costs_at_most_its_own_job(
    config: Config, file: str, make: Callable[[Path], None]
) -> None:
    path = config.state_dir / file
    if path.is_dir():
        shutil.rmtree(path)
        path.write_bytes(b"a file")
    else:
        path.unlink(missing_ok=True)
        make(path)
    with started(config) as agent:
        assert set(agent._core.jobs) == set(KEYS)
        agent._folders.outcome(KEY)
        agent._folders.was_started(KEY)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_identity_says_what_to_do(config: Config, damage: str) -> None:
    content = DAMAGES[damage](config.identity_file.read_bytes().replace(b'": "', b'":"'))
    config.identity_file.write_bytes(content)
    if damage != "a lone surrogate":
        with pytest.raises(NotEnrolledError, match="remove it and enrol anew"):
            Identity.load(config.identity_file)


def test_a_boot_that_was_never_is_no_reason_to_end_who_lives(config: Config) -> None:
    another = "90000000-0000-4000-8000-000000000000"
    with closing(Journal(config.journal_file)) as journal:
        journal.note_boot(another)
    code = (
        "import sys, time; from pathlib import Path; from airflow_edge.site.processes import hold_pid_file;"
        "hold_pid_file(Path(sys.argv[1])); print('there', flush=True); time.sleep(100)"
    )
    held = config.jobs_dir / str(KEYS[1]) / "supervisor.pid"
    with subprocess.Popen([sys.executable, "-c", code, held], stdout=subprocess.PIPE) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline() == b"there\n"
            with started(config) as agent:
                live = {job.key for job in agent._core.jobs.live()}
        finally:
            supervisor.kill()
    assert live == {KEYS[1]}


@pytest.mark.parametrize("table", ["job", "standing", "boot"])
@pytest.mark.parametrize("value", ["x'ff7b'", "CAST(x'ff7b' AS TEXT)", "'{'", "NULL", "7", "'{}'"])
def test_a_row_that_makes_no_sense_costs_at_most_its_own_job(config: Config, table: str, value: str) -> None:
    column = {"job": "record", "standing": "value", "boot": "id"}[table]
    with closing(sqlite3.connect(config.journal_file, isolation_level=None)) as database:
        if table == "boot":
            database.execute("INSERT INTO boot VALUES ('a')")
        # What SQLite itself would not let in, a disk might have put there.
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '')")
    with closing(sqlite3.connect(config.journal_file, isolation_level=None)) as database:
        where = f" WHERE job_id = '{KEY.job_id}'" if table == "job" else ""
        database.execute(f"UPDATE {table} SET {column} = {value}{where}")
    with started(config) as agent:
        assert set(agent._core.jobs) == set(KEYS)
        assert {agent._core.jobs[key].record for key in OTHERS} == {record(key) for key in OTHERS}


@pytest.mark.parametrize(
    "change", ["ADD COLUMN more TEXT", "ADD COLUMN more TEXT NOT NULL DEFAULT ''", "RENAME COLUMN record TO other"]
)
def test_the_tables_of_another_version_cost_no_job(config: Config, change: str) -> None:
    with closing(sqlite3.connect(config.journal_file, isolation_level=None)) as database:
        database.execute(f"ALTER TABLE job {change}")
    with started(config) as agent:
        assert set(agent._core.jobs) == set(KEYS)
        agent._journal.write([record(KEY)])


@pytest.mark.parametrize("fill", [bytes, random.Random(7).randbytes], ids=["zeroed", "random"])
def test_a_journal_with_any_block_damaged_costs_no_job(config: Config, fill: Callable[[int], bytes]) -> None:
    with closing(Journal(config.journal_file)) as journal:
        done = [
            JobRecord(
                key=AssignmentKey(f"10000000-0000-4000-8000-{number:012}", 1),
                kind="task",
                slots=1,
                acknowledged=True,
                log_done=True,
            )
            for number in range(60)
        ]
        journal.write(done)
    whole = config.journal_file.read_bytes()
    folders = JobFolders(config.jobs_dir)
    for start in range(0, len(whole), 512):
        for beside in config.state_dir.glob("journal.sqlite*"):
            beside.unlink()
        config.journal_file.write_bytes(whole[:start] + fill(512) + whole[start + 512 :])
        with closing(Journal(config.journal_file)) as journal:
            records = {found.key for found in recover(journal, folders, "this boot") if not found.finished}
            assert records >= set(KEYS), start
            # It is a whole one again.
            journal.write([record(KEY)])
            assert journal.find(KEY) == record(KEY)
            journal.try_out()
