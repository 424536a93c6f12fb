"""`make chaos` in short."""

from __future__ import annotations

import random

import pytest

from tests.chaos.storm import storm

SECONDS = 75.0


@pytest.mark.chaos
def test_nothing_is_lost_doubled_or_stuck(tmp_path):
    seed = random.randrange(1_000_000)
    print(f"python -m tests.chaos --minutes {SECONDS / 60} --seed {seed}")
    outcome = storm(tmp_path, seconds=SECONDS, seed=seed)
    assert outcome.jobs > 0
    assert outcome.faults.total() > 0
    assert not outcome.findings, outcome.line
