from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_edge.rules.acts.maintaining import describe_maintenance

END = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("comment", "by", "until", "said"),
    [
        ("", None, None, ""),
        ("new disk.", "kim", END, "in maintenance by kim, ending 2026-03-04 05:06 UTC: 'new disk'"),
        (" new disk ", None, None, "in maintenance: 'new disk'"),
        ("", "kim", None, "in maintenance by kim"),
    ],
)
def test_a_maintenance_is_told_as_far_as_it_is_known(comment, by, until, said):
    assert describe_maintenance(comment, by, until) == said
