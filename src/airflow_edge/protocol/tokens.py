"""The short-lived token that a worker signs for each request: a JWS in compact form with EdDSA (RFC 7515, RFC 8037).

Only the parts that need no key are here. The site signs (`signing_input`, `assemble`), the centre verifies the
signature over `ParsedToken.signed` with the public key it holds for `claims.sub`, then calls `check_claims`. A token
is good for one request: it names the method and the path, in the manner of DPoP (RFC 9449), and carries an id that is
accepted once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated

import msgspec

from airflow_edge.protocol.errors import ClockSkewError, MalformedTokenError, WrongAudienceError

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

_HEADER: Mapping[str, str] = {"alg": "EdDSA", "typ": "JWT"}


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
    """The request's path below the gateway, `/v1/link` for example, without host, prefix and query."""


class ParsedToken(msgspec.Struct, frozen=True):
    """A token taken apart, nothing checked yet but its form."""

    claims: Claims
    signed: bytes
    signature: bytes


def new_claims(*, sub: str, now: float, jti: str, method: str, path: str) -> Claims:
    """Make the claims for one request, valid from `now` (seconds since the epoch) for `LIFETIME` seconds."""
    issued = int(now)
    return Claims(sub=sub, aud=AUDIENCE, iat=issued, exp=issued + LIFETIME, jti=jti, htm=method, htu=path)


def signing_input(claims: Claims | Mapping[str, str | int], header: Mapping[str, str] = _HEADER) -> bytes:
    """Give the bytes that the signature covers."""
    return _b64(msgspec.json.encode(header)) + b"." + _b64(msgspec.json.encode(claims))


def assemble(signed: bytes, signature: bytes) -> str:
    """Put the signed bytes and their signature together."""
    return (signed + b"." + _b64(signature)).decode("ascii")


def parse(token: str) -> ParsedToken:
    """Take a token apart.

    :raises MalformedTokenError: it is not a JWS with the header and the claims of this protocol.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise MalformedTokenError("the token is too long to be one of a worker")
    try:
        header, payload, signature = token.encode("ascii").split(b".")
        if msgspec.json.decode(_unb64(header)) != _HEADER:
            raise MalformedTokenError("the token is not signed with EdDSA")
        claims = msgspec.json.decode(_unb64(payload), type=Claims)
        return ParsedToken(claims, header + b"." + payload, _unb64(signature))
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedTokenError("this is not the token of an airflow-edge worker") from error


def check_claims(claims: Claims, *, now: float, method: str, path: str) -> None:
    """Check what a token says against the request it came with; `now` is the centre's clock in seconds since the epoch.

    :raises WrongAudienceError: it was made for something else.
    :raises ClockSkewError: the clocks differ by more than `MAX_SKEW`, or the token is older than it may be.
    """
    if claims.aud != AUDIENCE or claims.htm != method or claims.htu != path:
        raise WrongAudienceError("the token was made for another request")
    ahead = claims.iat - now
    if ahead > MAX_SKEW:
        raise ClockSkewError(
            f"the worker's clock is {ahead:.0f} s ahead of the centre's (at most {MAX_SKEW} s are allowed); set it "
            "right, "
            "for example with NTP"
        )
    if now > min(claims.exp, claims.iat + LIFETIME) + MAX_SKEW:
        raise ClockSkewError(
            f"the token was signed {-ahead:.0f} s ago by the worker's clock: either that clock is behind the centre's "
            f"(at most {MAX_SKEW} s are allowed; set it right, for example with NTP) or the request was held up"
        )


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
