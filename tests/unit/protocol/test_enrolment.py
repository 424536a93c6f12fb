from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.protocol.enrolment import SEED_BYTES, read_token, statement, statement_digest, write_token
from airflow_edge.protocol.signatures import fingerprint

WISHES = st.tuples(st.text(), st.text(), st.none() | st.lists(st.text()), st.integers(0, 2**53))


@given(st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES), st.binary())
def test_a_token_is_its_seed_and_its_centre(seed: bytes, key: bytes) -> None:
    assert read_token(write_token(seed, fingerprint(key))) == (seed, fingerprint(key))


@given(
    st.text()
    | st.from_regex(r"edge_[A-Za-z0-9_-]{40,46}\.[A-Za-z0-9_-]{20,23}\n?").filter(
        lambda text: len(text) != 71 or text[48] != "."
    )
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no enrolment token"):
        read_token(text)


@given(WISHES, WISHES)
def test_two_wishes_are_two_statements(one, other) -> None:
    assert (statement(*one) == statement(*other)) == (one == other)
    assert (statement_digest(*one) == statement_digest(*other)) == (one == other)
