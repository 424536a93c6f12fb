from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from airflow_edge.agent.errors import ConfigError
from airflow_edge.cli.site.handing_over import hand_over
from airflow_edge.site.kernel import User

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root gives files away: run this as root, on Linux"
)

AGENT = User("airflow-edge", 4711, 4711, (4711,), "/")
THIRD = 4712


def given(path: Path, uid: int = 0, mode: int = 0o600) -> Path:
    """Make a file, of a user."""
    path.write_text("{}")
    path.chmod(mode)
    os.chown(path, uid, uid)
    return path


def owner(path: Path) -> int:
    return path.lstat().st_uid


@pytest.mark.parametrize("whose", [0, AGENT.uid])
def test_what_root_has_made_is_the_agents_whoever_the_folder_was_of(tmp_path, whose):
    state = tmp_path / "edge"
    jobs = state / "jobs"
    jobs.mkdir(parents=True)
    os.chown(state, whose, whose)
    made = [given(state / "worker.json"), given(jobs / "1.json"), jobs, state]
    others = [given(state / "other", THIRD), given(state / "own", AGENT.uid)]
    hand_over(state, AGENT)
    # As often as it is started.
    hand_over(state, AGENT)
    assert {owner(path) for path in made} == {AGENT.uid}
    assert (state / "worker.json").stat().st_mode & 0o777 == 0o600
    assert [owner(path) for path in others] == [THIRD, AGENT.uid]


def test_a_folder_that_is_not_there_is_none_to_be_given(tmp_path):
    hand_over(tmp_path / "edge", AGENT)
    assert not list(tmp_path.iterdir())


@pytest.mark.attack(27)
def test_the_agent_gets_nothing_of_roots_by_a_link_a_second_name_or_another_users_folder(tmp_path):
    secret, folder = given(tmp_path / "shadow"), tmp_path / "etc"
    folder.mkdir()
    inside = given(folder / "sudoers")
    state = tmp_path / "edge"
    state.mkdir()
    os.chown(state, AGENT.uid, AGENT.gid)
    os.link(secret, state / "worker.json")
    (state / "jobs").symlink_to(folder)
    (state / "own.json").symlink_to(inside)
    theirs = state / "theirs"
    theirs.mkdir()
    os.chown(theirs, THIRD, THIRD)
    kept = given(theirs / "kept")
    os.mkfifo(state / "pipe")
    hand_over(state, AGENT)
    assert {owner(path) for path in (secret, folder, inside, kept, state / "pipe")} == {0}


@pytest.mark.attack(27)
@pytest.mark.parametrize("way", ["edge", "between/edge"])
def test_a_link_on_the_way_counts_if_root_has_laid_it_where_only_root_may(tmp_path, way):
    target = tmp_path / "target"
    (target / "edge").mkdir(parents=True)
    file = given(target / "edge" / "worker.json")
    home = tmp_path / "home"
    home.mkdir()
    link = home / Path(way).parts[0]
    link.symlink_to(target / "edge" if way == "edge" else target)
    os.chown(home, AGENT.uid, AGENT.gid)
    with pytest.raises(ConfigError, match="a link that root has not laid"):
        hand_over(home / way, AGENT)
    assert owner(file) == owner(target / "edge") == 0
    os.chown(home, 0, 0)
    hand_over(home / way, AGENT)
    assert owner(file) == owner(target / "edge") == AGENT.uid


def test_a_third_users_folder_is_refused_and_left_as_it_is(tmp_path):
    state = tmp_path / "edge"
    state.mkdir()
    file = given(state / "worker.json")
    os.chown(state, THIRD, THIRD)
    with pytest.raises(ConfigError, match=r"belongs to '#?4712'.*'airflow-edge'.*chown -R airflow-edge"):
        hand_over(state, AGENT)
    assert (owner(state), owner(file)) == (THIRD, 0)


def test_where_root_may_not_look_nothing_is_done(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    hand_over(tmp_path, AGENT)
    assert owner(tmp_path) == 0


def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / "edge" / "jobs").mkdir(parents=True)
    given(tmp_path / "edge" / "worker.json")
    (tmp_path / "link").symlink_to(tmp_path / "edge")
    before = psutil.Process().num_fds()
    hand_over(tmp_path / "link", AGENT)
    hand_over(tmp_path / "gone", AGENT)
    assert psutil.Process().num_fds() == before


def test_links_that_go_round_are_no_folder(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(ConfigError, match="no folder"):
        hand_over(tmp_path / "one", AGENT)
