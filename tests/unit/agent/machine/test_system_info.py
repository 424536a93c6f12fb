from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import IntEnum
from types import ModuleType

import pytest

from airflow_edge.agent.machine import system_info
from airflow_edge.agent.machine.system_info import (
    ERROR,
    LONGEST_TEXT,
    MOST_FACTS,
    ExtendedInfo,
    ExtendedInfoError,
    read_facts,
)

MODULE = "a_function_of_the_users"


class Level(IntEnum):
    BAD = 40


@pytest.fixture
def provide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def provide(function: object) -> str:
        module = ModuleType(MODULE)
        module.info = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, MODULE, module)
        return f"{MODULE}.info"

    return provide


@asynccontextmanager
async def running(path: str, patience: float = 5.0) -> AsyncIterator[tuple[ExtendedInfo, list[tuple[int, str]]]]:
    found: list[tuple[int, str]] = []
    info = ExtendedInfo(path, lambda status, text: found.append((status, text)))
    with pytest.MonkeyPatch.context() as patch:
        for name, seconds in (("INTERVAL", 0.01), ("PATIENCE", patience), ("FAILED_INTERVAL", 0.01)):
            patch.setattr(system_info, name, seconds)
        task = asyncio.create_task(info.run())
        try:
            yield info, found
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread changes it
            await asyncio.sleep(0.01)


async def test_what_it_says_is_kept_and_a_change_of_its_status_told(provide) -> None:
    answers: Iterator[dict[str, object]] = iter(
        [{"status": 20, "fan": 1}, {"status": 20, "fan": 2}, {"status": 40, "status_text": "hot"}]
    )
    last: dict[str, object] = {}

    async def function() -> dict[str, object]:
        last.update(next(answers, {}))
        return dict(last)

    async with running(provide(function)) as (info, found):
        await until(lambda: len(found) == 2)
        assert found == [(20, ""), (40, "hot")]
        assert info.facts == {"status": 40, "fan": 2, "status_text": "hot"}


async def failing() -> dict[str, object]:
    raise KeyError("sensor")


async def leaving() -> dict[str, object]:
    sys.exit(3)


async def endless() -> dict[str, object]:
    await asyncio.Event().wait()
    return {}


async def wrong() -> list[str]:
    return []


def plain() -> dict[str, object]:
    return {}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (failing, "it failed: KeyError: 'sensor'"),
        (leaving, "it failed: SystemExit: 3"),
        (endless, "it did not answer within 0.1 s"),
        (wrong, "it gave list, not a dict"),
        (plain, "it is not async"),
        (None, "it failed: TypeError"),
    ],
)
async def test_whatever_it_does_is_said_among_the_facts(provide, function, reason: str) -> None:
    async with running(provide(function), patience=0.1) as (info, found):
        await until(lambda: ERROR in info.facts)
        assert reason in str(info.facts[ERROR])
        assert "[edge] extended_system_info_function" in str(info.facts[ERROR])
        assert found == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [("nothing", "not a dotted path"), ("no.such.module", "cannot be imported"), ("os.nothing", "cannot be imported")],
)
async def test_one_that_is_not_there_is_named(path: str, reason: str) -> None:
    async with running(path) as (info, _):
        await until(lambda: ERROR in info.facts)
        assert reason in str(info.facts[ERROR])


async def test_one_that_blocks_holds_up_nobody_and_is_not_called_again_meanwhile(provide) -> None:
    go_on, calls = threading.Event(), []

    async def function() -> dict[str, object]:
        calls.append(threading.current_thread().name)
        go_on.wait(30)
        return {"status": 30}

    async with running(provide(function), patience=0.05) as (info, found):
        await until(lambda: ERROR in info.facts)
        assert "it blocks" in str(info.facts[ERROR])
        assert len(calls) == 1
        go_on.set()
        await until(lambda: found)
        assert ERROR not in info.facts


def test_facts_are_made_plain() -> None:
    facts = read_facts(
        {
            "status": Level.BAD,
            "since": datetime(2026, 1, 2, tzinfo=UTC),
            "long": "x" * 10_000,
            "huge": 2**70,
            "odd": "\ud800",
            "yes": True,
            "ratio": 0.5,
        }
    )
    assert facts == {
        "status": 40,
        "since": "2026-01-02T00:00:00+00:00",
        "long": "x" * LONGEST_TEXT,
        "huge": str(2**70),
        "odd": "?",
        "yes": True,
        "ratio": 0.5,
    }
    assert type(facts["status"]) is int
    assert read_facts({})["status"] == logging.INFO
    assert len(read_facts({str(number): number for number in range(1000)})) == MOST_FACTS + 1


@pytest.mark.parametrize("said", [None, {"a": None}, {"a": []}, {1: "a"}, {"": 1}, {"x" * 300: 1}, {"status": "bad"}])
def test_what_cannot_be_sent_is_refused(said: object) -> None:
    with pytest.raises(ExtendedInfoError):
        read_facts(said)
