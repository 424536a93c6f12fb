"""How this machine becomes a worker: a key pair is made here, and its public half registered at the centre."""

from __future__ import annotations

import re
import socket
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from airflow_edge.agent.errors import AgentError, ConfigError, UnreachableError, WrongUrlError
from airflow_edge.agent.net.failures import refusal
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.net.identity import Identity, PendingKey
from airflow_edge.protocol.problems import EnrollReply, EnrollRequest
from airflow_edge.protocol.urls import ENROLL, PREFIX, gateway_url

PENDING_FILE: Final = "enrolling.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")


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
    proof: str | None = None,
    queues: tuple[str, ...] | None = None,
    ca_file: Path | None = None,
) -> Identity:
    """Become a worker, and store the identity.

    The key is kept in the state folder until the centre has answered for good: should its answer be lost, the next
    attempt comes with the same key and name, by which the centre recognises it.

    :param token: an enrolment token, or
    :param proof: a `SharedSecret.proof`, with which `queues` are those to serve (None for the centre's default)
    :raises UnreachableError: no answer came; the same call again is safe.
    :raises AgentError: it was refused, or cannot work; nothing is left of the attempt.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot be a worker's name: it has to begin with a letter or digit and to consist of at most 200 "
            "letters, digits and . _ @ -; choose one with --name"
        )
    try:
        gateway = gateway_url(api_url)
    except ValueError as error:
        raise WrongUrlError(str(error)) from error
    pending_file = identity_file.with_name(PENDING_FILE)
    pending = PendingKey.load_or_generate(pending_file, name)
    request = EnrollRequest(
        public_key=pending.public_key, name=name, token=token, shared_secret_token=proof, queues=queues
    )
    try:
        async with aclosing(HttpClient(gateway, pending, ca_file=ca_file)) as client:
            response = await client.request(
                "POST", ENROLL, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(request)
            )
        reply = await _read(response, gateway, ca_file, pending)
    except UnreachableError as error:
        if not error.perhaps_delivered:
            pending_file.unlink()
        raise
    except AgentError:
        pending_file.unlink()
        raise
    identity = pending.enrolled(worker_id=reply.worker_id, api_url=api_url, queues=reply.queues)
    identity.save(identity_file)
    pending_file.unlink()
    return identity


async def _read(response: Response, gateway: str, ca_file: Path | None, pending: PendingKey) -> EnrollReply:
    if response.status == HTTPStatus.OK:
        try:
            return msgspec.json.decode(response.body, type=EnrollReply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    error = refusal(response.status, response.body, gateway)
    if type(error) is WrongUrlError and (version := await _airflow_version(gateway, ca_file, pending)):
        raise WrongUrlError(
            f"there is an Airflow {version} at {gateway.removesuffix(PREFIX)}, but without the gateway of "
            "airflow-edge; at the centre, `pip install 'airflow-edge[server]'` and restart the API server"
        )
    raise error


async def _airflow_version(gateway: str, ca_file: Path | None, pending: PendingKey) -> str | None:
    try:
        async with aclosing(HttpClient(gateway.removesuffix(PREFIX), pending, ca_file=ca_file)) as client:
            response = await client.request("GET", "/api/v2/version", patience=5.0)
        return msgspec.json.decode(response.body, type=_Version).version
    except (AgentError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _Version(msgspec.Struct):
    version: str
