from __future__ import annotations

import gc
import sys

import pytest

from airflow_edge.gateway.process import GARBAGE, SWITCH_INTERVAL, keep_what_is_loaded, serve_links


@pytest.fixture(autouse=True)
def as_it_was():
    interval, threshold, enabled = sys.getswitchinterval(), gc.get_threshold(), gc.isenabled()
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)
    if enabled:
        gc.enable()


def test_threads_and_the_search_for_garbage_keep_the_event_loop_waiting_less_than_by_default() -> None:
    sys.setswitchinterval(0.005)
    gc.set_threshold(700, 10, 10)
    serve_links()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
    assert gc.get_threshold() == GARBAGE


def test_what_somebody_has_set_further_already_stays() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL / 10)
    for threshold in (50_000, 20, 100), (0, 10, 10):
        gc.set_threshold(*threshold)
        serve_links()
        assert gc.get_threshold() == threshold
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL / 10, rel=0.05)


def test_where_nothing_is_searched_nothing_is_set() -> None:
    gc.set_threshold(700, 10, 10)
    gc.disable()
    serve_links()
    assert gc.get_threshold() == (700, 10, 10)


def test_what_is_loaded_is_searched_no_more() -> None:
    loaded: list[list[int]] = [[] for _ in range(1000)]
    before = gc.get_freeze_count()
    keep_what_is_loaded()
    assert gc.get_freeze_count() - before >= len(loaded)
