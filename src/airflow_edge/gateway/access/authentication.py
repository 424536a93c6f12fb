"""Who calls: the proof that a request comes from an enrolled worker, now, and for the first time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.datastructures import Headers

from airflow_edge.gateway.access.directory import WorkerDirectory
from airflow_edge.gateway.database.batching import Coalesced
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.gateway.http import ProblemError
from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.tokens import (
    ALGORITHM,
    AUDIENCE,
    ENROLMENT,
    LIFETIME,
    MAX_SKEW,
    MAX_TOKEN_LENGTH,
    Claims,
    body_digest,
    named,
    named_query,
)
from airflow_edge.protocol.urls import JOB_HEADER
from airflow_edge.rules.worker import Worker
from airflow_edge.store.workers.nonces import Nonce, Nonces

MOST_PER_WORKER = 50_000
"""A worker that signs more requests than this in the life of a token can only weaken its own protection."""
LONG_BODY = 256 * 1024
"""Bytes of a body from which on it is hashed beside the event loop."""
UNAUTHORIZED = HTTPStatus.UNAUTHORIZED

_JWS = jwt.PyJWS(algorithms=[ALGORITHM])


class SeenTokens:
    """The ids of accepted tokens until they expire, for each worker by itself."""

    def __init__(self, most_per_worker: int = MOST_PER_WORKER) -> None:
        self._most = most_per_worker
        self._expiry: dict[UUID, OrderedDict[str, float]] = {}

    def first_time(self, worker_id: UUID, token_id: str, *, expires_at: float, now: float) -> bool:
        """Note a token; False if it was noted before. Times in seconds of one clock."""
        seen = self._expiry.setdefault(worker_id, OrderedDict())
        if token_id in seen:
            return False
        # Tokens come in roughly the order in which they expire, so the oldest are in front.
        while seen and (next(iter(seen.values())) < now or len(seen) >= self._most):
            seen.popitem(last=False)
        seen[token_id] = expires_at
        return True

    def forget_expired(self, now: float) -> None:
        """Drop the workers of which no token is alive."""
        for worker_id in [worker_id for worker_id, seen in self._expiry.items() if max(seen.values(), default=0) < now]:
            del self._expiry[worker_id]


class Caller(NamedTuple):
    """A worker that has signed the head of a request."""

    worker: Worker
    body_digest: str
    """What it says that the body hashes to."""

    async def check_body(self, body: bytes) -> None:
        """Check that this is the body that the worker has signed; before that, nothing may come of it.

        :raises ProblemError: it is another one.
        """
        await check_body(self.body_digest, body)


class Authenticator:
    """Checks the tokens that workers sign for each request."""

    def __init__(self, directory: WorkerDirectory, nonces: Nonces, calls: StoreCalls) -> None:
        self._directory = directory
        self._nonces = nonces
        self._calls = calls
        self._marks = Coalesced(self._mark)
        self.seen = SeenTokens()

    async def worker(
        self, headers: Headers, *, method: str, path: str, query: str = "", body: bytes = b"", everywhere: bool = False
    ) -> Worker:
        """Give the worker that signed this request, its body included. Takes and raises what `caller` does."""
        caller = await self.caller(headers, method=method, path=path, query=query, everywhere=everywhere)
        await caller.check_body(body)
        return caller.worker

    async def caller(
        self, headers: Headers, *, method: str, path: str, query: str = "", everywhere: bool = False
    ) -> Caller:
        """Give the worker that signed this request, of which the body has not been read yet.

        :param headers: the job that they name has to be the one that is signed
        :param query: percent-encoded
        :param path: the request's path below the gateway, decoded; the token has to name it
        :param everywhere: no other gateway process may have accepted the token either
        :raises ProblemError: the request is not one of a worker that may call, with the reason as its answer.
        :raises StoreUnavailableError: the database failed.
        """
        token = bearer(headers)
        claims = read_claims(token)
        worker = await self._find(claims.sub)
        verify(token, worker.public_key)
        if worker.revoked_at is not None:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                Code.REVOKED,
                f"Worker '{worker.name}' was revoked at the centre. To use this machine again, enrol it anew: {ANEW}",
            )
        check_request(claims, method=method, path=path, query=query, job=headers.get(JOB_HEADER, ""))
        await self._check_fresh(worker.id, claims, everywhere=everywhere)
        return Caller(worker, claims.body)

    async def newcomer(self, headers: Headers, public_key: bytes, *, method: str, path: str, body: bytes) -> None:
        """Check that whoever sent this request holds the private half of this key.

        :raises ProblemError: they have not shown it.
        :raises StoreUnavailableError: the database failed.
        """
        token = bearer(headers)
        claims = read_claims(token)
        if claims.sub != ENROLMENT:
            raise _refusal("The token is not one for enrolling.")
        verify(token, public_key)
        # A stranger could fill the database with marks otherwise; and the same enrolment twice makes the same worker.
        check_request(claims, method=method, path=path, query="", job="")
        await check_body(claims.body, body)
        await self._check_fresh(UUID(int=0), claims, everywhere=False)

    async def _find(self, sub: str) -> Worker:
        try:
            worker = await self._directory.get(UUID(sub))
        except ValueError:
            worker = None
        if worker is None:
            raise ProblemError(
                UNAUTHORIZED,
                Code.UNKNOWN_WORKER,
                f"No such worker is enrolled at this centre. Enrol this machine anew: {ANEW}",
            )
        return worker

    async def _check_fresh(self, worker_id: UUID, claims: Claims, *, everywhere: bool) -> None:
        now = time.time()
        check_time(claims, now=now)
        expires_at = expiry(claims)
        fresh = self.seen.first_time(worker_id, claims.jti, expires_at=expires_at, now=now)
        if fresh and everywhere:
            fresh = await self.first_time_anywhere(str(worker_id), claims.jti, expires_at=expires_at)
        if not fresh:
            raise ProblemError(UNAUTHORIZED, Code.REPLAYED, "The token was used before; every request needs a new one.")

    def note_token(self, worker_id: UUID, token_id: str, expires_at: float) -> bool:
        """Note a token that another gateway process has checked; False if it was accepted here before.

        :param expires_at: when it can be good no more, in seconds since the epoch
        """
        return self.seen.first_time(worker_id, token_id, expires_at=expires_at, now=time.time())

    async def first_time_anywhere(self, subject: str, jti: str, *, expires_at: float) -> bool:
        """Note the id of a token for all gateway processes; False if one of them has accepted it before.

        :param expires_at: seconds since the epoch
        """
        return await self._marks.ask(Nonce(subject, jti, datetime.fromtimestamp(expires_at, UTC)))

    async def _mark(self, nonces: Sequence[Nonce]) -> list[bool]:
        return await self._calls.run(self._nonces.use, nonces)


def bearer(headers: Headers) -> str:
    """Give the token of the Authorization header.

    :raises ProblemError: there is none.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _refusal(
            "This is the gateway for edge workers: every request needs 'Authorization: Bearer' with a worker's token."
        )
    return token.strip()


