from __future__ import annotations

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.store.logs.objects import object_key

ids = st.text(min_size=1, max_size=250)


@given(st.lists(ids, min_size=1, max_size=6).map("/".join))
def test_every_store_takes_the_name_of_every_log(path: str) -> None:
    key = object_key(path, uuid4(), 2**31)
    assert len(key.encode()) <= 950  # S3 takes 1,024 bytes, with the folder that is configured
    parts = key.split("/")
    assert all(0 < len(part.encode()) <= 255 and part not in {".", ".."} for part in parts)
    assert all(part.isprintable() for part in parts)
