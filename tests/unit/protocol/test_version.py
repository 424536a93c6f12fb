from __future__ import annotations

import pytest

from airflow_edge.protocol import version
from airflow_edge.protocol.version import negotiate


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [((1, 3), (2, 5), 3), ((2, 3), (1, 2), 2), ((2, 3), (1, 1), None), ((1, 1), (2, 2), None)],
)
def test_the_newest_that_both_speak(
    monkeypatch: pytest.MonkeyPatch, ours: tuple[int, int], theirs: tuple[int, int], common: int | None
) -> None:
    monkeypatch.setattr(version, "OLDEST", ours[0])
    monkeypatch.setattr(version, "NEWEST", ours[1])
    assert negotiate(*theirs) == common
