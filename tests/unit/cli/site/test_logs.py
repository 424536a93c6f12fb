from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.cli.site.logs import readable


def test_a_line_of_airflows_log_is_readable() -> None:
    line = {
        "timestamp": "2026-03-04T05:06:07.8Z",
        "level": "info",
        "event": "Done. Returned value was: None",
        "logger": "task",
        "count": 3,
        "path": "a b",
    }
    assert (
        readable(json.dumps(line).encode())
        == "2026-03-04T05:06:07.8Z INFO     task Done. Returned value was: None count=3 path='a b'"
    )
    assert readable(b'{"event": "x"}') == "x"


def test_an_error_is_shown_as_python_shows_it() -> None:
    cause = {"exc_type": "KeyError", "exc_value": "'k'", "frames": [{"filename": "a.py", "lineno": 7, "name": "f"}]}
    error = {"exc_type": "ValueError", "exc_value": "no", "frames": [], "is_cause": True, "more": 1}
    text = readable(json.dumps({"event": "Task failed", "level": "error", "error_detail": [error, cause]}).encode())
    assert text.splitlines() == [
        "ERROR    Task failed",
        "Traceback (most recent call last):",
        '  File "a.py", line 7, in f',
        "KeyError: 'k'",
        "Traceback (most recent call last):",
        "ValueError: no",
    ]
    assert '["odd"]' in readable(b'{"event": "x", "error_detail": ["odd"]}')


def test_anything_else_is_shown_as_it_is() -> None:
    for line in (b"plain", b"", b"[1]", b'{"a": 1}', b'{"event": ', "größe".encode()):
        assert readable(line) == line.decode()
    assert readable(b"half \xc3") == "half \ufffd"


@given(
    st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["timestamp", "level", "logger", "event", "error_detail", "x"]),
        st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4),
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_is_too_odd_to_show(line: bytes) -> None:
    readable(line)
