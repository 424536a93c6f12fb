from __future__ import annotations

from pathlib import Path

import pytest

from airflow_edge.agent.config import Config, load
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.net.identity import Identity
from airflow_edge.cli.site.worker import _check_name, _see_guarded


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


def test_nobody_starts_a_worker_in_the_belief_that_something_guards_it(tmp_path: Path) -> None:
    def see(**environ: str) -> None:
        _see_guarded(load(environ={"AIRFLOW_HOME": str(tmp_path), **environ}))

    see(AIRFLOW__EDGE__WEATHER="fine", AIRFLOW__EDGE__WORKER_CONCURENCY="2")
    with pytest.raises(ConfigError, match=r"SITE_POLCY is not read .did you mean 'site_policy'"):
        see(AIRFLOW__EDGE__SITE_POLCY="/policy.toml")
    see(AIRFLOW__EDGE__SITE_POLCY="/policy.toml", AIRFLOW__EDGE__SITE_POLICY="/policy.toml")
