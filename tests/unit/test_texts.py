"""What a site, a task or a stranger says is one printable line wherever people read it."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import airflow_edge
from airflow_edge.protocol.errors import RejectedError, RemoteProtocolError
from airflow_edge.protocol.frames import SiteFrame, decode_site_frame
from airflow_edge.protocol.handshake import NEWEST, OLDEST, CentreHandshake
from airflow_edge.protocol.logs.worker_log import Formatter, read
from airflow_edge.protocol.messages import Hello
from airflow_edge.protocol.states import WorkerState
from airflow_edge.texts import MAX_TEXT, LineFormatter, counted, escaped, one_line

NASTY = "\x1b[31m\x1b]0;title\x07\n2026-11-30T01:00:00.000Z CRITICAL forged\r\u202e\u2028\x00\x85\x9b"
texts = st.text(max_size=60) | st.text(alphabet="a\n\r\x1b[]0m;\x07\x00\u202e\u2028\x9b", max_size=60) | st.just(NASTY)


@given(texts | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Lu"])))
@example("\ud800")
@example(NASTY)
def test_whatever_it_is_it_is_one_line_and_with_escapes_nothing_of_it_is_lost(text: str) -> None:
    assert one_line(text).isprintable()
    assert escaped(text).isprintable()
    assert len(one_line(text)) <= MAX_TEXT
    if "\\" not in text:
        assert re.sub(r"\\(?:x..|u....|U........|[nrt])", "", escaped(text)) == "".join(filter(str.isprintable, text))


@given(texts)
@example(NASTY)
def test_no_word_in_a_record_begins_a_record_of_its_own(text: str) -> None:
    record = logging.LogRecord("airflow_edge", logging.INFO, "", 0, "it said: %s", (text,), None)
    line = Formatter().format(record)
    assert line.isprintable()
    found = read(line, "agent")
    assert found is not None
    assert found.level == logging.INFO
    assert LineFormatter("%(message)s").format(record).isprintable()


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError
    except ValueError:
        record = logging.LogRecord("airflow_edge", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    assert Formatter().format(record).count("\n") >= 3


@given(texts, texts)
@example(NASTY, NASTY)
def test_what_a_site_says_of_itself_is_cleaned_at_the_door(text: str, queue: str) -> None:
    """Every text of a `Hello` but the ids that the protocol compares."""
    hello = Hello(
        oldest_protocol=OLDEST,
        newest_protocol=NEWEST,
        session_id=str(uuid4()),
        received=0,
        boot_id=text,
        agent_version=text,
        airflow_version=text,
        python_version=text,
        platform=text,
        concurrency=1,
        queues=(queue or "q",),
        state=WorkerState.IDLE,
        jobs=(),
        instance=str(uuid4()),
        life=str(uuid4()),
        host=text[:200],
    )
    found = CentreHandshake(SiteFrame(0, 0, hello), release="1", oldest=OLDEST, newest=NEWEST).hello
    said = [value for name in Hello.__struct_fields__ if isinstance(value := getattr(found, name), str)]
    assert len(said) > 8
    assert all(one.isprintable() for one in (*said, *(found.queues or ())))
    too_new = msgspec.structs.replace(hello, oldest_protocol=NEWEST + 1, newest_protocol=NEWEST + 1)
    with pytest.raises(RejectedError) as refused:
        CentreHandshake(SiteFrame(0, 0, too_new), release="1", oldest=OLDEST, newest=NEWEST)
    assert str(refused.value).isprintable()


@given(texts.filter(lambda text: text not in set(WorkerState)))
@example(NASTY)
def test_what_is_wrong_with_a_frame_is_said_in_words_that_can_be_shown(text: str) -> None:
    for body in ({"type": text}, {"type": "Status", "state": text, "alive": []}, {"type": "Status", "alive": [text]}):
        with pytest.raises(RemoteProtocolError) as wrong:
            decode_site_frame(msgspec.msgpack.encode([0, 0, body]))
        assert str(wrong.value).isprintable()


def test_one_is_no_plural():
    assert [counted(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert [counted(number, "job is", "jobs are") for number in (1, 2)] == ["1 job is", "2 jobs are"]


def test_no_log_counts_jobs_in_the_plural_only():
    """A line of the site's or centre's log with "1 jobs" in it is nobody's sentence."""
    files = Path(airflow_edge.__file__).parent.rglob("*.py")
    assert [file.name for file in files if "%d jobs" in file.read_text()] == []
