from __future__ import annotations

import os

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import ConfigError
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
