from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import Event, Exited, JobRecord, RuntimeReady
from airflow_edge.agent.core.jobs import HeldJobs, Job, Stage
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.supervisors import supervisors
from airflow_edge.agent.supervisors.supervisors import Supervisors
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobExited, Outcome, RuntimeHello

KEY = AssignmentKey("00000000-0000-4000-8000-000000000001", 1)
OUTCOME = Outcome(**KEY._asdict(), exit_code=3, reason="it failed")


class Folders(JobFolders):
    """Their outcomes can be read only after a while."""

    def __init__(self, root: Path, error: OSError, times: int) -> None:
        super().__init__(root)
        self._error = error
        self.times = times

    def outcome(self, key: AssignmentKey) -> Outcome | None:
        if self.times:
            self.times -= 1
            raise self._error
        return OUTCOME


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisors, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(supervisors, "MOST_ATTEMPTS", 5)


async def posted(events: list[Event], kind: type) -> Event:
    async with asyncio.timeout(10):
        while not (found := [event for event in events if isinstance(event, kind)]):  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0)
    return found[0]


@pytest.mark.parametrize(
    ("number", "times", "outcome"),
    [
        (errno.EMFILE, 50, OUTCOME),
        (errno.EIO, 4, OUTCOME),
        # The process is gone for certain: only what it left behind cannot be known.
        (errno.EIO, 50, None),
    ],
)
async def test_an_outcome_is_waited_for_but_not_for_ever(
    tmp_path: Path, number: int, times: int, outcome: Outcome | None
) -> None:
    events: list[Event] = []
    folders = Folders(tmp_path / "jobs", OSError(number, "no"), times)
    Supervisors(
        Config(state_dir=tmp_path), folders, HeldJobs(), events.append, changed=lambda: None, secret=str
    )._heard(JobExited(**KEY._asdict()))
    exited = await posted(events, Exited)
    assert isinstance(exited, Exited)
    assert exited.outcome == outcome


async def test_a_job_of_which_nothing_can_be_read_now_goes_on_when_a_runtime_does_not_know_it(tmp_path: Path) -> None:
    events: list[Event] = []
    jobs = HeldJobs()
    jobs[KEY] = Job(record=JobRecord(key=KEY, kind="task", slots=1), stage=Stage.RUNNING)
    folders = Folders(tmp_path / "jobs", OSError(errno.ESTALE, "Stale file handle"), 2)
    Supervisors(Config(state_dir=tmp_path), folders, jobs, events.append, changed=lambda: None, secret=str)._heard(
        RuntimeHello(pid=1, airflow_version="3", jobs=())
    )
    ready = await posted(events, RuntimeReady)
    assert isinstance(ready, RuntimeReady)
    assert ready == RuntimeReady(frozenset({KEY}), {})
    assert await posted(events, Exited) == Exited(KEY, None, None, OUTCOME)
