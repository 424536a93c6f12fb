from __future__ import annotations

import pytest
from sqlalchemy import Column, Table
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable

from airflow_edge.store.tables import VERSION_TABLE, Base

TABLES = list(Base.metadata.tables.values())
EDGE3 = {"edge_worker", "edge_job", "edge_logs", "alembic_version_edge3"}

MYSQL_KEY_BYTES = 3072
"""The longest key of InnoDB; a character takes up to four bytes."""


def bytes_of(column: Column) -> int:
    return 4 * (getattr(column.type, "length", None) or 9)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_mysql_could_make_the_table_and_its_keys(table: Table) -> None:
    ddl = str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert "DATETIME(6)" in ddl or not any("_at" in column.name for column in table.columns)
    for index in table.indexes:
        assert str(CreateIndex(index).compile(dialect=mysql.dialect()))
        assert sum(bytes_of(column) for column in index.columns) <= MYSQL_KEY_BYTES


def test_the_names_are_ours_alone() -> None:
    assert all(table.name.startswith("airflow_edge_") for table in TABLES)
    assert not {table.name for table in TABLES} & EDGE3
    assert VERSION_TABLE not in EDGE3 | {"alembic_version"}
