"""Airflow as a person meets it: its command line, on an empty database of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.database import Database, PostgresServer, SqliteFiles
from harness.mariadb import HOW_TO_INSTALL, MariaDbServer, find_mariadbd


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def new_database(request, tmp_path_factory) -> Iterator[Callable[[str], Database]]:
    """Make empty databases of one kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(tmp_path_factory.mktemp("centre")).create
        elif request.param == "mysql":
            if find_mariadbd() is None:
                pytest.skip(HOW_TO_INSTALL)
            yield stack.enter_context(MariaDbServer().running()).create
        else:
            yield stack.enter_context(PostgresServer().running()).create
