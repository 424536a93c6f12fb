from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.site_policy.document import parse
from airflow_edge.agent.site_policy.policy import SitePolicyError

WHOLE = b"""\xef\xbb\xbf# of press 7
queues = ["plc", "plc-*"]
dags = ["press_*"]
bundles = ["factory"]
callbacks = false
users = ["report"]
max_log = "1.5 MiB"
hours = ["Mon-Fri 06:00-22:00"]
time_zone = "Europe/Vienna"
"""


def test_a_whole_policy_is_read_with_the_mark_that_some_editors_put_before_it():
    policy = parse(WHOLE)
    assert (policy.queues, policy.dags, policy.bundles) == (("plc", "plc-*"), ("press_*",), ("factory",))
    assert (policy.users, policy.max_log) == (("report",), 1_572_864)
    assert (policy.callbacks, len(policy.hours or ()), str(policy.time_zone)) == (False, 1, "Europe/Vienna")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it says nothing"),
        ("# all of it is a comment", "it says nothing"),
        ('dag = ["x"]', "there is no key 'dag'; did you mean 'dags'?"),
        ("zzz = 1", "there are: queues, dags, bundles, callbacks, users, max_log, hours, time_zone"),
        ('dags = ["x"]\ndags = ["y"]\n\n', "Cannot overwrite a value .at line 2"),
        ('dags = "x"', r"'dags' has to be a list of texts, like dags = \[\"press_\*\"\]"),
        ("dags = [1]", "'dags' has to be a list of texts"),
        ('dags = [""]', "'dags' has to be a list of texts"),
        ("dags = [" + '"x",' * 1001 + "]", "more than 1000 entries"),
        ("callbacks = 0", "'callbacks' has to be true or false"),
        ('users = "report"', r"'users' has to be a list of texts, like users = \[\"press\"\]"),
        ("max_log = -1", "'max_log' has to be a number of bytes, or one with a unit, like \"10 MiB\""),
        ("max_log = true", "'max_log' has to be a number of bytes"),
        ("max_log = 0.5", "'max_log' has to be a number of bytes"),
        ('max_log = "10"', "'max_log' has to be a number of bytes"),
        ('max_log = "10 MB"', "'max_log' has to be a number of bytes"),
        ('hours = ["always"]', "'hours': 'always' is not like"),
        ('time_zone = "Europe/Vienna"', "there are none"),
        ('hours = ["06:00-22:00"]\ntime_zone = "Mars/Base"', "a time zone that this machine knows"),
        ('hours = ["06:00-22:00"]\ntime_zone = "../etc/passwd"', "a time zone that this machine knows"),
        ('hours = ["06:00-22:00"]\ntime_zone = "Europe"', "a time zone that this machine knows"),
        ("hours = [\n", "it is no TOML"),
        ("x = " + "[" * 10_000, "it is no TOML"),
    ],
)
def test_what_makes_no_sense_is_named_in_a_line(text, said):
    with pytest.raises(SitePolicyError, match=said) as raised:
        parse(text.encode())
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ('"0 KiB"', 0), ('"10MiB"', 10 * 1024**2), ('" 1.5 KiB "', 1536), ('"2 GiB"', 2**31)],
)
def test_sizes_are_bytes_or_have_a_unit(text, size):
    assert parse(f"max_log = {text}".encode()).max_log == size


def test_where_the_runtime_would_not_look_users_are_no_policy(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SitePolicyError, match="'users' is for Linux"):
        parse(b'users = ["report"]')


def test_what_is_no_text_is_no_policy():
    with pytest.raises(SitePolicyError, match="it is no TOML"):
        parse(b"dags = ['\xff']")


@given(st.binary() | st.text().map(str.encode) | st.binary(max_size=5).map(lambda cut: WHOLE + cut))
def test_whatever_is_in_the_file_it_is_a_policy_or_an_error_that_says_so(content):
    with suppress(SitePolicyError):
        parse(content)
