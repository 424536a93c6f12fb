"""Examples that failed once: `tests/examples/*.json`, tried again by every run of the tests.

An example is the list of choices that Hypothesis made for it, under the name of its test, with the text of what it led
to. Decision 0013 says why neither as `@reproduce_failure` nor as Hypothesis's own folder of examples.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import core
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase, choices_from_bytes, choices_to_bytes
from hypothesis.internal.conjecture import providers

FOLDER = Path(__file__).parents[1] / "examples"

Choice = bool | int | float | str | bytes


@dataclass(frozen=True)
class Example:
    test: str
    """`path::name`, without what is in brackets: an example of one database is tried with every other too."""
    choices: tuple[Choice, ...]
    says: tuple[str, ...] = ()
    """What it did and how that ended, in lines, for the reader."""
    seed: int | None = None
    hypothesis: str = ""
    """The version that made these choices."""

    def write(self, folder: Path) -> Path:
        """Write it down, under a name that is the same for the same example."""
        folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self) | {"choices": [_plain(choice) for choice in self.choices]}
        digest = sha256(json.dumps([self.test, content["choices"]]).encode()).hexdigest()
        name = self.test.partition("::")[2].replace("::", ".")
        file = folder / f"{name}-{digest[:8]}.json"
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return file

    @classmethod
    def read(cls, file: Path) -> Example:
        content = json.loads(file.read_text(encoding="utf-8"))
        choices = tuple(_choice(plain) for plain in content["choices"])
        return cls(**(content | {"choices": choices, "says": tuple(content["says"])}))


class KeptExamples(ExampleDatabase):
    """What is in a folder, for the test that runs. It is never written to: that is what `make fuzz` is for."""

    def __init__(self, folder: Path = FOLDER) -> None:
        super().__init__()
        self._folder = folder

    def fetch(self, key: bytes) -> Iterator[bytes]:
        if _is_of_failures(key):
            for example in kept(self._folder).get(running_test(), ()):
                yield choices_to_bytes(example.choices)

    def save(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes, value: bytes) -> None: ...


class FoundExamples(InMemoryExampleDatabase):
    """What failed in this process: of each failure the smallest example."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, set[bytes]] = {}

    def save(self, key: bytes, value: bytes) -> None:
        if _is_of_failures(key):
            self._keys.setdefault(running_test(), set()).add(key)
        super().save(key, value)

    def of(self, test: str) -> Iterator[tuple[Choice, ...]]:
        for key in self._keys.get(test, ()):
            for value in self.fetch(key):
                choices = choices_from_bytes(value)
                assert choices is not None
                yield choices


@cache
def kept(folder: Path) -> dict[str, list[Example]]:
    """All examples in a folder, by their test."""
    examples: dict[str, list[Example]] = {}
    for file in sorted(folder.glob("*.json")):
        example = Example.read(file)
        examples.setdefault(example.test, []).append(example)
    return examples


def begin_with(seed: int, nodeid: str) -> None:
    """Let a test, and all properties inside it, generate what this seed gives.

    Hypothesis's own ways to fix a seed leave out the examples that are kept.
    """
    assert hasattr(core.threadlocal, "_hypothesis_global_random"), "Hypothesis has moved it: decision 0013"
    core.threadlocal._hypothesis_global_random = random.Random(f"{seed} {without_parameters(nodeid)}")


def the_same_wherever() -> None:
    """Let examples not depend on which modules are loaded: Hypothesis takes numbers and words from their source."""
    assert hasattr(providers, "_get_local_constants"), "Hypothesis has moved it: decision 0013"
    providers._get_local_constants = lambda: providers._local_constants


def running_test() -> str:
    """`path::name` of the test that pytest runs now."""
    return without_parameters(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])


def without_parameters(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def _is_of_failures(key: bytes) -> bool:
    """Hypothesis keeps larger examples of the same failure, and targets, under keys of their own."""
    return not key.endswith((b".secondary", b".pareto"))


def _plain(choice: Choice) -> Any:
    """Give a choice as JSON; a float bit by bit, since there is more than one NaN."""
    match choice:
        case float():
            return {"float": struct.pack("!d", choice).hex()}
        case bytes():
            return {"bytes": choice.hex()}
        case _:
            return choice


def _choice(plain: Any) -> Choice:
    match plain:
        case {"float": bits}:
            return float(struct.unpack("!d", bytes.fromhex(bits))[0])
        case {"bytes": data}:
            return bytes.fromhex(data)
        case bool() | int() | str():
            return plain
        case _:
            raise ValueError(f"no choice of Hypothesis: {plain!r}")


def notes(error: BaseException | None) -> Iterable[str]:
    """Lines of what Hypothesis says of an example that failed."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from notes(each)
    elif error is not None:
        for note in (*getattr(error, "__notes__", ()), f"{type(error).__name__}: {error}"):
            yield from str(note).splitlines()
