"""Airflow's own commands for the tables of a provider reach ours: up, down, and away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest
from sqlalchemy import Engine, inspect

from airflow_edge.provider import get_provider_info
from airflow_edge.store.schema import Schema, look, revisions
from airflow_edge.store.tables import VERSION_TABLE, Base
from harness.database import Database
from harness.pages import ROOT
from tests.integration.airflow_here import airflow_command, airflow_configured

(MANAGER,) = cast("list[str]", get_provider_info()["db-managers"])
OURS = {*(table.name for table in Base.metadata.sorted_tables), VERSION_TABLE}
SETTING = "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS"


@pytest.fixture
def engine(new_database: Callable[[str], Database], request: pytest.FixtureRequest) -> Iterator[Engine]:
    database = new_database(f"managed{abs(hash(request.node.name))}")
    address = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url}
    if database.url.startswith("mysql"):
        # Airflow makes an engine for coroutines, too, which nothing asks here.
        address["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = "sqlite+aiosqlite://"
    with airflow_configured(address) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE somebody_elses (x INTEGER)")
        yield engine


def manage(*words: str) -> None:
    from airflow import settings

    done = airflow_command("db-manager", *words, MANAGER)
    # Each is a process of its own, with whose end its session ends.
    assert settings.Session is not None
    settings.Session.remove()
    assert done.status == 0, done.err


def there(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one())


def test_up_down_and_away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, MANAGER)
    manage("migrate")
    with engine.connect() as connection:
        assert look(connection) is Schema.CURRENT
    manage("downgrade", "--yes", "--to-revision", "0001")
    assert revision(engine) == "0001"
    manage("migrate")
    assert revision(engine) == revisions()[-1]
    manage("reset", "--yes", "--skip-init")
    assert there(engine) == {"somebody_elses"}
    manage("migrate")
    assert there(engine) >= OURS


def test_the_page_says_so() -> None:
    page = (ROOT / "docs/how-to/database.md").read_text()
    for words in (SETTING, f"airflow db-manager reset --yes --skip-init {MANAGER}"):
        assert words in page
