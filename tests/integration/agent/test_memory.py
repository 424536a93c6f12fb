"""The agent stays small. `python -m tools.measure_agent` tells the whole story, times included."""

from __future__ import annotations

import sys

import pytest

from tools.measure_agent import measure

MOST_MB = 39.4 if sys.version_info < (3, 13) else 40.9
"""Half a megabyte above what it takes: a module more is seen, and not chance. Python 3.13 itself takes one more."""
HEAVY = {"airflow", "sqlalchemy", "fastapi", "pydantic", "cryptography", "jwt", "httpx", "aiohttp", "structlog", "rich"}


@pytest.mark.skipif(sys.platform != "linux", reason="measured from /proc")
async def test_a_linked_agent_is_small_and_knows_nothing_of_airflow() -> None:
    # What is resident varies by 0.3 MB from start to start.
    measured = min([await measure(sys.executable) for _ in range(3)], key=lambda one: one.rss)
    assert not HEAVY & {name.partition(".")[0] for name in measured.modules}
    assert measured.rss <= MOST_MB
