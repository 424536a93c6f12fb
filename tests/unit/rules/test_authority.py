from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_edge.rules.authority import Authority, authority

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SOON, LONG_AGO = NOW + timedelta(seconds=1), NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "begun_at", "calls_until", "expected"),
    [
        ("task", None, None, Authority.BEGIN),
        ("task", None, LONG_AGO, Authority.BEGIN),
        ("task", LONG_AGO, None, Authority.WHOLE),
        ("task", LONG_AGO, SOON, Authority.WHOLE),
        ("task", LONG_AGO, NOW, Authority.REPEAT),
        ("task", LONG_AGO, LONG_AGO, Authority.REPEAT),
        # Before Airflow 3.4 nobody says that a callback begins.
        ("callback", None, None, Authority.WHOLE),
        ("callback", None, LONG_AGO, Authority.REPEAT),
        ("test", None, None, Authority.NONE),
        ("test", LONG_AGO, None, Authority.NONE),
    ],
)
def test_how_far_it_goes(
    kind: str, begun_at: datetime | None, calls_until: datetime | None, expected: Authority
) -> None:
    job = SimpleNamespace(kind=kind, begun_at=begun_at, calls_until=calls_until)
    assert authority(cast("Any", job), now=NOW) is expected
