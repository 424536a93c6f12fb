from __future__ import annotations

import pytest

from tests.e2e.world import open_world


@pytest.fixture(scope="package")
def world(postgres, tmp_path_factory):
    """A centre with two of what may be there more than once, and one worker, linked to the first API server."""
    folder = tmp_path_factory.mktemp("replicas")
    with open_world(folder, postgres, schedulers=2, api_servers=2, triggerer=False) as world:
        yield world
