from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from jwt.types import Options
from nacl.signing import SigningKey

from airflow_edge.protocol import tokens

KEY = SigningKey(bytes(32))
PUBLIC_KEY = Ed25519PublicKey.from_public_bytes(bytes(KEY.verify_key))


def test_a_token_is_for_one_request_and_a_minute() -> None:
    made = tokens.new_claims(sub="worker", now=1000.9, jti="0123456789abcdef", method="GET", path="/v1/link")
    assert (made.aud, made.iat, made.exp) == ("airflow-edge", 1000, 1060)
    assert (made.htm, made.htu) == ("GET", "/v1/link")


@given(
    st.builds(
        tokens.Claims,
        sub=st.text(min_size=1, max_size=64),
        aud=st.just(tokens.AUDIENCE),
        iat=st.integers(0, 2**53),
        exp=st.integers(0, 2**53),
        jti=st.text(min_size=16, max_size=64),
        htm=st.text(),
        htu=st.text(),
        htq=st.text(),
        job=st.text(),
        body=st.text(),
    )
)
def test_what_is_signed_by_hand_is_a_jwt_for_everybody(claims: tokens.Claims) -> None:
    signed = tokens.signing_input(claims)
    token = tokens.assemble(signed, KEY.sign(signed).signature)
    unchecked: Options = {"verify_exp": False, "verify_iat": False}
    read = jwt.decode(token, PUBLIC_KEY, algorithms=["EdDSA"], audience="airflow-edge", options=unchecked)
    assert read == msgspec.to_builtins(claims)
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "JWT"}


@given(st.lists(st.text(min_size=1, max_size=250), min_size=1, max_size=4).map("/".join))
def test_a_path_of_any_length_and_encoding_is_named_alike_and_shortly(path: str) -> None:
    plain, eager = quote(path), "".join(f"%{byte:02x}" for byte in path.encode())
    made = [tokens.new_claims(sub="w", now=0, jti="i" * 16, method="GET", path=sent).htu for sent in (plain, eager)]
    assert made == [tokens.named(path)] * 2
    assert len(made[0].encode()) <= tokens.LONGEST_PATH


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=3), st.sampled_from([quote, quote_plus]))
def test_a_query_is_named_alike_however_it_is_encoded(pairs: list[tuple[str, str]], encode: Any) -> None:
    again = urlencode(pairs, quote_via=encode)
    assert tokens.named_query(again) == tokens.named_query(urlencode(pairs))
    assert len(tokens.named_query(again).encode()) <= tokens.LONGEST_PATH


PAIRS = st.lists(
    st.tuples(st.text(alphabet="a&=%+;\x00é", max_size=3), st.text(alphabet="a&=%+;", max_size=3)), max_size=2
)


@given(PAIRS, PAIRS)
def test_two_queries_have_two_names(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    assert (tokens.named_query(urlencode(one)) == tokens.named_query(urlencode(other))) == (one == other)


def test_no_body_needs_no_digest_and_two_bodies_have_two() -> None:
    assert tokens.body_digest(b"") == ""
    assert len({tokens.body_digest(body) for body in (b"", b"a", b"b", bytes(1), bytes(2))}) == 5


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_two_paths_have_two_names(one: str, other: str) -> None:
    assert (tokens.named(f"/{one}") == tokens.named(f"/{other}")) == (one == other)
