"""How a machine becomes a worker: `POST /v1/enroll`."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

import jwt
import msgspec
from airflow.api_fastapi.auth.tokens import InvalidClaimError, JWTValidator, get_sig_validation_args
from airflow.configuration import conf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.requests import Request
from starlette.responses import Response

from airflow_edge.admin.audit import record
from airflow_edge.admin.config import session
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.gateway import Gateway
from airflow_edge.gateway.http import ProblemError, json_response
from airflow_edge.protocol.enrolment import statement, statement_digest
from airflow_edge.protocol.problems import Code, EnrollReply, EnrollRequest
from airflow_edge.protocol.signatures import enrolment_proof
from airflow_edge.protocol.tokens import LIFETIME, MAX_SKEW, PROOF_AUDIENCE, PROOF_OF
from airflow_edge.protocol.urls import ENROLL
from airflow_edge.rules.worker import Worker
from airflow_edge.store.workers.enrollment import EnrollmentRefusedError

log = logging.getLogger(__name__)

_STATUSES: Final = {
    Code.NAME_TAKEN: HTTPStatus.CONFLICT,
    Code.NO_QUEUES: HTTPStatus.BAD_REQUEST,
}


async def enroll(gateway: Gateway, request: Request) -> Response:
    """Register the worker that the request describes.

    :raises ProblemError: it may not become one, with the reason as its answer.
    :raises StoreUnavailableError: the database failed.
    """
    gateway.check_ready()
    async with gateway.bodies.read_strangers(request) as body:
        wish = _read(body)
    keys = await gateway.centre_keys.get()
    try:
        await gateway.authenticator.newcomer(
            request.headers, bytes.fromhex(wish.public_key), method="POST", path=ENROLL, body=body
        )
        worker = await _enroll(gateway, wish)
    except ProblemError as problem:
        refusal = problem.__cause__
        shown = refusal.token_id if isinstance(refusal, EnrollmentRefusedError) else None
        await gateway.attempts.note(wish.name, shown, "refused", problem.problem.detail)
        raise
    served = f"for the queues {', '.join(worker.queues)}"
    await gateway.attempts.note(worker.name, worker.enroll_token_id, "enrolled", served)
    return json_response(
        EnrollReply(
            worker_id=str(worker.id),
            name=worker.name,
            queues=worker.queues,
            team_name=worker.team_name,
            centre_keys=keys.links,
            centre_proof=_proof(wish, keys.links[-1].key),
        )
    )


async def _enroll(gateway: Gateway, wish: EnrollRequest) -> Worker:
    key = bytes.fromhex(wish.public_key)
    if (wish.token_key is None) == (wish.shared_secret_token is None):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, Code.MALFORMED, "Give either an enrolment token or proof of the shared secret."
        )
    try:
        worker = await (_with_secret(gateway, wish, key) if wish.token_key is None else _with_token(gateway, wish, key))
    except EnrollmentRefusedError as refusal:
        # Anybody can show what is no token: that is in the API server's log, and no change that was attempted.
        if wish.token_key is None or refusal.token_id is not None:
            await _note(gateway, wish.name, refusal.token_id, failure=str(refusal))
        status = _STATUSES.get(refusal.code, HTTPStatus.FORBIDDEN)
        raise ProblemError(status, refusal.code, f"{refusal}.") from refusal
    gateway.directory.forget(worker.id)
    await _note(gateway, worker.name, worker.enroll_token_id, queues=worker.queues, team=worker.team_name)
    log.info("Worker '%s' is enrolled for the queues %s", worker.name, ", ".join(worker.queues))
    return worker


async def _note(gateway: Gateway, name: str, token: UUID | None, *, failure: str = "", **facts: object) -> None:
    """Add an enrolment, or why there was none, to Airflow's audit log."""
    opened_by = f"token {token}" if token is not None else "the shared secret"

    def note() -> None:
        with session() as airflow:
            record(airflow, "enrol", by=f"worker {name}", wish={"with": opened_by, **facts}, failure=failure)

    try:
        await gateway.calls.run(note)
    except StoreUnavailableError:
        log.exception("That '%s' enrolled with %s (%s) is missing in the audit log", name, opened_by, failure or "done")


