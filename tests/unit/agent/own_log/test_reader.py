from __future__ import annotations

import logging
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.own_log.file import RotatingFile
from airflow_edge.agent.own_log.reader import TAIL_BYTES, Follower, records, tail
from airflow_edge.protocol.logs.worker_log import LONGEST_RECORD


def logger(path: Path, max_size: int = 10_000_000, backups: int = 3) -> logging.Logger:
    made = logging.getLogger(f"test.{path}")
    made.propagate = False
    made.setLevel(logging.INFO)
    made.addHandler(RotatingFile(path, max_size=max_size, backups=backups))
    return made


def texts(follower: Follower) -> list[str]:
    found: list[str] = []
    # A second empty answer in a row means that there is no newer file either.
    empty = 0
    while empty < 5:
        news = follower.read()
        empty = 0 if news else empty + 1
        found += [record.text for record in news]
    return found


def test_what_is_added_is_given_once_over_the_beginning_of_new_files(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    log = logger(path, max_size=500, backups=30)
    log.info("before")
    follower = Follower(path, "agent")
    follower.skip()
    said = []
    for number in range(40):
        log.warning("number %d", number)
        said.append(f"number {number}")
        if number % 7 == 0:
            assert texts(follower) == said
            said.clear()
    assert texts(follower) == said
    assert (tmp_path / "agent.log.1").exists()
    assert follower.lost == 0


def test_what_was_rotated_away_unread_counts_as_lost(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    log = logger(path, max_size=200, backups=1)
    follower = Follower(path, "agent")
    follower.skip()
    for number in range(40):
        log.info("number %d", number)
    found = texts(follower)
    assert found[-1] == "number 39"
    assert len(found) < 40
    assert follower.lost > 0


def test_a_file_that_comes_later_or_is_truncated_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    follower = Follower(path, "agent")
    assert follower.read() == []
    log = logger(path)
    log.error("first")
    assert texts(follower) == ["first"]
    path.write_bytes(b"")
    log.error("2")
    assert texts(follower) == ["2"]


def test_levels_and_further_lines_belong_to_their_record(tmp_path: Path) -> None:
    log = logger(tmp_path / "agent.log")
    log.setLevel(logging.DEBUG)
    log.debug("little")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("much")
    log.info("end")
    found = tail(tmp_path / "agent.log", "agent", 10, logging.INFO)
    assert [record.level for record in found] == [40, 20]
    assert found[0].text.startswith("much\nTraceback")
    assert found[0].text.endswith("ValueError: no")
    assert tail(tmp_path / "agent.log", "agent", 1, logging.DEBUG) == found[1:]


def test_the_end_of_a_long_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "runtime.log"
    log = logger(path)
    for number in range(30_000):
        log.info("number %d %s", number, "x" * 30)
    assert path.stat().st_size > TAIL_BYTES
    found = tail(path, "runtime", 1_000_000, 0)
    numbers = [int(record.text.split()[1]) for record in found]
    assert numbers == list(range(30_000 - len(found), 30_000))
    assert tail(tmp_path / "none.log", "agent", 5, 0) == []


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_are_records(lines: list[bytes]) -> None:
    found = records([line.replace(b"\n", b"") for line in lines], "runtime")
    assert all(len(record.text) <= LONGEST_RECORD for record in found)
