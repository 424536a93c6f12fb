"""What all tests have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder in one process: they share an Airflow, a database, or both. Before xdist looks."""
    for item in items:
        folder = item.path.relative_to(HERE).parent
        item.add_marker(pytest.mark.xdist_group("/".join(folder.parts[:2])))
