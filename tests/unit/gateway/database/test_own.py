from __future__ import annotations

import os

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

from airflow_edge.gateway.database.own import OwnSessions, own_engine


@pytest.fixture
def source(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/database", pool_size=1, max_overflow=0, pool_timeout=0.01)
    yield engine
    engine.dispose()


def test_connections_are_made_alike_and_shared_with_nobody(source):
    made = []
    event.listen(source, "connect", lambda connection, record: made.append(connection))
    sessions = OwnSessions(sessionmaker(source))
    with source.connect() as used:
        with pytest.raises(PoolTimeoutError):
            source.connect()
        with sessions() as session:
            assert session.scalar(text("SELECT 1")) == 1
            assert session.connection().connection.dbapi_connection is not used.connection.dbapi_connection
    assert len(made) == 2
    sessions.dispose()


def test_the_pool_is_of_the_same_kind_and_size(source):
    own = own_engine(source)
    assert own.pool is not source.pool
    assert isinstance(own.pool, QueuePool)
    assert (own.pool.size(), own.pool.timeout()) == (1, 0.01)
    assert isinstance(own_engine(create_engine(source.url, poolclass=NullPool)).pool, NullPool)


def test_a_database_in_memory_is_one():
    source = create_engine("sqlite://")
    assert own_engine(source) is source


def test_a_fork_has_connections_of_its_own(source, monkeypatch):
    sessions = OwnSessions(sessionmaker(source))
    parents = sessions().get_bind()
    assert sessions().get_bind() is parents
    monkeypatch.setattr(os, "getpid", lambda: -1)
    childs = sessions().get_bind()
    assert childs is not parents
    assert childs.engine.pool is not parents.engine.pool


def test_sessions_are_made_again_after_the_end(source):
    sessions = OwnSessions(sessionmaker(source))
    before = sessions().get_bind()
    sessions.dispose()
    with sessions() as session:
        assert session.get_bind() is not before
        assert session.scalar(text("SELECT 1")) == 1
    sessions.dispose()
