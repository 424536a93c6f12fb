from __future__ import annotations

from airflow_edge.agent.config import Config
from airflow_edge.checking.findings import as_line
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
