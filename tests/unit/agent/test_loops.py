"""Loops that the machine lets down: each is run anew, nothing is lost by it, and it is said meanwhile."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import psutil
import pytest

from airflow_edge.agent import loops
from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import RefusedError
from airflow_edge.agent.loops import Loops
from airflow_edge.agent.machine import conditions, metrics
from airflow_edge.agent.machine.conditions import ConditionsWatch
from airflow_edge.agent.machine.metrics import Meter
from airflow_edge.agent.machine.system_info import ExtendedInfo
from airflow_edge.agent.own_log import reader
from airflow_edge.agent.own_log import shipper as worker_log
from airflow_edge.agent.own_log.file import RotatingFile
from airflow_edge.agent.own_log.shipper import WorkerLogShipper
from airflow_edge.agent.supervisors.runtime import RuntimeLink
from airflow_edge.agent.task_logs import kept
from airflow_edge.agent.task_logs.kept import Copies, Limits
from airflow_edge.protocol.local import LocalJob, RuntimeHello, ToAgent, encode_local
from airflow_edge.protocol.messages import Metrics, WantWorkerLog

ERRORS = [
    OSError(errno.EMFILE, "Too many open files"),
    RuntimeError("can't start new thread"),
    MemoryError(),
    sqlite3.DatabaseError("malformed"),
    psutil.AccessDenied(1),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError("a fault of ours"),
    ExceptionGroup("several", [OSError(errno.ESTALE, "Stale file handle")]),
]


class LetDown:
    """Calls through, after it has raised a few times."""

    def __init__(self, call: Callable[..., object], error: Exception | None = None, times: int = 1) -> None:
        self._call = call
        self._error = error or OSError(errno.EMFILE, "Too many open files")
        self.times = times

    def __call__(self, *arguments: object, **named: object) -> object:
        if self.times:
            self.times -= 1
            raise self._error
        return self._call(*arguments, **named)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PAUSE", 0.01)


async def until(
    condition: Callable[[], object], loop: Callable[[], Coroutine[object, object, None]], kept_by: Loops | None = None
) -> None:
    """Keep a loop running until something is so."""
    running = asyncio.create_task((kept_by or Loops()).keep("the loop", loop))
    try:
        async with asyncio.timeout(20):
            while not condition():
                assert not running.done(), running
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_loop_that_fails_is_run_anew_and_said_to_fail(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "STEADY_AFTER", 0.1)
    kept_by = Loops()
    faults: list[str] = []

    async def loop() -> None:
        faults.append(kept_by.condition)
        if len(faults) < 3:
            raise error
        await asyncio.Event().wait()

    await until(lambda: len(faults) == 3 and not kept_by.condition, loop, kept_by)
    assert faults[0] == ""
    assert faults[1].startswith("the loop fails: ")
    # Once, not with each attempt.
    assert caplog.text.count("the loop fails; trying again") == 1


async def test_a_loop_says_itself_that_there_is_no_going_on() -> None:
    async def loop() -> None:
        raise RefusedError("this worker was revoked")

    with pytest.raises(RefusedError):
        await Loops().keep("the loop", loop)


async def test_a_condition_that_could_not_be_told_is_told_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "LOOK_INTERVAL", 0.01)
    told: list[tuple[str, ...]] = []
    fault = ["the journal cannot be written"]
    tell = LetDown(told.append)
    watch = ConditionsWatch(state_dir=tmp_path, min_free_disk=0, failing=lambda: fault, found=tell)  # type: ignore[arg-type]
    await until(lambda: told == [("the journal cannot be written",)], watch.run)
    # Whatever happens between the two.
    fault[0], tell.times = "", 1
    await until(lambda: told == [("the journal cannot be written",), ()], watch.run)


async def test_a_request_for_the_workers_own_log_is_answered_though_it_could_not_be_read_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(f"test.{tmp_path}")
    logger.propagate = False
    logger.addHandler(RotatingFile(tmp_path / "agent.log", max_size=10_000, backups=1))
    logger.warning("all is well")
    monkeypatch.setattr(worker_log, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(worker_log, "tail", LetDown(reader.tail))
    shipper = WorkerLogShipper({"agent": tmp_path / "agent.log"}, None, linked=lambda: True, more=lambda: None)
    shipper.welcomed()
    shipper.want(WantWorkerLog(request="r", seconds=600, level=20, lines=10))
    batches = []

    def answered() -> bool:
        if batch := shipper.next_batch():
            batches.append(batch)
        return any(batch.answers == "r" for batch in batches)

    await until(answered, shipper.run)


async def test_kept_logs_are_looked_through_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LOOK_INTERVAL", 0.01)
    copies = Copies(tmp_path, Limits(max_age=3600, max_size=10**9, min_free=2**62))
    folder = tmp_path / "0191d6c4-0000-4000-8000-000000000001.1"
    folder.mkdir()
    real = asyncio.to_thread
    monkeypatch.setattr(asyncio, "to_thread", LetDown(real, RuntimeError("can't start new thread")))
    await until(lambda: not folder.exists(), copies.run)


class FixedMeter(Meter):
    def measure(self) -> Metrics:
        return Metrics(load=1.0)


async def test_the_machine_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "INTERVAL", 0.01)
    watch = FixedMeter(Path())
    real = asyncio.to_thread
    monkeypatch.setattr(asyncio, "to_thread", LetDown(real, RuntimeError("can't start new thread"), times=2))
    await until(lambda: watch.take(None, 1), watch.run)


async def say_all_is_well() -> dict[str, object]:
    return {"status": logging.INFO, "status_text": "well"}


async def test_the_users_function_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, str]] = []
    thread = LetDown(threading.Thread, RuntimeError("can't start new thread"))
    monkeypatch.setattr(threading, "Thread", thread)
    info = ExtendedInfo(f"{__name__}.say_all_is_well", lambda status, text: told.append((status, text)))
    await until(lambda: told == [(logging.INFO, "well")], info.run)


async def test_a_runtime_that_could_not_be_listened_to_says_once_more_what_it_has(tmp_path: Path) -> None:
    hello = RuntimeHello(
        pid=1, airflow_version="3", jobs=(LocalJob(job_id="00000000-0000-4000-8000-000000000001", assignment=1, pid=2),)
    )

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_local(hello))
        await reader.read()
        writer.close()

    heard: list[ToAgent] = []
    gone: list[None] = []
    config = Config(state_dir=tmp_path)
    runtime = RuntimeLink(
        config,
        heard=LetDown(heard.append),  # type: ignore[arg-type]
        outdated=lambda _: None,
        gone=lambda: gone.append(None),
    )
    server = await asyncio.start_unix_server(greet, config.runtime_socket)
    async with server:
        await until(lambda: heard, runtime.run)
    assert heard == [hello]
    assert len(gone) >= 1
