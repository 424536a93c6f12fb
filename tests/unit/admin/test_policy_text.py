from __future__ import annotations

import json
import os
from contextlib import suppress
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.admin.policy_text import LONGEST, read_file, read_kept, read_policy
from airflow_edge.rules.policy.document import EmptyPolicyError, PolicyDocument, PolicyError, to_plain
from airflow_edge.rules.policy.policy import Policy

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


GREEDY = [
    ("a: ", "[", ""),
    ("", "{a: ", ""),
    ("", "- ", ""),
    ("", "? ", ""),
    ("", "[{", ""),
    ("", "a.", "a=1"),
    ("[", "'a' . ", "a]"),
    ("", "a.", "\n"),
    ("[", "9", "]"),
]
"""Texts, as (beginning, unit, end), that took a reader minutes or the whole process when they were long."""


@pytest.mark.parametrize("text", [json.dumps(PLAIN), YAML, TOML], ids=["JSON", "YAML", "TOML"])
def test_a_policy_is_read_whatever_it_is_written_in(text) -> None:
    document = read_policy(text)
    assert to_plain(document) == PLAIN
    # The order of modes counts.
    assert list(document.modes) == ["plc", "*"]


COMMENTED_OUT = "".join(f"# {line}\n" for line in YAML.split("\n"))
NOTHING = [
    "",
    " \n\t",
    COMMENTED_OUT,
    "---",
    "---\n# later\n...\n",
    "--- ~",
    "~",
    "null",
    "NULL",
    "{}",
    "[]",
    '""',
    " { } \n",
]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("text", NOTHING)
def test_what_says_nothing_takes_nothing_out_of_force(text, bom) -> None:
    with pytest.raises(EmptyPolicyError, match=r"says nothing; .* write `modes: \{'\*': off\}`"):
        read_policy(bom + text)
    # Before it was refused it could be set: an upgrade does not deny all to all.
    assert read_kept(bom + text) == PolicyDocument()


@pytest.mark.parametrize("text", ["modes: {'*': off}", "modes: {}", "rules: []", "[modes]\n", '{"rules": []}'])
def test_a_policy_that_asks_nobody_is_written_on_purpose(text) -> None:
    assert not read_policy(text).rules
    assert Policy(read_policy(text), "").mode("plc") == "off"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "neither JSON nor TOML .* nor YAML"),
        ("rules: 3", "a list of rules"),
        ("a: &a [x]\nrules: *a", r"alias .* in quotes"),
        ("rules: [{may: {connections: [*plc]}}]", "alias"),
        ("rules: !!python/object:os.system {}", "nor YAML|rule"),
        ('{"rules": ' + "[" * 100_000, "deeply|neither"),
        ("[" * 5_000, "deeply|neither"),
        ("#" * (LONGEST + 1), "longer"),
        ("a\0: b", "neither"),
        ('{"rules": [{"may": {"connections": ["\\ud800"]}}]}', "half a character"),
        ('{"modes": {"plc": "off", "plc": "enforce"}}', "the key 'plc' twice"),
        ('{"rules": [], "rules": []}', "the key 'rules' twice"),
        ("modes:\n  plc: off\n  'plc': enforce\n", "the key 'plc' twice, the second time in line 3"),
        ("rules:\n- may: {connections: [a], connections: [b]}\n", "the key 'connections' twice"),
        ("? [a]\n: b\n? [a]\n: c\n", "neither"),
        ("[modes]\nplc = 'off'\n'plc' = 'enforce'\n", """twice: .*: "'plc' = 'enforce'\""""),
        ("[modes]\nplc = 'off'\n[modes]\nlab = 'off'\n", r"twice: .*'modes'.*: '\[modes\]'"),
        ("[[rules]]\nmay = { assets = ['a'], assets = ['b'] }\n", "twice: .*'assets'"),
        *[
            (f"{head}{unit * (50_000 // len(unit))}{tail}", "deeply|neither|mapping|list|no key")
            for head, unit, tail in GREEDY
        ],
    ],
)
def test_what_is_none_is_refused_in_words(text, says) -> None:
    with pytest.raises(PolicyError, match=says):
        read_policy(text)


@pytest.mark.parametrize("text", [json.dumps(PLAIN), YAML, TOML], ids=["JSON", "YAML", "TOML"])
def test_what_some_editors_begin_a_file_with_is_no_part_of_it(text, tmp_path) -> None:
    path = tmp_path / "policy"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert to_plain(read_policy(read_file(path))) == PLAIN


def test_a_pipe_keeps_nobody_waiting_unless_it_is_asked_for(tmp_path) -> None:
    path = tmp_path / "policy"
    os.mkfifo(path)
    with pytest.raises(PolicyError, match="no regular file"):
        read_file(path)
    with pytest.raises(PolicyError, match=r"Is a directory|no regular file"):
        read_file(tmp_path)
    Thread(target=path.write_text, args=(YAML,), daemon=True).start()
    assert read_file(path, regular=False) == YAML


@given(st.text(st.sampled_from("[]{}:,-*&!#'\"\\\n\t =ab0\0\ud800")))
def test_any_text_is_read_or_refused(text) -> None:
    with suppress(PolicyError):
        assert isinstance(read_policy(text), PolicyDocument)