async def _with_token(gateway: Gateway, wish: EnrollRequest, key: bytes) -> Worker:
    said = statement(wish.public_key, wish.name, wish.queues, wish.signed_at)
    token_key = wish.token_key or ""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(token_key)).verify(
            bytes.fromhex(wish.token_signature or ""), said
        )
    except (InvalidSignature, ValueError) as error:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, Code.BAD_TOKEN, "The enrolment is not signed with the enrolment token."
        ) from error
    if abs(time.time() - wish.signed_at) > LIFETIME + MAX_SKEW:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, Code.CLOCK_SKEW, "The enrolment was signed at another time; set both clocks right."
        )
    return await gateway.calls.run(gateway.store.enroll_tokens.enroll, token_key, wish.name, key, now=datetime.now(UTC))


async def _with_secret(gateway: Gateway, wish: EnrollRequest, key: bytes) -> Worker:
    if not gateway.config.allow_shared_secret_enrollment:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            Code.ENROLLMENT_REFUSED,
            "This centre does not let workers enrol with the shared secret. Use a token (at the centre: airflow edge "
            "enroll-token create), or set [edge] allow_shared_secret_enrollment = True there.",
        )
    token = wish.shared_secret_token or ""
    await _check_proof(wish, token)
    # The signature can be written in more than one way, what it covers cannot.
    covered = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    if not await gateway.authenticator.first_time_anywhere("shared secret", covered, expires_at=time.time() + 300):
        raise ProblemError(HTTPStatus.UNAUTHORIZED, Code.REPLAYED, "The proof of the shared secret was used before.")
    queues = wish.queues or (conf.get_mandatory_value("operators", "default_queue"),)
    return await gateway.calls.run(
        gateway.store.enroll_tokens.enroll_trusted, wish.name, key, queues, now=datetime.now(UTC)
    )


def _proof(wish: EnrollRequest, centre_key: str) -> str:
    """Show a site that proved to know the shared secret that the centre knows it, too."""
    if wish.shared_secret_token is None:
        return ""
    secret = conf.get_mandatory_value("api_auth", "jwt_secret").encode()
    return hmac.new(secret, enrolment_proof(wish.public_key, centre_key), hashlib.sha256).hexdigest()


def _read(body: bytes) -> EnrollRequest:
    try:
        return msgspec.json.decode(body, type=EnrollRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, Code.MALFORMED, f"The request is not one for enrolling: {error}."
        ) from error


async def _check_proof(wish: EnrollRequest, token: str) -> None:
    """Check, with the keys that Airflow checks its own tokens with, that whoever made this JWT knows the secret, now.

    And that they made it for this wish, and no other.

    :raises ProblemError: it is no such proof, or older than they live, `[api_auth] jwt_leeway` aside.
    """
    try:
        validator = JWTValidator(
            audience=PROOF_AUDIENCE,
            issuer=None,
            required_claims=frozenset({"aud", "exp", "iat", PROOF_OF}),
            **get_sig_validation_args(make_secret_key_if_needed=False),
        )
        claims = await validator.avalidated_claims(token)
    except (jwt.PyJWTError, InvalidClaimError, ValueError, KeyError, TypeError) as error:
        raise _wrong_secret(f"The proof of the shared secret does not hold ({error})") from error
    if time.time() - claims["iat"] > LIFETIME + validator.leeway:
        raise _wrong_secret("The proof of the shared secret is too old")
    if claims[PROOF_OF] != statement_digest(wish.public_key, wish.name, wish.queues, claims["iat"]):
        raise _wrong_secret("The proof of the shared secret was made for another key, name or queues")


def _wrong_secret(what: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNAUTHORIZED,
        Code.BAD_TOKEN,
        f"{what}: [api_auth] jwt_secret has to be the same at the site and at the centre, and both clocks right.",
    )
