from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.admin.policy_text import LONGEST, read_policy
from airflow_edge.rules.policy.document import PolicyDocument, PolicyError, to_plain

PLAIN = {
    "modes": {"plc": "off", "*": "report"},
    "rules": [{"who": {"dags": ["2026"]}, "may": {"connections": ["plc_*"]}}],
}
YAML = """
# who may what
modes: {plc: off, '*': report}
rules:
- who: {dags: [2026]}
  may:
    connections: [plc_*]
"""
TOML = """
# who may what
[modes]
plc = "off"
"*" = "report"
[[rules]]
who = { dags = ["2026"] }
may = { connections = ["plc_*"] }
"""


@pytest.mark.parametrize("text", [json.dumps(PLAIN), YAML, TOML], ids=["JSON", "YAML", "TOML"])
def test_a_policy_is_read_whatever_it_is_written_in(text) -> None:
    document = read_policy(text)
    assert to_plain(document) == PLAIN
    # The order of modes counts.
    assert list(document.modes) == ["plc", "*"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_an_empty_policy_is_one(text) -> None:
    assert read_policy(text) == PolicyDocument()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "neither JSON nor TOML .* nor YAML"),
        ("null", "object"),
        ("rules: 3", "array"),
        ("a: &a [x]\nrules: *a", r"alias .* in quotes"),
        ("rules: [{may: {connections: [*plc]}}]", "alias"),
        ("rules: !!python/object:os.system {}", "nor YAML|array|rule"),
        ('{"rules": ' + "[" * 100_000, "deeply|neither"),
        ("[" * 5_000, "deeply|neither"),
        ("#" * (LONGEST + 1), "longer"),
        ("a\0: b", "neither"),
        ('{"rules": [{"may": {"connections": ["\\ud800"]}}]}', "half a character"),
    ],
)
def test_what_is_none_is_refused_in_words(text, says) -> None:
    with pytest.raises(PolicyError, match=says):
        read_policy(text)


@given(st.text(st.sampled_from("[]{}:,-*&!#'\"\\\n\t =ab0\0\ud800")))
def test_any_text_is_read_or_refused(text) -> None:
    with suppress(PolicyError):
        assert isinstance(read_policy(text), PolicyDocument)
