from __future__ import annotations

import os

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process import keeper
from airflow_edge.cli.site import users as module
from airflow_edge.cli.site.local import users
from airflow_edge.cli.site.users import separate


def test_where_nobody_asks_for_two_users_all_stays_as_it_is_and_check_says_what_that_means(tmp_path):
    config = Config(state_dir=tmp_path)
    before = os.getresuid()
    separate(config)
    assert os.getresuid() == before
    assert "a task can read the worker's key" in users(config).text
    assert "one user" not in users(Config(state_dir=tmp_path, agent_user="a", task_user="t")).text


@pytest.mark.parametrize(
    ("agent", "task", "says"),
    [
        ("nobody", None, "go together"),
        (None, "nobody", "go together"),
        ("nobody", "nobody", "another user than"),
        ("nobody", "root", "is root"),
        ("nobody", "no-such-user", "useradd --system no-such-user"),
    ],
)
def test_users_that_make_no_sense_are_refused_before_anything_is_done(tmp_path, monkeypatch, agent, task, says):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    owner = tmp_path.stat().st_uid
    with pytest.raises(ConfigError, match=says):
        separate(Config(state_dir=tmp_path, agent_user=agent, task_user=task))
    assert tmp_path.stat().st_uid == owner


def test_only_root_can_be_two_users(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(ConfigError, match="start the worker as root"):
        separate(Config(state_dir=tmp_path, agent_user="nobody", task_user="daemon"))


@pytest.mark.attack(27)
@pytest.mark.parametrize(
    ("file", "folder", "says"),
    [
        (0o666, 0o755, "may write to that"),
        (0o644, 0o777, "may put another file there"),
        (None, 0o777, "may put another file there"),
        (None, 0o1777, "may put another file there"),
        (0o644, 0o1777, "the keeper begins"),
        (0o644, 0o755, "the keeper begins"),
        (None, 0o755, "the keeper begins"),
    ],
)
def test_root_starts_no_worker_by_a_configuration_that_tasks_may_write(tmp_path, monkeypatch, file, folder, says):
    def next_step(*_: object) -> None:
        raise ConfigError("the keeper begins")

    home = tmp_path / "home"
    home.mkdir()
    if file is not None:
        (home / "airflow.cfg").touch()
        (home / "airflow.cfg").chmod(file)
    home.chmod(folder)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(keeper, "begin", next_step)
    monkeypatch.setattr(module, "closed_to", lambda user: "")
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    config = Config(state_dir=tmp_path / "state", agent_user="daemon", task_user="nobody")
    with pytest.raises(ConfigError, match=says):
        separate(config)
    monkeypatch.setenv("AIRFLOW_CONFIG", os.devnull)
    with pytest.raises(ConfigError, match="the keeper begins"):
        separate(config)
