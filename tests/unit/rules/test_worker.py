from __future__ import annotations

import pytest

from tests.workers import enrolled_worker


@pytest.mark.parametrize(
    ("asked", "added", "served"),
    [
        (None, (), ("a", "b", "c")),
        (("b", "x"), (), ("b",)),
        ((), (), ()),
        (("b",), ("c",), ("b", "c")),
        (("x",), ("c", "removed"), ("c",)),
        (None, ("c",), ("a", "b", "c")),
    ],
)
def test_a_worker_serves_what_it_may_and_was_started_for_or_was_added(asked, added, served) -> None:
    worker = enrolled_worker(queues=("a", "b", "c"), asked_queues=asked, added_queues=added)
    assert worker.served_queues == served
