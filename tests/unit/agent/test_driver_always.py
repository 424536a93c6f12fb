"""What holds whatever the driver's hands fail at, and with what: in the end the world is as if nothing had failed."""

from __future__ import annotations

import asyncio
import copy
import errno
import sqlite3
import ssl
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_edge.agent import driver
from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    ConditionsFound,
    Event,
    Exited,
    LogDone,
    RuntimeReady,
    StateCallBegan,
    StateCallEnded,
)
from airflow_edge.agent.driver import Driver
from airflow_edge.agent.effects import Effects
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobStarted, StartJob, StopJob
from airflow_edge.protocol.messages import Accepted, Offer, Order, Refused, Stop

KEYS = [AssignmentKey(f"00000000-0000-4000-8000-00000000000{number}", 1) for number in range(2)]
ERRORS: Sequence[Exception] = (
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ESTALE, "Stale file handle"),
    RuntimeError("can't start new thread"),
    MemoryError(),
    sqlite3.DatabaseError("database disk image is malformed"),
    psutil.AccessDenied(1),
    ssl.SSLError("bad"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError("a fault of ours"),
    ExceptionGroup("several", [ValueError("one")]),
)
EFFECTS = ("send", "start", "stop", "admit", "follow", "close", "announce", "rename")
STORING = ("journal.write", "folders.write")
"""A new job that cannot be written down is refused; whatever else is to be written is written later."""


def events_of(key: AssignmentKey) -> list[Event]:
    return [
        Offer(**key._asdict(), kind="task", queue="q", slots=1, lease=10, workload=b"{}"),
        JobStarted(**key._asdict(), pid=1),
        Stop(**key._asdict(), reason="cleared"),
        StateCallBegan(key),
        StateCallEnded(key, passed=True),
        Exited(key, 0, None, None),
        LogDone(key),
        Acknowledged(key),
    ]


SOURCES: Sequence[Sequence[Event]] = (
    *(events_of(key) for key in KEYS),
    (
        RuntimeReady(frozenset(), {}),
        ConditionsFound(("no room",)),
        ConditionsFound(()),
        Order(order_id="00000000-0000-4000-8000-000000000009", kind="rename", text="press-8"),
        Order(order_id="00000000-0000-4000-8000-000000000008", kind="maintenance", text="x"),
        Order(order_id="00000000-0000-4000-8000-000000000007", kind="exit maintenance"),
    ),
)
EVENTS = [RuntimeReady(frozenset(), {}), *(event for source in SOURCES for event in source)]
turns = st.permutations([number for number, source in enumerate(SOURCES) for _ in source])
"""From which source the next event comes: what each says is in order."""

faults = st.dictionaries(
    st.sampled_from([*EFFECTS, *STORING]), st.dictionaries(st.integers(0, 3), st.sampled_from(ERRORS), max_size=3)
)
"""For each hand: which of its calls fail, and with what."""


class World:
    def __init__(self, folder: Path, faults: Mapping[str, Mapping[int, Exception]]) -> None:
        self.did: list[tuple[str, object]] = []
        self.told: list[Event] = []
        self._faults = faults
        self._calls: Counter[str] = Counter()
        self.journal = Journal(folder / "journal.sqlite")
        self.folders = JobFolders(folder / "jobs")
        self.journal.write = self._hand("journal.write", self.journal.write)  # type: ignore[method-assign]
        self.folders.write = self._hand("folders.write", self.folders.write)  # type: ignore[method-assign]
        self.driver = Driver(Core(8), self.journal, self.folders, worker_name="w", api_socket="/a")
        effects = {name: self._hand(name, partial(self._note, name)) for name in EFFECTS}
        self.effects = Effects(**effects, restart=lambda: None)

    def _note(self, name: str, what: object = None, *_: object) -> None:
        self.did.append((name, what))

    def _hand(self, name: str, works: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            number, self._calls[name] = self._calls[name], self._calls[name] + 1
            if error := self._faults.get(name, {}).get(number):
                raise copy.copy(error).with_traceback(None)
            return works(*arguments)

        return call

    async def live(self, rounds: Sequence[Sequence[Event]]) -> None:
        """Let all happen, and go on until nothing fails any more."""
        running = asyncio.create_task(self.driver.run(self.effects))
        posted = 0
        async with asyncio.timeout(20):
            for events in rounds:
                for event in events:
                    self.driver.post(event, partial(self.told.append, event))
                posted += len(events)
                while len(self.told) < posted:
                    await asyncio.sleep(0)
                    assert not running.done(), running
            while self.driver.condition:
                await asyncio.sleep(0.001)
                assert not running.done(), running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def facts(self) -> dict[str, object]:
        """What is to be the same: what was done but for its order between jobs, and what is remembered."""
        closed = {what for name, what in self.did if name == "close"}
        done = {
            (name, repr(what))
            for name, what in self.did
            if name not in {"admit", "follow"} and not (isinstance(what, StartJob | StopJob) and what.key in closed)
        }
        return {
            "done": done,
            "journal": {key: self.journal.find(key) for key in KEYS},
            "desired": self.journal.desired(),
            "folders": sorted(self.folders.present()),
            "jobs": {key: (job.stage, job.record) for key, job in self.driver.core.jobs.items()},
        }


@settings(max_examples=60, deadline=None)
@given(turns, st.lists(st.integers(1, 3), min_size=len(EVENTS), max_size=len(EVENTS)), faults)
def test_whatever_a_hand_fails_at_the_world_is_in_the_end_as_without(
    turns: list[int], sizes: list[int], faults: dict[str, dict[int, Exception]]
) -> None:
    sources = [iter(source) for source in SOURCES]
    order = [RuntimeReady(frozenset(), {}), *(next(sources[number]) for number in turns)]
    rounds, rest = [], order
    for size in sizes:
        rounds.append(rest[:size])
        rest = rest[size:]
    before = driver.RETRY_INTERVAL
    driver.RETRY_INTERVAL = 0.0
    try:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            failing = World(Path(one), faults)
            asyncio.run(failing.live(rounds))
            # Each message is dealt with for good, once: the link waits for that.
            assert Counter(map(repr, failing.told)) == Counter(map(repr, order))
            refused = {what.key for _, what in failing.did if isinstance(what, Refused)}
            accepted = {what.key for _, what in failing.did if isinstance(what, Accepted)}
            if set(faults) & set(STORING):
                # What was refused is not there, and what was accepted is known.
                assert not refused & set(failing.folders.present())
                assert all(failing.journal.find(key) for key in accepted)
                return
            whole = World(Path(other), {})
            asyncio.run(whole.live(rounds))
            assert failing.facts() == whole.facts()
    finally:
        driver.RETRY_INTERVAL = before


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_hand_may_fail_with_each_error(error: Exception) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), {name: {0: error} for name in EFFECTS})
        asyncio.run(world.live([[event] for event in EVENTS]))
        assert {name for name, _ in world.did} >= {"send", "announce", "rename", "close"}
