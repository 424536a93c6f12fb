from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from airflow_edge.gateway.database.notify import dsn_of


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("sqlite:////tmp/x.db", None),
        ("mysql+mysqldb://u@h/d", None),
        ("postgresql+psycopg2://u:p%40ss@h:5433/d", "postgresql://u:p%40ss@h:5433/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql+psycopg://u@/d?host=/run/pg", "postgresql://u@/d?host=%2Frun%2Fpg"),
        ("postgresql://u@h/d?connect_timeout=3&keepalives=1&sslmode=prefer", "postgresql://u@h/d?sslmode=prefer"),
    ],
)
def test_an_address_for_sqlalchemy_becomes_one_for_asyncpg(url, dsn):
    assert dsn_of(make_url(url)) == dsn
