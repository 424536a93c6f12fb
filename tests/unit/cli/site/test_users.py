from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config, load
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process import keeper
from airflow_edge.cli.site import users as module
from airflow_edge.cli.site.local import users
from airflow_edge.cli.site.users import as_begun, rehearse, separate


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


def test_what_stays_root_goes_by_what_it_was_told_as_it_began(tmp_path, monkeypatch):
    def told(**environ: str) -> Mapping[str, str | None]:
        return as_begun(load(environ={"AIRFLOW_HOME": str(tmp_path), **environ})).told

    policy = {"AIRFLOW__EDGE__SITE_POLICY": "/policy.toml"}
    assert told(AIRFLOW__EDGE__TASK_USER="a") == {"[edge] task_user": "a"}
    monkeypatch.setenv("_AIRFLOW_EDGE_TOLD", "")
    monkeypatch.delenv("_AIRFLOW_EDGE_TOLD")
    monkeypatch.setattr(keeper, "here", object)
    assert told(AIRFLOW__EDGE__TASK_USER="a") == {"[edge] task_user": "a"}
    # Another agent begins in the same process.
    assert told(AIRFLOW__EDGE__TASK_USER="b", **policy) == {
        "[edge] task_user": "a",
        "[edge] site_policy": "/policy.toml",
    }
    assert told(AIRFLOW__EDGE__KEEP_CHILDREN="True") == {"[edge] task_user": "a"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is another user")
@pytest.mark.parametrize("closed", ["the environment", "the interpreter", "the library"])
def test_a_python_that_the_services_users_cannot_read_is_said_before_anything_is_done(monkeypatch, closed):
    with tempfile.TemporaryDirectory() as folder:
        home, open_folder = Path(folder, "home"), Path(folder, "opt")
        Path(folder).chmod(0o755)
        for place in (home, open_folder):
            place.mkdir()
            (place / "python").touch()
        home.chmod(0o700)
        (open_folder / "link").symlink_to(home / "python")
        executable = {"the environment": home / "python", "the interpreter": open_folder / "link"}
        monkeypatch.setattr(sys, "executable", str(executable.get(closed, open_folder / "python")))
        monkeypatch.setattr(os, "__file__", str(home / "python") if closed == "the library" else str(open_folder))
        config = Config(state_dir=Path(folder, "state"), agent_user="daemon", task_user="nobody")
        monkeypatch.setenv("AIRFLOW_CONFIG", os.devnull)
        with pytest.raises(ConfigError) as raised:
            separate(config)
        said = str(raised.value)
        path = str(open_folder / "link") if closed == "the interpreter" else str(home / "python")
        assert f"'daemon' ([edge] agent_user) cannot read the Python that the worker runs with ({path})" in said
        assert "/usr/bin/python3 -m venv" in said
        with pytest.raises(ConfigError, match="cannot read the Python"):
            rehearse(config)
    assert os.geteuid() == 0
