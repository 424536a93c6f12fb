from __future__ import annotations

import os
import pwd

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.checking.findings import Mark, as_line
from airflow_edge.cli.site import local
from airflow_edge.cli.site.local import site_policy


def test_the_policy_of_the_machines_owner_is_told(tmp_path):
    path = tmp_path / "policy.toml"
    config = Config(state_dir=tmp_path, site_policy=path)
    assert list(site_policy(Config(state_dir=tmp_path))) == []
    [missing] = site_policy(config)
    assert "no task is taken here" in as_line(missing)
    assert "No such file" in as_line(missing)
    path.write_text('dags = ["press_*"]')
    path.chmod(0o644)
    [found] = site_policy(config)
    assert f"the site policy {path}: Dags press_*" in as_line(found)


def test_a_user_for_all_tasks_whom_the_policy_does_not_name_is_told(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('users = ["report"]')
    path.chmod(0o644)
    config = Config(state_dir=tmp_path, site_policy=path, agent_user="edge", task_user="task")
    for own in ("", "task", "report"):
        [found] = site_policy(config, own)
        assert f"the site policy {path}: run_as_user report" in as_line(found)
    _, refused = site_policy(config, "backup")
    assert refused.mark is Mark.WRONG
    assert f"({path} on that machine): user 'backup' is none of its users" in as_line(refused)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_root_is_told_of_a_state_folder_that_the_worker_does_not_get(tmp_path):
    config = Config(state_dir=tmp_path, agent_user="daemon", task_user="nobody")
    for owner in (0, pwd.getpwnam("daemon").pw_uid):
        os.chown(tmp_path, owner, -1)
        assert "by 'daemon' once the worker has been started" in local._state_folder(config).text
    theirs = tmp_path / "worker.json"
    theirs.touch()
    assert local._state_folder(config).mark is Mark.OK
    os.chown(theirs, 4712, -1)
    refused = local._state_folder(config)
    assert refused.mark is Mark.WRONG
    assert f"worker.json in {tmp_path} belongs neither to root nor to 'daemon'" in refused.text
    os.chown(tmp_path, 4712, -1)
    refused = local._state_folder(config)
    assert refused.mark is Mark.WRONG
    assert "belongs to '4712', and not to 'daemon'" in refused.text
    os.chown(tmp_path, 0, -1)
