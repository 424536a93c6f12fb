"""The short-lived token that a worker signs for each request: a JWS in compact form with EdDSA (RFC 7515, RFC 8037).

A token is good for one request: it names the method and the path, in the manner of DPoP (RFC 9449), and carries an id
that is accepted once. The site signs by hand (`signing_input`, `assemble`), the centre verifies with PyJWT.

The answer carries a mark made of that token (`answer_mark`), by which the site knows that it is the gateway's, whole,
and the answer to this very request: `docs/decisions/0018-whose-answer-is-it.md`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import unquote

import msgspec

AUDIENCE = "airflow-edge"
ENROLMENT = "enrol"
"""Who a worker is before the centre has given it an id."""
PROOF_AUDIENCE = "airflow-edge-enroll"
"""Of a proof that a site knows the secret of Airflow's components: a JWT signed with that, good once."""
LIFETIME = 60
"""Seconds from `iat` to `exp`, in both."""
MAX_SKEW = 60
"""Seconds by which the clocks of site and centre may differ."""
MAX_TOKEN_LENGTH = 4096
LONGEST_PATH = 512
"""Bytes of a path that a token names as it is."""

ALGORITHM = "EdDSA"

_HEADER: Mapping[str, str] = {"alg": ALGORITHM, "typ": "JWT"}


class Claims(msgspec.Struct, frozen=True, kw_only=True):
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


def new_claims(*, sub: str, now: float, jti: str, method: str, path: str) -> Claims:
    """Make the claims for one request, valid from `now` (seconds since the epoch) for `LIFETIME` seconds.

    :param path: below the gateway and percent-encoded, without query
    """
    issued = int(now)
    htu = named(unquote(path))
    return Claims(sub=sub, aud=AUDIENCE, iat=issued, exp=issued + LIFETIME, jti=jti, htm=method, htu=htu)


def named(path: str) -> str:
    """Give what stands for a path in a token, for both sides.

    It is the decoded path: a proxy on the way may encode it anew. A long one is replaced by its hash: ids of 250
    characters of any script make one of thousands of bytes, and servers and proxies bound the length of a header.

    :param path: below the gateway, decoded
    """
    data = path.encode(errors="surrogatepass")
    return path if len(data) <= LONGEST_PATH else f"sha256:{hashlib.sha256(data).hexdigest()}"


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
