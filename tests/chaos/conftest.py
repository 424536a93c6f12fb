from __future__ import annotations

import pytest

from tests.chaos.deployment import open_deployment
from tests.chaos.stage import ANYWHERE, GRACE, Stage


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """Two sites, each with a queue of its own besides the one that both serve."""
    places = ("site-1", "site-2")
    with open_deployment(
        tmp_path_factory.mktemp("scenarios"),
        places=places,
        dags=[f"work_at_{queue}" for queue in (*places, ANYWHERE)],
        queues=[ANYWHERE],
        own_queues=True,
        edge={"disconnect_grace": GRACE},
    ) as deployment:
        yield deployment


@pytest.fixture
def stage(deployment):
    stage = Stage(deployment)
    yield stage
    stage.heal()
