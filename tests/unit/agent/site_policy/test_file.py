from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from airflow_edge.agent.site_policy import document, file
from airflow_edge.agent.site_policy.document import parse
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.agent.site_policy.policy import SitePolicyError
from airflow_edge.protocol.local import SiteTerms
from tests.unit.agent.site_policy.test_policy import offer

PRESS = offer("task", {"ti": {"dag_id": "press"}})
OVEN = offer("task", {"ti": {"dag_id": "oven"}})
CALLBACK = offer("callback", {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def write(path: Path, content: bytes) -> None:
    """As an owner should: the whole of it at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(path)


def test_what_is_being_written_does_not_count_before_it_is_left_alone(path):
    write(path, b'dags = ["press"]')
    policy = SitePolicyFile(path, settled=3600)
    path.write_bytes(b"callbacks = true")
    policy.look()
    assert policy.judge(OVEN) is not None
    assert policy.warning == ""


def test_without_one_everything_is_allowed():
    policy = SitePolicyFile(None)
    assert policy.judge(OVEN) is None
    assert (policy.condition, policy.warning, policy.summary, policy.closed(["plc"])) == ("", "", "", ())
    assert policy.terms is None


def test_what_it_says_of_jobs_that_are_taken_goes_with_them(path):
    write(path, b'dags = ["press"]')
    assert SitePolicyFile(path).terms is None
    policy = SitePolicyFile(path, settled=0)
    write(path, b"max_log = 7")
    policy.look()
    assert policy.terms == SiteTerms(policy=str(path), max_log=7)
    write(path, b"users = []")
    policy.look()
    assert policy.terms == SiteTerms(policy=str(path), users=())
    path.unlink()
    policy.look()
    assert policy.terms == SiteTerms(policy=str(path), users=())


def test_it_is_read_again_when_it_changes_and_only_then(path, monkeypatch):
    write(path, b'dags = ["press"]')
    policy = SitePolicyFile(path, settled=0)
    assert policy.judge(PRESS) is None
    denial = policy.judge(OVEN)
    assert denial is not None
    assert denial.for_good
    assert denial.reason == f"by its owner's site policy ({path} on that machine): Dag 'oven' is none of its dags"
    assert policy.summary == f"{path}: Dags press"
    write(path, b'dags = ["oven"]')
    policy.look()
    assert policy.judge(OVEN) is None
    monkeypatch.setattr(document, "parse", lambda _: pytest.fail("it is read though it has not changed"))
    policy.look()


def test_until_there_was_a_good_one_no_job_is_taken_for_now(path):
    policy = SitePolicyFile(path, settled=0)
    denial = policy.judge(PRESS)
    assert denial is not None
    assert not denial.for_good
    assert str(path) in policy.condition
    assert "does not say what is allowed here: it cannot be read: No such file" in policy.condition
    write(path, b'dags = ["press"]')
    policy.look()
    assert (policy.condition, policy.warning, policy.judge(PRESS)) == ("", "", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=100))
def test_whatever_becomes_of_it_its_last_good_version_counts(path, content):
    try:
        parse(content)
    except SitePolicyError:
        pass
    else:
        reject()
    write(path, b'dags = ["press"]')
    policy = SitePolicyFile(path, settled=0)
    write(path, content)
    policy.look()
    assert policy.judge(PRESS) is None
    assert policy.judge(OVEN) is not None
    assert policy.condition == ""
    assert "its last good version counts" in policy.warning


def spoil_by_removing(path: Path) -> None:
    path.unlink()


def spoil_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def spoil_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoil_by_letting_others_write(path: Path) -> None:
    path.chmod(0o664)


def spoil_by_its_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def spoil_by_length(path: Path) -> None:
    write(path, b"callbacks = false\n#" + b" " * 2**20)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_by_removing, "No such file"),
        (spoil_by_a_pipe, "it is no file"),
        (spoil_by_a_folder, "Is a directory"),
        (spoil_by_letting_others_write, "chmod go-w"),
        (spoil_by_its_folder, "others may put another file there"),
        (spoil_by_length, "longer than 1 MiB"),
    ],
)
def test_what_may_be_anybodys_or_no_file_does_not_count(path, spoil, said):
    write(path, b"callbacks = false")
    policy = SitePolicyFile(path, settled=0)
    spoil(path)
    policy.look()
    assert said in policy.warning
    assert policy.judge(CALLBACK) is not None
    assert said in SitePolicyFile(path).condition


def test_a_folder_that_is_closed_again_brings_the_file_that_lies_there_then(path):
    write(path, b"callbacks = false")
    policy = SitePolicyFile(path, settled=0)
    path.parent.chmod(0o777)
    policy.look()
    write(path, b"callbacks = true")
    policy.look()
    assert policy.judge(CALLBACK) is not None
    path.parent.chmod(0o755)
    policy.look()
    assert (policy.warning, policy.judge(CALLBACK)) == ("", None)


def test_another_users_does_not_count(path, monkeypatch):
    write(path, b"callbacks = false")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if path.stat().st_uid == 0:
        assert SitePolicyFile(path).condition == ""
        os.chown(path, 4712, -1)
    assert "it is another user's" in SitePolicyFile(path).condition


def test_it_goes_by_the_clock(path):
    write(path, b'hours = ["Mon-Fri 06:00-22:00"]\ntime_zone = "UTC"')
    now = [datetime(2026, 3, 29, 12, tzinfo=UTC)]
    policy = SitePolicyFile(path, now=lambda: now[0])
    assert [(one.queues, one.for_good) for one in policy.closed(["plc"])] == [(("plc",), False)]
    denial = policy.judge(PRESS)
    assert denial is not None
    assert not denial.for_good
    now[0] = datetime(2026, 3, 30, 12, tzinfo=UTC)
    assert (policy.closed(["plc"]), policy.judge(PRESS)) == ((), None)


async def test_a_change_is_told(path, monkeypatch):
    monkeypatch.setattr(file, "INTERVAL", 0.01)
    write(path, b'dags = ["press"]')
    told = asyncio.Event()
    policy = SitePolicyFile(path, told.set, settled=0)
    watching = asyncio.create_task(policy.run())
    try:
        path.unlink()
        async with asyncio.timeout(20):
            await told.wait()
        assert policy.warning
    finally:
        watching.cancel()
