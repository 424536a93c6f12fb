"""The short-lived token that a worker signs for each request: a JWS in compact form with EdDSA (RFC 7515, RFC 8037).

A token is good for one request: it names the method and the path, in the manner of DPoP (RFC 9449), and besides the
query, the job that the call is for, and what the body hashes to; and it carries an id that is accepted once. So whoever
ends TLS on the way can neither change a request nor make one. The site signs by hand (`signing_input`, `assemble`), the
centre verifies with PyJWT.

The answer carries a mark made of that token (`answer_mark`), by which the site knows that it is the gateway's, whole,
and the answer to this very request: `docs/decisions/0018-whose-answer-is-it.md`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

AUDIENCE = "airflow-edge"
ENROLMENT = "enrol"
"""Who a worker is before the centre has given it an id."""
PROOF_AUDIENCE = "airflow-edge-enroll"
"""Of a proof that a site knows the secret of Airflow's components: a JWT signed with that, good once."""
PROOF_OF = "enrol"
"""The claim of such a proof that says for which enrolment it is: `enrolment.statement_digest`."""
LIFETIME = 60
"""Seconds from `iat` to `exp`, in both."""
MAX_SKEW = 60
"""Seconds by which the clocks of site and centre may differ."""
MAX_TOKEN_LENGTH = 4096
LONGEST_PATH = 512
"""Bytes of a path that a token names as it is."""

ALGORITHM = "EdDSA"

_HEADER: Mapping[str, str] = {"alg": ALGORITHM, "typ": "JWT"}


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker's token says."""

    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The worker's id, given at enrolment; at enrolment itself `ENROLMENT`."""
    aud: str
    iat: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """Seconds since the epoch, by the site's clock."""
    exp: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    jti: Annotated[str, msgspec.Meta(min_length=16, max_length=64)]
    """Random; accepted once."""
    htm: str
    """The request's method."""
    htu: str
    """The request's path below the gateway as `named` gives it, `/v1/link` for example."""
    htq: str = ""
    """The request's query as `named_query` gives it; empty for none."""
    job: str = ""
    """The request's header `X-Airflow-Edge-Job`; empty for none."""
    body: str = ""
    """What the request's body hashes to, as `body_digest` gives it; empty for none."""


def new_claims(
    *, sub: str, now: float, jti: str, method: str, path: str, query: str = "", job: str = "", body: str = ""
) -> Claims:
    """Make the claims for one request, valid from `now` (seconds since the epoch) for `LIFETIME` seconds.

    :param path: below the gateway and percent-encoded, without query
    :param query: percent-encoded, without the question mark
    :param job: the job that it is for, as its header names it
    :param body: the `body_digest`
    """
    issued = int(now)
    return Claims(
        sub=sub,
        aud=AUDIENCE,
        iat=issued,
        exp=issued + LIFETIME,
        jti=jti,
        htm=method,
        htu=named(unquote(path)),
        htq=named_query(query),
        job=job,
        body=body,
    )


def named(path: str) -> str:
    """Give what stands for a path in a token, for both sides.

    It is the decoded path: a proxy on the way may encode it anew. A long one is replaced by its hash: ids of 250
    characters of any script make one of thousands of bytes, and servers and proxies bound the length of a header.

    :param path: below the gateway, decoded
    """
    data = path.encode(errors="surrogatepass")
    return path if len(data) <= LONGEST_PATH else f"sha256:{hashlib.sha256(data).hexdigest()}"


def named_query(query: str) -> str:
    """Give what stands for a query in a token, for both sides: its names and values, however they are encoded.

    :param query: percent-encoded, without the question mark
    """
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return named(urlencode(pairs, errors="surrogateescape"))


def body_digest(body: bytes) -> str:
    """Give what stands for a body in a token: nothing for none, else its SHA-256 (base64url)."""
    return _b64(hashlib.sha256(body).digest()).decode("ascii") if body else ""


def signing_input(claims: Claims | Mapping[str, str | int], header: Mapping[str, str] = _HEADER) -> bytes:
    """Give the bytes that the signature covers."""
    return _b64(msgspec.json.encode(header)) + b"." + _b64(msgspec.json.encode(claims))


def assemble(signed: bytes, signature: bytes) -> str:
    """Put the signed bytes and their signature together."""
    return (signed + b"." + _b64(signature)).decode("ascii")


def answer_mark(token: str, status: int, body: bytes) -> str:
    """Give the mark of the gateway's answer to the request with this token.

    It keeps apart by accident, not by secret: whoever stands in between knows the token. That it is the centre who
    answers, TLS sees to.

    :param body: as it arrives; empty in answer to `HEAD`
    """
    digest = hashlib.sha256(f"airflow-edge answer\n{token}\n{status:d}\n".encode("utf-8", "surrogateescape"))
    digest.update(body)
    return _b64(digest.digest()).decode("ascii")


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
