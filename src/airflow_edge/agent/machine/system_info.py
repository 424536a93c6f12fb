"""What a function of the user's own says about the machine (`[edge] extended_system_info_function`).

It runs in a thread with an event loop of its own: whether it fails, blocks or never ends, the worker goes on.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

Fact: TypeAlias = str | int | float | bool

INTERVAL = 5.0
"""Seconds between two calls."""
PATIENCE = 10.0
"""Seconds that a call may take."""
FAILED_INTERVAL = 30.0
"""Seconds before the next call after one that failed: what fails may be an import, which is dear."""
STATUS: Final = "status"
STATUS_TEXT: Final = "status_text"
ERROR: Final = "extended_system_info_error"
"""Among the facts: why there are no others."""
MOST_FACTS: Final = 40
LONGEST_TEXT: Final = 500
LONGEST_NAME: Final = 256


class ExtendedInfoError(Exception):
    """The function cannot be called, failed, or gave something else than it should; says which of these, and why."""


class ExtendedInfo:
    """Calls the function again and again, and tells of its status."""

    def __init__(self, path: str | None, found: Callable[[int, str], None]) -> None:
        """:param path: `package.module.function`; None for none
        :param found: is told the status, a level of Python's logging, and what there is to say of it, when that changes
        """
        self.facts: Mapping[str, Fact] = {}
        """What it said last, or why it said nothing."""
        self._path = path
        self._found = found
        self._told: tuple[int, str] | None = None

    def warn_of_useless(self, enter_at: int | None) -> None:
        """Say so where a status is to put the worker into maintenance, and there is nothing that gives one."""
        if enter_at is not None and not self._path:
            log.warning(
                "[edge] automatic_maintenance_on has no effect without extended_system_info_function, which gives the "
                "status"
            )

    async def run(self) -> None:
        """Call it until cancelled, if there is one."""
        while self._path is not None:
            answer = self._begin(self._path)
            try:
                # The function's own loop gives it up first, if it lets it.
                done, _ = await asyncio.wait({answer}, timeout=1.5 * PATIENCE)
                if not done:
                    self._failed(f"it blocks, for {1.5 * PATIENCE:g} s by now; it has to be async, and let go")
                facts = await answer
            except ExtendedInfoError as error:
                self._failed(str(error))
                await asyncio.sleep(FAILED_INTERVAL)
            else:
                self._note(facts)
                await asyncio.sleep(INTERVAL)

    def _begin(self, path: str) -> asyncio.Future[dict[str, Fact]]:
        answer: Future[dict[str, Fact]] = Future()
        # So that it cannot be cancelled: the thread goes on.
        answer.set_running_or_notify_cancel()

        def call() -> None:
            try:
                answer.set_result(asyncio.run(self._call(path)))
            except ExtendedInfoError as error:
                answer.set_exception(error)
            except TimeoutError:
                answer.set_exception(ExtendedInfoError(f"it did not answer within {PATIENCE:g} s"))
            # Whatever it raises, and be it SystemExit, is no concern of the worker's.
            except BaseException as error:  # noqa: BLE001 - it is not our code
                answer.set_exception(ExtendedInfoError(f"it failed: {type(error).__name__}: {error}"))

        # A daemon, so that a call that never ends does not keep the worker from ending.
        threading.Thread(target=call, name="extended system info", daemon=True).start()
        return asyncio.wrap_future(answer)

    async def _call(self, path: str) -> dict[str, Fact]:
        result = _load(path)()
        if not inspect.isawaitable(result):
            raise ExtendedInfoError("it is not async: write `async def`")
        async with asyncio.timeout(PATIENCE):
            return read_facts(await result)

    def _note(self, facts: Mapping[str, Fact]) -> None:
        if ERROR in self.facts:
            log.info("%s ([edge] extended_system_info_function) works again", self._path)
        self.facts = facts
        status, text = facts[STATUS], str(facts.get(STATUS_TEXT, ""))
        if isinstance(status, int) and (status, text) != self._told:
            self._told = status, text
            self._found(status, text)

    def _failed(self, reason: str) -> None:
        text = f"{self._path} ([edge] extended_system_info_function): {reason}"[:LONGEST_TEXT]
        if self.facts.get(ERROR) != text:
            log.warning("%s", text)
        self.facts = {ERROR: text}


def read_facts(said: object) -> dict[str, Fact]:
    """Read what the function gave; without a status it is info.

    :raises ExtendedInfoError: it is not what it should be.
    """
    if not isinstance(said, Mapping):
        raise ExtendedInfoError(f"it gave {type(said).__name__}, not a dict")
    facts: dict[str, Fact] = {STATUS: logging.INFO}
    for name, value in list(said.items())[:MOST_FACTS]:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise ExtendedInfoError(f"{name!r} is no name: a str of 1 to {LONGEST_NAME} characters")
        facts[_text(name)] = _fact(name, value)
    if type(facts[STATUS]) is not int:
        raise ExtendedInfoError(f"its status is {facts[STATUS]!r}, not a level of logging such as logging.WARNING (30)")
    return facts


def _fact(name: str, value: object) -> Fact:
    """Give a plain value, whatever its class has derived from it."""
    match value:
        case bool():
            return value
        case int():
            return int(value) if -(2**63) <= value < 2**63 else str(int(value))
        case float():
            return float(value)
        case datetime():
            return value.isoformat()
        case str():
            return _text(value)
    raise ExtendedInfoError(f"'{name}' is {type(value).__name__}; values are str, int, float or datetime")


def _text(value: str) -> str:
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def _load(path: str) -> Callable[[], object]:
    module, _, name = path.rpartition(".")
    if not module or not name:
        raise ExtendedInfoError("this is not a dotted path such as package.module.function")
    try:
        function: Callable[[], object] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ExtendedInfoError(f"it cannot be imported: {error}") from error
    return function
