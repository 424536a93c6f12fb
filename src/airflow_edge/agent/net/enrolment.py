"""How this machine becomes a worker: a key pair is made here, and its public half registered at the centre."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import socket
import time
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from nacl.signing import SigningKey

from airflow_edge.agent.config import Sources
from airflow_edge.agent.errors import (
    AgentError,
    ConfigError,
    ForeignAnswerError,
    InsecureUrlError,
    RefusedError,
    UnreachableError,
    WrongUrlError,
)
from airflow_edge.agent.net.centre_key import follow
from airflow_edge.agent.net.failures import refusal
from airflow_edge.agent.net.foreign import printable
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.net.identity import Identity, PendingKey
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.protocol import tokens
from airflow_edge.protocol.enrolment import Token, read_token, statement, statement_digest
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.problems import WORKER_NAME, WORKER_NAME_RULE, EnrollReply, EnrollRequest
from airflow_edge.protocol.signatures import enrolment_proof, fingerprint
from airflow_edge.protocol.urls import ENROLL, PREFIX, gateway_url, unprotected

PENDING_FILE: Final = "enrolling.json"
_DIGESTS: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_GUESS: Final = "GUESS"
"""Airflow's default for the algorithm, which means HS512 where there is a secret."""


class SharedSecret:
    """`[api_auth] jwt_secret`, for sites configured the old way. It is not sent, only proof of knowing it."""

    def __init__(self, secret: str, algorithm: str = "HS512") -> None:
        self._secret = secret.encode()
        self._algorithm = algorithm

    @classmethod
    def find(cls, sources: Sources) -> SharedSecret | None:
        """Read it from the environment or `airflow.cfg`; None if there is none.

        :raises ConfigError: the command that should print it fails, or the algorithm is none for a secret.
        """
        found = sources.find_secret("api_auth", "jwt_secret")
        if found is None:
            return None
        algorithm, origin = sources.find("api_auth", "jwt_algorithm") or (_GUESS, "")
        if algorithm.upper() == _GUESS:
            algorithm = "HS512"
        if algorithm not in _DIGESTS:
            raise ConfigError(
                f"jwt_algorithm is '{algorithm}' ({origin}), with which a shared secret cannot be used; enrol with a "
                "token instead (at the centre: airflow edge enroll-token create)"
            )
        return cls(found[0], algorithm)

    def vouches(self, said: bytes, proof: str) -> bool:
        """Whether this proof (HMAC-SHA256, hex) shows that who has said this knows the secret."""
        return hmac.compare_digest(hmac.new(self._secret, said, hashlib.sha256).hexdigest(), proof)

    def proof(self, public_key: str, name: str, queues: tuple[str, ...] | None) -> str:
        """Make a JWT (RFC 7519) that is good once, for a minute, for this key, this name and these queues."""
        now = int(time.time())
        header = {"alg": self._algorithm, "typ": "JWT"}
        claims: dict[str, str | int] = {
            "aud": tokens.PROOF_AUDIENCE,
            "iat": now,
            "exp": now + tokens.LIFETIME,
            "jti": secrets.token_urlsafe(16),
            tokens.PROOF_OF: statement_digest(public_key, name, queues, now),
        }
        signed = tokens.signing_input(claims, header)
        return tokens.assemble(signed, hmac.new(self._secret, signed, _DIGESTS[self._algorithm]).digest())


def default_name() -> str:
    """Give the host's name, in the characters that a worker's name may have."""
    name = re.sub(r"[^A-Za-z0-9._@-]+", "-", socket.gethostname()).lstrip("._@-")
    return name[:200] or "worker"


