"""The documents of enrolment; and that a check of a text at one door is that of all doors, and of the whole text."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.admin.rest.wishes import WithName
from airflow_edge.agent.net import identity
from airflow_edge.cli.centre.describing import worker_name
from airflow_edge.protocol import local, messages, polling, problems
from airflow_edge.protocol.problems import WORKER_NAME, EnrollRequest

GOOD = {"public_key": "0" * 64, "name": "press-7", "token_key": "0" * 64, "token_signature": "0" * 128, "signed_at": 1}


def test_a_good_request_is_read() -> None:
    assert msgspec.convert(GOOD, EnrollRequest).name == "press-7"


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": "xyz"},
        {"name": ""},
        {"name": "a/b"},
        {"name": "-x"},
        {"queues": [""]},
        {"admin": True},
        {"token": "edge_x"},
    ],
)
def test_a_bad_request_is_refused_whole(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(GOOD | changes, EnrollRequest)


def patterns(kind: Any) -> Iterator[str]:
    """Give the patterns of all texts in a shape."""
    if isinstance(kind, msgspec.inspect.StrType) and kind.pattern:
        yield kind.pattern
    for part in getattr(kind, "fields", ()):
        yield from patterns(part.type)
    for part in (*getattr(kind, "types", ()), *getattr(kind, "item_types", ())):
        yield from patterns(part)
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(kind, name):
            yield from patterns(getattr(kind, name))


SHAPES = [
    value
    for module in (identity, local, messages, polling, problems)
    for _, value in inspect.getmembers(module, inspect.isclass)
    if issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
]
PATTERNS = sorted({pattern for shape in SHAPES for pattern in patterns(msgspec.inspect.type_info(shape))})


def test_all_patterns_are_found():
    assert len(PATTERNS) >= 4
    assert any(pattern.startswith(WORKER_NAME) for pattern in PATTERNS)


@pytest.mark.attack(13)
@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.data())
def test_what_a_pattern_lets_pass_has_no_newline_at_its_end(pattern: str, data: st.DataObject):
    assert not data.draw(st.from_regex(pattern)).endswith("\n")


def passes(read: Any, name: str) -> bool:
    try:
        read(name)
    except (ValueError, argparse.ArgumentTypeError):
        return False
    return True


@given(st.from_regex(WORKER_NAME) | st.from_regex(WORKER_NAME.removesuffix("$")) | st.text(max_size=210))
def test_a_name_that_one_door_lets_pass_passes_all(name: str):
    doors = (
        lambda name: msgspec.convert({"public_key": "a" * 64, "name": name}, EnrollRequest),
        lambda name: WithName(worker="w", name=name),
        worker_name,
    )
    assert {passes(door, name) for door in doors} == {
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}", name) is not None
    }
