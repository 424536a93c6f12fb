"""A process of a few lines takes the place of the one that loads Airflow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

from airflow_edge.agent.site_secrets import reader as reading
from airflow_edge.agent.site_secrets.files import SourceAwayError, UnusableSecretError
from airflow_edge.agent.site_secrets.reader import SecretsReader
from airflow_edge.protocol.local import SecretAsked

ECHO = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    match asked["name"]:
        case "die": sys.exit(3)
        case "hang": time.sleep(1000)
        case "rubbish": print("hunter2", flush=True)
        case "failing": print(json.dumps({"failure": "ValueError"}), flush=True)
        case "none": print("{}", flush=True)
        case _: print(json.dumps({"body": str(os.getpid())}), flush=True)
"""


@pytest.fixture
def make_reader(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SecretsReader]:
    monkeypatch.setattr(reading, "COMMAND", (sys.executable, "-S", "-c", ECHO))
    return SecretsReader


def asked(name: str, backend: str = "a.Backend") -> SecretAsked:
    return SecretAsked(kind="connection", name=name, backend=backend, text="" if backend else "hunter2")


async def test_one_process_answers_until_nothing_was_asked_for_a_while(
    make_reader: Callable[..., SecretsReader],
) -> None:
    reader = make_reader(idle=0.05)
    first = await reader.ask(asked("plc_db"))
    assert await reader.ask(asked("plc_db")) == first
    assert await reader.ask(asked("none")) is None
    async with asyncio.timeout(20):
        while reader.pid is not None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert await reader.ask(asked("plc_db")) != first
    await reader.aclose()
    assert reader.pid is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("die", "ended with status 3"),
        ("hang", "gave no answer in time"),
        ("rubbish", "an answer that is none"),
        ("failing", "a.Backend fails: ValueError"),
    ],
)
async def test_what_goes_wrong_is_said_and_the_next_question_is_answered(
    make_reader: Callable[..., SecretsReader], name: str, words: str
) -> None:
    reader = make_reader(patience=0.2)
    await reader.ask(asked("plc_db"))
    with pytest.raises(SourceAwayError, match=words) as raised:
        await reader.ask(asked(name))
    assert "hunter2" not in str(raised.value)
    assert await reader.ask(asked("plc_db"))
    await reader.aclose()


async def test_who_waits_behind_a_backend_that_is_down_does_not_wait_as_long_again(
    make_reader: Callable[..., SecretsReader],
) -> None:
    reader = make_reader(patience=0.2)
    await reader.ask(asked("plc_db"))
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(reader.ask(asked("hang")) for _ in range(50)), return_exceptions=True)
    assert {str(answer) for answer in answers} == {"a.Backend gave no answer in time"}
    # One after the other, they would take fifty times as long.
    assert asyncio.get_running_loop().time() - began < 5
    await reader.aclose()


async def test_a_question_that_nobody_waits_for_any_more_leaves_no_answer_to_the_next(
    make_reader: Callable[..., SecretsReader],
) -> None:
    reader = make_reader()
    first = await reader.ask(asked("plc_db"))
    cancelled = asyncio.ensure_future(reader.ask(asked("hang")))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    assert await reader.ask(asked("plc_db")) != first
    await reader.aclose()


async def test_a_text_that_airflow_cannot_read_is_the_texts_fault(make_reader: Callable[..., SecretsReader]) -> None:
    reader = make_reader()
    with pytest.raises(UnusableSecretError, match="ValueError"):
        await reader.ask(asked("failing", backend=""))
    await reader.aclose()


async def test_a_machine_without_a_process_left_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "COMMAND", ("/nowhere/python",))
    with pytest.raises(SourceAwayError, match="No such file"):
        await SecretsReader().ask(asked("plc_db"))


def test_a_question_shows_nothing_secret() -> None:
    assert "hunter2" not in repr(asked("plc_db", backend=""))
