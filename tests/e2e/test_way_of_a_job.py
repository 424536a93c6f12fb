"""The way of a job through the house is as short as it was made, and as ARCHITECTURE.md shows it."""

from __future__ import annotations

import pytest

from tools.journey.__main__ import check
from tools.journey.measuring import travels
from tools.journey.way import way

pytestmark = pytest.mark.e2e
MOST_FILES = 35
"""It was 26, until what the gateway says had to carry its mark (decision 0018), and a match asks how long a job is; 28,
until the centre signed what makes a site act (decision 0005), and what a task leaves behind ended with it; 31, until a
job's secret went to its supervisor over a pipe."""
MOST_SHAPES = 10
"""It was 9, until offers were signed."""


@pytest.fixture(scope="module")
def seen():
    return travels()


def test_the_way_of_a_job_is_as_the_page_shows_it(seen):
    assert check(lambda: seen) == 0, "`python -m tools.journey --markdown` prints the section for ARCHITECTURE.md"


def test_a_job_goes_through_few_files_and_shapes(seen):
    files, _ = way(seen)
    assert len(files) <= MOST_FILES
    assert sum(len(file.shapes) for file in files) <= MOST_SHAPES
