"""What all tests have in common."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from harness.processes import let_children_hang_up

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("airflow-edge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What fails where it is decided whether a change lands has to come from the change.
settings.register_profile("always-the-same", settings.get_profile("airflow-edge"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "airflow-edge"))

let_children_hang_up()


class FolderScheduling(LoadScopeScheduling):
    """Keeps the tests of a folder in one process: they share an Airflow, a database, or both."""

    def _split_scope(self, nodeid: str) -> str:
        """Give what must not be torn apart: `tests/e2e`, `tests/integration/gateway` …"""
        file = nodeid.partition("::")[0]
        return "/".join(file.split("/")[:-1][:3])


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Hand tests out folder by folder."""
    return FolderScheduling(config, log)
