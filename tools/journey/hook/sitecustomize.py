"""Notes, in every process of a measured deployment, which functions of ours have a job in their hands, and when.

Python imports it at the start of each process whose PYTHONPATH has this folder; forks inherit it. It knows of no job in
particular: it writes down every call with something in it that looks like a job's name, and `tools.journey` chooses.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePath
from types import FrameType, FunctionType
from typing import Any
from uuid import UUID

OURS = f"{os.sep}airflow_edge{os.sep}"
USER_CODE = os.environ["JOURNEY_USER_CODE"]
FOLDER = os.environ["JOURNEY_FOLDER"]

_DEPTH = 3
"""How many objects of ours may be wrapped around each other."""
_ITEMS = 50
_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TELLING = re.compile(rf"{_NAME.pattern}\S{{0,12}}|[^\s{{]*/\S*|\{{.*", re.DOTALL)
"""The name itself, a path or a document: a text for people that mentions a job does not carry it."""
_CONTAINERS: tuple[type[Iterable[Any]], ...] = (list, tuple, set, frozenset, type({}.values()), type({}.keys()))

_started_as = os.getpid()
_numbers: dict[int, int] = {}
_next = iter(range(1, 1 << 62))
_file: tuple[int, int] = (0, -1)

Found = tuple[tuple[str, ...], str]
"""Classes from the outside in, and what looks like a job's name."""


def look(value: Any, depth: int = 0) -> Iterator[Found]:
    """Give the names that a value is or shallowly contains, with the objects of ours in which they are."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        yield from _in_text(value)
    elif kind is UUID or isinstance(value, PurePath):
        yield from _in_text(str(value))
    elif kind is dict:
        for key, item in list(value.items())[:_ITEMS]:
            yield from look(key, depth)
            yield from look(item, depth)
    elif kind.__name__ == "AssignmentKey":
        yield (), str(value[0])
    elif isinstance(value, _CONTAINERS) and not _is_ours(kind):
        for item in list(value)[:_ITEMS]:
            yield from look(item, depth)
    elif kind.__module__.startswith("sqlalchemy.engine") and kind.__name__ == "Row":
        for item in tuple(value):
            yield from look(item, depth)
    elif kind.__module__.startswith("airflow.executors.workloads") and hasattr(value, "ti"):
        yield (kind.__name__,), str(value.ti.id)
    elif isinstance(value, partial):
        yield from look([*value.args, *value.keywords.values()], depth)
    elif kind is FunctionType and OURS in value.__code__.co_filename:
        for cell in value.__closure__ or ():
            try:
                yield from look(cell.cell_contents, depth)
            except ValueError:
                continue
    elif depth < _DEPTH and _is_ours(kind):
        name = f"{kind.__module__}:{kind.__qualname__}"
        for inside in _fields(value, kind):
            # Where there is room for many jobs, the object is none.
            many = isinstance(inside, (dict, *_CONTAINERS)) and not _is_ours(type(inside))
            for shapes, found in look(inside, depth + 1):
                yield shapes if many else (name, *shapes), found


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "airflow_edge"


def _in_text(text: Any) -> Iterator[Found]:
    if len(text) < 36 or len(text) > 1 << 20:
        return
    shapes: tuple[str, ...] = ()
    if not isinstance(text, str):
        if answer := _answer_in(bytes(text)):
            shapes = (answer,)
        text = text.decode("latin-1")
    elif not _TELLING.fullmatch(text):
        return
    for name in set(_NAME.findall(text)):
        yield shapes, name


def _answer_in(data: bytes) -> str | None:
    """Give the class of the message in an encoded frame of the site's, so that bytes on their way back are known."""
    frames = sys.modules.get("airflow_edge.protocol.frames")
    try:
        body = frames.decode_site_frame(data).body if frames else None
    except Exception:  # noqa: BLE001 - these bytes are something else
        return None
    return None if body is None else f"{type(body).__module__}:{type(body).__qualname__}"


def _fields(value: Any, kind: type) -> list[Any]:
    """Give the fields of what is a value: an object that does something is not looked into."""
    if hasattr(kind, "__struct_fields__"):
        return [getattr(value, name, None) for name in kind.__struct_fields__]
    if dataclasses.is_dataclass(kind):
        return [getattr(value, field.name, None) for field in dataclasses.fields(kind)]
    if hasattr(kind, "_fields"):
        return list(value)
    if hasattr(kind, "__mapper__"):
        return list(vars(value).values())
    return []


def note(frame: FrameType, event: str, result: Any) -> None:
    """Be the profile function."""
    if event != "call" and event != "return":
        return
    code = frame.f_code
    if OURS not in code.co_filename:
        if event == "call" and code.co_filename == USER_CODE and code.co_name == "arrive":
            _write({"at": time.monotonic_ns(), "event": "user code"})
        return
    now = time.monotonic_ns()
    if event == "call":
        number = _numbers[id(frame)] = next(_next)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)]
    else:
        number = _numbers.pop(id(frame), 0)
        names = code.co_varnames + code.co_cellvars
    known = frame.f_locals
    in_hand = sorted({found for name in names if name not in ("self", "cls") for found in look(known.get(name))})
    given = sorted(set(look(result))) if event == "return" else []
    if not in_hand and not given:
        return
    _write(
        {
            "at": now,
            "event": event,
            "call": number,
            "above": _above(frame),
            "file": code.co_filename.rpartition(OURS)[2],
            "function": code.co_qualname,
            "in_hand": in_hand,
            "given": given,
        }
    )


def _above(frame: FrameType) -> list[int]:
    numbers = []
    outer = frame.f_back
    while outer is not None:
        if OURS in outer.f_code.co_filename and (number := _numbers.get(id(outer))):
            numbers.append(number)
        outer = outer.f_back
    return numbers


def _write(record: dict[str, Any]) -> None:
    global _file
    pid = os.getpid()
    if _file[0] != pid:
        path = os.path.join(FOLDER, f"{pid}.jsonl")  # noqa: PTH118 - pathlib is not loaded for one path
        _file = pid, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        words = sys.orig_argv if pid == _started_as else []
        os.write(_file[1], json.dumps({"event": "process", "parent": os.getppid(), "words": words}).encode() + b"\n")
    os.write(_file[1], json.dumps(record).encode() + b"\n")


def _begin(*_: object) -> None:
    sys.setprofile(note)


# The main thread is watched when told to: loading a whole Airflow under a profile function takes minutes.
signal.signal(signal.SIGRTMIN + 5, _begin)
threading.setprofile(note)
with open(os.path.join(FOLDER, f"{_started_as}.pid"), "w"):  # noqa: PTH118, PTH123 - see above
    pass
