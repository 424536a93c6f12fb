"""What Airflow's own tables give for a name that differs from theirs in case or accents only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.models import Connection, Variable
from sqlalchemy import Column, Engine, MetaData, Table, create_engine, event, insert
from sqlalchemy.orm import sessionmaker

from airflow_edge.gateway.access.stored_names import StoredNames
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.policy.grants import Grant, Need
from harness.mariadb import HOW_TO_INSTALL, MariaDbServer, as_mysql, find_mariadbd

pytestmark = pytest.mark.one_database

GRANTS = (Grant.CONNECTIONS, Grant.VARIABLES, Grant.SET_VARIABLES)
SPELLINGS = ("DB_PASSWORD", "Db_Pässword", "db_passwörd")


@pytest.fixture
def calls() -> Iterator[StoreCalls]:
    calls = StoreCalls(1)
    yield calls
    calls.close()


def filled(engine: Engine) -> Engine:
    for table in (Connection.__table__, Variable.__table__):
        # Without what they refer to.
        columns = [Column(one.name, one.type, primary_key=one.primary_key) for one in table.columns]
        Table(table.name, MetaData(), *columns).create(engine)
    with engine.begin() as connection:
        connection.execute(insert(Connection.__table__).values(conn_id="db_password", conn_type="generic"))
        connection.execute(insert(Variable.__table__).values(key="db_password", val="x"))
    return engine


async def test_mysql_has_one_for_many_spellings(calls: StoreCalls) -> None:
    if find_mariadbd() is None:
        pytest.skip(HOW_TO_INSTALL)
    with MariaDbServer().running() as server:
        engine = create_engine(server.create("airflow").url)
        as_mysql(engine)
        names = StoredNames(sessionmaker(filled(engine)), calls)
        for grant in GRANTS:
            for spelling in SPELLINGS:
                assert await names.others([Need(grant=grant, name=spelling)]) == [Need(grant=grant, name="db_password")]
            assert await names.others([Need(grant=grant, name="db_password"), Need(grant=grant, name="other")]) == []
        assert await names.others([Need(grant=Grant.XCOMS, name="DB_PASSWORD")]) == []
        engine.dispose()


async def test_others_tell_them_apart_and_are_not_asked(calls: StoreCalls) -> None:
    engine = filled(create_engine("sqlite://"))
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    names = StoredNames(sessionmaker(engine), calls)
    assert await names.others([Need(grant=Grant.VARIABLES, name=spelling) for spelling in SPELLINGS]) == []
    assert said == []