def read_claims(token: str) -> Claims:
    """Read what a token claims. Nothing of it counts before `verify`.

    :raises ProblemError: it is not the token of a worker.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise _refusal("The token is too long to be one of a worker.")
    try:
        unverified = _JWS.decode_complete(token, options={"verify_signature": False})
        claims = msgspec.json.decode(unverified["payload"], type=Claims)
    except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refusal("This is not the token of an airflow-edge worker.") from error
    if unverified["header"].get("alg") != ALGORITHM:
        raise _refusal("The token is not signed with EdDSA.")
    return claims


def verify(token: str, public_key: bytes) -> None:
    """Check a token's signature.

    :param public_key: 32 bytes, Ed25519
    :raises ProblemError: another key made it.
    """
    try:
        _JWS.decode(token, Ed25519PublicKey.from_public_bytes(public_key), algorithms=[ALGORITHM])
    except (jwt.PyJWTError, ValueError) as error:
        raise _refusal("The token is not signed with the key that was enrolled.") from error


def check_request(claims: Claims, *, method: str, path: str, query: str = "", job: str = "") -> None:
    """Check what a token says against the head of the request that it came with.

    :param path: below the gateway, decoded
    :param query: percent-encoded
    :param job: what the header `X-Airflow-Edge-Job` says
    :raises ProblemError: it was made for something else.
    """
    request = (AUDIENCE, method, named(path), named_query(query), job)
    if (claims.aud, claims.htm, claims.htu, claims.htq, claims.job) != request:
        raise _refusal("The token was made for another request.")


async def check_body(signed: str, body: bytes) -> None:
    """Check that a body is the one of which a token gives this digest.

    :raises ProblemError: it is another one.
    """
    digest = body_digest(body) if len(body) <= LONG_BODY else await asyncio.to_thread(body_digest, body)
    if digest != signed:
        raise _refusal("The request's body is not the one that was signed: it was changed on the way.")


def check_time(claims: Claims, *, now: float) -> None:
    """Check that a token is good at this time, by the centre's clock in seconds since the epoch.

    :raises ProblemError: it was made for another one.
    """
    ahead = claims.iat - now
    if ahead > MAX_SKEW:
        raise _wrong_time(
            f"The worker's clock is {ahead:.0f} s ahead of the centre's (at most {MAX_SKEW} s are allowed); set it "
            "right, for example with NTP.",
            now,
        )
    if now > expiry(claims):
        raise _wrong_time(
            f"The token was signed {-ahead:.0f} s ago by the worker's clock: either that clock is behind the centre's "
            f"(at most {MAX_SKEW} s are allowed; set it right, for example with NTP) or the request was held up.",
            now,
        )


def expiry(claims: Claims) -> float:
    """Give when a token can be good no more, by the centre's clock; it cannot give itself a longer life."""
    return float(min(claims.exp, claims.iat + LIFETIME) + MAX_SKEW)


def _wrong_time(detail: str, now: float) -> ProblemError:
    return ProblemError(UNAUTHORIZED, Code.CLOCK_SKEW, detail, centre_time=now)


def _refusal(detail: str) -> ProblemError:
    return ProblemError(UNAUTHORIZED, Code.BAD_TOKEN, detail)
