from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from airflow_edge.protocol import tokens
from airflow_edge.protocol.errors import ClockSkewError, MalformedTokenError, TokenError, WrongAudienceError

NOW = 1_800_000_000.0
KEY = SigningKey(bytes(32))


def claims(**changes: Any) -> tokens.Claims:
    made = tokens.new_claims(sub="worker", now=NOW, jti="0123456789abcdef", method="GET", path="/v1/link")
    return tokens.Claims(**{name: changes.get(name, getattr(made, name)) for name in made.__struct_fields__})


def check(made: tokens.Claims, now: float = NOW) -> None:
    tokens.check_claims(made, now=now, method="GET", path="/v1/link")


def test_a_signed_token_is_read_back_and_its_signature_verifies() -> None:
    signed = tokens.signing_input(claims())
    parsed = tokens.parse(tokens.assemble(signed, KEY.sign(signed).signature))
    assert parsed.claims == claims()
    assert KEY.verify_key.verify(parsed.signed, parsed.signature) == parsed.signed


def test_a_changed_claim_breaks_the_signature() -> None:
    signature = KEY.sign(tokens.signing_input(claims())).signature
    parsed = tokens.parse(tokens.assemble(tokens.signing_input(claims(sub="other")), signature))
    with pytest.raises(BadSignatureError):
        KEY.verify_key.verify(parsed.signed, parsed.signature)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+"))
def test_any_text_is_a_token_or_malformed(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        tokens.parse(text)


def test_a_token_with_another_algorithm_is_malformed() -> None:
    _, payload, signature = tokens.assemble(tokens.signing_input(claims()), b"").split(".")
    none_header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    with pytest.raises(MalformedTokenError, match="EdDSA"):
        tokens.parse(f"{none_header}.{payload}.{signature}")


@given(st.floats(-tokens.MAX_SKEW, tokens.LIFETIME + tokens.MAX_SKEW - 1))
def test_a_token_is_good_while_it_lives_on_clocks_that_differ_a_little(passed: float) -> None:
    check(claims(), now=NOW + passed)


@pytest.mark.parametrize(("now", "words"), [(NOW - 7200, "7200 s ahead.*NTP"), (NOW + 7200, "signed 7200 s ago.*NTP")])
def test_a_clock_that_is_off_is_named_with_the_seconds(now: float, words: str) -> None:
    with pytest.raises(ClockSkewError, match=words):
        check(claims(), now=now)


def test_a_token_cannot_give_itself_a_longer_life() -> None:
    with pytest.raises(ClockSkewError):
        check(claims(exp=int(NOW) + 10**9), now=NOW + tokens.LIFETIME + tokens.MAX_SKEW + 1)


@pytest.mark.parametrize("changes", [{"aud": "airflow"}, {"htm": "POST"}, {"htu": "/v1/enroll"}])
def test_a_token_for_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WrongAudienceError):
        check(claims(**changes))


def test_every_refusal_is_a_token_error() -> None:
    assert all(issubclass(error, TokenError) for error in (ClockSkewError, MalformedTokenError, WrongAudienceError))


@pytest.mark.parametrize("time", [10**400, 2**53 + 1, -1])
def test_a_time_that_no_clock_can_show_is_malformed(time: int) -> None:
    with pytest.raises(MalformedTokenError):
        tokens.parse(tokens.assemble(tokens.signing_input(claims(iat=time)), b""))
