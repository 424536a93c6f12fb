from __future__ import annotations

import msgspec
import pytest

from airflow_edge.protocol.problems import EnrollRequest

GOOD = {"public_key": "0" * 64, "name": "press-7", "token": "edge_x"}


def test_a_good_request_is_read() -> None:
    assert msgspec.convert(GOOD, EnrollRequest).name == "press-7"


@pytest.mark.parametrize(
    "changes", [{"public_key": "xyz"}, {"name": ""}, {"name": "a/b"}, {"name": "-x"}, {"queues": [""]}, {"admin": True}]
)
def test_a_bad_request_is_refused_whole(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(GOOD | changes, EnrollRequest)
