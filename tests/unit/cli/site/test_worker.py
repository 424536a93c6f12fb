from __future__ import annotations

from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.net.identity import Identity
from airflow_edge.cli.site.worker import _check_name


def test_a_renamed_worker_may_be_started_under_either_name(tmp_path: Path) -> None:
    identity = Identity(
        worker_id="1",
        name="new",
        api_url="https://centre",
        queues=("a",),
        private_key="00" * 32,
        centre_key="08" * 32,
        first_name="old",
    )
    for name in (None, "new", "old"):
        _check_name(Config(state_dir=tmp_path, name=name), identity)
    with pytest.raises(ConfigError, match="enrolled as 'new'"):
        _check_name(Config(state_dir=tmp_path, name="other"), identity)
