"""Proof that a site knows `[api_auth] jwt_secret`, for sites that were configured for the shared secret."""

from __future__ import annotations

import time
from http import HTTPStatus

import jwt
from airflow.api_fastapi.auth.tokens import InvalidClaimError, JWTValidator, get_sig_validation_args
from airflow.configuration import conf

from airflow_edge.gateway.http import ProblemError
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.tokens import LIFETIME, PROOF_AUDIENCE


async def check_proof(token: str) -> None:
    """Check, with the keys that Airflow checks its own tokens with, that whoever made this JWT knows the secret, now.

    :raises ProblemError: it is no such proof, or older than they live, `[api_auth] jwt_leeway` aside.
    """
    try:
        validator = JWTValidator(
            audience=PROOF_AUDIENCE,
            issuer=None,
            required_claims=frozenset({"aud", "exp", "iat"}),
            **get_sig_validation_args(make_secret_key_if_needed=False),
        )
        claims = await validator.avalidated_claims(token)
    except (jwt.PyJWTError, InvalidClaimError, ValueError, KeyError, TypeError) as error:
        raise _refusal(f"The proof of the shared secret does not hold ({error})") from error
    if time.time() - claims["iat"] > LIFETIME + validator.leeway:
        raise _refusal("The proof of the shared secret is too old")


def default_queues() -> tuple[str, ...]:
    """Give the queue of tasks that name none: `[operators] default_queue`."""
    return (conf.get_mandatory_value("operators", "default_queue"),)


def _refusal(what: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNAUTHORIZED,
        Code.BAD_TOKEN,
        f"{what}: [api_auth] jwt_secret has to be the same at the site and at the centre, and both clocks right.",
    )