async def enroll(
    identity_file: Path,
    api_url: str,
    name: str,
    *,
    token: str | None = None,
    secret: SharedSecret | None = None,
    queues: tuple[str, ...] | None = None,
    trust: Trust = SYSTEM,
    insecure: bool = False,
) -> Identity:
    """Become a worker, and store the identity.

    The key is kept in the state folder until the centre has answered for good: should its answer be lost, the next
    attempt comes with the same key and name, by which the centre recognises it.

    :param token: an enrolment token, or
    :param secret: the shared one, with which `queues` are those to serve (None for the centre's default)
    :param insecure: whether the way there may be without TLS
    :raises UnreachableError: no answer of the centre's came; the same call again is safe.
    :raises AgentError: it was refused, or cannot work.
    """
    if not re.fullmatch(WORKER_NAME, name):
        raise ConfigError(f"'{name}' is not possible: {WORKER_NAME_RULE}; choose one with --name")
    try:
        gateway = gateway_url(api_url)
    except ValueError as error:
        raise WrongUrlError(str(error)) from error
    if unprotected(gateway) and not insecure:
        raise InsecureUrlError(gateway, "airflow-edge enroll URL TOKEN --insecure")
    try:
        read = read_token(token) if token is not None else None
    except ValueError as error:
        raise ConfigError(str(error)) from error
    pending_file = identity_file.with_name(PENDING_FILE)
    pending = PendingKey.load_or_generate(pending_file, name)
    request = _wish(pending.public_key, name, queues, read.seed if read else None, secret)
    try:
        async with aclosing(HttpClient(gateway, pending, trust=trust)) as client:
            response = await client.request(
                "POST", ENROLL, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(request)
            )
        reply = _read(response, gateway)
        centre_key = _centre_key(reply, read, secret, pending.public_key)
    except ForeignAnswerError as error:
        # The centre may have heard of it all the same: the key is kept.
        raise await _told_apart(error, gateway, trust, pending) from error
    except AgentError as error:
        if not (isinstance(error, UnreachableError) and error.perhaps_delivered):
            pending_file.unlink()
        raise
    identity = pending.enrolled(
        worker_id=reply.worker_id, api_url=api_url, queues=reply.queues, centre_key=centre_key, trust=trust
    )
    identity.insecure = unprotected(gateway)
    identity.save(identity_file)
    pending_file.unlink()
    return identity


def _wish(
    public_key: str, name: str, queues: tuple[str, ...] | None, seed: bytes | None, secret: SharedSecret | None
) -> EnrollRequest:
    wish = EnrollRequest(public_key=public_key, name=name, queues=queues)
    if secret is not None:
        return msgspec.structs.replace(wish, shared_secret_token=secret.proof(public_key, name, queues))
    if seed is None:
        return wish
    key, now = SigningKey(seed), int(time.time())
    signature = key.sign(statement(public_key, name, queues, now)).signature
    return msgspec.structs.replace(
        wish, token_key=bytes(key.verify_key).hex(), token_signature=signature.hex(), signed_at=now
    )


def _centre_key(reply: EnrollReply, token: Token | None, secret: SharedSecret | None, public_key: str) -> str:
    """Give the centre's key, which the token names, or which the secret vouches for.

    :raises RefusedError: somebody else has answered in the centre's name.
    """
    keys = reply.centre_keys
    if secret is not None and keys and secret.vouches(enrolment_proof(public_key, keys[-1].key), reply.centre_proof):
        return keys[-1].key
    for index, link in enumerate(keys):
        if token is not None and fingerprint(bytes.fromhex(link.key)) == token.centre_key:
            try:
                return follow(link.key, keys[index + 1 :])
            except RemoteProtocolError as error:
                raise RefusedError(str(error), "") from error
    named = "the enrolment token names" if token else "the shared secret vouches for"
    raise RefusedError(
        f"whoever has answered does not have the centre's key that {named}: somebody on the way speaks in the centre's "
        "name, or the token is of another Airflow; ask for a new one, and revoke the worker at the centre",
        "",
    )


def _read(response: Response, gateway: str) -> EnrollReply:
    if response.status == HTTPStatus.OK:
        try:
            return msgspec.json.decode(response.body, type=EnrollReply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    raise refusal(response.status, response.body, gateway)


async def _told_apart(error: ForeignAnswerError, gateway: str, trust: Trust, pending: PendingKey) -> ForeignAnswerError:
    """Say it better where it is an Airflow that has answered."""
    if version := await _airflow_version(gateway, trust, pending):
        return ForeignAnswerError(
            f"there is an Airflow {printable(version)} at {gateway.removesuffix(PREFIX)}, but without the gateway of "
            "airflow-edge; at the centre, `pip install 'airflow-edge[server]'` and restart the API server",
            error.status,
        )
    return error


async def _airflow_version(gateway: str, trust: Trust, pending: PendingKey) -> str | None:
    try:
        async with aclosing(HttpClient(gateway.removesuffix(PREFIX), pending, trust=trust)) as client:
            response = await client.ask_anybody("/api/v2/version", patience=5.0)
        return msgspec.json.decode(response.body, type=_Version).version
    except (AgentError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _Version(msgspec.Struct):
    version: str
