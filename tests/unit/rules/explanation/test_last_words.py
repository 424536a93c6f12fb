from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.site_secrets.secrets import SiteSecrets, Withheld
from airflow_edge.rules.explanation.last_words import LONGEST, last_words


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_the_last_error_counts_and_what_follows_upon_it_does_not():
    words = last_words(
        [
            b"half a line",
            line(level="error", event="first"),
            line(level="error", event="Dag not found during start up"),
            line(level="info", event="later"),
            line(level="error", event="Startup reschedule limit exceeded"),
        ]
    )
    assert words is not None
    assert (words.text, words.dag_not_found, words.import_failed) == ("Dag not found during start up", True, False)


def test_a_file_that_is_there_and_fails_is_no_file_that_is_missing():
    loading = line(level="error", event="Error loading DAG from press.py: No module\nnamed 'serial'")
    words = last_words([loading, line(level="error", event="Dag not found during start up")])
    assert words is not None
    assert (words.dag_not_found, words.not_loaded) == (
        True,
        "Error loading DAG from press.py: No module named 'serial'",
    )
    # One of a file that others import says nothing of a task that ran.
    words = last_words([loading, line(level="error", event="Task failed")])
    assert words is not None
    assert not words.not_loaded


def test_a_task_that_the_dag_there_has_not_is_told_from_a_dag_that_is_not_there():
    for event, task in (("Dag not found during start up", False), ("Task not found in Dag during start up", True)):
        words = last_words([line(level="error", event=event)])
        assert words is not None
        assert (words.dag_not_found, words.task_not_found) == (True, task)


def test_an_exception_is_named():
    detail = [{"exc_type": "ImportError", "exc_value": "cannot import\nname"}]
    words = last_words([line(level="error", event="Task failed with exception", error_detail=detail)])
    assert words is not None
    assert (words.text, words.import_failed) == ("ImportError: cannot import name", True)


KEPT = "this site has the connection 'plc_db', but none of its rules (/etc/secrets.toml) lets a Dag have it"


@pytest.mark.parametrize(
    ("noted", "denied", "kept"),
    [
        (KEPT, "Access denied for connection 'plc_db' by Execution API", KEPT),
        (KEPT, "Access denied for connection 'other' by Execution API", ""),
        (KEPT, "plc_db: 'plc_db' does not answer", ""),
        ("it has begun", "Access denied for connection 'plc_db' by Execution API", ""),
    ],
)
def test_what_the_site_refuses_is_not_taken_for_the_centres_word(noted, denied, kept):
    raised = [{"exc_type": "PermissionError", "exc_value": denied}]
    words = last_words(
        [
            line(level="warning", event=noted, logger="airflow_edge"),
            line(level="error", event="Task failed with exception", error_detail=raised),
        ]
    )
    assert words is not None
    assert (words.kept_at_site, words.text) == (kept, f"PermissionError: {denied}")


async def test_these_are_the_words_of_the_worker(tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text(f'[source]\nfolder = "{tmp_path}"\n')
    file.chmod(0o600)
    (tmp_path / "connections").mkdir()
    (tmp_path / "connections" / "plc_db").write_text("http://plc")
    (tmp_path / "connections" / "plc_db").chmod(0o600)
    found = await SiteSecrets(file).ask("connection", "plc_db", "press")
    assert isinstance(found, Withheld)
    denied = line(level="error", event="Access denied for connection 'plc_db'")
    words = last_words([line(level="warning", event=found.sentence), denied])
    assert words is not None
    assert words.kept_at_site == found.sentence[:LONGEST]


def test_without_an_error_there_are_none():
    assert last_words([line(level="info", event="fine"), b""]) is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["level", "event", "error_detail"]), inner),
)


@given(st.lists(st.binary() | json_like.map(lambda value: json.dumps(value).encode())))
def test_a_site_may_write_anything(lines):
    words = last_words(lines)
    assert words is None or len(words.text) <= LONGEST


@given(json_like, json_like)
def test_an_error_may_have_any_form(event, detail):
    words = last_words([line(level="error", event=event, error_detail=detail)])
    assert words is not None
    assert "\n" not in words.text
