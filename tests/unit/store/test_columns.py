from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import mysql, postgresql, sqlite

from airflow_edge.store.columns import ForeignText, UtcDateTime

MOMENT = datetime(2026, 3, 4, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
DIALECTS = [sqlite.dialect(), postgresql.dialect(), mysql.dialect()]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_moment_comes_back_as_the_same_moment_in_utc(dialect: Dialect) -> None:
    column = UtcDateTime()
    stored = column.process_bind_param(MOMENT, dialect)
    assert stored is not None
    assert (stored.tzinfo is None) is (dialect.name != "postgresql")
    back = column.process_result_value(stored, dialect)
    assert back == MOMENT
    assert back is not None
    assert back.tzinfo is UTC
    assert column.process_bind_param(None, dialect) is None
    assert column.process_result_value(None, dialect) is None


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())  # noqa: DTZ001


def test_foreign_text_fits() -> None:
    assert ForeignText(3).process_bind_param("a\0bc", sqlite.dialect()) == "a\N{REPLACEMENT CHARACTER}b"
    assert ForeignText().process_bind_param("x" * 9999, sqlite.dialect()) == "x" * 9999
    assert ForeignText().process_bind_param(None, sqlite.dialect()) is None
