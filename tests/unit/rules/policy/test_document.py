from __future__ import annotations

import fnmatch
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.policy.document import Matcher, PolicyDocument, PolicyError, literal, read_document, to_plain

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
    assert Matcher((glob,)).matches(name) is matches


def test_no_glob_matches_nothing() -> None:
    assert not Matcher(()).matches("")


@given(TEXT, TEXT)
def test_a_literal_name_matches_itself_and_nothing_else(name, other) -> None:
    assert Matcher((literal(name),)).matches(other) is (name == other)
    assert Matcher((literal(name),)).matches(name)


@given(st.lists(TEXT, max_size=4), TEXT)
def test_globs_match_what_fnmatch_says(globs, name) -> None:
    assert Matcher(tuple(globs)).matches(name) is any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def test_5000_globs_are_asked_about_the_longest_name_in_no_time() -> None:
    """As regular expressions these take ten seconds."""
    matcher = Matcher(tuple("*" + "a" * 190 + f"b*{number}" for number in range(5_000)))
    began = time.process_time()
    assert not matcher.matches("a" * 1_500)
    assert time.process_time() - began < 1


KEYS = st.sampled_from(["modes", "rules", "who", "may", "note", "dags", "teams", "connections", "xcoms", "plc"])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["off", "@run", 10**400, "\ud800"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXT, inner, max_size=3), max_leaves=12
)
RULES = st.fixed_dictionaries(
    {"may": st.dictionaries(KEYS, st.lists(TEXT, max_size=3), max_size=2)}, optional={"who": JSON}
)


@given(JSON | st.fixed_dictionaries({"rules": st.lists(RULES | JSON, max_size=3)}, optional={"modes": JSON}))
def test_whatever_a_file_holds_is_a_policy_or_refused(value) -> None:
    with suppress(PolicyError):
        document = read_document(value)
        assert isinstance(document, PolicyDocument)
        assert read_document(to_plain(document)) == document


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
        (["rules"], "has to be a mapping with `modes` and `rules`"),
        ({"rule": []}, r"^there is no key 'rule'; did you mean 'rules'\? \(there are: modes, rules\)$"),
        (
            {"modes": {"plc": "enfroce"}},
            r"^queue 'plc' has .* 'enfroce'; did .* 'enforce'\? .*off, report, enforce",
        ),
        ({"modes": {"plc": 3}}, "^queue 'plc' has .* '3'; there are: off, report, enforce$"),
        ({"modes": ["plc"]}, "^`modes` has to be a mapping of queues, each with one of: off, report, enforce"),
        ({"rules": 3}, "^`rules` has to be a list of rules"),
        ({"rules": [{"may": {"connection": ["a"]}}]}, "^rule 1: `may`: .*'connection'; did you mean 'connections'"),
        ({"rules": [{"may": {"trigger": ["a"]}}, {"my": {}}]}, "^rule 2: there is no key 'my'; did you mean 'may'"),
        ({"rules": [{"may": {"trigger": ["a"]}}, 3]}, "^rule 2: it has to be a mapping"),
        ({"rules": [{"who": {}}]}, "^rule 1: it grants nothing"),
        ({"rules": [{"may": ["trigger"]}]}, "^rule 1: `may` has to be a mapping; there are: connections, "),
        (
            {"rules": [{"may": {"connections": "plc_7"}}]},
            r"^rule 1: `connections` under `may` .* list of texts, like",
        ),
        ({"rules": [{"may": {"trigger": ["a"]}}, {"note": "n" * 1001, "may": {"xcoms": ["a"]}}]}, "rule 2 .*note"),
        ({"rules": [{"may": {}}]}, "^rule 1: it grants nothing"),
        ({"rules": [{"may": {"trigger": ["a"]}}, {"may": {"xcoms": ["@own"]}}]}, "rule 2: '@own'.*@upstream"),
        ({"rules": [{"may": {"connections": ["@run"]}}]}, "rule 1: '@run'"),
        (
            {"rules": [{"who": {"dag": []}, "may": {}}]},
            "^rule 1: `who`: there is no key 'dag'; did you mean 'dags'",
        ),
        ({"rules": [{"may": {"connections": [""]}}]}, "^rule 1: `connections` under `may` has an empty text"),
        ("\ud800", "half a character"),
        ({"\ud800": 1}, "half a character"),
        ({"rules": [{"may": {"connections": ["\ud800"]}}]}, "half a character"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_place(value, says) -> None:
    with pytest.raises(PolicyError, match=says):
        read_document(value)
