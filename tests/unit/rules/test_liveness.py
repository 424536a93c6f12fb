from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.liveness import Patience, read_patience

NOW = datetime(2030, 1, 1, tzinfo=UTC)

lengths = st.timedeltas(timedelta(0), timedelta(days=365))
queues = st.sampled_from(["plc", "lab", "default"])


@given(
    silence=lengths, default=lengths, by_queue=st.dictionaries(queues, lengths), queue=queues, own=st.none() | lengths
)
def test_the_workers_word_goes_before_the_queues_and_that_before_the_default(silence, default, by_queue, queue, own):
    waits = Patience(silence, default, by_queue)
    expected = own if own is not None else by_queue.get(queue, default)
    assert waits.grace_of(queue, own).length == expected
    assert waits.lost_after(NOW, queue, own) == NOW + max(expected, silence)
    assert waits.shortest <= default
    # Never before the worker is out of reach: at that moment it may still be heard from.
    assert waits.silent_before(waits.lost_after(NOW, queue, own)) >= NOW


@pytest.mark.parametrize(
    ("queue", "own", "said"),
    [
        ("plc", timedelta(hours=1), "1h (the worker's own grace)"),
        ("plc", timedelta(0), "0s (the worker's own grace)"),
        ("plc", None, "2d ([edge] queue_disconnect_grace)"),
        ("lab", None, "15m ([edge] disconnect_grace)"),
    ],
)
def test_a_grace_says_where_it_comes_from(queue, own, said):
    waits = Patience(timedelta(seconds=15), timedelta(minutes=15), {"plc": timedelta(days=2)})
    assert str(waits.grace_of(queue, own)) == said


def test_the_settings_are_read_and_a_mistake_names_the_setting() -> None:
    settings = {"heartbeat_interval": "5", "disconnect_grace": "12h", "queue_disconnect_grace": "plc=86400"}
    waits = read_patience(settings.__getitem__)
    # Three heartbeats, and it is out of reach.
    assert waits == Patience(timedelta(seconds=15), timedelta(hours=12), {"plc": timedelta(days=1)})
    assert waits.heartbeat_interval == 5
    for name in settings:
        with pytest.raises(ValueError, match=rf"\[edge\] {name}: .*'long'"):
            read_patience({**settings, name: "long"}.__getitem__)
