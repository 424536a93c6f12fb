from __future__ import annotations

import contextlib
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.gateway.access.authentication import check_body, check_request, check_time, read_claims, verify
from airflow_edge.gateway.http import ProblemError
from airflow_edge.protocol import tokens
from airflow_edge.protocol.problems import Code

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
REST = {"query": "a=1&b=+", "job": "job:1", "body": tokens.body_digest(b"body")}
PUBLIC_KEY = KEY.public_key().public_bytes_raw()


def claims(**changes: Any) -> tokens.Claims:
    made = tokens.new_claims(sub="worker", now=NOW, jti="0123456789abcdef", method="GET", path="/v1/link", **REST)
    return tokens.Claims(**{name: changes.get(name, getattr(made, name)) for name in made.__struct_fields__})


def token(made: tokens.Claims) -> str:
    signed = tokens.signing_input(made)
    return tokens.assemble(signed, KEY.sign(signed))


def check(made: tokens.Claims, now: float = NOW) -> None:
    check_request(made, method="GET", path="/v1/link", query="a=1&b=%20", job="job:1")
    check_time(made, now=now)


def code_of(refused: pytest.ExceptionInfo[ProblemError]) -> str:
    return refused.value.problem.code


def test_a_signed_token_is_read_back_and_its_signature_verifies() -> None:
    assert read_claims(token(claims())) == claims()
    verify(token(claims()), PUBLIC_KEY)


@given(
    st.builds(
        tokens.Claims,
        sub=st.text(min_size=1, max_size=64),
        aud=st.text(max_size=64),
        iat=st.integers(0, 2**53),
        exp=st.integers(0, 2**53),
        jti=st.text(min_size=16, max_size=64),
        htm=st.text(max_size=64),
        htu=st.text(max_size=64),
        htq=st.text(max_size=64),
        job=st.text(max_size=64),
        body=st.text(max_size=64),
    )
)
def test_a_token_signed_by_hand_and_one_of_the_library_are_read_alike(made: tokens.Claims) -> None:
    for one in (token(made), jwt.encode(msgspec.to_builtins(made), KEY, algorithm="EdDSA")):
        if len(one) <= tokens.MAX_TOKEN_LENGTH:
            assert read_claims(one) == made
            verify(one, PUBLIC_KEY)


def test_a_changed_claim_breaks_the_signature() -> None:
    forged = ".".join([*token(claims(sub="other")).split(".")[:2], token(claims()).split(".")[2]])
    assert read_claims(forged).sub == "other"
    with pytest.raises(ProblemError, match="not signed with the key that was enrolled") as refused:
        verify(forged, PUBLIC_KEY)
    assert code_of(refused) == Code.BAD_TOKEN


@pytest.mark.parametrize("public_key", [bytes(32), b"", b"\xff" * 32])
def test_another_key_opens_nothing(public_key: bytes) -> None:
    with pytest.raises(ProblemError):
        verify(token(claims()), public_key)


@given(st.integers(0), st.integers(0, 255))
def test_whatever_is_changed_in_a_token_it_is_refused_or_claims_the_same(at: int, by: int) -> None:
    whole = token(claims())
    at %= len(whole)
    changed = whole[:at] + chr(by) + whole[at + 1 :]
    with contextlib.suppress(ProblemError):
        verify(changed, PUBLIC_KEY)
        assert read_claims(changed) == claims()


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+"))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        read_claims(text)
    assert code_of(refused) == Code.BAD_TOKEN


@pytest.mark.parametrize("bottomless", ["[" * 2000, '{"a":' * 500])
def test_what_nests_without_end_is_refused(bottomless: str) -> None:
    for part in (0, 1):
        parts = token(claims()).split(".")
        parts[part] = tokens._b64(bottomless.encode()).decode()
        with pytest.raises(ProblemError):
            read_claims(".".join(parts))


@pytest.mark.held("algorithm none, HS256, a key in the header")
def test_a_token_with_another_algorithm_is_refused() -> None:
    _, payload, signature = token(claims()).split(".")
    none_header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    own = Ed25519PrivateKey.generate()
    claimed = msgspec.to_builtins(claims())
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(own.public_key(), as_dict=True)
    with pytest.raises(ProblemError):
        verify(jwt.encode(claimed, own, "EdDSA", headers={"jwk": jwk}), PUBLIC_KEY)
    for other in (f"{none_header}.{payload}.{signature}", jwt.encode({"sub": "worker"}, "secret" * 9, "HS256")):
        with pytest.raises(ProblemError):
            read_claims(other)
        with pytest.raises(ProblemError):
            verify(other, PUBLIC_KEY)


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(ProblemError, match="too long"):
        read_claims(token(claims(htu="/" * tokens.MAX_TOKEN_LENGTH)))


@given(st.floats(-tokens.MAX_SKEW, tokens.LIFETIME + tokens.MAX_SKEW - 1))
def test_a_token_is_good_while_it_lives_on_clocks_that_differ_a_little(passed: float) -> None:
    check(claims(), now=NOW + passed)


@pytest.mark.parametrize(("now", "words"), [(NOW - 7200, "7200 s ahead.*NTP"), (NOW + 7200, "signed 7200 s ago.*NTP")])
def test_a_clock_that_is_off_is_named_with_the_seconds(now: float, words: str) -> None:
    with pytest.raises(ProblemError, match=words) as refused:
        check(claims(), now=now)
    assert (code_of(refused), refused.value.problem.centre_time) == (Code.CLOCK_SKEW, now)


@pytest.mark.held("a clock that is off, a token for years")
def test_a_token_cannot_give_itself_a_longer_life() -> None:
    with pytest.raises(ProblemError) as refused:
        check(claims(exp=int(NOW) + 10**9), now=NOW + tokens.LIFETIME + tokens.MAX_SKEW + 1)
    assert code_of(refused) == Code.CLOCK_SKEW


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "airflow"},
        {"htm": "POST"},
        {"htu": "/v1/enroll"},
        {"htq": "a=1"},
        {"htq": ""},
        {"job": "job:2"},
        {"job": ""},
    ],
)
def test_a_token_for_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProblemError, match="made for another request") as refused:
        check(claims(**changes))
    assert code_of(refused) == Code.BAD_TOKEN


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_a_body_is_the_one_that_was_signed(size: int) -> None:
    signed = tokens.body_digest(bytes(size))
    await check_body(signed, bytes(size))
    for changed in (bytes(size + 1), b"x" * (size or 1)):
        with pytest.raises(ProblemError, match="changed on the way") as refused:
            await check_body(signed, changed)
        assert code_of(refused) == Code.BAD_TOKEN


@pytest.mark.parametrize("time", [10**400, 2**53 + 1, -1])
def test_a_time_that_no_clock_can_show_is_refused(time: int) -> None:
    with pytest.raises(ProblemError):
        read_claims(token(claims(iat=time)))
