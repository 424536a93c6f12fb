from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from airflow_edge.gateway.database.listener import listener_engine


def test_airflows_own_engine_listens_where_no_address_is_set():
    engine = create_engine("sqlite://")
    assert listener_engine(engine, None) is engine
    assert listener_engine(engine, "") is engine


def test_an_address_of_its_own_is_listened_at():
    url = "postgresql+psycopg2://u:p%40ss@/d?host=a:5432&host=b:5433&target_session_attrs=read-write"
    made = listener_engine(create_engine("sqlite://"), url)
    assert (made.url.password, made.url.query["target_session_attrs"]) == ("p@ss", "read-write")


@pytest.mark.parametrize("address", ["mysql+pymysql://u@h/d", "postgres.example.org:5432", "sqlite://"])
def test_what_cannot_notify_is_refused_with_what_to_set(address):
    with pytest.raises(ValueError, match="listener_sql_alchemy_conn has to be like"):
        listener_engine(create_engine("sqlite://"), address)
