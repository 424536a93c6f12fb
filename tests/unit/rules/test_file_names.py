from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_edge.rules.file_names import LONGEST_NAME, LONGEST_PATH, fitting

ids = st.text(st.sampled_from("aü測🙂.~/ "), min_size=1, max_size=250)
"""Dag, task and run ids as long as Airflow permits, in one script or several."""
paths = st.lists(ids, min_size=1, max_size=8).map("/".join)


@given(paths, st.sampled_from([20, 150, LONGEST_NAME]))
def test_every_part_and_the_whole_fit(path: str, longest: int) -> None:
    fits = fitting(path, longest_name=longest)
    assert max(len(part.encode()) for part in fits.split("/")) <= longest or len(fits.split("/")) == 3
    assert max(len(part.encode()) for part in fits.split("/")) <= LONGEST_NAME
    assert len(fits.encode()) <= LONGEST_PATH
    assert fitting(path, longest_name=longest) == fits


@given(paths, paths)
def test_two_stay_two(one: str, other: str) -> None:
    assume(one != other)
    assert fitting(one) != fitting(other)


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=100), max_size=5).map("/".join))
def test_what_fits_is_left_alone(path: str) -> None:
    assert fitting(path) == path


@pytest.mark.parametrize("name", ["x" * 250, "ü" * 250, "測" * 250, "🙂" * 250])
def test_a_long_id_keeps_its_beginning(name: str) -> None:
    fits = fitting(f"dag_id={name}/attempt=1.log")
    assert fits.startswith(f"dag_id={name[:50]}")
    assert fits.endswith("/attempt=1.log")
