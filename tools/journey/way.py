"""The way forward, chosen from all that happened to a job: the rule of `tools.journey` in code."""

from __future__ import annotations

import ast
import importlib
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from airflow_edge import protocol
from airflow_edge.protocol import local, messages
from tools.journey.measuring import Shapes, Touch, Travel

SOURCE = Path(protocol.__file__).parent.parent

WAY_BACK = {
    "agent/task_logs/": "begins to follow the log that the task will write",
    "runtime/lossy_file.py": "opens that log",
    "agent/history.py": "remembers what happened, for a person who asks",
    "executor/ledger.py": "remembers which end the scheduler is to be told",
    "site/stop.py": "would end it, were that asked",
    "site/processes.py": "says to whoever comes later that the supervisor lives",
    "agent/net/identity.py": "makes the secret with which the task will call its centre",
}
"""Files that are handed the job for what comes after its start: they hand it on to nobody."""

_HOLDERS = {"Iterator", "list", "asyncio", "Future", "None"}
"""What may hold the type variable in the type of a function's result, when it would pass on anything."""

_ANSWERS = {
    f"{answer.__module__}:{answer.__qualname__}"
    for union in (messages.SiteMessage, local.ToAgent)
    for answer in typing.get_args(union)
} - {"airflow_edge.protocol.messages:Ping"}
"""What a site says to the centre, and a runtime to its agent."""


@dataclass
class File:
    """A file on the way."""

    name: str
    process: str
    """Where a job first came into it."""
    function: str
    """Which had the job first; empty for a file that only defines a shape."""
    shapes: list[str] = field(default_factory=list)
    """Those that were first seen here."""


def way(travels: Iterable[Travel]) -> tuple[list[File], set[str]]:
    """Give the files through which every one of the jobs went, in order of first touch, and those of the way back."""
    each = [list(_forward(travel)) for travel in travels]
    first, *others = each
    names = {touch.file for touch in first}.intersection(*({touch.file for touch in other} for other in others))
    processes = next(iter(travels)).processes
    files: dict[str, File] = {}
    seen: set[str] = set()
    behind: set[str] = set()
    for touch in first:
        if touch.file not in names:
            continue
        if any(touch.file.startswith(part) for part in WAY_BACK):
            behind.add(touch.file)
            continue
        function = touch.function.partition(".<locals>")[0]
        file = files.setdefault(touch.file, File(touch.file, processes[touch.pid], function))
        for shape in sorted({shape for shapes in _carried(touch) for shape in _counted(shapes)}):
            if shape not in seen:
                seen.add(shape)
                file.shapes.append(shape.rpartition(":")[2])
                home = _home(shape)
                if home and home not in names:
                    files.setdefault(home, File(home, processes[touch.pid], ""))
    return list(files.values()), behind


def _forward(travel: Travel) -> Iterator[Touch]:
    """Give the touches on the way forward."""
    windows = _windows(travel)
    inside = [touch for touch in travel.touches if touch.at <= windows[touch.pid]]
    answering = _answering(inside)
    for touch in inside:
        calls = {(touch.pid, call) for call in (touch.call, *touch.above)}
        if not calls & answering and any(True for _ in _carried(touch)) and not _knows_nothing(touch):
            yield touch


def _knows_nothing(touch: Touch) -> bool:
    """Whether it would pass on anything, or only says something of the object that it belongs to."""
    return touch.function.partition(".<locals>")[0] in _generics_and_properties(touch.file)


@cache
def _generics_and_properties(file: str) -> frozenset[str]:
    tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
    variables = {
        ast.unparse(node.targets[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("TypeVar(")
    }
    found = set()
    for node in tree.body:
        inside, prefix, bases = [node], "", ""
        if isinstance(node, ast.ClassDef):
            # What a class that is generic itself gives is not whatever another function gives.
            inside, prefix, bases = node.body, f"{node.name}.", " ".join(map(ast.unparse, node.bases))
        for function in inside:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                gives = ast.unparse(function.returns) if function.returns else ""
                own = {variable for variable in variables if variable not in bases}
                is_property = function.name == "__str__" or "property" in map(ast.unparse, function.decorator_list)
                if gives.startswith("Callable["):
                    # It makes a function that gives this.
                    gives = gives.removesuffix("]").rpartition(", ")[2]
                names = set(re.findall(r"\w+", gives))
                if is_property or (names & own and names <= own | _HOLDERS):
                    found.add(prefix + function.name)
    return frozenset(found)


def _windows(travel: Travel) -> dict[int, int]:
    """Give for each process until when the job is there: until it is in the next one's hands."""
    begun: dict[int, int] = {}
    for touch in travel.touches:
        begun.setdefault(touch.pid, touch.at)
    ends = [*list(begun.values())[1:], travel.arrived]
    windows = dict(zip(begun, ends, strict=True))
    # In the scheduler's own transaction: the job is handed over with its commit, and what follows is about its end.
    first = travel.touches[0]
    windows[first.pid] = next(
        touch.at for touch in travel.touches if touch.returns and (touch.pid, touch.call) == (first.pid, first.call)
    )
    return windows


def _answering(touches: Iterable[Touch]) -> set[tuple[int, int]]:
    """Give the calls that are about an answer alone: nothing else of the job was handed to them or made by them."""
    about: dict[tuple[int, int], set[bool]] = {}
    for touch in touches:
        handed = touch.given if touch.returns else touch.in_hand
        about.setdefault((touch.pid, touch.call), set()).update(shapes[-1] in _ANSWERS for shapes in handed if shapes)
    return {call for call, kinds in about.items() if kinds == {True}}


def _carried(touch: Touch) -> Iterator[Shapes]:
    return (shapes for shapes in (*touch.in_hand, *touch.given) if not shapes or shapes[-1] not in _ANSWERS)


def _counted(shapes: Shapes) -> Iterator[str]:
    """Give the classes that count: not a batch, and not the frame that goes around any message."""
    yield from shapes[-1:]
    for outer, inner in pairwise(shapes):
        if _may_hold(outer, inner):
            yield outer


def _may_hold(outer: str, inner: str) -> bool:
    kind = _class(inner)
    return any(hint == kind or set(typing.get_args(hint)) == {kind, type(None)} for hint in _hints(outer))


@cache
def _hints(name: str) -> list[object]:
    kind = _class(name)
    return [] if kind is None else list(typing.get_type_hints(kind).values())


def _class(name: str) -> type | None:
    module, _, qualname = name.partition(":")
    if not qualname or "<locals>" in qualname:
        return None
    found: object = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return typing.cast("type", found)


def _home(name: str) -> str:
    """Give the file that defines a shape of ours."""
    module, _, qualname = name.partition(":")
    return module.removeprefix("airflow_edge.").replace(".", "/") + ".py" if qualname else ""
