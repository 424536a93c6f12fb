from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.policy.document import PolicyError, literal, pattern_of, read_document, to_plain

TEXT = st.text(st.sampled_from("ab*?[]!-.\n"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("plc_*", "plc_", True),
        ("plc_*", "plc_a/b.c", True),
        ("plc_*", "PLC_a", False),
        ("plc_*", "my_plc_a", False),
        ("plc_?", "plc_a", True),
        ("plc_?", "plc_ab", False),
        ("a.b", "axb", False),
        ("a[*]", "a*", True),
        ("a[*]", "ab", False),
        ("a[bc]", "ab", True),
        ("a[!bc]", "ab", False),
        ("*", "a\n", True),
        ("a", "a\n", False),
    ],
)
def test_a_glob_matches_a_whole_name(glob, name, matches) -> None:
    assert bool(pattern_of((glob,)).fullmatch(name)) is matches


def test_no_glob_matches_nothing() -> None:
    assert pattern_of(()).fullmatch("") is None


@given(TEXT, TEXT)
def test_a_literal_name_matches_itself_and_nothing_else(name, other) -> None:
    assert (pattern_of((literal(name),)).fullmatch(other) is not None) is (name == other)
    assert pattern_of((literal(name),)).fullmatch(name)


def test_what_was_written_is_read_again() -> None:
    plain = {
        "modes": {"plc": "enforce", "*": "report"},
        "rules": [{"who": {"queues": ["plc"]}, "may": {"connections": ["plc_*"], "xcoms": ["@upstream", "press_*"]}}],
    }
    document = read_document(plain)
    assert read_document(to_plain(document)) == document
    assert to_plain(document)["modes"] == plain["modes"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["rules"], "object"),
        ({"rule": []}, "rule"),
        ({"modes": {"plc": "on"}}, r"\$.modes"),
        ({"rules": [{"may": {"connection": ["a"]}}]}, "connection"),
        ({"rules": [{"may": {}}]}, "rule 1 grants nothing"),
        ({"rules": [{"may": {"trigger": ["a"]}}, {"may": {"xcoms": ["@own"]}}]}, "rule 2: '@own'.*@upstream"),
        ({"rules": [{"may": {"connections": ["@run"]}}]}, "rule 1: '@run'"),
        ({"rules": [{"who": {"dag": ["a"]}, "may": {"trigger": ["a"]}}]}, "dag"),
        ({"rules": [{"may": {"connections": [""]}}]}, "length"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_place(value, says) -> None:
    with pytest.raises(PolicyError, match=says):
        read_document(value)
